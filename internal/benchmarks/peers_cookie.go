package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
)

// bareCookie is securecookie with the serializer that adds nothing, by hand.
func bareCookie() contender {
	return contender{"by hand: securecookie, no serializer", func(users []string) (*guarded, error) {
		codec := securecookie.New(securecookie.GenerateRandomKey(32), securecookie.GenerateRandomKey(32)).SetSerializer(securecookie.NopEncoder{})
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cookie, err := r.Cookie("session")
			if err != nil {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			var user []byte
			if err := codec.Decode("session", cookie.Value, &user); err != nil {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			readUser(w, r.WithContext(context.WithValue(r.Context(), userKey{}, string(user))))
		})
		g := &guarded{handler: h, bad: request("Cookie", "session=AAAA")}
		for _, user := range users {
			value, err := codec.Encode("session", []byte(user))
			if err != nil {
				return nil, fmt.Errorf("seal: %w", err)
			}
			g.good = append(g.good, request("Cookie", "session="+value))
		}
		return g, nil
	}}
}

// gorillaSessions is a CookieStore, signed and encrypted, as in the README. It keeps
// what it has decoded in the request, so each round has a new one.
func gorillaSessions() contender {
	return contender{"gorilla/sessions v1.4.0, CookieStore", func(users []string) (*guarded, error) {
		store := sessions.NewCookieStore(securecookie.GenerateRandomKey(32), securecookie.GenerateRandomKey(32))
		h := http.HandlerFunc(func(w http.ResponseWriter, again *http.Request) {
			r := new(http.Request)
			*r = *again
			session, err := store.Get(r, "session")
			user, _ := session.Values["user"].(string)
			if err != nil || user == "" {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			found(w, user)
		})
		g := &guarded{handler: h, bad: request("Cookie", "session=AAAA")}
		for _, user := range users {
			w, r := httptest.NewRecorder(), request("", "")
			session, err := store.Get(r, "session")
			if err != nil {
				return nil, err
			}
			session.Values["user"] = user
			if err := session.Save(r, w); err != nil {
				return nil, err
			}
			g.good = append(g.good, request("Cookie", "session="+w.Result().Cookies()[0].Value))
		}
		return g, nil
	}}
}

// scsSessions is the memory store behind LoadAndSave, as in the README.
func scsSessions() contender {
	return contender{"alexedwards/scs v2.9.0, memstore", func(users []string) (*guarded, error) {
		manager := scs.New()
		g := &guarded{bad: request("Cookie", "session=AAAA")}
		g.handler = manager.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user := manager.GetString(r.Context(), "user")
			if user == "" {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			found(innermost(w), user)
		}))
		for _, user := range users {
			w := httptest.NewRecorder()
			manager.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				manager.Put(r.Context(), "user", user)
			})).ServeHTTP(w, request("", ""))
			g.good = append(g.good, request("Cookie", "session="+w.Result().Cookies()[0].Value))
		}
		return g, nil
	}}
}

// innermost is the writer that a peer has wrapped.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = inner.Unwrap()
	}
}
