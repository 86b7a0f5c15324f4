package settings_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// An endpoint is a method and a path with an ID of the account filled in.
type endpoint struct{ method, path string }

// endpoints are all that the pages and the API have, for one account's records.
func endpoints(token, secret, previous, session string) (pages, api []endpoint) {
	pages = []endpoint{
		{"GET", "/"}, {"GET", "/tokens/new"}, {"POST", "/tokens"},
		{"GET", "/tokens/" + token + "/rotate"}, {"POST", "/tokens/" + token + "/rotate"},
		{"GET", "/tokens/" + token + "/revoke"}, {"POST", "/tokens/" + token + "/revoke"},
		{"GET", "/tokens/revoke"}, {"POST", "/tokens/revoke"},
		{"GET", "/secret"}, {"POST", "/secret/create"}, {"POST", "/secret/reveal"},
		{"GET", "/secret/rotate"}, {"POST", "/secret/rotate"}, {"GET", "/secret/revoke"}, {"POST", "/secret/revoke"},
		{"GET", "/secret/previous/" + previous + "/revoke"}, {"POST", "/secret/previous/" + previous + "/revoke"},
		{"GET", "/sessions"}, {"GET", "/sessions/" + session + "/end"}, {"POST", "/sessions/" + session + "/end"},
		{"GET", "/sessions/end"}, {"POST", "/sessions/end"},
	}
	api = []endpoint{
		{"GET", "/api/policy"}, {"GET", "/api/tokens"}, {"POST", "/api/tokens"}, {"DELETE", "/api/tokens"},
		{"GET", "/api/tokens/" + token}, {"DELETE", "/api/tokens/" + token}, {"POST", "/api/tokens/" + token + "/rotate"},
		{"GET", "/api/secret"}, {"POST", "/api/secret"}, {"DELETE", "/api/secret"}, {"POST", "/api/secret/reveal"},
		{"POST", "/api/secret/rotate"}, {"DELETE", "/api/secret/previous/" + previous},
		{"GET", "/api/sessions"}, {"DELETE", "/api/sessions"}, {"DELETE", "/api/sessions/" + session},
	}
	return pages, api
}

// filled returns a body that the endpoint would accept, and its type.
func filled(e endpoint, secret string) (body, contentType string) {
	if e.method != "POST" {
		return "", ""
	}
	if !strings.HasPrefix(e.path, "/api/") {
		return "after=z&name=deploy&expires=720h0m0s&access=full&overlap=1h0m0s&id=" + secret, "application/x-www-form-urlencoded"
	}
	switch {
	case e.path == "/api/tokens":
		body = `{"name": "deploy", "scopes": ["notes:read"], "expires_in": 3600}`
	case e.path == "/api/secret/rotate":
		body = `{"id": "` + secret + `", "overlap": 3600}`
	case strings.HasSuffix(e.path, "/rotate"):
		body = `{"overlap": 3600}`
	default:
		body = "{}"
	}
	return body, "application/json"
}

// A household is an account with one of everything, and all endpoints of it.
type household struct {
	*person
	token, secret      string // plaintexts
	tokenID, sessionID string
	secretID, pastID   string
	pages, api         []endpoint
}

func newHousehold(t testing.TB, s *service, userID string) *household {
	t.Helper()
	h := &household{person: s.signIn(userID)}
	var c auth.Credential
	h.token, c = h.person.token("deploy")
	h.tokenID = c.ID
	_, past := h.assigned()
	h.pastID = past.ID
	var err error
	h.secret, c, err = s.secret.Rotate(t.Context(), userID, time.Hour)
	require.NoError(t, err)
	h.secretID = c.ID
	h.sessionID = s.signIn(userID).session.ID
	h.pages, h.api = endpoints(h.tokenID, h.secretID, h.pastID, h.sessionID)
	return h
}

// untouched asserts that the account has what it had.
func (h *household) untouched() {
	h.t.Helper()
	require.Len(h.t, h.tokens(), 1)
	require.Equal(h.t, h.tokenID, h.tokens()[0].ID)
	require.False(h.t, h.tokens()[0].Superseded)
	require.Len(h.t, h.secrets(), 2)
	require.Equal(h.t, h.secretID, h.secrets()[0].ID)
	require.Len(h.t, h.sessions(), 2)
	require.True(h.t, h.works(auth.SchemeBearer, h.token))
	require.True(h.t, h.works(auth.SchemeSecret, h.secret))
}

func (h *household) each(t *testing.T, check func(t *testing.T, e endpoint, body, contentType string)) {
	for _, e := range append(append([]endpoint{}, h.pages...), h.api...) {
		t.Run(e.method+" "+e.path, func(t *testing.T) {
			body, contentType := filled(e, h.secretID)
			check(t, e, body, contentType)
		})
	}
	h.untouched()
}

func isAPI(e endpoint) bool { return strings.HasPrefix(e.path, "/api/") }

func TestNobodyIsNotSignedIn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newHousehold(t, s, "ada")
	h.each(t, func(t *testing.T, e endpoint, body, contentType string) {
		got := s.do(e.method, e.path, body, field("Content-Type", contentType))
		switch {
		case isAPI(e):
			got.problem(http.StatusUnauthorized, "missing_credential")
			require.NotEmpty(t, got.Header()["Www-Authenticate"])
		case e.method == "GET":
			require.Equal(t, "/signin?next="+strings.ReplaceAll(mount+e.path, "/", "%2F"), got.Header().Get("Location"))
			got.redirects(got.Header().Get("Location"))
			require.Empty(t, got.Header()["Www-Authenticate"])
		default:
			got.page(http.StatusUnauthorized, "You are not signed in", `href="/signin?next=`)
		}
		require.Contains(t, strings.Join(got.Header()["Vary"], ", "), "Cookie")
	})
}

// A token that leaks must not make others of itself.
func TestTokensAndSecretsManageNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newHousehold(t, s, "ada")
	for _, credential := range []struct {
		scheme    auth.Scheme
		plaintext string
	}{{auth.SchemeBearer, h.token}, {auth.SchemeSecret, h.secret}} {
		h.each(t, func(t *testing.T, e endpoint, body, contentType string) {
			s.events.take()
			got := s.do(e.method, e.path, body, field("Content-Type", contentType),
				field("Authorization", string(credential.scheme)+" "+credential.plaintext))
			if isAPI(e) {
				got.problem(http.StatusForbidden, "session_required")
			} else {
				got.page(http.StatusForbidden, "Only signed-in users")
			}
			events := s.events.take()
			require.Len(t, events, 1)
			require.Equal(t, auth.Event{
				Kind: auth.EventRefused, Scheme: credential.scheme, UserID: "ada", Reason: auth.ReasonScheme,
				CredentialID: map[auth.Scheme]string{auth.SchemeBearer: h.tokenID, auth.SchemeSecret: h.secretID}[credential.scheme],
				Remote:       "192.0.2.1:1234",
			}, events[0])
		})
	}
}

// A token beside the cookie is what counts: as everywhere, the cookie rescues nothing.
func TestATokenBesideACookieManagesNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newHousehold(t, s, "ada")
	h.do("DELETE", "/api/tokens", "", field("Authorization", "Bearer "+h.token)).problem(http.StatusForbidden, "session_required")
	h.do("DELETE", "/api/tokens", "", field("Authorization", "Bearer acme_pat_junk")).problem(http.StatusUnauthorized, "invalid_credential")
	// A program has no use for a sign-in page.
	got := h.get("/", field("Authorization", "Bearer acme_pat_junk"))
	got.page(http.StatusUnauthorized)
	require.NotEmpty(t, got.Header()["Www-Authenticate"])
	h.untouched()
}

func TestOtherSitesChangeNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newHousehold(t, s, "ada")
	h.each(t, func(t *testing.T, e endpoint, body, contentType string) {
		if e.method == "GET" {
			return
		}
		for _, from := range []edit{
			field("Sec-Fetch-Site", "cross-site"),
			field("Sec-Fetch-Site", "same-site"),
			func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
			func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
		} {
			got := h.do(e.method, e.path, body, field("Content-Type", contentType), from)
			if isAPI(e) {
				got.problem(http.StatusForbidden, "cross_origin")
				require.Empty(t, got.Header()["Www-Authenticate"])
			} else {
				got.page(http.StatusForbidden, "Another site sent this request")
			}
		}
	})
}

// What is somebody else's is not there.
func TestOthersRecordsAreNotThere(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newHousehold(t, s, "ada")
	eve := newHousehold(t, s, "eve")
	absent := newHousehold(t, newService(t), "eve")
	named := func(e endpoint) bool {
		for _, id := range []string{h.tokenID, h.sessionID, h.pastID} {
			if strings.Contains(e.path, id) {
				return true
			}
		}
		return false
	}
	i := -1
	all := append(append([]endpoint{}, absent.pages...), absent.api...)
	h.each(t, func(t *testing.T, e endpoint, body, contentType string) {
		i++
		if !named(e) {
			return
		}
		got := eve.do(e.method, e.path, body, field("Content-Type", contentType))
		none := eve.do(all[i].method, all[i].path, body, field("Content-Type", contentType))
		require.Equal(t, none.Code, got.Code)
		require.Equal(t, none.Body.String(), got.Body.String(), "the same as for an ID that is nobody's")
		if strings.Contains(e.path, "/previous/") && e.method != "GET" {
			got.status(http.StatusConflict) // eve has another one
			return
		}
		got.status(http.StatusNotFound)
	})
	eve.untouched()
}

// What hands out a plaintext wants a recent sign-in; what ends something does not.
func TestOldSignInsSeeNoPlaintext(t *testing.T) {
	t.Parallel()
	recent := map[string]bool{
		"GET /tokens/new": true, "POST /tokens": true, "POST /secret/create": true, "POST /secret/reveal": true,
		"GET /secret/rotate": true, "POST /secret/rotate": true, "POST /api/tokens": true, "POST /api/secret": true,
		"POST /api/secret/reveal": true, "POST /api/secret/rotate": true,
	}
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		h := newHousehold(t, s, "ada")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		h.post("/secret/reveal", nil).page(http.StatusOK, h.secret)
		time.Sleep(time.Nanosecond)
		s.events.take()
		for _, e := range append(append([]endpoint{}, h.pages...), h.api...) {
			if !recent[e.method+" "+e.path] && !strings.HasSuffix(e.path, h.tokenID+"/rotate") {
				continue
			}
			body, contentType := filled(e, h.secretID)
			got := h.do(e.method, e.path, body, field("Content-Type", contentType))
			if isAPI(e) {
				got.problem(http.StatusForbidden, "insufficient_user_authentication")
				require.EqualValues(t, 600, got.object()["max_age"])
				require.Empty(t, got.Header()["Www-Authenticate"], "no other credential would do")
			} else {
				back := map[string]string{"/tokens": "/tokens/new", "/secret/create": "/secret", "/secret/reveal": "/secret"}[e.path]
				if back == "" {
					back = e.path
				}
				got.page(http.StatusForbidden, "Please sign in again", "10 minutes",
					`href="/signin?next=`+strings.ReplaceAll(mount+back, "/", "%2F")+`&amp;prompt=login"`)
			}
			require.NotContains(t, got.Body.String(), h.secret)
			events := s.events.take()
			require.Len(t, events, 1)
			require.Equal(t, auth.ReasonAge, events[0].Reason)
			require.Equal(t, h.session.ID, events[0].CredentialID)
		}
		h.untouched()
		h.get("/").page(http.StatusOK)
		h.json("DELETE", "/api/secret", "").status(http.StatusNoContent)
		h.post("/tokens/"+h.tokenID+"/revoke", nil).status(http.StatusSeeOther)

		again := s.signIn("ada")
		again.json("POST", "/api/secret", "{}").status(http.StatusCreated)
	})
}

// A session gives out no more than it has.
func TestLimitedSessionsGiveOutNoMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := newHousehold(t, s, "ada")
	limited := s.signIn("ada", "notes:read")
	create := func(scopes string) *answer {
		return limited.json("POST", "/api/tokens", `{"name": "deploy", "scopes": `+scopes+`, "expires_in": null}`)
	}
	for _, scopes := range []string{`["*"]`, `["notes:write"]`, `["notes:read", "notes:write"]`} {
		s.events.take()
		got := create(scopes).problem(http.StatusForbidden, "insufficient_scope")
		require.NotEmpty(t, got.object()["scopes"])
		events := s.events.take()
		require.Len(t, events, 1)
		require.Equal(t, auth.ReasonScope, events[0].Reason)
	}
	form := newToken(limited.get("/tokens/new").page(http.StatusOK))
	require.NotContains(t, limited.get("/tokens/new").Body.String(), "notes:write")
	require.NotContains(t, limited.get("/tokens/new").Body.String(), "Full access")
	form.Set("access", "full")
	limited.post("/tokens", form).page(http.StatusForbidden, "does not have the access")

	// One with full access is there already, and its successor would have it too.
	rotation := `{"overlap": 0}`
	limited.json("POST", "/api/tokens/"+ada.tokenID+"/rotate", rotation).problem(http.StatusForbidden, "insufficient_scope")
	limited.post("/tokens/"+ada.tokenID+"/rotate", map[string][]string{"overlap": {"0s"}}).page(http.StatusForbidden, "does not have the access")
	for _, e := range []endpoint{
		{"POST", "/secret/create"}, {"POST", "/secret/reveal"}, {"GET", "/secret/rotate"}, {"POST", "/secret/rotate"},
		{"POST", "/api/secret"}, {"POST", "/api/secret/reveal"}, {"POST", "/api/secret/rotate"},
	} {
		body, contentType := filled(e, ada.secretID)
		got := limited.do(e.method, e.path, body, field("Content-Type", contentType)).status(http.StatusForbidden)
		require.NotContains(t, got.Body.String(), ada.secret, e)
	}
	require.Len(t, limited.tokens(), 1)
	require.True(t, s.works(auth.SchemeSecret, ada.secret))
	require.NotContains(t, limited.get("/secret").page(http.StatusOK), "Reveal")

	made := create(`["notes:read"]`).status(http.StatusCreated).object()
	require.Equal(t, []any{"notes:read"}, made["scopes"])
	limited.json("POST", "/api/tokens/"+made["id"].(string)+"/rotate", rotation).status(http.StatusOK)
}

func TestDisabledAccountsStayOut(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.Middleware.Resolve = func(_ context.Context, id *auth.Identity) (any, error) {
			return nil, auth.ErrInvalidCredential
		}
	})
	ada := s.signIn("ada")
	ada.get("/api/tokens").problem(http.StatusUnauthorized, "invalid_credential")
	ada.get("/").redirects("/signin?next=%2Faccount%2Fdeveloper%2F")
}

func TestOnlyDevelopersHaveSecrets(t *testing.T) {
	t.Parallel()
	type user struct{ developer bool }
	down := false
	s := newService(t, func(c *configs) {
		c.settings.Middleware.Resolve = func(_ context.Context, id *auth.Identity) (any, error) {
			return user{id.UserID == "ada"}, nil
		}
		c.settings.Developer = func(ctx context.Context, id *auth.Identity) (bool, error) {
			if down {
				return true, errors.New("directory: connection refused")
			}
			return auth.MustUser[user](ctx).developer, nil
		}
	})
	ada, bob := s.signIn("ada"), s.signIn("bob")
	ada.json("POST", "/api/secret", "").status(http.StatusCreated)
	require.NotNil(t, ada.get("/api/policy").object()["secret"])
	require.Contains(t, ada.get("/").page(http.StatusOK), "Client secret")

	for _, path := range []string{"/api/secret", "/api/secret/reveal"} {
		bob.json("POST", path, "").problem(http.StatusForbidden, "developer_required")
	}
	bob.json("POST", "/api/secret/rotate", `{"id": "x", "overlap": 0}`).problem(http.StatusForbidden, "developer_required")
	bob.get("/api/secret").problem(http.StatusForbidden, "developer_required")
	bob.get("/secret").page(http.StatusForbidden, "Client secrets are for developer accounts.")
	bob.post("/secret/create", nil).page(http.StatusForbidden)
	require.Empty(t, bob.secrets())
	require.Nil(t, bob.get("/api/policy").object()["secret"])
	require.NotContains(t, bob.get("/").page(http.StatusOK), "Client secret")

	// Who is one no more may still end what there is.
	_, c := bob.assigned()
	_, _, err := s.secret.Rotate(t.Context(), "bob", time.Hour)
	require.NoError(t, err)
	bob.json("DELETE", "/api/secret/previous/"+c.ID, "").status(http.StatusNoContent)
	bob.json("DELETE", "/api/secret", "").status(http.StatusNoContent)

	down = true
	for _, path := range []string{"/api/secret", "/api/policy"} {
		got := ada.get(path).problem(http.StatusServiceUnavailable, "unavailable")
		require.NotContains(t, got.Body.String(), "refused")
	}
	ada.json("POST", "/api/secret/reveal", "").problem(http.StatusServiceUnavailable, "unavailable")
	require.NotContains(t, ada.get("/secret").page(http.StatusServiceUnavailable, "temporarily unavailable"), "refused")
	require.NotContains(t, ada.get("/").page(http.StatusOK), "Client secret", "the rest goes on")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	require.NotEmpty(t, plaintext(ada.post("/tokens", form).page(http.StatusOK)), "a token that was made is shown")
}

func TestWithoutSecretsThereAreNone(t *testing.T) {
	t.Parallel()
	s := newService(t, withoutSecrets)
	ada := s.signIn("ada")
	require.NotContains(t, ada.get("/").page(http.StatusOK), "Client secret")
	for _, path := range []string{"/secret", "/secret/rotate"} {
		ada.get(path).page(http.StatusNotFound)
	}
	ada.get("/api/secret").problem(http.StatusNotFound, "not_found")
	ada.json("POST", "/api/secret", "").problem(http.StatusNotFound, "not_found")
	require.Nil(t, ada.get("/api/policy").object()["secret"])
}

// A store that is out, and says so in odd words, is out.
func TestAnOutageIsNeverAnAbsence(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newHousehold(t, s, "ada")
	s.store.with = fmt.Errorf("%w: %w, %w", auth.ErrUnavailable, auth.ErrNotFound, auth.ErrConflict)
	s.store.setFailing("Get")
	h.get("/api/tokens/"+h.tokenID).problem(http.StatusServiceUnavailable, "unavailable")
	h.get("/tokens/" + h.tokenID + "/revoke").page(http.StatusServiceUnavailable)
}

// Who goes away while the store is asked is no outage.
func TestWhoGoesAwayIsNoOutage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	ctx, cancel := context.WithCancel(t.Context())
	s.store.with = context.Canceled
	s.store.setFailing("List")
	s.events.take()
	ada.get("/", func(r *http.Request) { *r = *r.WithContext(ctx); cancel() })
	events := s.events.take()
	require.Len(t, events, 1)
	require.Equal(t, auth.ReasonCanceled, events[0].Reason)
}

// Nothing is half done, nobody is shown why, and no plaintext that was not kept is
// handed out.
func TestOutages(t *testing.T) {
	t.Parallel()
	for name, out := range map[string]struct {
		methods []string
		failing int // of the endpoints; the rest answers without them
	}{
		"reads fail":  {[]string{"Get", "List"}, 25},
		"writes fail": {[]string{"Create", "Rotate", "Revoke", "RevokeAll"}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			h := newHousehold(t, s, "ada")
			failed := 0
			for _, e := range append(append([]endpoint{}, h.pages...), h.api...) {
				body, contentType := filled(e, h.secretID)
				s.store.setFailing(out.methods...)
				s.events.take()
				got := h.do(e.method, e.path, body, field("Content-Type", contentType))
				s.store.setFailing()
				require.NotContains(t, got.Body.String(), "disk")
				if got.Code != http.StatusServiceUnavailable {
					continue
				}
				failed++
				events := s.events.take()
				require.NotEmpty(t, events, "operators are told")
				last := events[len(events)-1]
				require.Equal(t, auth.ReasonUnavailable, last.Reason)
				require.ErrorIs(t, last.Err, errDisk)
				require.Equal(t, h.session.ID, last.CredentialID)
				if isAPI(e) {
					got.problem(http.StatusServiceUnavailable, "unavailable")
				} else {
					got.page(http.StatusServiceUnavailable, "temporarily unavailable")
				}
				require.NotContains(t, got.Body.String(), `id="plaintext"`)
				require.Empty(t, got.Header()["Set-Cookie"], "the cookie is left alone")
			}
			require.Equal(t, out.failing, failed)
			if name == "writes fail" {
				h.untouched()
			}
		})
	}
}
