package pgnotify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	answerTimeout = 2 * time.Second
	listenTimeout = 10 * time.Second // LISTEN reads what is in the queue: 2 s for 8 GB in memory
	hookTimeout   = 10 * time.Second
)

// setDefaults does not change what the URL or the environment sets, such as
// PGCONNECT_TIMEOUT.
func setDefaults(conn *pgx.ConnConfig) {
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = answerTimeout // for each host in the URL
	}
	if conn.RuntimeParams == nil {
		conn.RuntimeParams = make(map[string]string)
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "pgnotify"
	}
	// PostgreSQL rejects LISTEN on a standby. Of several hosts, the first that answers
	// may be one.
	if conn.ValidateConnect == nil {
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
}

// connect returns a connection that has executed LISTEN.
func (s *subscriber) connect(ctx context.Context) (*listener, error) {
	cfg, err := s.configuration(ctx)
	if err != nil {
		return nil, err
	}
	cfg.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { s.receive(n.Payload) }
	conn, err := dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	l := &listener{conn: conn}
	// Both statements are in one message, so that a pooler cannot give them to different
	// server processes.
	if l.pid, err = l.queryWithin(ctx, listenTimeout, "LISTEN auth_invalidations; "+selectPID); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// configuration returns the configuration for the next attempt.
func (s *subscriber) configuration(ctx context.Context) (*pgx.ConnConfig, error) {
	cfg := s.source.conn.Copy()
	if s.source.beforeConnect == nil {
		return cfg, nil
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	select {
	case s.hook <- struct{}{}:
	case <-ctx.Done():
		return nil, errors.New("BeforeConnect has not returned since an earlier attempt")
	}
	done := make(chan error, 1)
	go func() {
		err := errors.New("BeforeConnect did not return")
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("BeforeConnect panicked with a %T", v) // the value may be a password
			}
			<-s.hook
			done <- err
		}()
		err = s.source.beforeConnect(ctx, cfg)
	}()
	select {
	case err := <-done:
		if err != nil {
			return nil, fmt.Errorf("BeforeConnect: %w", err)
		}
		return cfg, nil
	case <-ctx.Done(): // the call may still be writing to cfg
		return nil, fmt.Errorf("BeforeConnect: %w", ctx.Err())
	}
}

// dial recovers the panics of pgx and of functions in a configuration that
// BeforeConnect has changed.
func dial(ctx context.Context, cfg *pgx.ConnConfig) (conn *pgx.Conn, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("connecting panicked with a %T: BeforeConnect must keep a configuration made by pgx.ParseConfig", v)
		}
	}()
	setDefaults(cfg) // which BeforeConnect may have removed
	return pgx.ConnectConfig(ctx, cfg)
}
