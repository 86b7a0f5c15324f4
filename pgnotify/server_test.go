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

// A server speaks as much of PostgreSQL's protocol as a Source asks for, over
// pipes, which a bubble of synctest can wait for.
type server struct {
	answer func(connection int, query string) (value string, err error)

	mu         sync.Mutex
	made, open int
	newest     *pgproto3.Backend
}

var (
	errSilent = errors.New("the server says nothing")
	errGone   = errors.New("the server is gone")
)

// well is how a server answers that has nothing to hide.
func well(connection int, query string) (string, error) {
	if strings.Contains(query, "pg_trigger") {
		return "t", nil
	}
	return fmt.Sprint(connection), nil
}

func (s *server) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer here.Close()
		b := pgproto3.NewBackend(here, here)
		if m, err := b.ReceiveStartupMessage(); err != nil || !isStartup(m) {
			return // also the request to cancel, of a driver that gave a query up
		}
		defer s.leave()
		s.serve(b, s.enter(b))
	}()
	return there, nil
}

func isStartup(m pgproto3.FrontendMessage) bool {
	_, ok := m.(*pgproto3.StartupMessage)
	return ok
}

func (s *server) enter(b *pgproto3.Backend) (connection int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	s.open++
	s.newest = b
	return s.made
}

func (s *server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

// connections returns how many were made, and how many of them are open.
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
		value, err := s.answer(connection, q.String)
		switch {
		case err == errGone:
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

func (s *server) send(b *pgproto3.Backend, messages ...pgproto3.BackendMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		b.Send(m)
	}
	b.Flush() // what cannot be sent, the next Receive tells
}

func (s *server) notify(payload string) {
	s.send(s.newest, &pgproto3.NotificationResponse{Channel: "auth_invalidations", Payload: payload})
}

// A subscription hears what a server tells.
type subscription struct {
	source *Source
	end    context.CancelFunc
	ended  chan error

	mu   sync.Mutex
	said []string // "1 alice", or "lost"
	errs []error
}

// subscribe is for a bubble. The subscription ends with the test.
func subscribe(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) *subscription {
	t.Helper()
	s := &subscription{}
	var err error
	s.source, err = New("postgres://app:canary@127.0.0.1/app?sslmode=disable", WithErrorLog(s.fail))
	require.NoError(t, err)
	s.source.cfg.DialFunc = dial
	s.start(t)
	return s
}

func (s *subscription) start(t *testing.T) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	t.Cleanup(end)
	s.end, s.ended = end, make(chan error, 1)
	go func() {
		s.ended <- s.source.Subscribe(ctx, func(kind auth.Kind, userID string) { s.say(fmt.Sprint(int(kind), " ", userID)) },
			func() { s.say("lost") })
	}()
	synctest.Wait()
}

func (s *subscription) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, text)
}

func (s *subscription) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

// heard returns what was said, and the errors, since it was called last.
func (s *subscription) heard() (said []string, errs []error) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	said, errs, s.said, s.errs = s.said, s.errs, nil, nil
	return said, errs
}
