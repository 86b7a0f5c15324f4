package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A findBinding accepts everything, and keeps its SessionBinder.
type findBinding struct{ sessions *auth.SessionBinder }

func (b *findBinding) Init(sessions *auth.SessionBinder) error { b.sessions = sessions; return nil }

func (*findBinding) SignedIn(http.ResponseWriter, *http.Request, *auth.Credential) {}

func (*findBinding) Check(*http.Request, *auth.Credential) error { return nil }

func (*findBinding) SignedOut(http.ResponseWriter) {}

// Find judges a session as a request with its cookie is judged.
func TestSessionBinder_Find(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		binding := new(findBinding)
		f := newFixture(t, func(c *configs) {
			c.cookie.Binding, c.cookie.Lifetime, c.cookie.IdleTimeout = binding, time.Hour, 10*time.Minute
		})
		_, session := f.session("alice")
		find := func(d auth.Digest) error {
			found, err := binding.sessions.Find(t.Context(), d)
			if err == nil {
				require.Equal(t, session.ID, found.ID)
				require.Equal(t, session.ExpiresAt, found.ExpiresAt)
			} else {
				require.Zero(t, found)
			}
			return err
		}
		reason := func(err error) auth.Reason {
			var e *auth.Error
			require.ErrorAs(t, err, &e)
			return e.Reason
		}
		require.NoError(t, find(session.Digest))
		err := find(auth.Digest{1})
		require.ErrorIs(t, err, auth.ErrInvalidCredential)
		require.Equal(t, auth.ReasonUnknown, reason(err))
		f.store.fail = func(string) error { return errors.New("down") }
		require.ErrorIs(t, find(session.Digest), auth.ErrUnavailable)
		f.store.fail = nil
		time.Sleep(10 * time.Minute)
		require.Equal(t, auth.ReasonIdle, reason(find(session.Digest)))
		time.Sleep(time.Hour)
		require.Equal(t, auth.ReasonExpired, reason(find(session.Digest)))
		require.NoError(t, f.cookie.Close(t.Context()))
	})
}

// The clock of the process that bound the session may be behind that of the sign-in. Requests under way
// still have 10 seconds.
func TestBind_clockBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		binding := new(findBinding)
		f := newFixture(t, func(c *configs) { c.cookie.Binding = binding })
		ahead := time.Now().UTC().Add(30 * time.Second)
		require.NoError(t, f.store.Create(t.Context(), auth.Credential{
			ID: "session", Kind: auth.KindSession, UserID: "alice", Scopes: auth.FullAccess, Digest: auth.Digest{1},
			CreatedAt: ahead, ExpiresAt: ahead.Add(time.Hour),
		}, 0))
		session, err := binding.sessions.Find(t.Context(), auth.Digest{1})
		require.NoError(t, err)
		bound, err := binding.sessions.Bind(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), session, []byte("key"))
		require.NoError(t, err)
		require.Equal(t, ahead, bound.CreatedAt)
		old, err := f.cookie.Get(t.Context(), "alice", "session")
		require.NoError(t, err)
		require.True(t, old.Superseded)
		require.Equal(t, ahead.Add(10*time.Second), old.ExpiresAt)
	})
}
