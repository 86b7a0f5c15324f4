package main

import (
	"net/http"
	"net/http/httptest"

	"github.com/alexedwards/scs/v2"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
)

// gorillaSessions uses a CookieStore, signed and encrypted, as in the README. It caches the
// session in the request, so each round uses a new one.
func gorillaSessions() contender {
	return contender{"gorilla/sessions v1.4.0, CookieStore", func(users []string) (*guarded, error) {
		store := sessions.NewCookieStore(securecookie.GenerateRandomKey(32), securecookie.GenerateRandomKey(32))
		h := http.HandlerFunc(func(w http.ResponseWriter, reused *http.Request) {
			r := new(http.Request)
			*r = *reused
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

// scsSessions uses LoadAndSave over the memory store, as in the README.
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

// innermost returns the writer that a peer has wrapped.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = inner.Unwrap()
	}
}
