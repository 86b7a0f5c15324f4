package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
)

// A contender is one way to guard a handler: this library, a peer, or what somebody
// would write by hand. Each is set up the way its own documentation does it.
type contender struct {
	name  string // as the tables have it, a peer's with its version
	build func(users []string) (*guarded, error)
}

// A guarded is a handler behind a contender's middleware, and the requests for it.
type guarded struct {
	handler http.Handler    // calls found with the identity that it reads
	good    []*http.Request // one for each user, in their order
	bad     *http.Request   // well-formed, with a credential that nobody has
}

// found is what every guarded handler does with the identity: it looks at it.
func found(w http.ResponseWriter, user string) {
	if user == "" {
		panic("nobody is signed in")
	}
	if r, ok := w.(*recorder); ok {
		r.user = user
	}
}

// request is one of a client without a body.
func request(header, value string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://api.example.com/notes", nil)
	if header != "" {
		r.Header.Set(header, value)
	}
	return r
}

// A recorder is the writer that check looks at.
type recorder struct {
	*httptest.ResponseRecorder
	user string
}

// check makes sure that what is to be timed works: each good credential reaches the
// handler as its own user, and a bad one does not reach it.
func (g *guarded) check(users []string) error {
	if len(g.good) != len(users) {
		return fmt.Errorf("has %d requests for %d users", len(g.good), len(users))
	}
	for i, r := range g.good {
		w := &recorder{ResponseRecorder: httptest.NewRecorder()}
		g.handler.ServeHTTP(w, r)
		if w.user != users[i] || w.Code != http.StatusOK {
			return fmt.Errorf("answered %d to the credential of %s, and saw %q", w.Code, users[i], w.user)
		}
	}
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	g.handler.ServeHTTP(w, g.bad)
	if w.user != "" || w.Code < 300 {
		return fmt.Errorf("answered %d to a bad credential, and saw %q", w.Code, w.user)
	}
	return nil
}

// discard is a writer that costs nothing: it keeps one header map.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
