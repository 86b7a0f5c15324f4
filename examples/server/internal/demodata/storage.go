package demodata

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A Storage is the place that -store names, opened.
type Storage struct {
	Credentials auth.Store
	State
	Name string // to print: without user, password and parameters

	env      Environment
	log      *slog.Logger
	keysFile func() (string, error) // used if AUTH_KEYS is not set; nil for memory
	closers  []func() error

	replaceTables bool                        // whether Seed may replace tables of another version
	replace       func(context.Context) error // does that; nil if there are none
}

// Open opens the place that a -store value names, and creates missing tables. The
// caller must call Close. Errors are one line that names the place without the whole
// value, which may contain a password.
func Open(ctx context.Context, value string, env Environment, log *slog.Logger) (*Storage, error) {
	return openStorage(ctx, value, &Storage{env: env, log: log})
}

// OpenReset is like Open, but accepts tables of another version of this program. The
// caller must call Seed with Reset, which replaces them: until then, nothing is removed.
// Tables of other programs are never removed.
func OpenReset(ctx context.Context, value string, env Environment, log *slog.Logger) (*Storage, error) {
	return openStorage(ctx, value, &Storage{env: env, log: log, replaceTables: true})
}

func openStorage(ctx context.Context, value string, s *Storage) (*Storage, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.open(ctx, value); err != nil {
		text := errors.Join(err, s.Close()).Error() // pgx reports one line for each address
		return nil, fmt.Errorf("%s: %s", cmp.Or(s.Name, "-store"), strings.Join(strings.Fields(text), " "))
	}
	return s, nil
}

func (s *Storage) open(ctx context.Context, value string) error {
	switch scheme, rest, _ := strings.Cut(value, ":"); scheme {
	case "memory":
		return s.openMemory(rest)
	case "sqlite":
		return s.openSQLite(ctx, rest)
	case "postgres", "postgresql", "mysql", "redis", "rediss":
		return s.openURL(ctx, value)
	}
	return errors.New("want sqlite:FILE, memory:, postgres://…, mysql://…, redis://… or rediss://…")
}

func (s *Storage) openMemory(rest string) error {
	if rest != "" {
		return errors.New("memory: takes nothing after the colon")
	}
	s.Name, s.Credentials, s.State = "memory:", auth.NewMemoryStore(), newMemoryState()
	return nil
}

func (s *Storage) openURL(ctx context.Context, value string) error {
	u, err := parseURL(value)
	if err != nil {
		return err
	}
	s.keysFile = func() (string, error) { return inDataDir(s.env, "server.keys") }
	s.Name = u.Scheme + "://" + u.Host + u.Path
	switch u.Scheme {
	case "mysql":
		return s.openMySQL(ctx, u)
	case "redis", "rediss":
		return s.openRedis(u)
	}
	return s.openPostgreSQL(ctx, value)
}

// parseURL also rejects a URL whose password is not percent-encoded: a part of it
// would be read as host or path, and printed.
func parseURL(value string) (*url.URL, error) {
	u, err := url.Parse(value)
	maxAt := 0
	if err == nil && u.User != nil {
		maxAt = 1
	}
	if err != nil || u.Opaque != "" || u.Fragment != "" || strings.Count(value, "@") > maxAt {
		return nil, errors.New("invalid URL: in the user name and password, percent-encode all but letters and digits")
	}
	return u, nil
}

// openRedis also accepts the parameter prefix, so that several services can share a
// database.
func (s *Storage) openRedis(u *url.URL) error {
	query := u.Query()
	prefix := query.Get("prefix")
	query.Del("prefix")
	plain := *u
	plain.RawQuery = query.Encode()
	options, err := rueidis.ParseURL(plain.String())
	if err != nil {
		return err
	}
	options.ConnWriteTimeout = 2 * time.Second // also how long to wait for an answer
	client, err := rueidis.NewClient(options)
	if err != nil {
		return err
	}
	s.onClose(func() error { client.Close(); return nil })
	// Needs no cachestore: the client has a cache, which Redis invalidates.
	s.Credentials, err = redisstore.New(client, redisstore.Config{Prefix: prefix + "auth:"})
	s.State = &redisState{client, prefix + "demo:"}
	return err
}

func (s *Storage) onClose(f func() error) { s.closers = append(s.closers, f) }

// Close closes the connections, those opened last first.
func (s *Storage) Close() error {
	var errs []error
	for _, f := range slices.Backward(s.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}
