package pgnotify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// A standby rejects LISTEN. Of several hosts, the primary is found wherever it is, and
// again after a failover.
func TestSubscribe_findsThePrimary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var primary atomic.Value
		primary.Store("b:5432")
		servers := make(map[string]*server)
		for _, host := range []string{"a:5432", "b:5432"} {
			servers[host] = &server{answer: func(connection int, query string) (string, error) {
				standby := primary.Load() != host
				switch {
				case strings.Contains(query, "pg_is_in_recovery") && standby:
					return "t", nil
				case strings.Contains(query, "LISTEN") && standby:
					return "", errors.New("cannot execute LISTEN during recovery")
				case query == selectPID && standby: // since the failover
					return "", errClosed
				}
				return healthy(connection, query)
			}}
		}
		s := &subscription{}
		var err error
		s.source, err = New("postgres://app@a:5432,b:5432/app?sslmode=disable", Config{ErrorLog: s.addError})
		require.NoError(t, err)
		s.source.conn.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
		s.source.conn.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			return servers[address].dial(ctx, network, address)
		}
		s.start(t)
		calls, errs := s.received()
		require.Equal(t, []string{"lost"}, calls)
		require.Empty(t, errs)
		servers["b:5432"].notify("1 alice")
		calls, _ = s.received()
		require.Equal(t, []string{"1 alice"}, calls)

		primary.Store("a:5432")
		time.Sleep(11 * time.Second)
		calls, _ = s.received()
		require.Equal(t, []string{"lost", "lost"}, calls)
		servers["a:5432"].notify("2 alice")
		calls, _ = s.received()
		require.Equal(t, []string{"2 alice"}, calls)
	})
}

// The URL decides, even for a server on which LISTEN fails.
func TestNew_targetSessionAttributes(t *testing.T) {
	t.Parallel()
	for attribute, primary := range map[string]bool{
		"": true, "any": true, "primary": true, "read-write": false, "standby": false, "read-only": false, "prefer-standby": false,
	} {
		source, err := New("postgres://a,b/app?target_session_attrs="+attribute, Config{})
		if attribute == "" {
			source, err = New("postgres://a,b/app", Config{})
		}
		require.NoError(t, err)
		require.Equal(t, primary, fmt.Sprintf("%p", source.conn.ValidateConnect) == fmt.Sprintf("%p", pgconn.ValidateConnectTargetSessionAttrsPrimary), attribute)
	}
}

func TestBeforeConnect_changesEachAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &server{answer: func(connection int, query string) (string, error) {
			if query == selectPID {
				return "", errClosed
			}
			return healthy(connection, query)
		}}
		var passwords []string
		var unbounded atomic.Bool
		s := &subscription{}
		s.source = newSource(t, Config{
			ErrorLog: s.addError,
			BeforeConnect: func(_ context.Context, c *pgx.ConnConfig) error {
				passwords = append(passwords, c.Password)
				c.Password, c.User = fmt.Sprint("canary-", len(passwords)), fmt.Sprint("app-", len(passwords))
				c.ConnectTimeout, c.RuntimeParams, c.ValidateConnect = 0, nil, nil
				return nil
			},
		}, func(ctx context.Context, network, address string) (net.Conn, error) {
			if _, ok := ctx.Deadline(); !ok {
				unbounded.Store(true)
			}
			return server.dial(ctx, network, address)
		})
		s.start(t)
		time.Sleep(11 * time.Second)
		s.cancel()
		require.ErrorIs(t, <-s.result, context.Canceled)
		require.Equal(t, []string{"canary", "canary"}, passwords, "each attempt begins with the URL's")
		require.False(t, unbounded.Load())
		require.Equal(t, "canary", s.source.conn.Password)
		require.Equal(t, []string{"app-1", "app-2"}, server.users)
	})
}

// If BeforeConnect fails, so does the attempt. The next one succeeds. No error contains a
// panic's value.
func TestBeforeConnect_fails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		fail func(*pgx.ConnConfig) error
		want string
	}{
		{"with an error", func(*pgx.ConnConfig) error { return errors.New("no token today") }, "no token today"},
		{"with a panic", func(*pgx.ConnConfig) error { panic("canary") }, "panicked with a string"},
		{"without returning", func(*pgx.ConnConfig) error { runtime.Goexit(); return nil }, "did not return"},
		{"with another configuration", func(c *pgx.ConnConfig) error { *c = pgx.ConnConfig{}; return nil }, "must keep a configuration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				server, s := &server{answer: healthy}, &subscription{}
				s.source = newSource(t, Config{ErrorLog: s.addError, BeforeConnect: func(_ context.Context, c *pgx.ConnConfig) error {
					if attempts++; attempts < 3 {
						return tt.fail(c)
					}
					return nil
				}}, server.dial)
				s.start(t)
				time.Sleep(time.Second)
				calls, errs := s.received()
				require.Equal(t, []string{"lost"}, calls)
				require.Len(t, errs, 2)
				require.ErrorContains(t, errs[0], tt.want)
				require.NotContains(t, errs[0].Error(), "canary")
			})
		})
	}
}

// A BeforeConnect that ignores its context is not called again until it has returned,
// and delays neither the end of the subscription nor another one.
func TestBeforeConnect_hangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		release := make(chan struct{})
		server, s := &server{answer: healthy}, &subscription{}
		s.source = newSource(t, Config{ErrorLog: s.addError, BeforeConnect: func(_ context.Context, c *pgx.ConnConfig) error {
			if calls.Add(1) == 1 {
				<-release
				c.Host = "nowhere"
			}
			return nil
		}}, server.dial)
		s.start(t)
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, calls.Load())
		lost, errs := s.received()
		require.Empty(t, lost)
		require.GreaterOrEqual(t, len(errs), 4)
		require.ErrorIs(t, errs[0], context.DeadlineExceeded)
		require.ErrorContains(t, errs[1], "has not returned")

		other := &subscription{source: s.source}
		other.start(t)
		lost, _ = other.received()
		require.Equal(t, []string{"lost"}, lost)

		close(release)
		time.Sleep(12 * time.Second)
		require.EqualValues(t, 3, calls.Load())
		lost, _ = s.received()
		require.Equal(t, []string{"lost"}, lost)
	})
}

func TestBeforeConnect_hangsUntilTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		server, s := &server{answer: healthy}, &subscription{}
		s.source = newSource(t, Config{ErrorLog: s.addError, BeforeConnect: func(context.Context, *pgx.ConnConfig) error {
			<-release
			return nil
		}}, server.dial)
		s.start(t)
		start := time.Now()
		s.cancel()
		require.ErrorIs(t, <-s.result, context.Canceled)
		require.Zero(t, time.Since(start))
		_, errs := s.received()
		require.Empty(t, errs)
		close(release)
	})
}
