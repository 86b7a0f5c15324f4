package client_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/federate/client"
)

func TestNew_faults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*client.Config)
		want   string // the end of the error
	}{
		{"no endpoint", func(c *client.Config) { c.Endpoint = "" }, "Endpoint: must be an https URL, such as https://notes.example/federate"},
		{"relative endpoint", func(c *client.Config) { c.Endpoint = "/federate" }, "Endpoint: must be an https URL, such as https://notes.example/federate"},
		{"no host", func(c *client.Config) { c.Endpoint = "https://:443/federate" }, "Endpoint: must be an https URL, such as https://notes.example/federate"},
		{"another scheme", func(c *client.Config) { c.Endpoint = "file:///federate" }, "Endpoint: must be an https URL, such as https://notes.example/federate"},
		{"plain HTTP", func(c *client.Config) { c.Endpoint = "http://notes.example/federate" }, "Endpoint: must be an https URL: http is for loopback addresses"},
		{"a name that begins with a loopback address", func(c *client.Config) { c.Endpoint = "http://127.0.0.1.example/federate" }, "Endpoint: must be an https URL: http is for loopback addresses"},
		{"credentials", func(c *client.Config) { c.Endpoint = "https://ada:canary@notes.example" }, "Endpoint: must be an https URL, such as https://notes.example/federate"},
		{"fragment", func(c *client.Config) { c.Endpoint += "#x" }, "Endpoint: must not have a fragment"},
		{"service over plain HTTP", func(c *client.Config) { c.Service = "http://notes.example" }, "Service: must be an https URL: http is for loopback addresses"},
		{"no rule", func(c *client.Config) { c.Rule = "" }, "Rule: is empty: use the name of a rule of the service"},
		{"no audience", func(c *client.Config) { c.Audience = "" }, "Audience: is empty: use the audience of the rule, such as https://notes.example"},
		{"no sources", func(c *client.Config) { c.Sources = nil }, "Sources: is empty: use GitHubActions, for example"},
		{"nil source", func(c *client.Config) { c.Sources = append(c.Sources, nil) }, "Sources[1]: is nil"},
		{"variable without a name", func(c *client.Config) { c.Sources[0] = client.Variable("") }, "Sources[0]: is Variable without a name"},
		{"file without a path", func(c *client.Config) { c.Sources[0] = client.File("") }, "Sources[0]: is File without a path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := config(nil, fresh)
			tt.change(&cfg)
			c, err := client.New(cfg)
			require.EqualError(t, err, "federate/client: Config."+tt.want)
			require.Nil(t, c)
		})
	}
}

func TestNew_reportsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := client.New(client.Config{Service: "notes.example"})
	for _, field := range []string{"Endpoint", "Service", "Rule", "Audience", "Sources"} {
		require.ErrorContains(t, err, "Config."+field+": ")
	}
}

func TestNew_loopback(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"http://127.0.0.1:8080/", "http://[::1]:8080/", "http://localhost:8080/", "http://notes.localhost/"} {
		cfg := config(nil, fresh)
		cfg.Endpoint = endpoint
		newClient(t, cfg)
	}
}

func TestToken_isKeptUntilItIsNearlyOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		c := newClient(t, config(s, fresh))
		requireToken(t, c, "acme_pat_canary1")
		time.Sleep(8*time.Minute - time.Second)
		requireToken(t, c, "acme_pat_canary1")
		require.Equal(t, 1, s.count())

		// The caller does not wait for the exchange that it causes.
		time.Sleep(time.Second)
		requireToken(t, c, "acme_pat_canary1")
		synctest.Wait()
		require.Equal(t, 2, s.count())
		requireToken(t, c, "acme_pat_canary2")

		// Nothing happens while nothing is asked for. A caller after that waits.
		time.Sleep(time.Hour)
		require.Equal(t, 2, s.count())
		requireToken(t, c, "acme_pat_canary3")
	})
}

// Callers get the token even if a refresh takes as long as it may.
func TestToken_refreshDelaysNoCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		c := newClient(t, config(s, fresh))
		requireToken(t, c, "acme_pat_canary1")
		time.Sleep(8 * time.Minute)
		s.next(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		began := time.Now()
		for range 10 {
			requireToken(t, c, "acme_pat_canary1")
		}
		require.Equal(t, began, time.Now())
		time.Sleep(20 * time.Second) // the first attempt has ended
		requireToken(t, c, "acme_pat_canary3")
		require.Equal(t, 3, s.count())
	})
}

// The last ten seconds of a token are not used, and at most a tenth of its lifetime.
func TestToken_end(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ lifetime, usable int }{{600, 590}, {100, 90}, {50, 45}, {10, 9}} {
		synctest.Test(t, func(t *testing.T) {
			s := &service{answers: []http.HandlerFunc{issue("acme_pat_short", tt.lifetime), reject("invalid_grant"), reject("invalid_grant")}}
			c := newClient(t, config(s, fresh))
			requireToken(t, c, "acme_pat_short")
			time.Sleep(time.Duration(tt.usable)*time.Second - time.Millisecond)
			requireToken(t, c, "acme_pat_short")
			synctest.Wait()
			time.Sleep(time.Millisecond)
			_, err := c.Token(t.Context())
			require.ErrorContains(t, err, "invalid_grant")
		})
	}
}

// A token's lifetime begins before its request is sent: the clocks of both sides may agree, and the
// response may have taken a while.
func TestToken_slowResponse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &service{answers: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(14 * time.Second)
			issue("acme_pat_slow", 60)(w, r)
		}}}
		c := newClient(t, config(s, fresh))
		requireToken(t, c, "acme_pat_slow") // 14 s old
		time.Sleep(40*time.Second - time.Millisecond)
		requireToken(t, c, "acme_pat_slow")
		synctest.Wait()
		requireToken(t, c, "acme_pat_canary2")
	})
}

func TestToken_failedRefreshKeepsTheToken(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]http.HandlerFunc{"outage": unavailable, "rejection": reject("invalid_grant"), "no response": aborted} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &service{}
				c := newClient(t, config(s, fresh))
				requireToken(t, c, "acme_pat_canary1")
				s.next(repeat(failure, 1000)...)
				for elapsed := time.Duration(0); elapsed < 590*time.Second; elapsed += 5 * time.Second {
					requireToken(t, c, "acme_pat_canary1")
					synctest.Wait()
					time.Sleep(5 * time.Second)
				}
				_, err := c.Token(t.Context())
				require.Error(t, err)
				tried := s.count()
				require.Greater(t, tried, 5, "it was tried again")
				require.Less(t, tried, 60, "but not by each caller")

				s.next()
				time.Sleep(10 * time.Second)
				token, err := c.Token(t.Context())
				require.NoError(t, err)
				require.NotEqual(t, "acme_pat_canary1", token)
			})
		})
	}
}

func repeat(h http.HandlerFunc, n int) (all []http.HandlerFunc) {
	for range n {
		all = append(all, h)
	}
	return all
}

// However many callers wait, the endpoint gets one request, over a real connection.
func TestToken_oneExchangeForAllCallers(t *testing.T) {
	t.Parallel()
	const callers = 100
	arrived, release := make(chan struct{}), make(chan struct{})
	s := &service{answers: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		issue("acme_pat_shared", 600)(w, r)
	}}}
	c := newClient(t, serve(t, s, fresh))
	var waiting, done sync.WaitGroup
	for range callers {
		waiting.Add(1)
		done.Go(func() {
			waiting.Done()
			token, err := c.Token(t.Context())
			if err != nil || token != "acme_pat_shared" {
				t.Errorf("got %q, %v", token, err)
			}
		})
	}
	waiting.Wait()
	<-arrived
	close(release)
	done.Wait()
	require.Equal(t, 1, s.count())
}

// A caller that goes away gets its own error at once. The exchange goes to those who wait, and to the
// next call: canceling it could use up the JWT for nothing.
func TestToken_canceledCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &service{answers: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			issue("acme_pat_late", 600)(w, r)
		}}}
		c := newClient(t, config(s, fresh))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Token(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		requireToken(t, c, "acme_pat_late")
		require.Equal(t, 5*time.Second, time.Since(began))
		require.Equal(t, 1, s.count())
	})
}

// A Source or Transport that panics, or ends its goroutine, is an error of the calls that wait, and
// not the end of the process. The next exchange succeeds.
func TestToken_panics(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(){
		"panicked with a string":                         func() { panic("canary") },
		"a Source or the HTTPClient ended its goroutine": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				failing := true
				c := newClient(t, config(&service{}, source(func(ctx context.Context, audience string) (string, error) {
					if failing {
						fail()
					}
					return fresh(ctx, audience)
				})))
				_, err := c.Token(t.Context())
				require.ErrorContains(t, err, name)
				require.NotContains(t, err.Error(), "canary")
				failing = false
				time.Sleep(10 * time.Second)
				requireToken(t, c, "acme_pat_canary1")
			})
		})
	}
}

// No caller gets a token that has expired, and there is one exchange at a time, while tokens expire
// and exchanges are slow or fail. Tokens say when they expire.
func TestToken_concurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var exchanges, running, got atomic.Int64
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if running.Add(1) != 1 {
				t.Error("two exchanges at once")
			}
			defer running.Add(-1)
			time.Sleep(time.Duration(rand.N(1000)) * time.Millisecond)
			switch n := exchanges.Add(1); {
			case n%5 == 0:
				unavailable(w, r)
			case n%7 == 0:
				reject("invalid_grant")(w, r)
			default:
				lifetime := 1 + rand.N(20)
				issue(time.Now().Add(time.Duration(lifetime)*time.Second).Format("150405.000"), lifetime)(w, r)
			}
		})
		c := newClient(t, config(h, fresh))
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				for range 500 {
					time.Sleep(time.Duration(rand.N(500)) * time.Millisecond)
					token, err := c.Token(t.Context())
					if err != nil {
						continue
					}
					got.Add(1)
					if token <= time.Now().Format("150405.000") {
						t.Errorf("%s at %s", token, time.Now())
					}
				}
			})
		}
		callers.Wait()
		time.Sleep(time.Minute) // an exchange may be running in the background
		require.Greater(t, exchanges.Load(), int64(10))
		require.Greater(t, got.Load(), int64(1000))
	})
}

func TestToken_errorOfTheSource(t *testing.T) {
	t.Parallel()
	broken := errors.New("the metadata server is broken")
	s := &service{}
	c := newClient(t, config(s, source(func(context.Context, string) (string, error) { return "", broken }), fresh))
	_, err := c.Token(t.Context())
	require.ErrorIs(t, err, broken)
	require.Zero(t, s.count(), "another Source is not a substitute for one that is there but fails")
}

func requireToken(t *testing.T, c *client.Client, want string) {
	t.Helper()
	token, err := c.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, token)
}
