//go:build !race

// The race detector itself allocates.

package auth_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Allocations per request are tested here, time per request is benchmarked.
func TestAllocations(t *testing.T) {
	f := newFixture(t)
	p := newFixture(t, prefixed)
	read := func(wrap func(http.Handler) http.Handler) http.Handler {
		return wrap(http.HandlerFunc(readIdentity))
	}
	idle := newFixture(t, func(c *configs) { c.cookie.IdleTimeout = 1 << 40 })
	d, binding := newDevice(t)
	bound, _ := binding.bind(t, d.signIn("ada"))
	tests := []struct {
		name string
		h    http.Handler
		e    edit
		most float64
	}{
		// One, for the copy of the request, its context and the headers.
		{"token", read(auth.Require(f.bearer)), authorization("Bearer " + f.token("ada")), 1},
		{"token where a cookie would do", read(auth.Require(f.bearer, f.cookie, f.secret)), authorization("Bearer " + f.token("ada")), 1},
		{"token with a checksum", read(auth.Require(p.bearer, p.cookie)), authorization("Bearer " + p.token("ada")), 1},
		{"token of limited scope", read(auth.Require(f.bearer)), authorization("Bearer " + f.token("ada", "read", "write")), 1},
		{"secret", read(auth.Require(f.bearer, f.cookie, f.secret)), authorization("Secret " + f.issueSecret("ada")), 1},
		{"cookie", read(auth.Require(f.bearer, f.cookie)), withCookie(f.signIn("ada")), 1},
		{"cookie that may idle", read(auth.Require(idle.bearer, idle.cookie)), withCookie(idle.signIn("ada")), 1},
		{"bound session", read(auth.Require(d.bearer, d.cookie)), proof(bound), 1},
		{"session that is not bound", read(auth.Require(d.bearer, d.cookie)), withCookie(d.signIn("ada")), 1},
		{"optional, anonymous", auth.Optional(f.bearer, f.cookie)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), authorization(), 2},
		// Rejected requests.
		{"nothing", read(auth.Require(f.bearer, f.cookie, f.secret)), authorization(), 0},
		{"unknown", read(auth.Require(f.bearer, f.cookie)), authorization("Bearer " + repeated("x", 32)), 0},
		{"checksum", read(auth.Require(p.bearer, p.cookie)), authorization("Bearer acme_pat_" + repeated("x", 38)), 0},
		{"8 KiB of junk", read(auth.Require(f.bearer, f.cookie)), authorization("Bearer " + repeated(".", 8<<10)), 0},
		{"8 KiB of spaces", read(auth.Require(f.bearer, f.cookie)), authorization("Bearer " + repeated(" ", 8<<10)), 0},
		{"a bound session without proof", read(auth.Require(d.bearer, d.cookie)), withCookie(bound), 2},
		{"a forged cookie of the right length", read(auth.Require(f.bearer, f.cookie)), field("Cookie", "__Host-session="+repeated("A", 144)), 0},
		{"a forged cookie", read(auth.Require(f.bearer, f.cookie)), field("Cookie", "__Host-session=x"), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := &discard{header: make(http.Header)}
			r := request("GET", test.e)
			got := testing.AllocsPerRun(200, func() {
				clear(w.header)
				test.h.ServeHTTP(w, r)
			})
			require.LessOrEqual(t, got, test.most)
		})
	}
}

// A token in a header of its own costs one more than in Authorization, for Vary.
func TestAllocations_inHeader(t *testing.T) {
	f := newFixture(t)
	read := http.HandlerFunc(readIdentity)
	in := f.bearer.InHeader(apiKeyHeader)
	token := f.token("ada")
	for _, test := range []struct {
		name string
		h    http.Handler
		e    edit
		most float64
	}{
		{"a token", auth.Require(in)(read), apiKey(token), 2},
		{"a token where others would do", auth.Require(in, f.bearer, f.secret)(read), apiKey(token), 2},
		{"a token in Authorization", auth.Require(in, f.bearer)(read), authorization("Bearer " + token), 2},
		{"unknown", auth.Require(in)(read), apiKey(repeated("x", 32)), 1},
		{"8 KiB of junk", auth.Require(in)(read), apiKey(repeated(".", 8<<10)), 1},
		{"both headers", auth.Require(in, f.bearer)(read), both(token), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &discard{header: make(http.Header)}
			r := request("GET", test.e)
			got := testing.AllocsPerRun(200, func() {
				clear(w.header)
				test.h.ServeHTTP(w, r)
			})
			require.LessOrEqual(t, got, test.most)
		})
	}
}

func both(token string) edit {
	return func(r *http.Request) {
		apiKey(token)(r)
		authorization("Bearer " + token)(r)
	}
}

func readIdentity(w http.ResponseWriter, r *http.Request) {
	if id, ok := auth.FromContext(r.Context()); !ok || !id.Scopes.Has("read") {
		panic("no identity, or without the scope")
	}
}
