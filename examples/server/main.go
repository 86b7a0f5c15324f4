// Server is a small note service that uses package auth: pages for users who sign in,
// an API for their tokens, and an endpoint for their client secrets.
//
//	go run ./examples/server
//
// It listens on a loopback address, over plain HTTP or, with -tls, HTTPS. The first
// start creates two users and prints their credentials, which a real service would
// never do. Later starts use the same data: in SQLite, PostgreSQL, MariaDB or MySQL,
// Redis, or memory, as -store says. See -h for details.
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
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/front"
)

func main() {
	cfg := front.Config{Env: os.LookupEnv}
	switch err := cfg.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		front.PrintUsage(os.Stdout)
		return
	case err != nil:
		front.PrintUsage(os.Stderr)
		fmt.Fprintln(os.Stderr, "\nserver:", err)
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

// run serves until ctx is done.
func run(ctx context.Context, cfg front.Config, stdout, stderr io.Writer) error {
	level := slog.LevelInfo // without accepted requests, which would scroll the credentials away
	if cfg.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	open := demodata.Open
	if cfg.Reset {
		open = demodata.OpenReset
	}
	storage, err := open(ctx, cfg.Store, cfg.Env, log)
	if err != nil {
		return err
	}
	return errors.Join(runWith(ctx, storage, cfg, stdout, log), storage.Close())
}

func runWith(ctx context.Context, storage *demodata.Storage, cfg front.Config, stdout io.Writer, log *slog.Logger) error {
	keys, from, err := storage.Keys()
	if err != nil {
		return err
	}
	s, err := newServer(log, storage, keys, cfg)
	if err != nil {
		return err
	}
	f, err := front.Listen(cfg)
	if err != nil {
		return err
	}
	defer f.Close()
	// Seed only now: the credentials are printed once, so by a start that succeeds.
	seeded, err := s.seed(ctx, storage, keys, cfg)
	if err != nil {
		return err
	}
	f.Warn(log)
	if _, err := fmt.Fprintf(stdout, "%sstore %s\nkeys %s\n", seeded.Text(f.Address()), storage.Name, from); err != nil {
		return err
	}
	go storage.PurgeEvery(ctx, time.Hour)
	return errors.Join(f.Serve(ctx, s.routes(), log), s.close())
}

// seed returns what to print: after the first start, only a new password, if any.
func (s *server) seed(ctx context.Context, storage *demodata.Storage, keys auth.Keys, cfg front.Config) (*demodata.Seeded, error) {
	// What this issues is printed, and not logged in front of it.
	s.seeding.Store(!cfg.Verbose)
	defer s.seeding.Store(false)
	seeded, err := storage.Seed(ctx, s.seedOptions(keys, cfg.Reset))
	if err != nil || cfg.Password == "" || seeded.Passwords[cfg.Password] != "" {
		return seeded, err
	}
	password, err := s.resetPassword(ctx, cfg.Password)
	seeded.Passwords = map[string]string{cfg.Password: password}
	return seeded, err
}

func (s *server) seedOptions(keys auth.Keys, reset bool) demodata.SeedOptions {
	return demodata.SeedOptions{
		Bearer: s.bearer, Secret: s.secret, Scopes: []string{readNotes, writeNotes}, Keys: keys, Reset: reset,
	}
}
