package auth_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// The secret that the product's documentation shows.
func TestImportedSecret(t *testing.T) {
	t.Parallel()
	const documented = "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3"
	for name, change := range map[string]func(*configs){"without a prefix": func(*configs) {}, "with one": importing} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, change)
			c, err := f.secret.Import(t.Context(), "ada", documented)
			require.NoError(t, err)
			require.Equal(t, "…Pcx3", c.Hint)
			accepted(t, f.all().get(authorization("Secret "+documented)), "ada", auth.SchemeSecret)
			shown, err := f.secret.Reveal(t.Context(), "ada")
			require.NoError(t, err)
			require.Equal(t, documented, shown)
			_, err = f.secret.Import(t.Context(), "ada", documented)
			require.ErrorIs(t, err, auth.ErrConflict)
			require.NoError(t, f.secret.Revoke(t.Context(), "ada"))
			_, err = f.secret.Import(t.Context(), "ada", documented)
			require.ErrorIs(t, err, auth.ErrConflict, "an import brought a revoked secret back")
		})
	}
	f := newFixture(t, prefixed)
	_, err := f.secret.Import(t.Context(), "ada", documented)
	require.ErrorIs(t, err, auth.ErrMalformed)
}

// A secret in a browser has leaked, whatever else is right with it.
func TestSecretFromABrowser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{Observe: f.events.observe}
	h := behind(m.Require(f.bearer, f.cookie, f.secret))
	secret := f.assign("ada")
	f.events.take()
	for _, site := range []string{"cross-site", "same-site", "same-origin", "none", ""} {
		w := h.get(authorization("Secret "+secret), field("Sec-Fetch-Site", site))
		refused(t, w, 401, plainBearer, plainSecret)
		events := f.events.take()
		require.Len(t, events, 1)
		require.Equal(t, auth.EventRefused, events[0].Kind)
		require.Equal(t, auth.ReasonBrowser, events[0].Reason)
		require.Equal(t, "ada", events[0].UserID)
		require.NotEmpty(t, events[0].CredentialID)
	}
	require.Zero(t, h.served.Load())
	accepted(t, h.get(authorization("Secret "+secret)), "ada", auth.SchemeSecret)
}

// Which of two secrets of a route knows it does not matter to the report of a leak.
func TestSecretFromABrowserThatAnotherDoesNotKnow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other, err := auth.NewSecret(auth.NewMemoryStore(), auth.SecretConfig{Prefix: "acme_cs"})
	require.NoError(t, err)
	m := auth.Middleware{Observe: f.events.observe}
	secret := f.assign("ada")
	for name, h := range map[string]*target{
		"behind": behind(m.Require(f.secret, other)), "before": behind(m.Require(other, f.secret)),
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

func TestSecretRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := newFixture(t, func(c *configs) { c.secret.MaxOverlap = time.Hour })
		h := f.all()
		works := func(secret string) bool { return h.get(authorization("Secret "+secret)).Code == 200 }
		first := f.assign("ada")
		second, c, err := f.secret.Rotate(ctx, "ada", time.Hour)
		require.NoError(t, err)
		require.True(t, works(first))
		require.True(t, works(second))
		live, err := f.secret.List(ctx, "ada")
		require.NoError(t, err)
		require.Len(t, live, 2)
		require.Equal(t, c.ID, live[0].ID, "the current one comes first")
		require.True(t, live[1].Superseded)
		shown, err := f.secret.Reveal(ctx, "ada")
		require.NoError(t, err)
		require.Equal(t, second, shown)

		time.Sleep(time.Hour - time.Microsecond)
		require.True(t, works(first))
		time.Sleep(time.Microsecond)
		require.False(t, works(first), "at the end of the overlap")
		require.True(t, works(second))
		live, err = f.secret.List(ctx, "ada")
		require.NoError(t, err)
		require.Len(t, live, 1)
		require.ErrorIs(t, f.secret.RevokePrevious(ctx, "ada"), auth.ErrNotFound)

		third, _, err := f.secret.Rotate(ctx, "ada", time.Hour)
		require.NoError(t, err)
		fourth, _, err := f.secret.Rotate(ctx, "ada", time.Hour)
		require.NoError(t, err)
		require.Equal(t, []bool{false, true, true}, []bool{works(second), works(third), works(fourth)}, "two live at most")
		require.NoError(t, f.secret.RevokePrevious(ctx, "ada"))
		require.Equal(t, []bool{false, true}, []bool{works(third), works(fourth)})

		fifth, _, err := f.secret.Rotate(ctx, "ada", time.Minute)
		require.NoError(t, err)
		require.NoError(t, f.secret.Revoke(ctx, "ada"))
		require.Equal(t, []bool{false, false}, []bool{works(fourth), works(fifth)}, "revoked in an overlap")
		require.ErrorIs(t, f.secret.Revoke(ctx, "ada"), auth.ErrNotFound)

		sixth := f.assign("ada")
		seventh, _, err := f.secret.Rotate(ctx, "ada", 0)
		require.NoError(t, err)
		require.Equal(t, []bool{false, true}, []bool{works(sixth), works(seventh)})
		for _, overlap := range []time.Duration{-1, time.Hour + 1} {
			_, _, err = f.secret.Rotate(ctx, "ada", overlap)
			require.ErrorIs(t, err, auth.ErrMalformed)
		}
		_, _, err = f.secret.Rotate(ctx, "grace", 0)
		require.ErrorIs(t, err, auth.ErrNotFound)
		require.NoError(t, f.secret.Close(ctx))
	})
}

// Two IDs of one millisecond are in no order.
func TestCurrentSecretComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.assign("ada")
		for range 50 {
			fresh, c, err := f.secret.Rotate(t.Context(), "ada", time.Hour)
			require.NoError(t, err)
			live, err := f.secret.List(t.Context(), "ada")
			require.NoError(t, err)
			require.Len(t, live, 2)
			require.Equal(t, c.ID, live[0].ID)
			shown, err := f.secret.Reveal(t.Context(), "ada")
			require.NoError(t, err)
			require.Equal(t, fresh, shown)
		}
	})
}

func TestOneSecretPerAccount(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	secret := f.assign("ada")
	_, _, err := f.secret.Assign(t.Context(), "ada")
	require.ErrorIs(t, err, auth.ErrConflict)
	_, err = f.secret.Import(t.Context(), "ada", repeated("x", 32))
	require.ErrorIs(t, err, auth.ErrConflict)
	f.assign("grace")
	c, err := f.secret.RevokePlaintext(t.Context(), secret)
	require.NoError(t, err)
	require.Equal(t, "ada", c.UserID)
	require.NotEqual(t, secret, f.assign("ada"))
	_, err = f.secret.RevokePlaintext(t.Context(), secret)
	require.ErrorIs(t, err, auth.ErrNotFound)
}

func TestReveal(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := auth.NewMemoryStore()
	with := func(keys ...[]byte) *auth.Secret {
		s, err := auth.NewSecret(store, auth.SecretConfig{RevealKeys: keys})
		require.NoError(t, err)
		return s
	}
	older, newer := testKey(1), testKey(2)
	secret, c, err := with(older).Assign(ctx, "ada")
	require.NoError(t, err)
	require.NotContains(t, string(c.Sealed), secret)
	tests := []struct {
		name string
		s    *auth.Secret
		user string
		want string
		err  error
	}{
		{"by the key", with(older), "ada", secret, nil},
		{"by an older key", with(newer, older), "ada", secret, nil},
		{"without the key", with(newer), "ada", "", auth.ErrUnavailable},
		{"without keys", with(), "ada", "", errors.ErrUnsupported},
		{"no secret", with(older), "grace", "", auth.ErrNotFound},
		{"no user", with(older), "", "", auth.ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.s.Reveal(ctx, test.user)
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.want, got)
		})
	}
	t.Run("made without keys", func(t *testing.T) {
		_, c, err := with().Assign(ctx, "eve")
		require.NoError(t, err)
		require.Nil(t, c.Sealed)
		_, err = with(older).Reveal(ctx, "eve")
		require.ErrorIs(t, err, auth.ErrNotFound)
	})
	// Whoever can write to the database cannot have another one's secret shown,
	// nor a chosen one.
	t.Run("moved to another record", func(t *testing.T) {
		mallory := auth.Credential{
			ID: "m", Kind: auth.KindSecret, UserID: "mallory", Scopes: "*",
			Digest: auth.Digest{1}, Sealed: c.Sealed, CreatedAt: time.Now(),
		}
		require.NoError(t, store.Create(ctx, mallory, 0))
		_, err := with(older).Reveal(ctx, "mallory")
		require.ErrorIs(t, err, auth.ErrUnavailable)
	})
	t.Run("altered", func(t *testing.T) {
		for i := range c.Sealed {
			altered := c
			altered.ID, altered.UserID = c.ID, "ada"
			altered.Sealed = append([]byte(nil), c.Sealed...)
			altered.Sealed[i] ^= 1
			fresh := auth.NewMemoryStore()
			require.NoError(t, fresh.Create(ctx, altered, 0))
			s, err := auth.NewSecret(fresh, auth.SecretConfig{RevealKeys: auth.Keys{older}})
			require.NoError(t, err)
			_, err = s.Reveal(ctx, "ada")
			require.ErrorIs(t, err, auth.ErrUnavailable)
		}
	})
}

// 10^6 secrets: each a token68, none equal to another.
func TestSecretsAreDistinct(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a million secrets take some seconds")
	}
	store := &countingDigests{seen: make(map[auth.Digest]bool, 1_000_000)}
	s, err := auth.NewSecret(store, auth.SecretConfig{})
	require.NoError(t, err)
	for range 1_000_000 {
		secret, _, err := s.Assign(t.Context(), "ada")
		if err != nil || len(secret) != 32 || !base62(secret) {
			t.Fatal(secret, err)
		}
	}
	require.Len(t, store.seen, 1_000_000)
}

type countingDigests struct {
	auth.LookupFunc
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

func TestLeakedRecordHasNothingSealed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c, err := f.secret.RevokePlaintext(t.Context(), f.assign("ada"))
	require.NoError(t, err)
	require.Nil(t, c.Sealed)
}

func TestRevealOfAnotherDigest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.assign("ada")
	s, err := auth.NewSecret(otherDigest{f.store}, auth.SecretConfig{RevealKeys: auth.Keys{testKey(2)}})
	require.NoError(t, err)
	_, err = s.Reveal(t.Context(), "ada")
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

type otherDigest struct{ auth.Store }

func (s otherDigest) List(ctx context.Context, k auth.Kind, u string, p auth.Page) ([]auth.Credential, error) {
	list, err := s.Store.List(ctx, k, u, p)
	for i := range list {
		list[i].Digest[0] ^= 1
	}
	return list, err
}
