package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

func readIdentity(w http.ResponseWriter, r *http.Request) {
	id, ok := auth.FromContext(r.Context())
	if !ok {
		panic("no identity")
	}
	found(w, id.UserID)
}

func newKeys() auth.Keys {
	key := make([]byte, 32)
	rand.Read(key)
	return auth.Keys{key}
}

// prefix of tokens, as recommended for services.
const prefix = "acme_pat"

// A library has the three authenticators over one store.
type library struct {
	store  auth.Store
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret
}

func newLibrary(store auth.Store, prefix string) (*library, error) {
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: prefix})
	if err != nil {
		return nil, err
	}
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: newKeys()})
	if err != nil {
		return nil, err
	}
	secret, err := auth.NewSecret(store, auth.SecretConfig{})
	return &library{store, bearer, cookie, secret}, err
}

// ourBearer accepts tokens only, as the peers do.
func ourBearer() contender {
	return bearerOver("this library", prefix, func(l *library) func(http.Handler) http.Handler {
		return auth.Require(l.bearer)
	})
}

// ourUnprefixed looks up every token, as the peers do.
func ourUnprefixed() contender {
	return bearerOver("this library, any token", "", func(l *library) func(http.Handler) http.Handler {
		return auth.Require(l.bearer)
	})
}

// ourBearerOrCookie also accepts cookies, as most routes do.
func ourBearerOrCookie() contender {
	return bearerOver("this library, token or cookie", prefix, func(l *library) func(http.Handler) http.Handler {
		return auth.Require(l.bearer, l.cookie)
	})
}

// ourCached has a cache in front of the store, as recommended for databases.
func ourCached() contender {
	return contender{"this library, through cachestore", func(users []string) (*guarded, error) {
		store, err := cachestore.New(auth.NewMemoryStore(), cachestore.Config{})
		if err != nil {
			return nil, err
		}
		return bearerOf(store, prefix, users, func(l *library) func(http.Handler) http.Handler { return auth.Require(l.bearer) })
	}}
}

func bearerOver(name, prefix string, guard func(*library) func(http.Handler) http.Handler) contender {
	return contender{name, func(users []string) (*guarded, error) {
		return bearerOf(auth.NewMemoryStore(), prefix, users, guard)
	}}
}

func bearerOf(store auth.Store, prefix string, users []string, guard func(*library) func(http.Handler) http.Handler) (*guarded, error) {
	l, err := newLibrary(store, prefix)
	if err != nil {
		return nil, err
	}
	return newGuarded("Bearer", tokens(), guard(l)(http.HandlerFunc(readIdentity))), l.importTokens(users)
}

var fullAccess = []string{auth.FullAccess}

var tokenOptions = auth.TokenOptions{Name: "benchmark", Scopes: fullAccess, Lifetime: time.Hour}

// importTokens gives each user the token that it has with all contenders.
func (l *library) importTokens(users []string) error {
	for i, user := range users {
		if _, err := l.bearer.Import(context.Background(), user, tokens()[i], auth.ImportOptions{TokenOptions: tokenOptions}); err != nil {
			return fmt.Errorf("import: %w", err)
		}
	}
	return nil
}

func ourSecret() contender {
	return contender{"this library", func(users []string) (*guarded, error) {
		l, err := newLibrary(auth.NewMemoryStore(), "")
		if err != nil {
			return nil, err
		}
		for i, user := range users {
			if _, err := l.secret.Import(context.Background(), user, secrets()[i], auth.SecretOptions{Scopes: fullAccess, Lifetime: auth.NoExpiry}); err != nil {
				return nil, fmt.Errorf("import: %w", err)
			}
		}
		return newGuarded("Secret", secrets(), auth.Require(l.secret)(http.HandlerFunc(readIdentity))), nil
	}}
}

// ourCookie has decoded the cookies of its users before.
func ourCookie() contender {
	return cookies("this library", func(l *library, keys auth.Keys, h http.Handler) (http.Handler, error) {
		return l.guardCookie(keys, h)
	})
}

// ourNewCookie decodes each cookie for the first time: after all of them, it is replaced by
// a new one with the same keys.
func ourNewCookie() contender {
	return cookies("this library, the first time", func(l *library, keys auth.Keys, h http.Handler) (http.Handler, error) {
		var served atomic.Int64
		var current atomic.Pointer[http.Handler]
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if served.Add(1)%population == 1 {
				next, err := l.guardCookie(keys, h)
				if err != nil {
					panic(err)
				}
				current.Store(&next)
			}
			(*current.Load()).ServeHTTP(w, r)
		}), nil
	})
}

func (l *library) guardCookie(keys auth.Keys, h http.Handler) (http.Handler, error) {
	cookie, err := auth.NewCookie(l.store, auth.CookieConfig{Keys: keys})
	if err != nil {
		return nil, err
	}
	return auth.Require(l.bearer, cookie)(h), nil
}

func cookies(name string, guard func(*library, auth.Keys, http.Handler) (http.Handler, error)) contender {
	return contender{name, func(users []string) (*guarded, error) {
		l, err := newLibrary(auth.NewMemoryStore(), prefix)
		if err != nil {
			return nil, err
		}
		keys := newKeys()
		signIn, err := auth.NewCookie(l.store, auth.CookieConfig{Keys: keys})
		if err != nil {
			return nil, err
		}
		h, err := guard(l, keys, http.HandlerFunc(readIdentity))
		if err != nil {
			return nil, err
		}
		g := &guarded{handler: h, bad: request("Cookie", "__Host-session=AAAA")}
		for _, user := range users {
			w := httptest.NewRecorder()
			if _, err := signIn.SignIn(w, request("", ""), user, auth.SessionOptions{}); err != nil {
				return nil, fmt.Errorf("sign in: %w", err)
			}
			session := w.Result().Cookies()[0]
			g.good = append(g.good, request("Cookie", session.Name+"="+session.Value))
		}
		return g, nil
	}}
}
