package cachestore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

// ends are the ways in which a credential ends before its time.
var ends = []struct {
	name string
	call func(ctx context.Context, s auth.Store, c auth.Credential) error
}{
	{"Revoke", func(ctx context.Context, s auth.Store, c auth.Credential) error { return s.Revoke(ctx, c.Ref()) }},
	{"RevokeAll", func(ctx context.Context, s auth.Store, c auth.Credential) error {
		_, err := s.RevokeAll(ctx, c.Kind, c.UserID)
		return err
	}},
	{"Rotate", func(ctx context.Context, s auth.Store, c auth.Credential) error {
		return s.Rotate(ctx, c.Ref(), record(c.Kind, c.UserID), time.Time{})
	}},
}

func TestRevocationHoldsAtOnceInItsOwnProcess(t *testing.T) {
	t.Parallel()
	for _, end := range ends {
		for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
			t.Run(fmt.Sprint(end.name, " a ", kind), func(t *testing.T) {
				t.Parallel()
				s := over(t, auth.NewMemoryStore(), cachestore.Config{})
				for range 100 {
					c := create(t, s, record(kind, "alice"))
					require.NoError(t, lookup(t, s, c))
					require.NoError(t, end.call(t.Context(), s, c))
					require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound)
					_, err := s.RevokeAll(t.Context(), kind, "alice")
					require.NoError(t, err)
				}
			})
		}
	}
}

// What was rotated with an overlap ends with the overlap, not when the entry does.
func TestRotationShortensTheEntry(t *testing.T) {
	t.Parallel()
	s := over(t, auth.NewMemoryStore(), cachestore.Config{})
	c := create(t, s, record(auth.KindToken, "alice"))
	require.NoError(t, lookup(t, s, c))
	next := record(auth.KindToken, "alice")
	until := next.CreatedAt.Add(time.Minute)
	require.NoError(t, s.Rotate(t.Context(), c.Ref(), next, until))
	got, err := s.Lookup(t.Context(), c.Kind, c.Digest)
	require.NoError(t, err)
	require.True(t, got.Superseded)
	require.Equal(t, until, got.ExpiresAt)
}

// To the nanosecond: served up to the bound and never past it.
func TestRevocationHoldsInOtherProcessesWithinTheBound(t *testing.T) {
	t.Parallel()
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared := newBackend()
				here, there := over(t, shared, cachestore.Config{}), over(t, shared, cachestore.Config{})
				c := create(t, there, record(auth.KindToken, "alice"))
				shared.before = func(context.Context) error { time.Sleep(time.Second); return nil }
				require.NoError(t, lookup(t, here, c)) // the bound counts from before the question
				shared.before = nil
				require.NoError(t, end.call(t.Context(), there, c))
				time.Sleep(4*time.Second - 1)
				require.NoError(t, lookup(t, here, c), "it is a cache")
				require.ErrorIs(t, lookup(t, there, c), auth.ErrNotFound)
				time.Sleep(time.Nanosecond)
				require.ErrorIs(t, lookup(t, here, c), auth.ErrNotFound)
			})
		})
	}
}

func TestEntryEndsWithTheCredential(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		s := over(t, shared, cachestore.Config{})
		bearer, err := auth.NewBearer(s, auth.BearerConfig{})
		require.NoError(t, err)
		defer bearer.Close(t.Context())
		token, _, err := bearer.Issue(t.Context(), "alice", auth.NewToken{Name: "script", Lifetime: time.Second})
		require.NoError(t, err)
		authenticate := func() error {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			_, err := bearer.Authenticate(r)
			return err
		}
		require.NoError(t, authenticate())
		time.Sleep(time.Second - 1)
		require.NoError(t, authenticate())
		require.EqualValues(t, 1, shared.asked(), "though its first use was written meanwhile")
		time.Sleep(time.Nanosecond)
		for range 100 {
			require.ErrorIs(t, authenticate(), auth.ErrInvalidCredential)
		}
		require.EqualValues(t, 1, shared.asked(), "its entry has ended, and that it has expired is remembered")
	})
}

// A last use is shown, and costs no lookup, which could fail. One that cannot be
// written, or that nobody made of this credential, changes nothing.
func TestUseKeepsTheEntry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		s := over(t, shared, cachestore.Config{})
		c := create(t, s, record(auth.KindToken, "alice"))
		require.NoError(t, lookup(t, s, c))
		require.EqualValues(t, 1, shared.asked())
		shared.before = func(context.Context) error { return errors.New("the store is out") }
		first, _ := s.Lookup(t.Context(), c.Kind, c.Digest)
		at := c.CreatedAt.Add(time.Second)
		other := c.Ref()
		other.UserID = "bob"
		for _, tt := range []struct {
			name string
			use  auth.Use
			want time.Time
		}{
			{"of somebody else's", auth.Use{Ref: other, Digest: c.Digest, At: at}, time.Time{}},
			{"a use", auth.Use{Ref: c.Ref(), Digest: c.Digest, At: at.Add(time.Nanosecond).In(time.FixedZone("", 3600))}, at},
			{"an earlier one", auth.Use{Ref: c.Ref(), Digest: c.Digest, At: c.CreatedAt}, at},
		} {
			require.NoError(t, s.Touch(t.Context(), []auth.Use{tt.use}), tt.name)
			got, err := s.Lookup(t.Context(), c.Kind, c.Digest)
			require.NoError(t, err, tt.name)
			require.Equal(t, tt.want, got.LastUsedAt, tt.name)
		}
		require.True(t, first.LastUsedAt.IsZero(), "what was handed out stays as it was")
		time.Sleep(5 * time.Second)
		require.Error(t, lookup(t, s, c), "the entry ends when it would have ended")
	})
}

// An outage is not news about a credential.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		s := over(t, shared, cachestore.Config{})
		warm, cold := create(t, s, record(auth.KindToken, "alice")), create(t, s, record(auth.KindToken, "bob"))
		require.NoError(t, lookup(t, s, warm))
		down := fmt.Errorf("%w: the replica says %w", auth.ErrUnavailable, auth.ErrNotFound)
		shared.before = func(context.Context) error { return down }
		require.ErrorIs(t, lookup(t, s, cold), down)
		time.Sleep(5*time.Second - 1)
		require.NoError(t, lookup(t, s, warm), "up to the bound")
		time.Sleep(time.Nanosecond)
		require.ErrorIs(t, lookup(t, s, warm), down)
		require.EqualValues(t, 3, shared.asked())
		shared.before = nil
		require.NoError(t, lookup(t, s, warm))
		require.NoError(t, lookup(t, s, cold))
	})
}

// A warm entry does not hide a revocation whose answer was lost.
func TestRevocationWithoutAnAnswerIsMarked(t *testing.T) {
	t.Parallel()
	shared := newBackend()
	s := over(t, lossy{shared}, cachestore.Config{})
	c := create(t, shared, record(auth.KindToken, "alice"))
	require.NoError(t, lookup(t, s, c))
	require.Error(t, s.Revoke(t.Context(), c.Ref()))
	require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound)
}

// lossy revokes, and says that it could not.
type lossy struct{ *backend }

func (l lossy) Revoke(ctx context.Context, ref auth.Ref) error {
	return errors.Join(l.backend.Revoke(ctx, ref), errors.New("the answer was lost"))
}

func TestUnknownIsRememberedAndForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		here, there := over(t, shared, cachestore.Config{}), over(t, shared, cachestore.Config{})
		c := record(auth.KindToken, "alice")
		for range 100 {
			require.ErrorIs(t, lookup(t, here, c), auth.ErrNotFound)
		}
		require.EqualValues(t, 1, shared.asked())
		require.ErrorIs(t, lookup(t, there, c), auth.ErrNotFound)
		create(t, here, c)
		require.NoError(t, lookup(t, here, c), "created in this process")
		time.Sleep(5 * time.Second)
		require.NoError(t, lookup(t, there, c), "created in another")
		wrong := c
		wrong.Kind = auth.KindSecret
		require.ErrorIs(t, lookup(t, here, wrong), auth.ErrNotFound)
		require.NoError(t, lookup(t, here, c), "it was asked for as a secret, and is still a token")

		// So does what a rotation makes, and one that was revoked.
		next := record(auth.KindToken, "alice")
		require.ErrorIs(t, lookup(t, here, next), auth.ErrNotFound)
		require.NoError(t, here.Rotate(t.Context(), c.Ref(), next, time.Time{}))
		require.NoError(t, lookup(t, here, next))
		shared.asked()
		for range 100 {
			require.ErrorIs(t, lookup(t, here, c), auth.ErrRevoked)
		}
		require.LessOrEqual(t, shared.asked(), int64(1))
	})
}

// A record of another digest, such as a confused connection brings, is the
// caller's to refuse, and nobody's to keep.
func TestWrongRecordIsNotKept(t *testing.T) {
	t.Parallel()
	for name, expired := range map[string]bool{"live": false, "expired": true} {
		t.Run(name, func(t *testing.T) {
			c, other := record(auth.KindToken, "alice"), record(auth.KindToken, "bob")
			if expired {
				other.ExpiresAt = time.Now().Add(-time.Hour)
			}
			asked := 0
			s := over(t, auth.LookupFunc(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) {
				asked++
				return &other, nil
			}), cachestore.Config{})
			for range 3 {
				got, err := s.Lookup(t.Context(), c.Kind, c.Digest)
				require.NoError(t, err)
				require.Equal(t, other.Digest, got.Digest)
			}
			require.Equal(t, 3, asked)
			_, err := s.Lookup(t.Context(), other.Kind, other.Digest)
			require.NoError(t, err)
			require.Equal(t, 4, asked)
		})
	}
}

// Whoever joins a load that began long before gets no answer that is older than an
// entry may be.
func TestAnswerOfASlowLoadIsWithinTheBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		s := over(t, shared, cachestore.Config{MaxStale: time.Second, Timeout: 20 * time.Second})
		c := create(t, shared, record(auth.KindToken, "alice"))
		shared.after = func() { time.Sleep(3 * time.Second) } // what was read is on its way
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
		require.EqualValues(t, 2, shared.asked())
	})
}

// An expired token that another process has purged can be imported for somebody else:
// in this process that holds at once.
func TestExpiredTokenThatIsImportedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		s := over(t, shared, cachestore.Config{})
		old := create(t, shared, record(auth.KindToken, "alice"))
		time.Sleep(time.Hour)
		require.NoError(t, lookup(t, s, old), "as it is: expired")
		n, err := shared.Purge(t.Context(), time.Now().Add(time.Second))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		anew := record(auth.KindToken, "bob")
		anew.Digest = old.Digest
		create(t, s, anew)
		got, err := s.Lookup(t.Context(), anew.Kind, anew.Digest)
		require.NoError(t, err)
		require.Equal(t, "bob", got.UserID)
	})
}
