package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

// A fixture is a service with the customers alice and bob, and the staff grace and dennis.
type fixture struct {
	*service
	t      *testing.T
	store  *failing
	routes http.Handler
	events []auth.Event
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, store: &failing{Store: auth.NewMemoryStore()}}
	var err error
	f.service, err = newService(f.store, exampletest.Keys(), func(_ context.Context, e auth.Event) { f.events = append(f.events, e) })
	require.NoError(t, err)
	f.checkPassword = func(_, password string) bool { return password == "correct" }
	f.routes, err = f.service.routes()
	require.NoError(t, err)
	for _, u := range []user{{"alice", false}, {"bob", false}, {"grace", true}, {"dennis", true}} {
		f.setUser(u)
	}
	return f
}

// A failing store cannot be asked for records by their ID while down is set.
type failing struct {
	auth.Store
	down atomic.Bool
}

func (s *failing) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	if s.down.Load() {
		return auth.Credential{}, errors.New("the database is down")
	}
	return s.Store.Get(ctx, ref)
}

// do sends a form. The header is alternating names and values.
func (f *fixture) do(method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.routes.ServeHTTP(w, r)
	return w
}

func cookieOf(w *httptest.ResponseRecorder) string {
	return strings.Split(w.Header().Get("Set-Cookie"), ";")[0]
}

func (f *fixture) signIn(userID string) (cookie string) {
	w := f.do("POST", "/sign-in", url.Values{"user": {userID}, "password": {"correct"}})
	require.Equal(f.t, http.StatusSeeOther, w.Code)
	return cookieOf(w)
}

// act returns the cookies of grace and of her session in the account of alice.
func (f *fixture) act() (own, support string) {
	own = f.signIn("grace")
	w := f.do("POST", "/support/sessions", ticket("alice"), "Cookie", own)
	require.Equal(f.t, http.StatusSeeOther, w.Code, w.Body)
	return own, cookieOf(w)
}

func ticket(customer string) url.Values {
	return url.Values{"customer": {customer}, "ticket": {"T-17"}}
}

func TestStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own, support := f.act()
	alice, swapped := f.signIn("alice"), strings.Replace(support, "__Host-support", "__Host-session", 1)
	token := exampletest.Issue(t, f.bearer, auth.FullAccess)
	for _, test := range []struct {
		name   string
		form   url.Values
		header []string
		want   int
	}{
		{"staff", ticket("bob"), []string{"Cookie", own}, 303},
		{"a customer", ticket("bob"), []string{"Cookie", alice}, 403},
		{"a customer, for herself", ticket("alice"), []string{"Cookie", alice}, 403},
		{"no credential", ticket("bob"), nil, 401},
		{"a token", ticket("bob"), []string{"Authorization", "Bearer " + token}, 401},
		{"from within a support session", ticket("bob"), []string{"Cookie", support}, 401},
		{"from within a support session under the other name", ticket("bob"), []string{"Cookie", swapped}, 401},
		{"another site", ticket("bob"), []string{"Cookie", own, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"another site, in an old browser", ticket("bob"), []string{"Cookie", own, "Origin", "https://evil.example"}, 403},
		{"in the account of other staff", ticket("dennis"), []string{"Cookie", own}, 403},
		{"in their own account", ticket("grace"), []string{"Cookie", own}, 403},
		{"unknown customer", ticket("eve"), []string{"Cookie", own}, 404},
		{"no ticket", url.Values{"customer": {"bob"}}, []string{"Cookie", own}, 400},
		{"a ticket that is too long", url.Values{"customer": {"bob"}, "ticket": {strings.Repeat("x", 257)}}, []string{"Cookie", own}, 400},
		{"staff who act as another customer, which ends that session", ticket("bob"), []string{"Cookie", own + "; " + support}, 303},
		{"from within a session that has ended", ticket("bob"), []string{"Cookie", support}, 401},
	} {
		w := f.do("POST", "/support/sessions", test.form, test.header...)
		require.Equal(t, test.want, w.Code, test.name)
		if test.want != http.StatusSeeOther {
			require.Empty(t, w.Header().Values("Set-Cookie"), test.name)
		}
	}
}

// The support cookie must not be accepted where only staff are, even if it had got there.
func TestStaffOnly_supportSession(t *testing.T) {
	t.Parallel()
	ctx := auth.NewUserContext(t.Context(), user{"grace", true})
	r := httptest.NewRequest("POST", "/", nil).WithContext(ctx)
	require.NoError(t, staffOnly(r, &auth.Identity{UserID: "grace"}))
	require.ErrorIs(t, staffOnly(r, &auth.Identity{UserID: "grace", Actor: "dennis"}), auth.ErrForbidden)
}

func TestStart_oldSignIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		own := f.signIn("grace")
		time.Sleep(time.Hour + time.Second)
		require.Equal(t, http.StatusUnauthorized, f.do("POST", "/support/sessions", ticket("alice"), "Cookie", own).Code)
	})
}

func TestStart_record(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own := f.signIn("grace")
	w := f.do("POST", "/support/sessions", ticket("alice"), "Cookie", own)
	for _, persistent := range []string{"Max-Age", "Expires"} {
		require.NotContains(t, w.Header().Get("Set-Cookie"), persistent, "a cookie that the browser drops would silently lead back to grace's account")
	}
	list, err := f.session.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Len(t, list, 1, "alice sees the session in her list")
	require.Equal(t, "grace", list[0].Actor)
	require.Equal(t, "T-17", list[0].Metadata.Get("ticket"))
	require.Equal(t, 30*time.Minute, list[0].ExpiresAt.Sub(list[0].CreatedAt))
	last := f.events[len(f.events)-1]
	require.Equal(t, auth.EventSignedIn, last.Type)
	require.Equal(t, "alice", last.UserID)
	require.Equal(t, list[0].ID, last.CredentialID)
	require.Equal(t, "grace", last.Actor)

	require.NoError(t, f.session.Revoke(t.Context(), "alice", list[0].ID), "and can end it")
	require.Equal(t, http.StatusUnauthorized, f.do("GET", "/", nil, "Cookie", own+"; "+cookieOf(w)).Code)
}

func TestAccount_whichCookie(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own, support := f.act()
	swapped := strings.Replace(own, "__Host-session", "__Host-support", 1)
	for _, test := range []struct {
		name, cookie string
		want         int
		text         string
	}{
		{"her own", own, 200, "Notes of grace"},
		{"both", own + "; " + support, 200, "grace, you act as alice."},
		{"both, in the other order", support + "; " + own, 200, "grace, you act as alice."},
		{"the support cookie alone", support, 200, "grace, you act as alice."},
		{"a forged support cookie", own + "; __Host-support=x", 401, "Your support session has ended"},
		{"an empty support cookie", own + "; __Host-support=", 401, ""},
		{"two support cookies", support + "; __Host-support=x", 401, "Your support session has ended"},
		{"her own under the other name", swapped, 401, "Your support session has ended"},
	} {
		w := f.do("GET", "/", nil, "Cookie", test.cookie)
		require.Equal(t, test.want, w.Code, test.name)
		require.Contains(t, w.Body.String(), test.text, test.name)
		require.Equal(t, []string{"Cookie"}, w.Header().Values("Vary"), test.name)
		if test.want != http.StatusOK {
			require.NotContains(t, w.Body.String(), "Notes of", test.name)
		}
	}
	require.NotContains(t, f.do("GET", "/", nil, "Cookie", own).Body.String(), "you act as")
}

// A support session that has expired must not turn into the staff member's own session.
func TestAccount_expired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		own, support := f.act()
		both := own + "; " + support
		require.Equal(t, http.StatusNoContent, f.do("POST", "/notes", url.Values{"account": {"alice"}}, "Cookie", both).Code)
		time.Sleep(30*time.Minute + time.Second)
		require.Equal(t, http.StatusUnauthorized, f.do("POST", "/notes", url.Values{"account": {"alice"}}, "Cookie", both).Code)
		require.Equal(t, http.StatusUnauthorized, f.do("GET", "/settings/", nil, "Cookie", both).Code)
		require.Equal(t, http.StatusOK, f.do("GET", "/", nil, "Cookie", own).Code)
		require.Equal(t, http.StatusConflict, f.do("POST", "/notes", url.Values{"account": {"alice"}}, "Cookie", own).Code,
			"the form was opened in the account of alice")
	})
}

func TestAccount_crossOrigin(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own, support := f.act()
	for _, path := range []string{"/notes", "/support/end", "/sign-out"} {
		w := f.do("POST", path, url.Values{"account": {"alice"}}, "Cookie", own+"; "+support, "Origin", "https://evil.example")
		require.Equal(t, http.StatusForbidden, w.Code, path)
	}
	require.Equal(t, http.StatusOK, f.do("GET", "/", nil, "Cookie", support).Code)
}

func TestSupportSession_mayNot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, support := f.act()
	alice := f.signIn("alice")
	for _, test := range []struct {
		method, path string
		owner        int
	}{
		{"POST", "/password", 204},
		{"POST", "/payments", 204},
		{"POST", "/settings/tokens", 409}, // the form names no user
	} {
		require.Equal(t, test.owner, f.do(test.method, test.path, nil, "Cookie", alice).Code, test.path)
		before := len(f.events)
		require.Equal(t, http.StatusForbidden, f.do(test.method, test.path, nil, "Cookie", support).Code, test.path)
		last := f.events[len(f.events)-1]
		require.Greater(t, len(f.events), before)
		require.Equal(t, auth.ReasonActor, last.Reason, test.path)
		require.Equal(t, "alice", last.UserID, test.path)
		require.Equal(t, "grace", last.Actor, test.path)
	}
	require.Equal(t, http.StatusOK, f.do("GET", "/settings/", nil, "Cookie", support).Code)
}

func TestEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own, support := f.act()
	w := f.do("POST", "/support/end", nil, "Cookie", own+"; "+support)
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, "__Host-support=", cookieOf(w))
	require.Len(t, w.Header().Values("Set-Cookie"), 1, "grace's own cookie stays")
	require.Equal(t, http.StatusUnauthorized, f.do("GET", "/", nil, "Cookie", support).Code, "a copy of the cookie")
	require.Equal(t, http.StatusOK, f.do("GET", "/", nil, "Cookie", own).Code)
}

// Each of these ends a support session on the next request.
func TestResolve(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *fixture, own, support string){
		"the actor loses the role":    func(f *fixture, _, _ string) { f.setUser(user{"grace", false}) },
		"the customer becomes staff":  func(f *fixture, _, _ string) { f.setUser(user{"alice", true}) },
		"the actor signs out":         func(f *fixture, own, support string) { f.do("POST", "/sign-out", nil, "Cookie", own+"; "+support) },
		"the actor signs out outside": func(f *fixture, own, _ string) { f.do("POST", "/sign-out", nil, "Cookie", own) },
		"the actor's sessions are revoked": func(f *fixture, _, _ string) {
			_, err := f.session.RevokeAll(f.t.Context(), "grace")
			require.NoError(f.t, err)
		},
		"the customer's sessions are revoked": func(f *fixture, _, _ string) {
			_, err := f.session.RevokeAll(f.t.Context(), "alice")
			require.NoError(f.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			own, support := f.act()
			require.Equal(t, http.StatusOK, f.do("GET", "/", nil, "Cookie", support).Code)
			change(f, own, support)
			require.Equal(t, http.StatusUnauthorized, f.do("GET", "/", nil, "Cookie", support).Code)
			require.Equal(t, http.StatusUnauthorized, f.do("GET", "/settings/api/tokens", nil, "Cookie", support).Code)
		})
	}
}

func TestResolve_ownSessionExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		w := httptest.NewRecorder()
		own, err := f.session.SignIn(w, httptest.NewRequest("POST", "/", nil), "grace", auth.SessionOptions{Lifetime: 5 * time.Minute})
		require.NoError(t, err)
		support := cookieOf(f.do("POST", "/support/sessions", ticket("alice"), "Cookie", cookieOf(w)))
		require.Equal(t, http.StatusOK, f.do("GET", "/", nil, "Cookie", support).Code)
		time.Sleep(time.Until(own.ExpiresAt) + time.Second)
		require.Equal(t, http.StatusUnauthorized, f.do("GET", "/", nil, "Cookie", support).Code)
	})
}

func TestResolve_outage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own, support := f.act()
	f.store.down.Store(true)
	require.Equal(t, http.StatusServiceUnavailable, f.do("GET", "/", nil, "Cookie", support).Code, "it is unknown whether grace is signed in")
	require.Equal(t, http.StatusOK, f.do("GET", "/", nil, "Cookie", own).Code)
}
