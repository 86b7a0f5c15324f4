//go:build !race

// The race detector itself allocates.

package dbsc_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// requestOf returns a request of a signed-in browser.
func requestOf(t testing.TB, bound bool) (http.Handler, *http.Request) {
	t.Helper()
	s := newService(t, options{})
	b := newBrowser(t, s)
	if !bound {
		b.key = nil
	}
	b.signIn("alice")
	require.Equal(t, bound, b.id != "")
	r := httptest.NewRequest("GET", "/me", nil)
	for name, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: c.value})
	}
	return auth.Require(s.cookie)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), r
}

// A nothing is a ResponseWriter that costs little.
type nothing struct{ header http.Header }

func (n *nothing) Header() http.Header         { return n.header }
func (n *nothing) Write(b []byte) (int, error) { return len(b), nil }
func (n *nothing) WriteHeader(int)             {}

// A request with a bound session costs one more lookup in the cache of opened values, and no
// allocation.
func TestCheck_allocations(t *testing.T) {
	allocations := func(bound bool) float64 {
		h, r := requestOf(t, bound)
		w := &nothing{make(http.Header)}
		return testing.AllocsPerRun(200, func() {
			clear(w.header)
			h.ServeHTTP(w, r)
		})
	}
	require.LessOrEqual(t, allocations(true), allocations(false))
}

func BenchmarkCheck(b *testing.B) {
	for name, bound := range map[string]bool{"not bound": false, "bound": true} {
		b.Run(name, func(b *testing.B) {
			h, r := requestOf(b, bound)
			w := &nothing{make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}
