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

// A remote is a store whose server is behind a network.
type remote struct {
	direct   auth.Store
	upstream string // the server
	open     func(t *testing.T, address string, timeout time.Duration) auth.Store
}

// eachRemote gives a test what makes an empty one.
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
			require.NoError(t, db.PingContext(t.Context())) // however long the server takes to start a process
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
	return remote{redisStoreOver(t, uncached, prefix), option.InitAddress[0],
		func(t *testing.T, address string, timeout time.Duration) auth.Store {
			option := option
			option.InitAddress, option.ConnWriteTimeout = []string{address}, 2*time.Second
			return redisStoreOver(t, option, prefix, redisstore.Config{Timeout: timeout})
		}}
}

// toxicProxy is a network that can be made bad.
func toxicProxy(t *testing.T, upstream string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", upstream)
	require.NoError(t, p.Start())
	t.Cleanup(p.Stop)
	return p
}

// poison makes it bad, until the returned function is called.
func poison(t *testing.T, p *toxiproxy.Proxy, kind, stream, attributes string) (heal func()) {
	t.Helper()
	_, err := p.Toxics.AddToxicJson(strings.NewReader(
		fmt.Sprintf(`{"name": "bad", "type": %q, "stream": %q, "attributes": {%s}}`, kind, stream, attributes)))
	require.NoError(t, err)
	return func() { require.NoError(t, p.Toxics.RemoveToxic(context.Background(), "bad")) }
}

// Whatever a network does to a connection, a change is made or it is not, nobody gets
// in by half an answer, and a few seconds later all is well.
func TestBadNetworkLeavesAllOrNothing(t *testing.T) {
	t.Parallel()
	type toxic struct {
		kind, attributes string
		works            bool // it is only slow
	}
	toxics := []toxic{
		{"slicer", `"average_size": 3, "size_variation": 2, "delay": 1`, true},
		{"latency", `"latency": 2, "jitter": 2`, true},
		{"reset_peer", `"timeout": 0`, false},
		{"timeout", `"timeout": 20`, false}, // nothing comes through, and then it is cut
	}
	// An exchange is cut short after each of so many bytes.
	for _, bytes := range []int{0, 1, 17, 90, 300, 1200} {
		toxics = append(toxics, toxic{"limit_data", fmt.Sprintf(`"bytes": %d`, bytes), false})
	}
	eachRemote(t, func(t *testing.T, open func(*testing.T) remote) {
		if !strings.HasSuffix(t.Name(), "Redis") { // whose client has goroutines of its own
			triesEachInTurn(t)
		}
		for _, m := range methods {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				ctx, r := t.Context(), open(t)
				p := toxicProxy(t, r.upstream)
				store := r.open(t, p.Listen, time.Second)
				patient := r.open(t, p.Listen, time.Minute)
				model := newAccount(t, r.direct)
				untouched := model.state(t, r.direct)
				require.NoError(t, m.call(ctx, store, model))
				done := model.state(t, r.direct)
				for _, toxic := range toxics {
					for _, stream := range []string{"upstream", "downstream"} {
						at := fmt.Sprintf("%s %s, %s", toxic.kind, toxic.attributes, stream)
						a := newAccount(t, r.direct)
						heal := poison(t, p, toxic.kind, stream, toxic.attributes)
						if toxic.works {
							require.NoError(t, m.call(ctx, patient, a), at)
							require.Equal(t, done, a.state(t, r.direct), at)
							heal()
							continue
						}
						start := time.Now()
						err := m.call(ctx, store, a)
						require.Less(t, time.Since(start), 6*time.Second, at)
						heal()
						a.allOrNothing(t, r.direct, err, untouched, done, at)
						recoversSoon(t, store)
						recoversSoon(t, patient)
						require.Equal(t, a.state(t, r.direct), a.state(t, store), at)
					}
				}
			})
		}
	})
}
