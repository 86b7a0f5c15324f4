package front

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Serve handles requests until ctx is done, then waits for those in progress.
func (f *Front) Serve(ctx context.Context, h http.Handler, log *slog.Logger) error {
	srv := httpServer(f.onlyOwnNames(h), log)
	failed := make(chan error, 1)
	go func() { failed <- f.serve(srv) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		shutDown(srv, log)
		return nil
	}
}

func (f *Front) serve(srv *http.Server) error {
	if f.certificate == nil {
		return srv.Serve(f.Listener)
	}
	srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*f.certificate}}
	return srv.ServeTLS(f.Listener, "", "") // HTTP/1.1 and HTTP/2
}

// httpServer limits how long a client can hold a connection, and how much memory its
// header can take.
func httpServer(h http.Handler, log *slog.Logger) *http.Server {
	unused := &unusedConns{conns: make(map[net.Conn]bool)}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ConnState:         unused.track,
	}
	srv.RegisterOnShutdown(func() { time.AfterFunc(unusedGrace, unused.close) })
	return srv
}

// unusedConns are connections on which no request has begun. Browsers open some in
// advance. http.Server.Shutdown waits five seconds for a request on them, which is longer
// than we wait.
type unusedConns struct {
	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// unusedGrace lets requests that clients have already sent arrive.
const unusedGrace = 500 * time.Millisecond

func (u *unusedConns) track(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(u.conns, c)
	case u.closed:
		c.Close()
	default:
		u.conns[c] = true
	}
}

func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for c := range u.conns {
		c.Close()
	}
}

func shutDown(srv *http.Server, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		log.Warn("requests were aborted", "error", err)
		srv.Close()
	}
}
