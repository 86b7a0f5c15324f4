// Server is a small note service that shows the package auth at work: pages for
// people who sign in, an API for their tokens, and an endpoint for the client
// secret of their account.
//
//	go run ./examples/server
//
// It keeps everything in memory and speaks plain HTTP, so it listens on this
// machine alone unless it is told otherwise. At start it makes two accounts and
// prints their credentials, which no real service would do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`host:port` to listen on; port 0 picks a free one")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *addr, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, addr string, stdout, stderr io.Writer) error {
	s, err := newServer(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		return err
	}
	seeded, err := s.seed(ctx)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, seeded.text("http://"+listener.Addr().String())); err != nil {
		return errors.Join(err, listener.Close())
	}
	go s.purgeEvery(ctx, time.Hour)
	return s.serve(ctx, listener)
}

// serve answers until ctx ends, then lets the requests that have begun finish.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	srv := s.httpServer()
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		s.shutDown(srv)
	}
	return errors.Join(err, s.close())
}

// httpServer bounds what one client can hold on to, in time and in memory.
func (s *server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

func (s *server) shutDown(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		s.log.Warn("requests were cut off", "error", err)
		srv.Close()
	}
}

// close comes after the last request: it writes the last uses that the
// authenticators still hold.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return errors.Join(s.bearer.Close(ctx), s.cookie.Close(ctx), s.secret.Close(ctx))
}
