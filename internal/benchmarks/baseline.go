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

// What a careful person writes by hand for a service of one's own: the digests of
// tokens in a map behind a lock, the user in the context.

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

// find returns the record of a token that is good, or nil.
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

// byHand guards a route with the tokens of a table.
func (t *tokenTable) byHand(scheme string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(name, scheme) {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		found := t.find(token)
		if found == nil {
			w.Header().Set("WWW-Authenticate", scheme+` realm="api"`)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, found.user)))
	})
}

func readUser(w http.ResponseWriter, r *http.Request) {
	user, _ := r.Context().Value(userKey{}).(string)
	found(w, user)
}

func byHand(scheme string, credentials func() []string) contender {
	return contender{"by hand: SHA-256, map, RWMutex", func(users []string) (*guarded, error) {
		table := newTokenTable(users, credentials())
		return presenting(scheme, credentials(), table.byHand(scheme, http.HandlerFunc(readUser))), nil
	}}
}

// presenting guards a handler against requests with credentials of one scheme.
func presenting(scheme string, credentials []string, h http.Handler) *guarded {
	g := &guarded{handler: h, bad: request("Authorization", scheme+" "+token.New(prefix))}
	for _, c := range credentials {
		g.good = append(g.good, request("Authorization", scheme+" "+c))
	}
	return g
}

// cookieByHand is securecookie, signed and encrypted, with the serializer that its
// documentation offers for plain data, and nothing else: no record of the session.
func cookieByHand() contender {
	return contender{"by hand: securecookie, JSON", func(users []string) (*guarded, error) {
		hashKey, blockKey := securecookie.GenerateRandomKey(32), securecookie.GenerateRandomKey(32)
		codec := securecookie.New(hashKey, blockKey).SetSerializer(securecookie.JSONEncoder{})
		type session struct{ User string }
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cookie, err := r.Cookie("session")
			if err != nil {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			var s session
			if err := codec.Decode("session", cookie.Value, &s); err != nil {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			readUser(w, r.WithContext(context.WithValue(r.Context(), userKey{}, s.User)))
		})
		g := &guarded{handler: h, bad: request("Cookie", "session=AAAA")}
		for _, user := range users {
			value, err := codec.Encode("session", session{user})
			if err != nil {
				return nil, fmt.Errorf("seal: %w", err)
			}
			g.good = append(g.good, request("Cookie", "session="+value))
		}
		return g, nil
	}}
}
