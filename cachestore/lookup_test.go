package cachestore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

// revocations are the ways to make a credential invalid before it expires.
var revocations = []struct {
	name   string
	revoke func(ctx context.Context, s auth.Store, c auth.Credential) error
}{
	{"Revoke", func(ctx context.Context, s auth.Store, c auth.Credential) error { return s.Revoke(ctx, c.Ref()) }},
	{"RevokeAll", func(ctx context.Context, s auth.Store, c auth.Credential) error {
		_, err := s.RevokeAll(ctx, c.Kind, c.UserID)
		return err
	}},
	{"Rotate", func(ctx context.Context, s auth.Store, c auth.Credential) error {
		return s.Rotate(ctx, c, record(c.Kind, c.UserID), time.Time{})
	}},
}

func TestRevoke_sameProcessIsImmediate(t *testing.T) {
	t.Parallel()
	for _, r := range revocations {
		for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
			t.Run(fmt.Sprint(r.name, " a ", kind), func(t *testing.T) {
				t.Parallel()
				s := newStore(t, auth.NewMemoryStore(), cachestore.Config{})
				for range 100 {
					c := create(t, s, record(kind, "alice"))
					require.NoError(t, lookup(t, s, c))
					require.NoError(t, r.revoke(t.Context(), s, c))
					require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound)
					_, err := s.RevokeAll(t.Context(), kind, "alice")
					require.NoError(t, err)
				}
			})
		}
	}
}

// The entry of a rotated token is replaced, so that the token expires with its grace period.
func TestRotate_gracePeriodReplacesTheEntry(t *testing.T) {
	t.Parallel()
	s := newStore(t, auth.NewMemoryStore(), cachestore.Config{})
	c := create(t, s, record(auth.KindToken, "alice"))
	require.NoError(t, lookup(t, s, c))
	next := record(auth.KindToken, "alice")
	until := next.CreatedAt.Add(time.Minute)
	require.NoError(t, s.Rotate(t.Context(), c, next, until))
	got, err := s.Lookup(t.Context(), c.Kind, c.Digest)
	require.NoError(t, err)
	require.True(t, got.Superseded)
	require.Equal(t, until, got.ExpiresAt)
}

// MaxStale is exact to the nanosecond.
func TestRevoke_otherProcessesWithinMaxStale(t *testing.T) {
	t.Parallel()
	for _, r := range revocations {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared := newBackend()
				here, there := newStore(t, shared, cachestore.Config{}), newStore(t, shared, cachestore.Config{})
				c := create(t, there, record(auth.KindToken, "alice"))
				shared.before = func(context.Context) error { time.Sleep(time.Second); return nil }
				require.NoError(t, lookup(t, here, c)) // MaxStale counts from before the lookup
				shared.before = nil
				require.NoError(t, r.revoke(t.Context(), there, c))
				time.Sleep(4*time.Second - 1)
				require.NoError(t, lookup(t, here, c), "it is cached")
				require.ErrorIs(t, lookup(t, there, c), auth.ErrNotFound)
				time.Sleep(time.Nanosecond)
				require.ErrorIs(t, lookup(t, here, c), auth.ErrNotFound)
			})
		})
	}
}

func TestLookup_entryExpiresWithItsCredential(t *testing.T) {
	t.Parallel()
	inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		bearer, err := auth.NewBearer(s, auth.BearerConfig{})
		require.NoError(t, err)
		defer bearer.Close(t.Context())
		token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "script", Scopes: []string{auth.FullAccess}, Lifetime: time.Minute})
		require.NoError(t, err)
		authenticate := func() error {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			_, err := bearer.Authenticate(r)
			return err
		}
		time.Sleep(time.Minute - time.Second)
		require.NoError(t, authenticate())
		time.Sleep(time.Second - 1)
		require.NoError(t, authenticate())
		require.EqualValues(t, 1, shared.takeLookups(), "even though its first use was written in the meantime")
		time.Sleep(time.Nanosecond)
		for range 100 {
			require.ErrorIs(t, authenticate(), auth.ErrInvalidCredential)
		}
		require.EqualValues(t, 1, shared.takeLookups(), "the expired credential is cached as well")
	})
}

// A far expiry does not overflow, so the credential is cached like any other.
func TestLookup_farExpiry(t *testing.T) {
	t.Parallel()
	for _, year := range []int{2200, 2330, 9999} {
		inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
			c := record(auth.KindToken, "alice")
			c.ExpiresAt = time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC)
			create(t, s, c)
			time.Sleep(time.Second) // so that the time since the start is not zero
			for range 100 {
				require.NoError(t, lookup(t, s, c))
			}
			require.EqualValues(t, 1, shared.takeLookups(), year)
		})
	}
}

// Touch updates the entry without a lookup, which could fail. A use of another user's
// credential, or an earlier one, changes nothing.
func TestTouch_updatesTheEntry(t *testing.T) {
	t.Parallel()
	inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		c := create(t, s, record(auth.KindToken, "alice"))
		require.NoError(t, lookup(t, s, c))
		require.EqualValues(t, 1, shared.takeLookups())
		shared.before = func(context.Context) error { return errors.New("the store is unavailable") }
		first, _ := s.Lookup(t.Context(), c.Kind, c.Digest)
		at := c.CreatedAt.Add(time.Second)
		other := c.Ref()
		other.UserID = "bob"
		for _, tt := range []struct {
			name string
			use  auth.Use
			want time.Time
		}{
			{"another user's", auth.Use{Ref: other, Digest: c.Digest, At: at}, time.Time{}},
			{"a later one", auth.Use{Ref: c.Ref(), Digest: c.Digest, At: at.Add(time.Nanosecond).In(time.FixedZone("", 3600)), From: netip.MustParseAddr("192.0.2.1")}, at},
			{"an earlier one", auth.Use{Ref: c.Ref(), Digest: c.Digest, At: c.CreatedAt, From: netip.MustParseAddr("192.0.2.2")}, at},
			{"one without an address", auth.Use{Ref: c.Ref(), Digest: c.Digest, At: at.Add(time.Second)}, at.Add(time.Second)},
		} {
			require.NoError(t, s.Touch(t.Context(), []auth.Use{tt.use}), tt.name)
			got, err := s.Lookup(t.Context(), c.Kind, c.Digest)
			require.NoError(t, err, tt.name)
			require.Equal(t, tt.want, got.LastUsedAt, tt.name)
			require.Equal(t, tt.use.From.IsValid(), got.LastUsedFrom.IsValid(), tt.name)
		}
		require.True(t, first.LastUsedAt.IsZero(), "a returned credential does not change")
		time.Sleep(5 * time.Second)
		require.Error(t, lookup(t, s, c), "the entry expires no later than before")
	})
}

// An outage is not cached, even one whose error also wraps ErrNotFound.
func TestLookup_outage(t *testing.T) {
	t.Parallel()
	inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		warm, cold := create(t, s, record(auth.KindToken, "alice")), create(t, s, record(auth.KindToken, "bob"))
		require.NoError(t, lookup(t, s, warm))
		down := fmt.Errorf("%w: the replica says %w", auth.ErrUnavailable, auth.ErrNotFound)
		shared.before = func(context.Context) error { return down }
		require.ErrorIs(t, lookup(t, s, cold), down)
		time.Sleep(5*time.Second - 1)
		require.NoError(t, lookup(t, s, warm), "within MaxStale")
		time.Sleep(time.Nanosecond)
		require.ErrorIs(t, lookup(t, s, warm), down)
		require.EqualValues(t, 3, shared.takeLookups())
		shared.before = nil
		require.NoError(t, lookup(t, s, warm))
		require.NoError(t, lookup(t, s, cold))
	})
}

// A cached entry does not hide a revocation whose answer was lost.
func TestRevoke_answerIsLost(t *testing.T) {
	t.Parallel()
	shared := newBackend()
	s := newStore(t, lossy{shared}, cachestore.Config{})
	c := create(t, shared, record(auth.KindToken, "alice"))
	require.NoError(t, lookup(t, s, c))
	require.Error(t, s.Revoke(t.Context(), c.Ref()))
	require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound)
}

// lossy revokes, and returns an error.
type lossy struct{ *backend }

func (l lossy) Revoke(ctx context.Context, ref auth.Ref) error {
	return errors.Join(l.backend.Revoke(ctx, ref), errors.New("the answer was lost"))
}

func TestLookup_unknownCredential(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		here, there := newStore(t, shared, cachestore.Config{}), newStore(t, shared, cachestore.Config{})
		c := record(auth.KindToken, "alice")
		for range 100 {
			require.ErrorIs(t, lookup(t, here, c), auth.ErrNotFound)
		}
		require.EqualValues(t, 1, shared.takeLookups())
		require.ErrorIs(t, lookup(t, there, c), auth.ErrNotFound)
		create(t, here, c)
		require.NoError(t, lookup(t, here, c), "created in this process")
		time.Sleep(5 * time.Second)
		require.NoError(t, lookup(t, there, c), "created in another process")
		wrong := c
		wrong.Kind = auth.KindSecret
		require.ErrorIs(t, lookup(t, here, wrong), auth.ErrNotFound)
		require.NoError(t, lookup(t, here, c), "looking it up as a secret does not affect the token")

		// The same for a credential created by a rotation, and for a revoked one.
		next := record(auth.KindToken, "alice")
		require.ErrorIs(t, lookup(t, here, next), auth.ErrNotFound)
		require.NoError(t, here.Rotate(t.Context(), c, next, time.Time{}))
		require.NoError(t, lookup(t, here, next))
		shared.takeLookups()
		for range 100 {
			require.ErrorIs(t, lookup(t, here, c), auth.ErrRevoked)
		}
		require.LessOrEqual(t, shared.takeLookups(), int64(1))
	})
}

// Create revokes the expired secret that it replaces.
func TestCreate_replacesAnExpiredSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, auth.NewMemoryStore(), cachestore.Config{})
		old := create(t, s, record(auth.KindSecret, "alice"))
		time.Sleep(time.Hour)
		require.NoError(t, lookup(t, s, old), "it has expired")
		create(t, s, record(auth.KindSecret, "alice"))
		require.ErrorIs(t, lookup(t, s, old), auth.ErrRevoked)
	})
}

// What is left of a revoked record is cached with its error, and belongs to the digest.
func TestLookup_revokedRecord(t *testing.T) {
	t.Parallel()
	shared := newBackend()
	s := newStore(t, shared, cachestore.Config{})
	c := create(t, s, record(auth.KindToken, "alice"))
	require.NoError(t, s.Revoke(t.Context(), c.Ref()))
	for range 3 {
		got, err := s.Lookup(t.Context(), c.Kind, c.Digest)
		require.ErrorIs(t, err, auth.ErrRevoked)
		require.Equal(t, c.Ref(), got.Ref())
		require.Equal(t, c.Digest, got.Digest)
	}
	require.EqualValues(t, 1, shared.takeLookups())

	wrong, lookups := record(auth.KindToken, "bob"), 0
	s = newStore(t, auth.LookupStore(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) {
		lookups++
		return &wrong, auth.ErrRevoked
	}), cachestore.Config{})
	for range 3 {
		_, err := s.Lookup(t.Context(), c.Kind, c.Digest)
		require.ErrorIs(t, err, auth.ErrRevoked)
	}
	require.Equal(t, 3, lookups, "another record is not cached")
}

func TestScan_isPassedOn(t *testing.T) {
	t.Parallel()
	shared := newBackend()
	s := newStore(t, shared, cachestore.Config{})
	c := create(t, shared, record(auth.KindToken, "alice"))
	page, err := s.Scan(t.Context(), auth.ScanQuery{})
	require.NoError(t, err)
	require.Equal(t, []auth.Credential{c}, page.Credentials)
	_, err = newStore(t, auth.LookupStore(anyToken), cachestore.Config{}).Scan(t.Context(), auth.ScanQuery{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// A record with another digest, such as a confused connection could return, is not cached.
// The caller rejects it.
func TestLookup_wrongRecordIsNotCached(t *testing.T) {
	t.Parallel()
	for name, expired := range map[string]bool{"live": false, "expired": true} {
		t.Run(name, func(t *testing.T) {
			c, other := record(auth.KindToken, "alice"), record(auth.KindToken, "bob")
			if expired {
				other.ExpiresAt = time.Now().Add(-time.Hour)
			}
			lookups := 0
			s := newStore(t, auth.LookupStore(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) {
				lookups++
				return &other, nil
			}), cachestore.Config{})
			for range 3 {
				got, err := s.Lookup(t.Context(), c.Kind, c.Digest)
				require.NoError(t, err)
				require.Equal(t, other.Digest, got.Digest)
			}
			require.Equal(t, 3, lookups)
			_, err := s.Lookup(t.Context(), other.Kind, other.Digest)
			require.NoError(t, err)
			require.Equal(t, 4, lookups)
		})
	}
}

// A request that joins a slow call gets no answer older than MaxStale.
func TestLookup_slowCallIsWithinMaxStale(t *testing.T) {
	t.Parallel()
	inBubble(t, cachestore.Config{MaxStale: time.Second, Timeout: 20 * time.Second}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		c := create(t, shared, record(auth.KindToken, "alice"))
		shared.after = func() { time.Sleep(3 * time.Second) } // between reading the record and returning it
		first, within, late := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { first <- lookup(t, s, c) }()
		synctest.Wait()
		require.NoError(t, shared.Revoke(t.Context(), c.Ref())) // by another process
		time.Sleep(time.Second - 1)
		go func() { within <- lookup(t, s, c) }()
		synctest.Wait()
		time.Sleep(time.Nanosecond)
		go func() { late <- lookup(t, s, c) }()
		require.NoError(t, <-first)
		require.NoError(t, <-within)
		require.ErrorIs(t, <-late, auth.ErrRevoked)
		require.EqualValues(t, 2, shared.takeLookups())
	})
}

// An expired token that another process has purged can be imported again, for another
// user. In this process that takes effect immediately.
func TestCreate_digestOfAPurgedToken(t *testing.T) {
	t.Parallel()
	inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		old := create(t, shared, record(auth.KindToken, "alice"))
		time.Sleep(time.Hour)
		require.NoError(t, lookup(t, s, old), "it has expired")
		n, err := shared.Purge(t.Context(), time.Now().Add(time.Second))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		imported := record(auth.KindToken, "bob")
		imported.Digest = old.Digest
		create(t, s, imported)
		got, err := s.Lookup(t.Context(), imported.Kind, imported.Digest)
		require.NoError(t, err)
		require.Equal(t, "bob", got.UserID)
	})
}

// Within the bound a request with a token that another process has revoked is accepted, but
// a Recheck is answered by the store itself: the token creates no other.
func TestRecheck_isNotCached(t *testing.T) {
	inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		bearer, err := auth.NewBearer(s, auth.BearerConfig{})
		require.NoError(t, err)
		elsewhere, err := auth.NewBearer(shared, auth.BearerConfig{})
		require.NoError(t, err)
		plaintext, c, err := bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+plaintext)
		var m auth.Middleware
		accepted, err := m.Authenticate(r, bearer)
		require.NoError(t, err)
		require.NoError(t, auth.Recheck(accepted.Context()))

		require.NoError(t, elsewhere.Revoke(t.Context(), "ada", c.ID))
		stale, err := m.Authenticate(r, bearer)
		require.NoError(t, err, "the cache does not know yet")
		require.ErrorIs(t, auth.Recheck(stale.Context()), auth.ErrInvalidCredential)
		require.ErrorIs(t, auth.Recheck(accepted.Context()), auth.ErrInvalidCredential)
		require.NoError(t, bearer.Close(t.Context()))
	})
}

// The same over an existing table, of which nothing but lookups is known.
func TestRecheck_lookupStoreIsNotCached(t *testing.T) {
	t.Parallel()
	revoked := false
	s := newStore(t, auth.LookupStore(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) {
		if revoked {
			return nil, auth.ErrNotFound
		}
		return &auth.Credential{ID: "1", UserID: "ada", Scopes: "*"}, nil
	}), cachestore.Config{})
	bearer, err := auth.NewBearer(s, auth.BearerConfig{})
	require.NoError(t, err)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer abc")
	var m auth.Middleware
	accepted, err := m.Authenticate(r, bearer)
	require.NoError(t, err)
	revoked = true
	_, err = m.Authenticate(r, bearer)
	require.NoError(t, err, "the cache does not know yet")
	require.ErrorIs(t, auth.Recheck(accepted.Context()), auth.ErrInvalidCredential)
}

// A leaked token is found even if the cache remembers that it was unknown.
func TestRevokePlaintext_isNotCached(t *testing.T) {
	t.Parallel()
	shared := newBackend()
	bearer, err := auth.NewBearer(newStore(t, shared, cachestore.Config{}), auth.BearerConfig{})
	require.NoError(t, err)
	elsewhere, err := auth.NewBearer(shared, auth.BearerConfig{})
	require.NoError(t, err)
	plaintext := strings.Repeat("t", 32)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+plaintext)
	_, err = bearer.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrInvalidCredential)
	_, err = elsewhere.Import(t.Context(), "ada", plaintext, auth.ImportOptions{TokenOptions: auth.TokenOptions{
		Name: "x", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry,
	}})
	require.NoError(t, err)
	_, err = bearer.RevokePlaintext(t.Context(), plaintext)
	require.NoError(t, err)
}
