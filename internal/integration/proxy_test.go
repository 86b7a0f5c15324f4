package integration

import (
	"database/sql"
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

// A proxy stands between a driver and its server and can stop to forward, as a
// network does that loses packets: nobody is told.
type proxy struct {
	listener net.Listener
	network  string
	address  string

	mu       sync.Mutex
	moved    *sync.Cond
	requests int  // that came since hang, of all connections
	after    int  // so many are served; below 0: all
	answers  bool // what is held is the answer, not the request
}

// openHanging opens a database through a proxy.
func (s source) openHanging(t *testing.T) (*sql.DB, *proxy) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l, after: -1}
	p.moved = sync.NewCond(&p.mu)
	port := l.Addr().(*net.TCPAddr).Port
	var db *sql.DB
	switch s.driver {
	case "pgx":
		cfg, err := pgx.ParseConfig(s.dsn)
		require.NoError(t, err)
		p.network, p.address = "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
		if strings.HasPrefix(cfg.Host, "/") {
			p.network, p.address = "unix", cfg.Host+"/.s.PGSQL."+strconv.Itoa(int(cfg.Port))
		}
		cfg.Host, cfg.Port, cfg.Fallbacks = "127.0.0.1", uint16(port), nil
		db = stdlib.OpenDB(*cfg)
	case "mysql":
		cfg, err := mysql.ParseDSN(s.dsn)
		require.NoError(t, err)
		p.network, p.address = cfg.Net, cfg.Addr
		cfg.Net, cfg.Addr = "tcp", l.Addr().String()
		connector, err := mysql.NewConnector(cfg)
		require.NoError(t, err)
		db = sql.OpenDB(connector)
	}
	go p.serve()
	t.Cleanup(func() {
		p.resume() // a driver says goodbye when it closes
		db.Close()
		l.Close()
	})
	return db, p
}

// hang serves so many requests more, and then no other.
func (p *proxy) hang(after int, answers bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.after, p.answers = 0, after, answers
}

func (p *proxy) resume() {
	p.hang(-1, false)
	p.moved.Broadcast()
}

// wait returns once what came may be forwarded.
func (p *proxy) wait(request bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if request {
		p.requests++
	}
	for p.after >= 0 && p.requests > p.after && p.answers != request {
		p.moved.Wait()
	}
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(p.network, p.address)
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
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.wait(request)
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
