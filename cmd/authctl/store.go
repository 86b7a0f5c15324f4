package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A store is an open store. Its URLs are those of examples/server, whose caches, users and
// notes it does not have.
type store struct {
	auth.Store
	name    string                      // to print: without user, password and parameters
	url     string                      // the whole one
	migrate func(context.Context) error // nil if there is nothing to create
	serial  bool                        // whether it has one writer at a time
	closers []func() error
}

// open opens the store that the flags name, once. create allows it to create a file.
func (a *app) open(create bool) (*store, error) {
	if a.store != nil {
		return a.store, nil
	}
	value, err := a.flags.storeURL()
	if err != nil {
		return nil, usageError(err)
	}
	ctx, cancel := context.WithTimeout(a.ctx, 10*time.Second)
	defer cancel()
	a.store = &store{url: value}
	if err := a.store.open(ctx, value, create); err != nil {
		return nil, err
	}
	return a.store, nil
}

// storeURL prefers the flag, and then the file. kong has put the environment into the flag.
func (g *globals) storeURL() (string, error) {
	fromEnv := os.Getenv("AUTHCTL_STORE")
	switch {
	case g.StoreFile != "" && g.Store != "" && g.Store != fromEnv:
		return "", errors.New("--store and --store-file cannot be used together")
	case g.StoreFile != "":
		text, err := os.ReadFile(g.StoreFile)
		if value := strings.TrimSpace(string(text)); err != nil || value != "" {
			return value, err
		}
		return "", errors.New("the file of --store-file is empty")
	case g.Store == "":
		return "", errors.New("no store: set AUTHCTL_STORE, or use --store-file or --store")
	}
	return g.Store, nil
}

// open returns errors without the value, which may contain a password.
func (s *store) open(ctx context.Context, value string, create bool) error {
	switch scheme, rest, _ := strings.Cut(value, ":"); scheme {
	case "sqlite":
		return s.openSQLite(ctx, rest, create)
	case "postgres", "postgresql", "mysql", "redis", "rediss":
		u, err := parseURL(value)
		if err != nil {
			return usageError(err)
		}
		s.name = u.Scheme + "://" + u.Host + u.Path
		switch u.Scheme {
		case "mysql":
			return s.openMySQL(ctx, u)
		case "redis", "rediss":
			return s.openRedis(u)
		}
		return s.openPostgreSQL(ctx, value)
	}
	return usageError(errors.New("the store must be sqlite:FILE, postgres://…, mysql://…, redis://… or rediss://…"))
}

// parseURL also rejects a URL whose password is not percent-encoded: a part of it would be
// read as host or path, and printed.
func parseURL(value string) (*url.URL, error) {
	u, err := url.Parse(value)
	maxAt := 0
	if err == nil && u.User != nil {
		maxAt = 1
	}
	if err != nil || u.Opaque != "" || u.Fragment != "" || strings.Count(value, "@") > maxAt {
		return nil, errors.New("invalid URL of the store: in the user name and password, percent-encode all but letters and digits")
	}
	return u, nil
}

// redisParameters are those of rueidis.ParseURL, which ignores others.
var redisParameters = []string{"addr", "client_cache", "client_name", "db", "dial_timeout", "master_set", "max_retries", "protocol", "skip_verify", "write_timeout"}

// openRedis also accepts the parameter prefix. It rejects unknown ones: with a typing error in
// prefix, every credential would be unknown.
func (s *store) openRedis(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return usageError(errors.New("invalid parameters in the URL of the store"))
	}
	for name := range query {
		if name != "prefix" && !slices.Contains(redisParameters, name) {
			return usageError(fmt.Errorf("unknown parameter in the URL of the store: they are prefix, %s", strings.Join(redisParameters, ", ")))
		}
	}
	prefix := query.Get("prefix")
	query.Del("prefix")
	plain := *u
	plain.RawQuery = query.Encode()
	options, err := rueidis.ParseURL(plain.String())
	if err != nil {
		return usageError(err)
	}
	options.ConnWriteTimeout = cmp.Or(options.ConnWriteTimeout, 2*time.Second) // also how long to wait for an answer
	client, err := rueidis.NewClient(options)
	if err != nil {
		return unavailable(err)
	}
	s.closers = append(s.closers, func() error { client.Close(); return nil })
	s.Store, err = redisstore.New(client, redisstore.Config{Prefix: prefix + "auth:"})
	return err
}

func (s *store) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

// redact removes the password of the store from an error of a driver. The drivers do that
// too: this does not depend on it.
func (s *store) redact(text string) string {
	u, err := url.Parse(s.url)
	if err != nil {
		return text
	}
	password, _ := u.User.Password()
	secrets := []string{password, url.QueryEscape(password), url.PathEscape(password), u.Query().Get("password"), u.Query().Get("sslpassword")}
	for _, secret := range secrets {
		if len(secret) > 3 { // a shorter one is a part of other words
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return text
}

// A manager is what Bearer, Cookie and Secret have in common. They check arguments, which
// would look like an outage in the store.
type manager interface {
	List(ctx context.Context, userID string, page auth.Page) ([]auth.Credential, error)
	Get(ctx context.Context, userID, id string) (auth.Credential, error)
	Revoke(ctx context.Context, userID, id string) error
	RevokeAll(ctx context.Context, userID string) (int, error)
}

// kinds are in the order in which they are shown.
var kinds = []auth.Kind{auth.KindToken, auth.KindSecret, auth.KindSession}

type sessions struct{ *auth.Cookie }

func (s sessions) RevokeAll(ctx context.Context, userID string) (int, error) {
	return s.Cookie.RevokeAll(ctx, userID)
}

// quiet is an Observer: commands print the errors that they get.
func quiet(context.Context, auth.Event) {}

func (s *store) manager(kind auth.Kind) (manager, error) {
	switch kind {
	case auth.KindToken:
		return auth.NewBearer(s, auth.BearerConfig{Observe: quiet})
	case auth.KindSecret:
		return auth.NewSecret(s, auth.SecretConfig{Observe: quiet})
	case auth.KindSession:
		key := make([]byte, 32) // opens no cookie: sessions are only listed and revoked
		rand.Read(key)
		// A shorter Lifetime than that of the service would also be that of the sessions that are listed.
		cookie, err := auth.NewCookie(s, auth.CookieConfig{Keys: auth.Keys{key}, Lifetime: 400 * day, Observe: quiet})
		return sessions{cookie}, err
	}
	return nil, fmt.Errorf("%v is no kind of credential", kind)
}

// Uncached is for RevokePlaintext, which must not be answered by the cache of Redis's client.
func (s *store) Uncached() auth.Store {
	if cache, ok := s.Store.(interface{ Uncached() auth.Store }); ok {
		return cache.Uncached()
	}
	return s.Store
}
