package pgnotify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A server implements the part of PostgreSQL's protocol that a Source uses, over
// pipes, which synctest can wait for.
type server struct {
	answer answerFunc

	mu         sync.Mutex
	made, open int
	newest     *pgproto3.Backend
	queries    map[string]int
	users      []string // of the connections
}

// An answerFunc answers the queries of one connection. The first connection is 1.
type answerFunc func(connection int, query string) (value string, err error)

var (
	errSilent = errors.New("the server does not answer")
	errClosed = errors.New("the server closes the connection")
)

// healthy answers as PostgreSQL does if the triggers exist.
func healthy(connection int, query string) (string, error) {
	switch {
	case strings.Contains(query, "pg_trigger"):
		return "t", nil
	case strings.Contains(query, "pg_is_in_recovery"):
		return "f", nil
	case strings.Contains(query, "queue_usage"):
		return "0", nil
	}
	return fmt.Sprint(connection), nil
}

func (s *server) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer here.Close()
		b := pgproto3.NewBackend(here, here)
		m, err := b.ReceiveStartupMessage()
		startup, ok := m.(*pgproto3.StartupMessage)
		if err != nil || !ok {
			return // or pgx asks to cancel a query
		}
		defer s.closed()
		s.serve(b, s.opened(b, startup.Parameters["user"]))
	}()
	return there, nil
}

func (s *server) opened(b *pgproto3.Backend, user string) (connection int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	s.open++
	s.newest = b
	s.users = append(s.users, user)
	return s.made
}

func (s *server) closed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

// connections returns how many connections were made, and how many of them are open.
func (s *server) connections() (made, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made, s.open
}

func (s *server) serve(b *pgproto3.Backend, connection int) {
	s.send(b, &pgproto3.AuthenticationOk{}, &pgproto3.BackendKeyData{SecretKey: make([]byte, 4)}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	for {
		m, err := b.Receive()
		q, ok := m.(*pgproto3.Query)
		if err != nil || !ok {
			return
		}
		s.add(q.String)
		value, err := s.answer(connection, q.String)
		switch {
		case err == errClosed:
			return
		case err == errSilent:
			continue
		case err != nil:
			s.send(b, &pgproto3.ErrorResponse{Severity: "ERROR", Code: "42501", Message: err.Error()}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
			continue
		}
		s.send(b, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("value")}}},
			&pgproto3.DataRow{Values: [][]byte{[]byte(value)}}, &pgproto3.CommandComplete{}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	}
}

func (s *server) add(query string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queries == nil {
		s.queries = make(map[string]int)
	}
	s.queries[query]++
}

// count returns how many times a query was sent.
func (s *server) count(query string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries[query]
}

func (s *server) send(b *pgproto3.Backend, messages ...pgproto3.BackendMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		b.Send(m)
	}
	b.Flush() // if this fails, so does the next Receive
}

func (s *server) notify(payload string) {
	s.send(s.newest, &pgproto3.NotificationResponse{Channel: "auth_invalidations", Payload: payload})
}

// A subscription records the calls that a Source makes.
type subscription struct {
	source *Source
	cancel context.CancelFunc
	result chan error

	mu    sync.Mutex
	calls []string // "1 alice", or "lost"
	errs  []error
}

// subscribeTo must be called in a bubble of synctest. The subscription ends with the
// test.
func subscribeTo(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) *subscription {
	t.Helper()
	s := &subscription{}
	s.source = newSource(t, Config{ErrorLog: s.addError}, dial)
	s.start(t)
	return s
}

func newSource(t *testing.T, cfg Config, dial func(context.Context, string, string) (net.Conn, error)) *Source {
	t.Helper()
	source, err := New("postgres://app:canary@127.0.0.1/app?sslmode=disable", cfg)
	require.NoError(t, err)
	source.conn.DialFunc = dial
	return source
}

func (s *subscription) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	s.cancel, s.result = cancel, make(chan error, 1)
	go func() {
		s.result <- s.source.Subscribe(ctx, func(kind auth.Kind, userID string) { s.add(fmt.Sprint(int(kind), " ", userID)) },
			func() { s.add("lost") })
	}()
	synctest.Wait()
}

func (s *subscription) add(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

func (s *subscription) addError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

// received returns the calls and the errors since it was last called.
func (s *subscription) received() (calls []string, errs []error) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	calls, errs, s.calls, s.errs = s.calls, s.errs, nil, nil
	return calls, errs
}
