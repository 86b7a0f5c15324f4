package integration

import (
	"database/sql"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
)

// A proxy stands between a driver and its server. It can stop forwarding without closing
// connections, like a network that loses packets.
type proxy struct {
	listener net.Listener
	network  string
	server   string

	mu       sync.Mutex
	moved    *sync.Cond
	requests int  // since hang, on all connections
	after    int  // how many requests are served; negative means all
	answers  bool // hold answers, not requests
	breaks   int  // how many are not held but have their connection cut
	broken   bool // whether a connection was cut
	open     map[net.Conn]bool
}

func newProxy(l net.Listener, network, address string) *proxy {
	p := &proxy{listener: l, network: network, server: address, after: -1, open: make(map[net.Conn]bool)}
	p.moved = sync.NewCond(&p.mu)
	go p.serve()
	return p
}

// behind starts a proxy in front of the server.
func (s source) behind(t *testing.T) *proxy {
	t.Helper()
	var network, address string
	switch s.driver {
	case "pgx":
		cfg, err := pgx.ParseConfig(s.dsn)
		require.NoError(t, err)
		network, address = "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
		if strings.HasPrefix(cfg.Host, "/") {
			network, address = "unix", cfg.Host+"/.s.PGSQL."+strconv.Itoa(int(cfg.Port))
		}
	case "mysql":
		cfg, err := mysql.ParseDSN(s.dsn)
		require.NoError(t, err)
		network, address = cfg.Net, cfg.Addr
	}
	return proxyTo(t, network, address)
}

// proxyTo starts a proxy in front of the server at an address.
func proxyTo(t *testing.T, network, address string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := newProxy(l, network, address)
	t.Cleanup(func() {
		p.resume()
		l.Close()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// at opens the database with another address of its server.
func (s source) at(t *testing.T, address string) *sql.DB {
	t.Helper()
	var db *sql.DB
	switch s.driver {
	case "pgx":
		cfg, err := pgx.ParseConfig(s.dsn)
		require.NoError(t, err)
		host, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		number, err := strconv.Atoi(port)
		require.NoError(t, err)
		cfg.Host, cfg.Port, cfg.Fallbacks = host, uint16(number), nil
		db = stdlib.OpenDB(*cfg)
	case "mysql":
		cfg, err := mysql.ParseDSN(s.dsn)
		require.NoError(t, err)
		cfg.Net, cfg.Addr = "tcp", address
		connector, err := mysql.NewConnector(cfg)
		require.NoError(t, err)
		db = sql.OpenDB(connector)
	}
	db.SetMaxOpenConns(8)
	t.Cleanup(func() { db.Close() })
	return db
}

// openHanging opens the database through a proxy.
func (s source) openHanging(t *testing.T) (*sql.DB, *proxy) {
	t.Helper()
	p := s.behind(t)
	db := s.at(t, p.address())
	t.Cleanup(p.resume) // drivers send a message when they close a connection
	return db, p
}

// hang stops forwarding after the given number of requests.
func (p *proxy) hang(after int, answers bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.after, p.answers, p.breaks = 0, after, answers, 0
}

// fail serves the given number of requests, cuts the connection at each of the next ones,
// and then serves all again.
func (p *proxy) fail(after, breaks int, answers bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.after, p.answers, p.breaks, p.broken = 0, after, answers, breaks, false
}

// failed reports whether fail has cut any connection.
func (p *proxy) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

// hasRequest reports whether a request has arrived since hang.
func (p *proxy) hasRequest() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests > 0
}

func (p *proxy) resume() {
	p.hang(-1, false)
	p.moved.Broadcast()
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		conn.Close()
	}
}

// cutSome closes each connection with the given probability, or one if that closes none, and
// returns their number. Half of them are reset.
func (p *proxy) cutSome(probability float64) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var clients, cut []net.Conn
	for conn := range p.open {
		if conn.LocalAddr().String() == p.address() { // the other half is that to the server
			clients = append(clients, conn)
		}
	}
	for _, conn := range clients {
		if rand.Float64() < probability {
			cut = append(cut, conn)
		}
	}
	if len(cut) == 0 && len(clients) > 0 {
		cut = clients[:1] // the order of a map is random
	}
	for _, conn := range cut {
		if rand.IntN(2) == 0 {
			conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
	}
	return len(cut)
}

// register adds a connection that cut closes, until done is called.
func (p *proxy) register(conn net.Conn) (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = true
	return func() {
		conn.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, conn)
	}
}

// holds reports whether to hold what comes next. If no request is served, it also holds what
// a server sends unsolicited.
func (p *proxy) holds() bool {
	return p.after >= 0 && (p.requests > p.after || p.answers && p.after == 0)
}

// wait blocks while data must be held. It returns false if its connection must be cut.
func (p *proxy) wait(request bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if request {
		p.requests++
	}
	for p.holds() && p.answers != request {
		if p.breaks == 0 {
			p.moved.Wait()
			continue
		}
		p.broken = true
		if p.breaks--; p.breaks == 0 {
			p.after = -1
		}
		return false
	}
	return true
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(p.network, p.server)
		if err != nil {
			client.Close()
			continue
		}
		go p.forward(server, client, true)
		go p.forward(client, server, false)
	}
}

func (p *proxy) forward(to, from net.Conn, request bool) {
	defer to.Close()
	defer p.register(from)()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !p.wait(request) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
