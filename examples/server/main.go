// Server is a small note service that uses package auth: pages for users who sign in,
// an API for their tokens, and an endpoint for their client secrets.
//
//	go run ./examples/server
//
// It serves plain HTTP, by default on the loopback address only. The first start
// creates two users and prints their credentials, which a real service would never
// do. Later starts use the same data: in SQLite, PostgreSQL, MariaDB or MySQL, Redis,
// or memory, as -store says. See -h for details.
//
// Read routes.go first: it lists all routes with the schemes that they accept.
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

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
)

// help is what -h prints before the flags.
const help = `Usage: server [flags]

A small note service with pages for users, an API for their tokens, and an endpoint
for client secrets. The first start creates two users and prints their credentials
once. Later starts use the same data; -reset removes it and starts again.

-store says where the data is kept:

  sqlite:FILE      a file, created if there is none; sqlite: without a file means
                   one in your data directory
  memory:          in memory, until the process ends
  postgres://…     a URL as pgx accepts it, for example
                   postgres://user:password@host:5432/database
  mysql://…        MariaDB or MySQL, for example
                   mysql://user:password@host:3306/database; parameters are those of
                   go-sql-driver/mysql, and socket=PATH for a Unix socket:
                   mysql://user@/database?socket=PATH
  redis://…        or rediss://…, Redis or Valkey: a URL as rueidis accepts it, for
                   example redis://user:password@host:6379/0; the parameter
                   prefix=TEXT sets a prefix for all keys

In the user name and password of a URL, percent-encode all but letters and digits.
The names of tables begin with auth_ and demo_, those of Redis keys with auth: and
demo: after the prefix.

Servers with the same store form one service if they also have the same keys, which
encrypt session cookies and client secrets. Keys come from the environment variable
AUTH_KEYS: at least 32 bytes in base64, as openssl rand -base64 32 prints them, or
several such keys separated by commas, newest first. If it is not set, the first
start creates a key in a file that only you can read: FILE.keys next to a SQLite
file, server.keys in the data directory otherwise. Each start prints where the keys
are, and warns if the store was used with others.

Flags:
`

func main() {
	cfg := config{env: os.LookupEnv}
	flag.StringVar(&cfg.addr, "addr", "127.0.0.1:8080", "`host:port` to listen on; port 0 picks a free one")
	flag.StringVar(&cfg.store, "store", "sqlite:", "`where` to keep the data, as described above")
	flag.BoolVar(&cfg.reset, "reset", false, "remove the data of earlier starts, without asking, and start again")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), help)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	demodata.KeepPrivate()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal terminates the process immediately
	if err := run(ctx, cfg, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

type config struct {
	addr, store string
	reset       bool
	env         demodata.Environment
}

// run serves until ctx is done.
func run(ctx context.Context, cfg config, stdout, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	storage, err := demodata.Open(ctx, cfg.store, cfg.env, log)
	if err != nil {
		return err
	}
	return errors.Join(runWith(ctx, storage, cfg, stdout, log), storage.Close())
}

func runWith(ctx context.Context, storage *demodata.Storage, cfg config, stdout io.Writer, log *slog.Logger) error {
	keys, from, err := storage.Keys()
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
	// Seed only now: the credentials are printed once, so by a start that succeeds.
	seeded, err := storage.Seed(ctx, s.seedOptions(keys, cfg.reset))
	if err != nil {
		return err
	}
	text := seeded.Text("http://" + listener.Addr().String())
	if _, err := fmt.Fprintf(stdout, "%sstore %s\nkeys %s\n", text, storage.Name, from); err != nil {
		return err
	}
	go storage.PurgeEvery(ctx, time.Hour)
	return s.serve(ctx, listener)
}

func (s *server) seedOptions(keys auth.Keys, reset bool) demodata.SeedOptions {
	return demodata.SeedOptions{
		Bearer: s.bearer, Secret: s.secret, Scopes: []string{readNotes, writeNotes}, Keys: keys, Reset: reset,
	}
}

// serve handles requests until ctx is done, then waits for those in progress.
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

// httpServer limits how long a client can hold a connection, and how much memory its
// header can take.
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
		s.log.Warn("requests were aborted", "error", err)
		srv.Close()
	}
}
