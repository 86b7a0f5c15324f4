package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
)

// A contender is one way to protect a handler: this library, a peer, or code without a
// library. Each is configured as in its own documentation.
type contender struct {
	name  string // in the tables; with the version of a peer
	build func(users []string) (*guarded, error)
}

// A guarded is a handler behind a contender's middleware, with requests for it.
type guarded struct {
	handler http.Handler    // calls found with the identity
	good    []*http.Request // one for each user, in order
	bad     *http.Request   // well-formed, with an unknown credential
}

// found is called by every protected handler with the identity.
func found(w http.ResponseWriter, user string) {
	if user == "" {
		panic("no identity")
	}
	if r, ok := w.(*recorder); ok {
		r.user = user
	}
}

// request returns a request without a body.
func request(header, value string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://api.example.com/notes", nil)
	if header != "" {
		r.Header.Set(header, value)
	}
	return r
}

// A recorder also records the identity.
type recorder struct {
	*httptest.ResponseRecorder
	user string
}

// check returns an error unless each valid credential reaches the handler as its user, and
// the invalid one does not.
func (g *guarded) check(users []string) error {
	if len(g.good) != len(users) {
		return fmt.Errorf("%d requests for %d users", len(g.good), len(users))
	}
	for i, r := range g.good {
		w := &recorder{ResponseRecorder: httptest.NewRecorder()}
		g.handler.ServeHTTP(w, r)
		if w.user != users[i] || w.Code != http.StatusOK {
			return fmt.Errorf("status %d for the credential of %s, with the identity %q", w.Code, users[i], w.user)
		}
	}
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	g.handler.ServeHTTP(w, g.bad)
	if w.user != "" || w.Code < 300 {
		return fmt.Errorf("status %d for an invalid credential, with the identity %q", w.Code, w.user)
	}
	return nil
}

// discard is a ResponseWriter without cost: it reuses one header map.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
