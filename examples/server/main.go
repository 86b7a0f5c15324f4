// Server is a small note service that shows the package auth at work: pages for
// people who sign in, an API for their tokens, and an endpoint for the client
// secret of their account.
//
//	go run ./examples/server
//
// It speaks plain HTTP, so it listens on this machine alone unless it is told
// otherwise. At the first start it makes two accounts and prints their credentials,
// which no real service would do. Later starts go on with what was made: it is in
// SQLite, PostgreSQL, MariaDB or MySQL, Redis, or memory, as -store says. -h has
// the details.
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

// help is what -h prints before the flags.
const help = `Usage: server [flags]

A small note service with pages for people, an API for their tokens, and an
endpoint for client secrets. The first start makes two accounts and prints their
credentials, once; later starts go on with what was made, and -reset begins anew.

-store says where all is kept:

  sqlite:FILE      a file, made if there is none; sqlite: alone is one in your
                   data directory
  memory:          nowhere: all ends with the process
  postgres://…     a URL as pgx takes it, say
                   postgres://user:password@host:5432/database
  mysql://…        MariaDB too, say mysql://user:password@host:3306/database;
                   parameters are those of go-sql-driver/mysql, and socket=PATH
                   for a Unix socket: mysql://user@/database?socket=PATH
  redis://…        or rediss://…, Valkey too: a URL as rueidis takes it, say
                   redis://user:password@host:6379/0; prefix=TEXT begins each key

In a URL, all but letters and digits of a password is percent-encoded. The names of
tables begin with auth_ and demo_, those of keys in Redis with auth: and demo:
behind the prefix.

Servers with the same store are one service, if they have the same keys too: those
that encrypt the cookies of sessions, and the secrets. They come from AUTH_KEYS in
the environment: 32 bytes or more in base64, as openssl rand -base64 32 makes them,
or several such with commas between them, the newest first. Where that is not set,
they are in a file that the first start makes for this user alone: FILE.keys beside
a SQLite file, else server.keys in the data directory. Each start says where, and
whether they are others than those that the store is used with.

Flags:
`

func main() {
	cfg := config{env: os.LookupEnv}
	flag.StringVar(&cfg.addr, "addr", "127.0.0.1:8080", "`host:port` to listen on; port 0 picks a free one")
	flag.StringVar(&cfg.store, "store", "sqlite:", "`where` all is kept, as above")
	flag.BoolVar(&cfg.reset, "reset", false, "remove what earlier starts have made, without asking, and begin anew")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), help)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	keepPrivate()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, cfg, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

type config struct {
	addr, store string
	reset       bool
	env         environment
}

// run serves until ctx ends.
func run(ctx context.Context, cfg config, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	storage, err := openStorage(ctx, cfg.store, cfg.env, log)
	if err != nil {
		return err
	}
	return errors.Join(runOver(ctx, storage, cfg, stdout, log), storage.close())
}

func runOver(ctx context.Context, storage *storage, cfg config, stdout io.Writer, log *slog.Logger) error {
	keys, from, err := loadKeys(cfg.env, storage.keysFile)
	if err != nil {
		return err
	}
	s, err := newServer(log, storage, keys)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	// Only now: what is seeded is printed once, by a start that comes this far.
	seeded, err := s.seed(ctx, cfg.reset)
	if err != nil {
		return err
	}
	text := seeded.text("http://" + listener.Addr().String())
	if _, err := fmt.Fprintf(stdout, "%sstore %s\nkeys %s\n", text, storage.name, from); err != nil {
		return err
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
