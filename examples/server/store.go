package main

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

// A storage is where -store says that everything is kept: the credentials, and
// what is this service's own.
type storage struct {
	credentials auth.Store
	state       state

	log      *slog.Logger
	name     string                 // to print: without user, password and parameters
	keysFile func() (string, error) // where the keys are, if not in AUTH_KEYS; nil for memory
	closers  []func() error
}

// openStorage opens what -store names, and makes the tables where there are none.
// An error of it is one line that names the place, but not the whole value, which
// may have a password in it.
func openStorage(ctx context.Context, value string, env environment, log *slog.Logger) (*storage, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	s := &storage{log: log}
	scheme, rest, _ := strings.Cut(value, ":")
	var err error
	switch scheme {
	case "memory":
		err = s.openMemory(rest)
	case "sqlite":
		err = s.openSQLite(ctx, rest, env)
	case "postgres", "postgresql", "mysql", "redis", "rediss":
		err = s.openURL(ctx, value, env)
	default:
		err = errors.New("want sqlite:FILE, memory:, postgres://…, mysql://…, redis://… or rediss://…")
	}
	if err != nil {
		text := errors.Join(err, s.close()).Error() // of pgx: a line for each address
		return nil, fmt.Errorf("%s: %s", cmp.Or(s.name, "-store"), strings.Join(strings.Fields(text), " "))
	}
	return s, nil
}

func (s *storage) openMemory(rest string) error {
	if rest != "" {
		return errors.New("memory: takes nothing behind the colon")
	}
	s.name, s.credentials, s.state = "memory:", auth.NewMemoryStore(), newMemoryState()
	return nil
}

func (s *storage) openURL(ctx context.Context, value string, env environment) error {
	u, err := parseURL(value)
	if err != nil {
		return err
	}
	s.keysFile = func() (string, error) { return inDataDir(env, "server.keys") }
	s.name = u.Scheme + "://" + u.Host + u.Path
	switch u.Scheme {
	case "mysql":
		return s.openMySQL(ctx, u)
	case "redis", "rediss":
		return s.openRedis(u)
	}
	return s.openPostgreSQL(ctx, value)
}

// parseURL also refuses what a password that is not encoded makes of a URL: parts
// of it would be taken for a host or a path, and be printed.
func parseURL(value string) (*url.URL, error) {
	u, err := url.Parse(value)
	most := 0
	if err == nil && u.User != nil {
		most = 1
	}
	if err != nil || u.Opaque != "" || u.Fragment != "" || strings.Count(value, "@") > most {
		return nil, errors.New("this is not a URL: all but letters and digits of a user's name and password has to be percent-encoded")
	}
	return u, nil
}

// openRedis takes a parameter of its own, prefix, so that several services can
// share a database.
func (s *storage) openRedis(u *url.URL) error {
	query := u.Query()
	prefix := query.Get("prefix")
	query.Del("prefix")
	plain := *u
	plain.RawQuery = query.Encode()
	options, err := rueidis.ParseURL(plain.String())
	if err != nil {
		return err
	}
	options.ConnWriteTimeout = 2 * time.Second // a connection that is silent for longer is given up
	client, err := rueidis.NewClient(options)
	if err != nil {
		return err
	}
	s.onClose(func() error { client.Close(); return nil })
	// No cachestore: the client has a cache that Redis itself keeps true.
	s.credentials, err = redisstore.New(client, redisstore.WithPrefix(prefix+"auth:"))
	s.state = &redisState{client, prefix + "demo:"}
	return err
}

func (s *storage) onClose(f func() error) { s.closers = append(s.closers, f) }

// close closes in the opposite order: what is on top first.
func (s *storage) close() error {
	var errs []error
	for _, f := range slices.Backward(s.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}
