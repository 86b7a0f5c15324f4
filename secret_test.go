package auth_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// The error names the field to change.
func TestNewSecret_faults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		cfg  auth.SecretConfig
		want string // in the error
	}{
		{"a prefix outside ASCII", auth.SecretConfig{Prefix: "é"}, "SecretConfig.Prefix"},
		{"negative overlap of secrets", auth.SecretConfig{MaxOverlap: -1}, "SecretConfig.MaxOverlap"},
		{"a short reveal key", auth.SecretConfig{RevealKeys: auth.Keys{make([]byte, 31)}}, "SecretConfig.RevealKeys: key 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := auth.NewSecret(auth.NewMemoryStore(), test.cfg)
			hasFault(t, err, test.want)
		})
	}
	t.Run("a nil store", func(t *testing.T) {
		var store *auth.MemoryStore
		_, err := auth.NewSecret(store, auth.SecretConfig{})
		hasFault(t, err, "store is nil")
	})
}

func TestSecret_policy(t *testing.T) {
	t.Parallel()
	require.Equal(t, auth.SecretPolicy{MaxOverlap: 7 * 24 * time.Hour, Revealable: true}, newFixture(t).secret.Policy())
	f := newFixture(t, func(c *configs) { c.secret = auth.SecretConfig{Prefix: "acme_cs", MaxOverlap: time.Hour} })
	require.Equal(t, auth.SecretPolicy{Prefix: "acme_cs", MaxOverlap: time.Hour}, f.secret.Policy())
}

// An imported secret works unchanged.
func TestSecret_import(t *testing.T) {
	t.Parallel()
	const documented = "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3"
	for name, change := range map[string]func(*configs){"without a prefix": func(*configs) {}, "with one": importing} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, change)
			c, err := f.secret.Import(t.Context(), "ada", documented, fullSecret)
			require.NoError(t, err)
			require.Equal(t, "…Pcx3", c.Hint)
			accepted(t, f.all().get(authorization("Secret "+documented)), "ada", auth.SchemeSecret)
			shown, err := f.secret.Reveal(t.Context(), "ada", c.ID)
			require.NoError(t, err)
			require.Equal(t, documented, shown)
			_, err = f.secret.Import(t.Context(), "ada", documented, fullSecret)
			require.ErrorIs(t, err, auth.ErrConflict)
			require.NoError(t, f.secret.Revoke(t.Context(), "ada", c.ID))
			_, err = f.secret.Import(t.Context(), "ada", documented, fullSecret)
			require.ErrorIs(t, err, auth.ErrConflict, "a revoked secret is not imported again")
		})
	}
	f := newFixture(t, prefixed)
	_, err := f.secret.Import(t.Context(), "ada", documented, fullSecret)
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
}

// Browsers cannot keep secrets, so one that a browser sends has leaked.
func TestSecret_fromABrowser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{Observe: f.events.observe}
	h := behind(m.Require(f.bearer, f.cookie, f.secret))
	secret := f.issueSecret("ada")
	f.events.take()
	for _, site := range []string{"cross-site", "same-site", "same-origin", "none", ""} {
		w := h.get(authorization("Secret "+secret), field("Sec-Fetch-Site", site))
		refused(t, w, 401, plainBearer, plainSecret)
		events := f.events.take()
		require.Len(t, events, 1)
		require.Equal(t, auth.EventRefused, events[0].Type)
		require.Equal(t, auth.ReasonBrowser, events[0].Reason)
		require.Equal(t, "ada", events[0].UserID)
		require.NotEmpty(t, events[0].CredentialID)
	}
	require.Zero(t, h.served.Load())
	accepted(t, h.get(authorization("Secret "+secret)), "ada", auth.SchemeSecret)
}

// A secret that is bound to the networks of servers has leaked too if a browser sends it, and
// browsers are in other networks.
func TestSecret_fromABrowserInAnotherNetwork(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{Observe: f.events.observe}
	h := behind(m.Require(f.secret))
	o := fullSecret
	o.Networks = prefixes("192.0.2.0/24")
	secret, c, err := f.secret.Issue(t.Context(), "ada", o)
	require.NoError(t, err)
	unknown := h.get(authorization("Secret " + repeated("a", 32)))
	for _, test := range []struct {
		edits []edit
		want  auth.Reason
	}{
		{[]edit{from("192.0.2.7"), field("Sec-Fetch-Site", "cross-site")}, auth.ReasonBrowser},
		{[]edit{from("198.51.100.7"), field("Sec-Fetch-Site", "cross-site")}, auth.ReasonBrowser},
		{[]edit{field("Sec-Fetch-Site", "cross-site")}, auth.ReasonBrowser},
		{[]edit{from("198.51.100.7")}, auth.ReasonNetwork},
	} {
		f.events.take()
		w := h.get(append(test.edits, authorization("Secret "+secret))...)
		require.Equal(t, unknown.Code, w.Code)
		require.Equal(t, unknown.Header(), w.Header())
		require.Equal(t, unknown.Body.String(), w.Body.String())
		events := f.events.take()
		require.Len(t, events, 1)
		require.Equal(t, test.want, events[0].Reason)
		require.Equal(t, "ada", events[0].UserID)
		require.Equal(t, c.ID, events[0].CredentialID)
	}
	require.Zero(t, h.served.Load())
}

// A leak is reported even if another Secret of the route does not know the secret.
func TestSecret_fromABrowserAndUnknownToAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other, err := auth.NewSecret(auth.NewMemoryStore(), auth.SecretConfig{Prefix: "acme_cs"})
	require.NoError(t, err)
	m := auth.Middleware{Observe: f.events.observe}
	secret := f.issueSecret("ada")
	for name, h := range map[string]*target{
		"before the other": behind(m.Require(f.secret, other)), "after the other": behind(m.Require(other, f.secret)),
	} {
		f.events.take()
		h.get(authorization("Secret "+secret), field("Sec-Fetch-Site", "cross-site"))
		events := f.events.take()
		require.Len(t, events, 1, name)
		require.Equal(t, auth.ReasonBrowser, events[0].Reason, name)
		require.Equal(t, "ada", events[0].UserID, name)
		require.Zero(t, h.served.Load(), name)
	}
}

func TestSecret_rotate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := newFixture(t, func(c *configs) { c.secret.MaxOverlap = time.Hour })
		h := f.all()
		works := func(secret string) bool { return h.get(authorization("Secret "+secret)).Code == 200 }
		rotate := func(id string, overlap time.Duration) (string, auth.Credential) {
			t.Helper()
			plaintext, c, err := f.secret.Rotate(ctx, "ada", id, overlap)
			require.NoError(t, err)
			return plaintext, c
		}
		first, firstRecord := f.newSecret("ada")
		second, c := rotate(firstRecord.ID, time.Hour)
		require.Equal(t, firstRecord.ID, c.Previous)
		require.True(t, works(first))
		require.True(t, works(second))
		list, err := f.secret.List(ctx, "ada", auth.Page{})
		require.NoError(t, err)
		require.Len(t, list, 2)
		for _, got := range list {
			require.Equal(t, got.ID == firstRecord.ID, got.Superseded)
		}
		shown, err := f.secret.Reveal(ctx, "ada", c.ID)
		require.NoError(t, err)
		require.Equal(t, second, shown)
		_, err = f.secret.Reveal(ctx, "ada", firstRecord.ID)
		require.ErrorIs(t, err, auth.ErrConflict, "it is not the current one")

		time.Sleep(time.Hour - time.Microsecond)
		require.True(t, works(first))
		time.Sleep(time.Microsecond)
		require.False(t, works(first), "at the end of the grace period")
		require.True(t, works(second))

		third, c := rotate(c.ID, time.Hour)
		fourth, c := rotate(c.ID, time.Hour)
		require.Equal(t, []bool{false, true, true}, []bool{works(second), works(third), works(fourth)}, "at most two are valid")
		require.NoError(t, f.secret.Revoke(ctx, "ada", c.Previous))
		require.Equal(t, []bool{false, true}, []bool{works(third), works(fourth)}, "only the previous one")

		fifth, c := rotate(c.ID, time.Minute)
		require.NoError(t, f.secret.Revoke(ctx, "ada", c.ID))
		require.Equal(t, []bool{false, false}, []bool{works(fourth), works(fifth)}, "revoked during the grace period")
		require.ErrorIs(t, f.secret.Revoke(ctx, "ada", c.ID), auth.ErrNotFound)

		sixth, c := f.newSecret("ada")
		seventh, c := rotate(c.ID, 0)
		require.Equal(t, []bool{false, true}, []bool{works(sixth), works(seventh)})
		for _, overlap := range []time.Duration{-1, time.Hour + 1} {
			_, _, err = f.secret.Rotate(ctx, "ada", c.ID, overlap)
			require.ErrorIs(t, err, auth.ErrInvalidArgument)
		}
		_, _, err = f.secret.Rotate(ctx, "grace", c.ID, 0)
		require.ErrorIs(t, err, auth.ErrNotFound)
		require.NoError(t, f.secret.Close(ctx))
	})
}

// A form that is submitted twice rotates once, and a confirmation for an older secret
// does not change the current one.
func TestSecret_olderID(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old, seen := f.newSecret("ada")
	next, c, err := f.secret.Rotate(t.Context(), "ada", seen.ID, time.Hour)
	require.NoError(t, err)
	for range 2 {
		_, _, err = f.secret.Rotate(t.Context(), "ada", seen.ID, time.Hour)
		require.ErrorIs(t, err, auth.ErrConflict)
	}
	h := f.all()
	accepted(t, h.get(authorization("Secret "+old)), "ada", auth.SchemeSecret)
	accepted(t, h.get(authorization("Secret "+next)), "ada", auth.SchemeSecret)

	require.NoError(t, f.secret.Revoke(t.Context(), "ada", seen.ID))
	accepted(t, h.get(authorization("Secret "+next)), "ada", auth.SchemeSecret)
	for _, id := range []string{"", seen.ID, "absent"} {
		require.ErrorIs(t, f.secret.Revoke(t.Context(), "ada", id), auth.ErrNotFound)
		_, _, err = f.secret.Rotate(t.Context(), "ada", id, time.Hour)
		require.ErrorIs(t, err, auth.ErrNotFound, "no ID means any secret")
		_, err = f.secret.Reveal(t.Context(), "ada", id)
		require.ErrorIs(t, err, auth.ErrNotFound)
		_, err = f.secret.Get(t.Context(), "ada", id)
		require.ErrorIs(t, err, auth.ErrNotFound)
	}
	_, _, err = f.secret.Rotate(t.Context(), "grace", c.ID, time.Hour)
	require.ErrorIs(t, err, auth.ErrNotFound)
	got, err := f.secret.Get(t.Context(), "ada", c.ID)
	require.NoError(t, err)
	got.LastUsedAt = c.LastUsedAt // written in the background
	require.Equal(t, c, got)
}

func TestSecret_options(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := newFixture(t)
		for name, o := range map[string]auth.SecretOptions{
			"nothing":      {},
			"no scopes":    {Lifetime: time.Hour},
			"empty scopes": {Scopes: []string{}, Lifetime: time.Hour},
			"no lifetime":  {Scopes: []string{"read"}},
			"too short":    {Scopes: []string{"read"}, Lifetime: time.Minute - 1},
			"negative":     {Scopes: []string{"read"}, Lifetime: -time.Hour},
		} {
			_, _, err := f.secret.Issue(ctx, "ada", o)
			require.ErrorIs(t, err, auth.ErrInvalidArgument, name)
			_, err = f.secret.Import(ctx, "ada", repeated("x", 32), o)
			require.ErrorIs(t, err, auth.ErrInvalidArgument, name)
		}
		secret, c, err := f.secret.Issue(ctx, "ada", auth.SecretOptions{Scopes: []string{"read"}, Lifetime: time.Hour})
		require.NoError(t, err)
		require.Equal(t, auth.Scopes("read"), c.Scopes)
		require.Equal(t, c.CreatedAt.Add(time.Hour), c.ExpiresAt)
		h := behind(func(next http.Handler) http.Handler {
			return auth.Require(f.secret)(auth.RequireScope("write")(next))
		})
		refused(t, h.get(authorization("Secret "+secret)), 403, plainSecret)

		time.Sleep(time.Minute)
		rotated, c, err := f.secret.Rotate(ctx, "ada", c.ID, 0)
		require.NoError(t, err)
		require.Equal(t, auth.Scopes("read"), c.Scopes, "a rotation keeps the scopes")
		require.Equal(t, c.CreatedAt.Add(time.Hour), c.ExpiresAt, "and the lifetime")

		_, _, err = f.secret.Issue(ctx, "ada", fullSecret)
		require.ErrorIs(t, err, auth.ErrConflict)
		time.Sleep(time.Hour)
		refused(t, f.all().get(authorization("Secret "+rotated)), 401, plainBearer, plainSecret)
		_, err = f.secret.Reveal(ctx, "ada", c.ID)
		require.ErrorIs(t, err, auth.ErrNotFound, "it has expired")
		_, _, err = f.secret.Rotate(ctx, "ada", c.ID, 0)
		require.ErrorIs(t, err, auth.ErrNotFound, "it has expired")
		fresh, freshRecord, err := f.secret.Issue(ctx, "ada", fullSecret)
		require.NoError(t, err, "an expired secret is replaced")
		require.Zero(t, freshRecord.ExpiresAt)
		accepted(t, f.all().get(authorization("Secret "+fresh)), "ada", auth.SchemeSecret)
		_, err = f.secret.Get(ctx, "ada", c.ID)
		require.ErrorIs(t, err, auth.ErrNotFound, "the expired secret is revoked in the same step")
	})
}

func TestSecret_onePerUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	secret := f.issueSecret("ada")
	_, _, err := f.secret.Issue(t.Context(), "ada", fullSecret)
	require.ErrorIs(t, err, auth.ErrConflict)
	_, err = f.secret.Import(t.Context(), "ada", repeated("x", 32), fullSecret)
	require.ErrorIs(t, err, auth.ErrConflict)
	f.issueSecret("grace")
	c, err := f.secret.RevokePlaintext(t.Context(), secret)
	require.NoError(t, err)
	require.Equal(t, "ada", c.UserID)
	require.NotEqual(t, secret, f.issueSecret("ada"))
	_, err = f.secret.RevokePlaintext(t.Context(), secret)
	require.ErrorIs(t, err, auth.ErrNotFound)
}

func TestSecret_reveal(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := auth.NewMemoryStore()
	older, newer := testKey(1), testKey(2)
	secret, c, err := revealer(t, store, older).Issue(ctx, "ada", fullSecret)
	require.NoError(t, err)
	require.NotContains(t, string(c.Sealed), secret)
	for _, test := range []struct {
		name string
		s    *auth.Secret
		user string
		want string
		err  error
	}{
		{"by the key", revealer(t, store, older), "ada", secret, nil},
		{"by an older key", revealer(t, store, newer, older), "ada", secret, nil},
		{"without the key", revealer(t, store, newer), "ada", "", auth.ErrUnavailable},
		{"without keys", revealer(t, store), "ada", "", errors.ErrUnsupported},
		{"no secret", revealer(t, store, older), "grace", "", auth.ErrNotFound},
		{"no user", revealer(t, store, older), "", "", auth.ErrInvalidArgument},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.s.Reveal(ctx, test.user, c.ID)
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.want, got)
		})
	}
}

// revealer returns a Secret over a store with the keys.
func revealer(t *testing.T, store auth.Store, keys ...[]byte) *auth.Secret {
	t.Helper()
	s, err := auth.NewSecret(store, auth.SecretConfig{RevealKeys: keys})
	require.NoError(t, err)
	return s
}

func TestSecret_revealIssuedWithoutKeys(t *testing.T) {
	t.Parallel()
	store := auth.NewMemoryStore()
	_, c, err := revealer(t, store).Issue(t.Context(), "eve", fullSecret)
	require.NoError(t, err)
	require.Nil(t, c.Sealed)
	_, err = revealer(t, store, testKey(1)).Reveal(t.Context(), "eve", c.ID)
	require.ErrorIs(t, err, auth.ErrNotFound)
}

// Write access to the database does not allow a user to reveal another user's secret, nor to
// replace it.
func TestSecret_revealAlteredRecord(t *testing.T) {
	t.Parallel()
	key := testKey(1)
	_, c, err := revealer(t, auth.NewMemoryStore(), key).Issue(t.Context(), "ada", fullSecret)
	require.NoError(t, err)
	rejected := func(altered auth.Credential) {
		t.Helper()
		store := auth.NewMemoryStore()
		require.NoError(t, store.Create(t.Context(), altered, 0))
		_, err := revealer(t, store, key).Reveal(t.Context(), altered.UserID, altered.ID)
		require.ErrorIs(t, err, auth.ErrUnavailable)
	}
	rejected(auth.Credential{
		ID: "m", Kind: auth.KindSecret, UserID: "mallory", Scopes: "*",
		Digest: auth.Digest{1}, Sealed: c.Sealed, CreatedAt: time.Now(),
	})
	moved := c
	moved.UserID = "mallory"
	rejected(moved)
	for i := range c.Sealed {
		altered := c
		altered.Sealed = append([]byte(nil), c.Sealed...)
		altered.Sealed[i] ^= 1
		rejected(altered)
	}
}

// A million secrets are distinct, and each is a token68.
func TestSecret_distinct(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a million secrets take some seconds")
	}
	store := &countingDigests{seen: make(map[auth.Digest]bool, 1_000_000)}
	s, err := auth.NewSecret(store, auth.SecretConfig{})
	require.NoError(t, err)
	for range 1_000_000 {
		secret, _, err := s.Issue(t.Context(), "ada", fullSecret)
		if err != nil || len(secret) != 32 || !base62(secret) {
			t.Fatal(secret, err)
		}
	}
	require.Len(t, store.seen, 1_000_000)
}

type countingDigests struct {
	auth.Store
	seen map[auth.Digest]bool
}

func (s *countingDigests) Create(_ context.Context, c auth.Credential, _ int) error {
	s.seen[c.Digest] = true
	return nil
}

func base62(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func TestSecret_revokePlaintext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c, err := f.secret.RevokePlaintext(t.Context(), f.issueSecret("ada"))
	require.NoError(t, err)
	require.Nil(t, c.Sealed)
}

func TestSecret_revealOfAnotherDigest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, c := f.newSecret("ada")
	s, err := auth.NewSecret(otherDigest{f.store}, auth.SecretConfig{RevealKeys: auth.Keys{testKey(2)}})
	require.NoError(t, err)
	_, err = s.Reveal(t.Context(), "ada", c.ID)
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

type otherDigest struct{ auth.Store }

func (s otherDigest) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	c, err := s.Store.Get(ctx, ref)
	c.Digest[0] ^= 1
	return c, err
}

// A form that is sent again creates no second secret, even after the first one was revoked.
func TestSecret_idempotency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := newFixture(t)
		o := auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry, Idempotency: auth.NewIdempotency()}
		_, c, err := f.secret.Issue(ctx, "ada", o)
		require.NoError(t, err)
		require.NoError(t, f.secret.Revoke(ctx, "ada", c.ID))
		_, _, err = f.secret.Issue(ctx, "ada", o)
		require.ErrorIs(t, err, auth.ErrConflict)
		_, err = f.secret.Import(ctx, "ada", repeated("x", 32), o)
		require.ErrorIs(t, err, auth.ErrConflict)
		_, _, err = f.secret.Issue(ctx, "grace", o)
		require.NoError(t, err, "another user's form")

		time.Sleep(25 * time.Hour)
		_, _, err = f.secret.Issue(ctx, "ada", o)
		var fault *auth.ArgumentError
		require.ErrorAs(t, err, &fault)
		require.Equal(t, "Idempotency", fault.Argument)
		o.Idempotency = auth.NewIdempotency()
		_, _, err = f.secret.Issue(ctx, "ada", o)
		require.NoError(t, err)
	})
}
