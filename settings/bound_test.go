package settings_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A device binds sessions, and accepts all requests.
type device struct{ sessions *auth.SessionBinder }

func (d *device) Init(s *auth.SessionBinder) error                              { d.sessions = s; return nil }
func (d *device) SignedIn(http.ResponseWriter, *http.Request, *auth.Credential) {}
func (d *device) Check(*http.Request, *auth.Credential) error                   { return nil }
func (d *device) SignedOut(http.ResponseWriter)                                 {}
func newBoundService(t testing.TB, change ...func(*configs)) (*service, *device) {
	t.Helper()
	d := new(device)
	return newService(t, append(change, func(c *configs) { c.cookie.Binding = d })...), d
}

// bind binds the session of u, and returns its browser with the new cookie. That of u is the old
// one.
func (d *device) bind(u *user) *user {
	u.t.Helper()
	r := httptest.NewRequest("POST", origin+"/registration", nil)
	r.AddCookie(u.cookie)
	session, err := d.sessions.Presented(r)
	require.NoError(u.t, err)
	w := httptest.NewRecorder()
	session, err = d.sessions.Bind(w, r, session, []byte("key"))
	require.NoError(u.t, err)
	return &user{u.service, u.userID, session, w.Result().Cookies()[0]}
}

func (u *user) listedSessions() (ids, current, bound []string) {
	u.t.Helper()
	for _, v := range u.get("/api/sessions").status(http.StatusOK).object()["sessions"].([]any) {
		s := v.(map[string]any)
		id := s["id"].(string)
		ids = append(ids, id)
		if s["current"].(bool) {
			current = append(current, id)
		}
		if s["bound"].(bool) {
			bound = append(bound, id)
		}
	}
	return ids, current, bound
}

// Requests with the cookie of before, too, see one session of their browser: that which is bound.
func TestSessions_bound(t *testing.T) {
	t.Parallel()
	s, d := newBoundService(t)
	other := s.signIn("ada")
	old := s.signIn("ada")
	ids, current, bound := old.listedSessions()
	require.ElementsMatch(t, []string{old.session.ID, other.session.ID}, ids)
	require.Equal(t, []string{old.session.ID}, current)
	require.Empty(t, bound)
	require.NotContains(t, old.get("/sessions").page(http.StatusOK), "Bound to")

	ada := d.bind(old)
	for name, browser := range map[string]*user{"new cookie": ada, "old cookie": old} {
		ids, current, bound = browser.listedSessions()
		require.ElementsMatch(t, []string{ada.session.ID, other.session.ID}, ids, name)
		require.Equal(t, []string{ada.session.ID}, current, name)
		require.Equal(t, []string{ada.session.ID}, bound, name)
		require.Equal(t, true, browser.get("/api/sessions/" + ada.session.ID).status(http.StatusOK).object()["current"])
		browser.get("/api/sessions/"+old.session.ID).problem(http.StatusNotFound, "not_found")

		text := browser.get("/sessions").page(http.StatusOK)
		rows := between(t, text, "<tbody", "</tbody>")
		require.Equal(t, 2, strings.Count(rows, "<tr"), name)
		first, second, _ := strings.Cut(rows, "</tr>")
		require.Contains(t, first, "This device", name)
		require.Contains(t, first, `<span class="bound">Bound to this device</span>`, name)
		require.Contains(t, first, "sessions/"+ada.session.ID+"/end", name)
		require.NotContains(t, second, "Bound to", name)
		names := between(t, browser.get("/sessions/end").page(http.StatusOK), `<ul class="names">`, "</ul>")
		require.Equal(t, 1, strings.Count(names, "<li"), name)
	}
	_, current, bound = other.listedSessions()
	require.Equal(t, []string{other.session.ID}, current)
	require.Equal(t, []string{ada.session.ID}, bound)
	rows := between(t, other.get("/sessions").page(http.StatusOK), "<tbody", "</tbody>")
	require.Equal(t, 1, strings.Count(rows, "Bound to its device"))
}

// The ID of before, which a page that was loaded before has, means the same session.
func TestSessions_endBound(t *testing.T) {
	t.Parallel()
	for _, oldCookie := range []bool{false, true} {
		for _, oldID := range []bool{false, true} {
			for _, api := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					s, d := newBoundService(t, func(c *configs) { c.settings.RecentForRevoke = true })
					other := s.signIn("ada")
					old := s.signIn("ada")
					ada := d.bind(old)
					time.Sleep(9 * time.Second)
					browser, id := ada, ada.session.ID
					if oldCookie {
						browser = old
					} else {
						time.Sleep(time.Hour) // to sign out requires no recent sign-in
						_, err := s.store.Purge(t.Context(), time.Now())
						require.NoError(t, err)
					}
					if oldID {
						id = old.session.ID
					}
					if api {
						got := browser.do("DELETE", "/api/sessions/"+id, "").status(http.StatusNoContent)
						require.Contains(t, got.Header().Get("Set-Cookie"), "Max-Age=0")
					} else {
						browser.get("/sessions/"+id+"/end").page(http.StatusOK, "Sign out?")
						got := browser.post("/sessions/"+id+"/end", nil)
						got.page(http.StatusOK, "Signed out")
						require.Contains(t, got.Header().Get("Set-Cookie"), "Max-Age=0")
					}
					ada.get("/api/sessions").problem(http.StatusUnauthorized, "invalid_credential")
					old.get("/api/sessions").problem(http.StatusUnauthorized, "invalid_credential")
					other.get("/api/sessions").status(http.StatusOK)
					require.NoError(t, s.cookie.Close(t.Context()))
				})
			}
		}
	}
}

// A user who ends all other sessions with the cookie of before stays signed in.
func TestSessions_endOthersWhileBinding(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{false, true} {
		s, d := newBoundService(t)
		other := s.signIn("ada")
		old := s.signIn("ada")
		ada := d.bind(old)
		if api {
			require.EqualValues(t, 1, old.do("DELETE", "/api/sessions", "").status(http.StatusOK).object()["revoked"])
		} else {
			old.post("/sessions/end", nil).redirects("../sessions?done=sessions_ended")
		}
		ada.get("/api/sessions").status(http.StatusOK)
		other.get("/api/sessions").problem(http.StatusUnauthorized, "invalid_credential")
	}
}

// Another device's session is not the user's own because it is bound.
func TestSessions_endAnotherBound(t *testing.T) {
	t.Parallel()
	s, d := newBoundService(t)
	old := s.signIn("ada")
	phone := d.bind(old)
	ada := d.bind(s.signIn("ada"))
	ada.get("/sessions/"+phone.session.ID+"/end").page(http.StatusOK, "End this session?")
	got := ada.post("/sessions/"+old.session.ID+"/end", nil)
	got.redirects("../../sessions?done=session_ended")
	require.Empty(t, got.Header().Values("Set-Cookie"))
	phone.get("/api/sessions").problem(http.StatusUnauthorized, "invalid_credential")
	ada.get("/api/sessions").status(http.StatusOK)
}

func TestSummary_bound(t *testing.T) {
	t.Parallel()
	s, d := newBoundService(t)
	s.signIn("ada")
	ada := d.bind(s.signIn("ada"))
	auth.Require(s.cookie)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		summary, err := s.settings.Summary(r)
		require.NoError(t, err)
		require.Equal(t, 2, summary.Sessions)
	})).ServeHTTP(httptest.NewRecorder(), func() *http.Request {
		r := httptest.NewRequest("GET", origin, nil)
		r.AddCookie(ada.cookie)
		return r
	}())
	require.Len(t, ada.sessions(), 3, "with the superseded one")
}
