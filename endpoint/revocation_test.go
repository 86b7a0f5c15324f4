package endpoint_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

func (f *fixture) revocation(t testing.TB) http.Handler {
	t.Helper()
	h, err := endpoint.NewRevocation(endpoint.RevocationConfig{Bearer: f.bearer, Secret: f.secret, Observe: f.observe})
	require.NoError(t, err)
	return h
}

// revokedFor returns the reason of the revocation that was reported, or "".
func (f *fixture) revokedFor() (reason auth.Reason) {
	for _, e := range f.take() {
		if e.Type == auth.EventRevoked {
			reason = e.Reason
		}
	}
	return reason
}

// Each token gets the same response, whether it was revoked or not.
func TestNewRevocation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.revocation(t)
	token, c := f.token(t, "alice")
	secret, _, err := f.secret.Issue(t.Context(), "gateway", auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	leaked, _, err := f.secret.Issue(t.Context(), "page", auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	bound, _, err := f.bearer.Issue(t.Context(), "bob", auth.TokenOptions{
		Name: "ci", Scopes: []string{"x"}, Lifetime: auth.NoExpiry, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	require.NoError(t, err)
	f.take()
	want := http.Header{"Cache-Control": {"no-store"}}
	for _, test := range []struct {
		name, token string
		fields      []string
		want        auth.Reason
	}{
		{"a token", token, nil, auth.ReasonRevoked},
		{"the same again", token, nil, ""},
		{"a secret", secret, []string{"Authorization", "Basic x"}, auth.ReasonRevoked},
		{"a secret from a browser", leaked, []string{"Sec-Fetch-Site", "same-origin"}, auth.ReasonLeaked},
		{"outside of its networks", bound, nil, auth.ReasonLeaked},
		{"unknown", "acme_pat_0123456789abcdefghijklmnopqrstuv123456", nil, ""},
		{"malformed", "a b", nil, ""},
		{"long", strings.Repeat("a", 600), nil, ""},
	} {
		w := post(t, h, test.token, test.fields...)
		require.Equal(t, 200, w.Code, test.name)
		require.Empty(t, w.Body.String(), test.name)
		require.Equal(t, want, w.Header(), test.name)
		require.Equal(t, test.want, f.revokedFor(), test.name)
	}
	_, err = f.bearer.Get(t.Context(), "alice", c.ID)
	require.ErrorIs(t, err, auth.ErrNotFound)
	for _, user := range []string{"gateway", "page"} {
		list, err := f.secret.List(t.Context(), user, auth.Page{})
		require.NoError(t, err)
		require.Empty(t, list)
	}
}

// A token with networks that its owner revokes from one of them has not leaked.
func TestNewRevocation_clientAddr(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.revocation(t)
	for addr, want := range map[string]auth.Reason{"192.0.2.7": auth.ReasonRevoked, "198.51.100.7": auth.ReasonLeaked} {
		bound, _, err := f.bearer.Issue(t.Context(), "bob", auth.TokenOptions{
			Name: "ci", Scopes: []string{"x"}, Lifetime: auth.NoExpiry, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		})
		require.NoError(t, err)
		f.take()
		require.Equal(t, 200, post(t, from(addr, h), bound).Code)
		require.Equal(t, want, f.revokedFor(), addr)
	}
}

// A client that gets 200 forgets the token, so an outage must be no 200.
func TestNewRevocation_outage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.revocation(t)
	token, c := f.token(t, "alice")
	f.store.down.Store(true)
	require.Equal(t, 503, post(t, h, token).Code)
	f.store.down.Store(false)
	require.Equal(t, 200, post(t, h, token).Code)
	_, err := f.bearer.Get(t.Context(), "alice", c.ID)
	require.ErrorIs(t, err, auth.ErrNotFound)
}

// The store of tokens is unavailable, and the owner of a secret revokes it.
func TestNewRevocation_otherStore(t *testing.T) {
	t.Parallel()
	f, other := newFixture(t), newFixture(t)
	bearer, err := auth.NewBearer(f.store, auth.BearerConfig{Observe: f.observe}) // a secret may be a token of it
	require.NoError(t, err)
	f.bearer, f.secret = bearer, other.secret
	h := f.revocation(t)
	secret, _, err := f.secret.Issue(t.Context(), "gateway", auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	token, _ := f.token(t, "alice")
	f.store.down.Store(true)
	require.Equal(t, 503, post(t, h, token).Code)
	f.take()
	require.Equal(t, 200, post(t, h, secret).Code)
	require.Equal(t, auth.ReasonRevoked, other.revokedFor())
}

// A frozenStore finds records, and cannot revoke them.
type frozenStore struct{ auth.Store }

func (frozenStore) Revoke(context.Context, auth.Ref) error { return errors.New("read-only") }

func TestNewRevocation_revokeFails(t *testing.T) {
	t.Parallel()
	silent := func(context.Context, auth.Event) {}
	bearer, err := auth.NewBearer(frozenStore{auth.NewMemoryStore()}, auth.BearerConfig{Observe: silent})
	require.NoError(t, err)
	h, err := endpoint.NewRevocation(endpoint.RevocationConfig{Bearer: bearer, Observe: silent})
	require.NoError(t, err)
	token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "ci", Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	require.Equal(t, 503, post(t, h, token).Code)
}

// A revocation that failed keeps a credential from looking used.
func TestNewRevocation_countsNoUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := frozenStore{f.store}
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Observe: f.observe})
	require.NoError(t, err)
	secrets, err := auth.NewSecret(store, auth.SecretConfig{Observe: f.observe})
	require.NoError(t, err)
	f.bearer, f.secret = bearer, secrets
	h := f.revocation(t)
	token, c := f.token(t, "alice")
	secret, s, err := secrets.Issue(t.Context(), "gateway", auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	lookups := f.store.lookups.Load()
	require.Equal(t, 503, post(t, h, token).Code)
	require.Equal(t, 503, post(t, h, secret).Code)
	require.Greater(t, f.store.lookups.Load(), lookups)
	require.NoError(t, bearer.Close(t.Context()))
	require.NoError(t, secrets.Close(t.Context()))
	c, err = bearer.Get(t.Context(), "alice", c.ID)
	require.NoError(t, err)
	require.Zero(t, c.LastUsedAt)
	s, err = secrets.Get(t.Context(), "gateway", s.ID)
	require.NoError(t, err)
	require.Zero(t, s.LastUsedAt)
}

func TestNewRevocation_config(t *testing.T) {
	t.Parallel()
	h, err := endpoint.NewRevocation(endpoint.RevocationConfig{})
	require.ErrorContains(t, err, "RevocationConfig.Bearer")
	require.Nil(t, h)
	_, err = endpoint.NewRevocation(endpoint.RevocationConfig{Bearer: new(auth.Bearer), Secret: new(auth.Secret)})
	require.ErrorContains(t, err, "zero *auth.Bearer")
	require.ErrorContains(t, err, "zero *auth.Secret")
}

func TestNewRevocation_concurrent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.revocation(t)
	var tokens []string
	for range 20 {
		token, _ := f.token(t, "alice")
		tokens = append(tokens, token)
	}
	codes := make([]int, 1000)
	atOnce(len(codes), func(i int) { codes[i] = post(t, h, tokens[i%20]).Code })
	for _, code := range codes {
		require.Equal(t, 200, code)
	}
	list, err := f.bearer.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Empty(t, list)
}
