package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// A remote is a store with a server that can be reached through a proxy.
type remote struct {
	direct   auth.Store
	upstream string // address of the server
	open     func(t *testing.T, address string, timeout time.Duration) auth.Store
}

// eachRemote runs a test with every store that has a server. open returns an empty one.
func eachRemote(t *testing.T, test func(t *testing.T, open func(t *testing.T) remote)) {
	for _, d := range databases {
		if d.isSQLite() {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			test(t, d.remote)
		})
	}
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		test(t, remoteRedis)
	})
}

func (d database) remote(t *testing.T) remote {
	t.Helper()
	source := d.make(t)
	return remote{d.over(t, source.open(t)), source.behind(t).address(),
		func(t *testing.T, address string, timeout time.Duration) auth.Store {
			db := source.at(t, address)
			require.NoError(t, db.PingContext(t.Context())) // without a timeout: the server starts a process
			store, err := sqlstore.New(db, d.dialect, sqlstore.Config{Timeout: timeout})
			require.NoError(t, err)
			return store
		}}
}

func remoteRedis(t *testing.T) remote {
	t.Helper()
	option := redisOption(t)
	uncached := option
	uncached.DisableCache = true
	prefix := redisPrefix(t, openRedis(t, option))
	return remote{redisStoreOver(t, uncached, redisstore.Config{Prefix: prefix}), option.InitAddress[0],
		func(t *testing.T, address string, timeout time.Duration) auth.Store {
			option := option
			option.InitAddress, option.ConnWriteTimeout = []string{address}, 2*time.Second
			return redisStoreOver(t, option, redisstore.Config{Prefix: prefix, Timeout: timeout})
		}}
}

// toxicProxy starts a proxy whose connections can have faults.
func toxicProxy(t *testing.T, upstream string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", upstream)
	require.NoError(t, p.Start())
	t.Cleanup(p.Stop)
	return p
}

// poison adds a fault, until heal is called.
func poison(t *testing.T, p *toxiproxy.Proxy, kind, stream, attributes string) (heal func()) {
	t.Helper()
	_, err := p.Toxics.AddToxicJson(strings.NewReader(
		fmt.Sprintf(`{"name": "bad", "type": %q, "stream": %q, "attributes": {%s}}`, kind, stream, attributes)))
	require.NoError(t, err)
	return func() { require.NoError(t, p.Toxics.RemoveToxic(context.Background(), "bad")) }
}

// A toxic is what toxiproxy does to a connection.
type toxic struct {
	kind, attributes string
	works            bool // calls succeed, slowly
}

func toxics() []toxic {
	toxics := []toxic{
		{"slicer", `"average_size": 3, "size_variation": 2, "delay": 1`, true},
		{"latency", `"latency": 2, "jitter": 2`, true},
		{"reset_peer", `"timeout": 0`, false},
		{"timeout", `"timeout": 20`, false}, // drops all data, then closes the connection
	}
	// These close the connection after a number of bytes.
	for _, bytes := range []int{0, 1, 17, 90, 300, 1200} {
		toxics = append(toxics, toxic{"limit_data", fmt.Sprintf(`"bytes": %d`, bytes), false})
	}
	return toxics
}

// During any network problem, a change is complete or has no effect, and a partial answer
// authenticates no request. The store recovers within seconds.
func TestStores_badNetwork(t *testing.T) {
	t.Parallel()
	eachRemote(t, func(t *testing.T, open func(*testing.T) remote) {
		if !strings.HasSuffix(t.Name(), "Redis") { // whose client has goroutines, for the race detector
			longSeries(t)
		}
		inCI(t)
		for _, m := range methods {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				r := open(t)
				p := toxicProxy(t, r.upstream)
				tt := &networkTest{
					method: m, remote: r, proxy: p,
					store: r.open(t, p.Listen, time.Second), patient: r.open(t, p.Listen, time.Minute),
				}
				tt.untouched, tt.done = m.states(t, tt.store, r.direct)
				for _, toxic := range toxics() {
					tt.run(t, toxic, "upstream")
					tt.run(t, toxic, "downstream")
				}
			})
		}
	})
}

type networkTest struct {
	method          method
	remote          remote
	proxy           *toxiproxy.Proxy
	store, patient  auth.Store // behind the proxy, with a short and a long timeout
	untouched, done string     // states of the user
}

// run calls the method during a fault.
func (tt *networkTest) run(t *testing.T, toxic toxic, stream string) {
	t.Helper()
	direct := tt.remote.direct
	at := fmt.Sprintf("%s %s, %s", toxic.kind, toxic.attributes, stream)
	u := newUser(t, direct)
	heal := poison(t, tt.proxy, toxic.kind, stream, toxic.attributes)
	if toxic.works {
		require.NoError(t, tt.method.call(t.Context(), tt.patient, u), at)
		require.Equal(t, tt.done, u.state(t, direct), at)
		heal()
		return
	}
	start := time.Now()
	err := tt.method.call(t.Context(), tt.store, u)
	require.Less(t, time.Since(start), 6*time.Second, at)
	heal()
	u.allOrNothing(t, direct, err, tt.untouched, tt.done, at)
	awaitRecovery(t, tt.store)
	awaitRecovery(t, tt.patient)
	require.Equal(t, u.state(t, direct), u.state(t, tt.store), at)
}
