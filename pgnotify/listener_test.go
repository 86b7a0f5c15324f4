package pgnotify

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// inBubble runs a test against a server.
func inBubble(t *testing.T, answer func(connection int, query string) (string, error), test func(t *testing.T, server *server, s *subscription)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &server{answer: answer}
		test(t, server, subscribe(t, server.dial))
	})
}

func TestPausesGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var attempts []time.Time
		s := subscribe(t, func(context.Context, string, string) (net.Conn, error) {
			attempts = append(attempts, time.Now())
			return nil, errors.New("nobody listens")
		})
		time.Sleep(20 * time.Second)
		s.end()
		require.ErrorIs(t, <-s.ended, context.Canceled)
		said, errs := s.heard()
		require.Empty(t, said, "nothing has stood, so nothing was lost")
		require.Len(t, errs, len(attempts))
		require.Greater(t, len(attempts), 10)
		bound := 100 * time.Millisecond
		for i := 1; i < len(attempts); i++ {
			pause := attempts[i].Sub(attempts[i-1])
			require.GreaterOrEqual(t, pause, bound/2)
			require.LessOrEqual(t, pause, bound)
			bound = min(2*bound, 2*time.Second)
		}
	})
}

func TestQuietConnectionStays(t *testing.T) {
	inBubble(t, well, func(t *testing.T, server *server, s *subscription) {
		time.Sleep(time.Hour)
		said, errs := s.heard()
		require.Equal(t, []string{"lost"}, said, "it stands")
		require.Empty(t, errs)
		made, _ := server.connections()
		require.Equal(t, 1, made)
	})
}

// Whatever else comes may have been a revocation.
func TestNotifications(t *testing.T) {
	inBubble(t, well, func(t *testing.T, server *server, s *subscription) {
		for _, payload := range []string{"1 alice", "0 ", "3 alice bob", "revoked"} {
			server.notify(payload)
		}
		said, errs := s.heard()
		require.Equal(t, []string{"lost", "1 alice", "lost", "3 alice bob", "lost"}, said)
		require.Empty(t, errs)
	})
}

func TestSilenceIsNoticed(t *testing.T) {
	silent := func(connection int, query string) (string, error) {
		if connection == 1 && query == whoServes {
			return "", errSilent
		}
		return well(connection, query)
	}
	inBubble(t, silent, func(t *testing.T, server *server, s *subscription) {
		time.Sleep(12*time.Second - time.Nanosecond)
		said, errs := s.heard()
		require.Equal(t, []string{"lost"}, said, "it stands")
		require.Empty(t, errs)
		time.Sleep(time.Nanosecond)
		said, errs = s.heard()
		require.Equal(t, []string{"lost"}, said, "it broke")
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], context.DeadlineExceeded)
		time.Sleep(100 * time.Millisecond)
		said, _ = s.heard()
		require.Equal(t, []string{"lost"}, said, "it stands again")
		server.notify("1 alice")
		said, _ = s.heard()
		require.Equal(t, []string{"1 alice"}, said)
	})
}

func TestPoolerIsNoticed(t *testing.T) {
	lends := func(connection int, query string) (string, error) {
		if query == whoServes {
			return "another", nil
		}
		return well(connection, query)
	}
	inBubble(t, lends, func(t *testing.T, server *server, s *subscription) {
		time.Sleep(10 * time.Second)
		said, errs := s.heard()
		require.Equal(t, []string{"lost", "lost"}, said)
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], errPooler)
	})
}

// Each new connection would cost the cache all that it has.
func TestConnectionThatBreaksAtOnceIsNotMadeAtOnce(t *testing.T) {
	cuts := func(connection int, query string) (string, error) {
		if strings.Contains(query, "pg_trigger") {
			return "", errGone
		}
		return well(connection, query)
	}
	inBubble(t, cuts, func(t *testing.T, server *server, s *subscription) {
		time.Sleep(time.Minute)
		made, _ := server.connections()
		require.Greater(t, made, 30, "it tries on")
		require.Less(t, made, 70)
	})
}

// One that has stood comes back at once.
func TestConnectionThatBreaksLaterIsMadeAtOnce(t *testing.T) {
	cuts := func(connection int, query string) (string, error) {
		if query == whoServes {
			return "", errGone
		}
		return well(connection, query)
	}
	inBubble(t, cuts, func(t *testing.T, server *server, s *subscription) {
		for range 10 {
			s.heard()
			time.Sleep(10*time.Second + 100*time.Millisecond)
		}
		made, open := server.connections()
		require.Equal(t, 11, made)
		require.Equal(t, 1, open)
	})
}

func TestTriggersAreLookedFor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, answer string
		err          error
		want         string
	}{
		{"there are none", "f", nil, errNoTriggers.Error()},
		{"the role may not look", "", errors.New("permission denied for table pg_trigger"), "permission denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := func(connection int, query string) (string, error) {
				if strings.Contains(query, "pg_trigger") {
					return tt.answer, tt.err
				}
				return well(connection, query)
			}
			inBubble(t, answer, func(t *testing.T, server *server, s *subscription) {
				time.Sleep(time.Minute)
				said, errs := s.heard()
				require.Equal(t, []string{"lost"}, said, "the connection stays")
				require.Len(t, errs, 1)
				require.ErrorContains(t, errs[0], tt.want)
				made, _ := server.connections()
				require.Equal(t, 1, made)
			})
		})
	}
}

func TestEndIsAtOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		silent string // what is not answered
	}{
		{"while it waits", "nothing"},
		{"while it connects", "LISTEN"},
		{"while it looks for triggers", "pg_trigger"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := func(connection int, query string) (string, error) {
				if strings.Contains(query, tt.silent) {
					return "", errSilent
				}
				return well(connection, query)
			}
			inBubble(t, answer, func(t *testing.T, server *server, s *subscription) {
				start := time.Now()
				s.end()
				require.ErrorIs(t, <-s.ended, context.Canceled)
				require.Zero(t, time.Since(start))
				synctest.Wait()
				made, open := server.connections()
				require.Equal(t, 1, made)
				require.Zero(t, open)
				_, errs := s.heard()
				require.Empty(t, errs)
			})
		})
	}
}

// Those of one Source.
func TestSubscriptionsAreIndependent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &server{answer: well}
		first := subscribe(t, server.dial)
		second := &subscription{source: first.source}
		second.start(t)
		first.end()
		require.ErrorIs(t, <-first.ended, context.Canceled)
		first.heard()
		server.notify("2 alice")
		said, _ := second.heard()
		require.Equal(t, []string{"lost", "2 alice"}, said)
		said, _ = first.heard()
		require.Empty(t, said)
	})
}
