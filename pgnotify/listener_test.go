package pgnotify

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// inBubble runs a test with a fake clock, and a subscription to a server that answers
// by the given function.
func inBubble(t *testing.T, answer answerFunc, test func(t *testing.T, server *server, s *subscription)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &server{answer: answer}
		test(t, server, subscribeTo(t, server.dial))
	})
}

func TestSubscribe_pausesGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var attempts []time.Time
		s := subscribeTo(t, func(context.Context, string, string) (net.Conn, error) {
			attempts = append(attempts, time.Now())
			return nil, errors.New("connection refused")
		})
		time.Sleep(20 * time.Second)
		s.cancel()
		require.ErrorIs(t, <-s.result, context.Canceled)
		calls, errs := s.received()
		require.Empty(t, calls, "there was no connection, so nothing was lost")
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

func TestSubscribe_quietConnectionStays(t *testing.T) {
	inBubble(t, healthy, func(t *testing.T, server *server, s *subscription) {
		time.Sleep(time.Hour)
		calls, errs := s.received()
		require.Equal(t, []string{"lost"}, calls, "connected")
		require.Empty(t, errs)
		made, _ := server.connections()
		require.Equal(t, 1, made)
	})
}

// A server sends what is in its queue before it answers a heartbeat. Each notification has
// its effect at once, so that none is kept, or lost if the answer is late.
func TestSubscribe_notificationsDuringAHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var silent atomic.Bool
		server := &server{answer: func(connection int, query string) (string, error) {
			if silent.Load() && query == selectPID {
				return "", errSilent
			}
			return healthy(connection, query)
		}}
		s := subscribeTo(t, server.dial)
		s.received()
		silent.Store(true)
		time.Sleep(heartbeat + answerTimeout/2)
		server.notify("1 alice")
		server.notify("revoked")
		calls, errs := s.received()
		require.Equal(t, []string{"1 alice", "lost"}, calls)
		require.Empty(t, errs)
		silent.Store(false)
		time.Sleep(answerTimeout)
		calls, errs = s.received()
		require.Equal(t, []string{"lost", "lost"}, calls, "the connection was lost, and made again")
		require.Len(t, errs, 2)
		require.ErrorIs(t, errs[0], errForeign)
	})
}

// A payload that cannot be parsed may have been a revocation.
func TestSubscribe_notifications(t *testing.T) {
	inBubble(t, healthy, func(t *testing.T, server *server, s *subscription) {
		for _, payload := range []string{"1 alice", "0 ", "3 alice bob"} {
			server.notify(payload)
		}
		calls, errs := s.received()
		require.Equal(t, []string{"lost", "1 alice", "lost", "3 alice bob"}, calls)
		require.Empty(t, errs)
		time.Sleep(5 * time.Second)
		server.notify("revoked")
		calls, errs = s.received()
		require.Equal(t, []string{"lost"}, calls)
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], errForeign)
	})
}

// Any role may send notifications. A flood of those that name no user clears the cache
// once in five seconds, and once after its end, because the last may have been meant. It
// delays no other notification, and not the heartbeat.
func TestSubscribe_floodOfUnclearNotifications(t *testing.T) {
	inBubble(t, healthy, func(t *testing.T, server *server, s *subscription) {
		calls, _ := s.received()
		require.Equal(t, []string{"lost"}, calls, "connected")
		for second := range 61 {
			for range 100 {
				server.notify("revoked")
				server.notify("0 ")
			}
			server.notify("1 alice")
			calls, _ := s.received()
			if second%5 == 0 {
				require.Equal(t, []string{"lost", "1 alice"}, calls, second)
			} else {
				require.Equal(t, []string{"1 alice"}, calls, second)
			}
			time.Sleep(time.Second - time.Nanosecond)
			synctest.Wait()
			time.Sleep(time.Nanosecond)
		}
		time.Sleep(time.Hour)
		calls, _ = s.received()
		require.Equal(t, []string{"lost"}, calls)
		require.EqualValues(t, 60/10+3600/10, server.count(selectPID))
	})
}

func TestSubscribe_foreignNotificationsAreReportedOnceAMinute(t *testing.T) {
	inBubble(t, healthy, func(t *testing.T, server *server, s *subscription) {
		for range 61 {
			server.notify("canary")
			time.Sleep(time.Second)
		}
		_, errs := s.received()
		require.Len(t, errs, 2)
		require.ErrorIs(t, errs[1], errForeign)
		require.NotContains(t, errs[1].Error(), "canary")
	})
}

// While the queue of notifications is filling, and once afterwards, notifications may have
// been skipped.
func TestSubscribe_queueFills(t *testing.T) {
	var usage atomic.Value
	usage.Store("0.25")
	answer := func(connection int, query string) (string, error) {
		if strings.Contains(query, "queue_usage") {
			return usage.Load().(string), nil
		}
		return healthy(connection, query)
	}
	inBubble(t, answer, func(t *testing.T, server *server, s *subscription) {
		time.Sleep(time.Minute + time.Second)
		calls, errs := s.received()
		require.Equal(t, []string{"lost"}, calls, "connected")
		require.Empty(t, errs)
		usage.Store("0.628")
		time.Sleep(10 * time.Second)
		calls, errs = s.received()
		require.Equal(t, []string{"lost"}, calls)
		require.Len(t, errs, 1)
		require.ErrorContains(t, errs[0], "63% full")
		time.Sleep(50 * time.Second)
		calls, errs = s.received()
		require.Len(t, calls, 5)
		require.Empty(t, errs)
		time.Sleep(10 * time.Second)
		_, errs = s.received()
		require.Len(t, errs, 1, "reported once a minute")
		usage.Store("0")
		time.Sleep(time.Minute)
		calls, errs = s.received()
		require.Equal(t, []string{"lost"}, calls, "the last notification may have been skipped too")
		require.Empty(t, errs)
		made, _ := server.connections()
		require.Equal(t, 1, made)
	})
}

func TestSubscribe_queueUsageIsUnknown(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]struct {
		value string
		err   error
	}{"permission denied": {"", errors.New("permission denied for function")}, "no number": {"much", nil}} {
		t.Run(name, func(t *testing.T) {
			answer := func(connection int, query string) (string, error) {
				if strings.Contains(query, "queue_usage") {
					return result.value, result.err
				}
				return healthy(connection, query)
			}
			inBubble(t, answer, func(t *testing.T, server *server, s *subscription) {
				time.Sleep(55 * time.Second)
				server.notify("1 alice")
				calls, errs := s.received()
				require.Equal(t, []string{"lost", "1 alice"}, calls, "the connection stays")
				require.Len(t, errs, 1)
				require.ErrorIs(t, errs[0], errNoUsage)
			})
		})
	}
}

func TestSubscribe_silentConnection(t *testing.T) {
	silent := func(connection int, query string) (string, error) {
		if connection == 1 && query == selectPID {
			return "", errSilent
		}
		return healthy(connection, query)
	}
	inBubble(t, silent, func(t *testing.T, server *server, s *subscription) {
		time.Sleep(12*time.Second - time.Nanosecond)
		calls, errs := s.received()
		require.Equal(t, []string{"lost"}, calls, "connected")
		require.Empty(t, errs)
		time.Sleep(time.Nanosecond)
		calls, errs = s.received()
		require.Equal(t, []string{"lost"}, calls, "disconnected")
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], context.DeadlineExceeded)
		time.Sleep(100 * time.Millisecond)
		calls, _ = s.received()
		require.Equal(t, []string{"lost"}, calls, "reconnected")
		server.notify("1 alice")
		calls, _ = s.received()
		require.Equal(t, []string{"1 alice"}, calls)
	})
}

func TestSubscribe_poolerNotInSessionMode(t *testing.T) {
	pooler := func(connection int, query string) (string, error) {
		if query == selectPID {
			return "another", nil
		}
		return healthy(connection, query)
	}
	inBubble(t, pooler, func(t *testing.T, server *server, s *subscription) {
		time.Sleep(10 * time.Second)
		calls, errs := s.received()
		require.Equal(t, []string{"lost", "lost"}, calls)
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], errPooler)
	})
}

// Each new connection clears the cache.
func TestSubscribe_shortLivedConnectionsBackOff(t *testing.T) {
	cuts := func(connection int, query string) (string, error) {
		if strings.Contains(query, "pg_trigger") {
			return "", errClosed
		}
		return healthy(connection, query)
	}
	inBubble(t, cuts, func(t *testing.T, server *server, s *subscription) {
		time.Sleep(time.Minute)
		made, _ := server.connections()
		require.Greater(t, made, 30, "it keeps trying")
		require.Less(t, made, 70)
	})
}

func TestSubscribe_longLivedConnectionReconnectsAtOnce(t *testing.T) {
	cuts := func(connection int, query string) (string, error) {
		if query == selectPID {
			return "", errClosed
		}
		return healthy(connection, query)
	}
	inBubble(t, cuts, func(t *testing.T, server *server, s *subscription) {
		for range 10 {
			s.received()
			time.Sleep(10*time.Second + 100*time.Millisecond)
		}
		made, open := server.connections()
		require.Equal(t, 11, made)
		require.Equal(t, 1, open)
	})
}

func TestSubscribe_checksTriggers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, answer string
		err          error
		want         string
	}{
		{"no triggers", "f", nil, errNoTriggers.Error()},
		{"permission denied", "", errors.New("permission denied for table pg_trigger"), "permission denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := func(connection int, query string) (string, error) {
				if strings.Contains(query, "pg_trigger") {
					return tt.answer, tt.err
				}
				return healthy(connection, query)
			}
			inBubble(t, answer, func(t *testing.T, server *server, s *subscription) {
				time.Sleep(time.Minute)
				calls, errs := s.received()
				require.Equal(t, []string{"lost"}, calls, "the connection stays")
				require.Len(t, errs, 1)
				require.ErrorContains(t, errs[0], tt.want)
				made, _ := server.connections()
				require.Equal(t, 1, made)
			})
		})
	}
}

func TestSubscribe_returnsWithItsContext(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		silent string // part of the query that is not answered
	}{
		{"waiting", "nothing"},
		{"connecting", "LISTEN"},
		{"checking triggers", "pg_trigger"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := func(connection int, query string) (string, error) {
				if strings.Contains(query, tt.silent) {
					return "", errSilent
				}
				return healthy(connection, query)
			}
			inBubble(t, answer, func(t *testing.T, server *server, s *subscription) {
				start := time.Now()
				s.cancel()
				require.ErrorIs(t, <-s.result, context.Canceled)
				require.Zero(t, time.Since(start))
				synctest.Wait()
				made, open := server.connections()
				require.Equal(t, 1, made)
				require.Zero(t, open)
				_, errs := s.received()
				require.Empty(t, errs)
			})
		})
	}
}

func TestSubscribe_subscriptionsAreIndependent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &server{answer: healthy}
		first := subscribeTo(t, server.dial)
		second := &subscription{source: first.source}
		second.start(t)
		first.cancel()
		require.ErrorIs(t, <-first.result, context.Canceled)
		first.received()
		server.notify("2 alice")
		calls, _ := second.received()
		require.Equal(t, []string{"lost", "2 alice"}, calls)
		calls, _ = first.received()
		require.Empty(t, calls)
	})
}

var payloads = []struct {
	name, payload string
	kind          auth.Kind
	userID        string
	ok            bool
}{
	{"a token", "1 alice", auth.KindToken, "alice", true},
	{"a session", "2 alice", auth.KindSession, "alice", true},
	{"a secret", "3 alice", auth.KindSecret, "alice", true},
	{"a user ID with spaces", "1  al ice ", auth.KindToken, " al ice ", true},
	{"a user ID that is not ASCII", "1 é\U0001F600", auth.KindToken, "é\U0001F600", true},
	{"an unknown change", "0 ", 0, "", false},
	{"no kind", " alice", 0, "", false},
	{"an unknown kind", "4 alice", 0, "", false},
	{"two digits", "11 alice", 0, "", false},
	{"no user ID", "1 ", 0, "", false},
	{"no space", "1alice", 0, "", false},
	{"an empty payload", "", 0, "", false},
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range payloads {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kind, userID, ok := parse(tt.payload)
			require.Equal(t, tt.ok, ok)
			require.Equal(t, tt.kind, kind)
			require.Equal(t, tt.userID, userID)
		})
	}
}

// Any role that may connect to the database may send notifications.
func FuzzParse(f *testing.F) {
	for _, tt := range payloads {
		f.Add(tt.payload)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		kind, userID, ok := parse(payload)
		if !ok {
			require.Zero(t, kind)
			require.Empty(t, userID)
			return
		}
		require.True(t, strings.HasSuffix(payload, " "+userID))
		require.Contains(t, []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret}, kind)
	})
}
