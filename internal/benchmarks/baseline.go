package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/securecookie"

	"github.com/seed-31c5bcb2/auth/internal/token"
)

// The baseline is careful code without a library: the digests of tokens in a map with a
// lock, and the user in the context.

type record struct {
	user    string
	expires time.Time
}

type tokenTable struct {
	mu      sync.RWMutex
	records map[[32]byte]*record
}

func newTokenTable(users, tokens []string) *tokenTable {
	t := &tokenTable{records: make(map[[32]byte]*record, len(users))}
	for i, user := range users {
		t.records[sha256.Sum256([]byte(tokens[i]))] = &record{user, time.Now().Add(time.Hour)}
	}
	return t
}

// find returns the record of a valid token, or nil.
func (t *tokenTable) find(token string) *record {
	digest := sha256.Sum256([]byte(token))
	t.mu.RLock()
	r := t.records[digest]
	t.mu.RUnlock()
	if r == nil || !time.Now().Before(r.expires) {
		return nil
	}
	return r
}

type userKey struct{}

// byHand returns a middleware that accepts the tokens of the table.
func (t *tokenTable) byHand(scheme string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(name, scheme) {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		record := t.find(token)
		if record == nil {
			w.Header().Set("WWW-Authenticate", scheme+` realm="api"`)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, record.user)))
	})
}

func readUser(w http.ResponseWriter, r *http.Request) {
	user, _ := r.Context().Value(userKey{}).(string)
	found(w, user)
}

func byHand(scheme string, credentials func() []string) contender {
	return contender{"by hand: SHA-256, map, RWMutex", func(users []string) (*guarded, error) {
		table := newTokenTable(users, credentials())
		return newGuarded(scheme, credentials(), table.byHand(scheme, http.HandlerFunc(readUser))), nil
	}}
}

// newGuarded returns h with a request for each of the credentials.
func newGuarded(scheme string, credentials []string, h http.Handler) *guarded {
	g := &guarded{handler: h, bad: request("Authorization", scheme+" "+token.New(prefix))}
	for _, c := range credentials {
		g.good = append(g.good, request("Authorization", scheme+" "+c))
	}
	return g
}

// cookieByHand uses the JSON serializer of securecookie's documentation.
func cookieByHand() contender {
	type session struct{ User string }
	return secureCookie("by hand: securecookie, JSON", securecookie.JSONEncoder{},
		func(user string) any { return session{user} },
		func(codec *securecookie.SecureCookie, sealed string) (string, error) {
			var s session
			err := codec.Decode("session", sealed, &s)
			return s.User, err
		})
}

// bareCookie uses the serializer that adds nothing.
func bareCookie() contender {
	return secureCookie("by hand: securecookie, no serializer", securecookie.NopEncoder{},
		func(user string) any { return []byte(user) },
		func(codec *securecookie.SecureCookie, sealed string) (string, error) {
			var user []byte
			err := codec.Decode("session", sealed, &user)
			return string(user), err
		})
}

// secureCookie uses securecookie, signed and encrypted. It keeps no record of the session.
func secureCookie(name string, serializer securecookie.Serializer, value func(user string) any,
	read func(codec *securecookie.SecureCookie, sealed string) (user string, err error)) contender {
	return contender{name, func(users []string) (*guarded, error) {
		codec := securecookie.New(securecookie.GenerateRandomKey(32), securecookie.GenerateRandomKey(32)).SetSerializer(serializer)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cookie, err := r.Cookie("session")
			if err != nil {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			user, err := read(codec, cookie.Value)
			if err != nil {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			readUser(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
		})
		g := &guarded{handler: h, bad: request("Cookie", "session=AAAA")}
		for _, user := range users {
			sealed, err := codec.Encode("session", value(user))
			if err != nil {
				return nil, fmt.Errorf("seal: %w", err)
			}
			g.good = append(g.good, request("Cookie", "session="+sealed))
		}
		return g, nil
	}}
}
