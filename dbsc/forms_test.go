package dbsc_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/dbsc"
)

// A service may start sessions of two cookies in one response, and each browser registers both.
func TestSignedIn_twoCookies(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	for _, name := range []string{"user", "staff", "staff"} {
		binding, err := dbsc.New(dbsc.Config{Path: "/" + name + "/"})
		require.NoError(t, err)
		c, err := auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: testKeys, Name: name, Binding: binding})
		require.NoError(t, err)
		_, err = c.SignIn(w, httptest.NewRequest("POST", "/", nil), "alice", auth.SessionOptions{})
		require.NoError(t, err)
	}
	offers := w.Header().Values("Secure-Session-Registration")
	require.Len(t, offers, 2)
	require.Contains(t, offers[0], `path="/user/registration"`)
	require.Contains(t, offers[1], `path="/staff/registration"`)
	require.Len(t, w.Result().Cookies(), 4)
}

// The draft has browsers send strings, and services ignore their parameters. Chromium sends neither quotes
// nor parameters.
func TestHeaders_forms(t *testing.T) {
	t.Parallel()
	s := newService(t, options{})
	b := newBrowser(t, s)
	b.signIn("alice")
	for form, want := range map[string]int{
		`%s`: 200, `"%s"`: 200, ` "%s" `: 200, `"%s";v=1`: 200, `"%s" ; v="x"`: 200,
		`"%s`: 400, `%s"`: 400, `"%s"x`: 400, `"%s", "y"`: 400, `""`: 400, ``: 400,
	} {
		r := httptest.NewRequest("POST", "/dbsc/refresh", nil)
		fill := func(value string) string { return strings.ReplaceAll(form, "%s", value) }
		r.Header.Set("Sec-Secure-Session-Id", fill(b.id))
		r.Header.Set("Secure-Session-Response", fill(prove(b.key, b.challenge, false, nil)))
		require.Equal(t, want, b.send(r).Code, form)
	}
	require.Equal(t, http.StatusBadRequest, b.sendRefresh(strings.Repeat("A", 10_000), b.challenge).Code, "is not sent back")
}

// A page of another site cannot measure whether its visitor is signed in: the browser adds the cookie
// to its requests, but they cannot have the headers of DBSC.
func TestReference_isNotReadForOtherSites(t *testing.T) {
	t.Parallel()
	store := &countingStore{Store: auth.NewMemoryStore()}
	s := newService(t, options{store: store})
	b := newBrowser(t, s)
	b.signIn("alice")
	delete(b.cookies, "__Host-session")
	store.calls = 0
	for _, path := range []string{"/dbsc/registration", "/dbsc/refresh"} {
		signedIn, stranger := b.send(httptest.NewRequest("POST", path, nil)), newBrowser(t, s).send(httptest.NewRequest("POST", path, nil))
		require.Equal(t, stranger.Code, signedIn.Code)
		require.Equal(t, stranger.Header(), signedIn.Header())
		require.Equal(t, stranger.Body.String(), signedIn.Body.String())
	}
	require.Zero(t, store.calls)
}

type countingStore struct {
	auth.Store
	calls int
}

func (s *countingStore) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	s.calls++
	return s.Store.Lookup(ctx, kind, d)
}

func (s *countingStore) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	s.calls++
	return s.Store.Get(ctx, ref)
}
