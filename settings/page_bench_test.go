package settings_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// manyTokens returns a user with n tokens of all kinds: one in ten has expired, and one in twenty
// was replaced. The oldest is record-0.
func manyTokens(tb testing.TB, n int) *user {
	tb.Helper()
	ada := newService(tb, func(c *configs) { c.bearer.MaxPerUser = 2 * n }).signIn("ada")
	now := time.Now().UTC().Truncate(time.Microsecond)
	for i := range n {
		c := auth.Credential{
			ID: fmt.Sprintf("%026d", i), Kind: auth.KindToken, UserID: "ada", Name: fmt.Sprintf("Record-%d", i), Hint: fmt.Sprintf("acme_pat_…%04X", i),
			Scopes: "notes:read notes:write notes:share comments:read comments:write members:read", Networks: "192.0.2.0/24 2001:db8::/32",
			CreatedAt: now.Add(time.Duration(i-n) * time.Hour), ExpiresAt: now.Add(time.Duration(1+i*7919%n) * time.Hour),
			LastUsedAt: now.Add(-time.Duration(i*104729%n) * time.Second),
		}
		switch {
		case i%10 == 0:
			c.ExpiresAt = now.Add(-time.Second)
		case i%20 == 1:
			c.Superseded = true
		case i%20 == 2:
			c.Previous = fmt.Sprintf("%026d", i-1)
		}
		c.Digest = auth.Digest{0: 1, 8: byte(i), 9: byte(i >> 8), 10: byte(i >> 16)}
		require.NoError(tb, ada.store.Create(tb.Context(), c, 0))
	}
	return ada
}

// listQueries are the lists that the page and the API offer.
var listQueries = []string{
	"/", "/?page=10", "/?search=record-77", "/?search=nothing",
	"/?state=active", "/?state=expiring", "/?state=superseded", "/?state=expired", "/?sort=expiring", "/?sort=last_used",
	"/api/tokens", "/api/tokens?total=true", "/api/tokens?search=nothing", "/api/tokens?search=record-77&total=true", "/api/tokens?sort=name&total=true",
	"/api/tokens?sort=oldest", "/api/tokens?state=expired&sort=last_used",
}

// Each page of a user with 10,000 tokens is to answer within 20 ms over the memory store.
func BenchmarkPage_lists(b *testing.B) {
	ada := manyTokens(b, 10_000)
	for _, path := range listQueries {
		b.Run(path, func(b *testing.B) { ada.benchmark(b, path) })
	}
}

func (u *user) benchmark(b *testing.B, path string) {
	b.ReportAllocs()
	for b.Loop() {
		u.get(path).status(http.StatusOK)
	}
}

func BenchmarkPage_token(b *testing.B) {
	ada := manyTokens(b, 10_000)
	b.Run("newest", func(b *testing.B) { ada.benchmark(b, fmt.Sprintf("/tokens/%026d", 9999)) })
	b.Run("oldest", func(b *testing.B) { ada.benchmark(b, fmt.Sprintf("/tokens/%026d", 0)) })
}

func BenchmarkPage_revokeAll(b *testing.B) { manyTokens(b, 10_000).benchmark(b, "/tokens/revoke") }

func BenchmarkPage_new(b *testing.B) { manyTokens(b, 10_000).benchmark(b, "/tokens/new") }
