package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// That a cookie was opened before opens nothing: neither when its session has ended,
// nor for another value, nor under another key.
func TestAnOpenedCookieIsNoWayIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	cookie, session := f.session("ada")
	for range 3 {
		accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
	}
	require.Equal(t, 1, auth.Remembered(f.cookie))

	other := *cookie
	for i := range cookie.Value {
		for _, c := range []byte{cookie.Value[i] ^ 1, 'A', '=', '\n'} {
			if c == cookie.Value[i] {
				continue
			}
			altered := []byte(cookie.Value)
			altered[i] = c
			other.Value = string(altered)
			require.Equal(t, 401, h.get(field("Cookie", other.Name+"="+other.Value)).Code)
		}
	}
	stranger := newFixture(t, func(c *configs) { c.cookie.Keys = auth.Keys{testKey(9)} })
	require.Equal(t, 401, stranger.all().get(withCookie(cookie)).Code)
	require.Equal(t, 1, auth.Remembered(f.cookie), "what was refused is not remembered")

	require.NoError(t, f.cookie.Revoke(t.Context(), "ada", session.ID))
	require.Equal(t, 401, h.get(withCookie(cookie)).Code)
}

// The cookie's own age counts also where the session's record has no end.
func TestAnOpenedCookieEndsAtItsAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.Lifetime = time.Hour })
		cookie, session := f.session("ada")
		forever := auth.LookupStore(func(_ context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
			if kind != auth.KindSession || d != session.Digest {
				return nil, auth.ErrNotFound
			}
			return &auth.Credential{UserID: "ada", Scopes: "*", CreatedAt: session.CreatedAt}, nil
		})
		over, err := auth.NewCookie(forever, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Lifetime: time.Hour})
		require.NoError(t, err)
		h := behind(auth.Require(over))
		accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
		time.Sleep(time.Hour)
		accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
		time.Sleep(time.Second)
		require.Equal(t, 401, h.get(withCookie(cookie)).Code)
		require.NoError(t, f.cookie.Close(context.Background()))
	})
}

// However many sessions and guesses there are, so many values are remembered at most.
func TestOpenedCookiesAreBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	for i := range auth.MaxRemembered + 1000 {
		if i%16 == 0 {
			require.Equal(t, 401, h.get(field("Cookie", "__Host-session=AAAA"+repeated("B", i%64)+"AAAA")).Code)
		}
		accepted(t, h.get(withCookie(f.signIn("ada"))), "ada", auth.SchemeCookie)
	}
	n := auth.Remembered(f.cookie)
	require.LessOrEqual(t, n, auth.MaxRemembered)
	require.Greater(t, n, auth.MaxRemembered*9/10)
}

func TestCookiesAreOpenedConcurrently(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	shared := f.signIn("ada")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				w := httptest.NewRecorder()
				r := request(http.MethodPost)
				_, err := f.cookie.SignIn(w, r, "grace", auth.SessionOptions{})
				own := w.Result().Cookies()[0]
				for range 3 {
					if err != nil || h.get(withCookie(own)).Body.String() != "grace by Cookie" || h.get(withCookie(shared)).Body.String() != "ada by Cookie" {
						t.Errorf("not who it should be (%v)", err)
					}
				}
				out := request(http.MethodPost, withCookie(own))
				if err := f.cookie.SignOut(httptest.NewRecorder(), out); err != nil || h.get(withCookie(own)).Code != 401 {
					t.Errorf("signed out, and still in (%v)", err)
				}
			}
		})
	}
	wg.Wait()
}
