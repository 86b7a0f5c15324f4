package settings_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestAccess_withoutCredential(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
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
			got.page(http.StatusUnauthorized, "You’re not signed in", `href="/signin?next=`)
		}
		require.Contains(t, strings.Join(got.Header()["Vary"], ", "), "Cookie")
	})
}

// A leaked token must not be able to create others.
func TestAccess_tokensAndSecrets(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
	for _, credential := range []struct {
		scheme    auth.Scheme
		plaintext string
	}{{auth.SchemeBearer, h.token}, {auth.SchemeSecret, h.secret}} {
		h.each(t, func(t *testing.T, e endpoint, body, contentType string) {
			s.events.take()
			got := s.do(e.method, e.path, body, field("Content-Type", contentType), field("Origin", origin), fromAddr,
				field("Authorization", string(credential.scheme)+" "+credential.plaintext))
			if isAPI(e) {
				got.problem(http.StatusForbidden, "session_required")
			} else {
				got.page(http.StatusForbidden, "Only signed-in users")
			}
			events := s.events.take()
			require.Len(t, events, 1)
			require.Equal(t, auth.Event{
				Type: auth.EventRefused, Scheme: credential.scheme, UserID: "ada", Reason: auth.ReasonScheme,
				CredentialID: map[auth.Scheme]string{auth.SchemeBearer: h.tokenID, auth.SchemeSecret: h.secretID}[credential.scheme],
				Method:       e.method, Pattern: events[0].Pattern, Origin: origin, ClientAddr: clientAddr,
			}, events[0])
			require.True(t, strings.HasPrefix(events[0].Pattern, e.method+" /"), "the route in the settings: %s", events[0].Pattern)
		})
	}
}

// A header decides, even if the request has a valid cookie.
func TestAccess_tokenWithCookie(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
	h.do("DELETE", "/api/tokens", "", field("Authorization", "Bearer "+h.token)).problem(http.StatusForbidden, "session_required")
	h.do("DELETE", "/api/tokens", "", field("Authorization", "Bearer acme_pat_junk")).problem(http.StatusUnauthorized, "invalid_credential")
	// A program is not redirected to the sign-in page.
	got := h.get("/", field("Authorization", "Bearer acme_pat_junk"))
	got.page(http.StatusUnauthorized)
	require.NotEmpty(t, got.Header()["Www-Authenticate"])
	h.untouched()
}

func TestAccess_crossOrigin(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
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

// namesCredential reports whether a request to the endpoint has the ID of a credential,
// in the path or the body.
func (h *populatedUser) namesCredential(e endpoint) bool {
	for _, id := range []string{h.tokenID, h.sessionID, h.previousID, h.secretID} {
		if strings.Contains(e.path, id) {
			return true
		}
	}
	switch strings.TrimPrefix(e.path, "/api") {
	case "/secret/reveal", "/secret/rotate", "/secret/revoke":
		return e.method == "POST"
	}
	return false
}

// Credentials of other users are treated as ones that do not exist.
func TestAccess_otherUsers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
	eve := newPopulatedUser(t, s, "eve")
	absent := newPopulatedUser(t, newService(t), "eve")
	named := 0
	for i, e := range h.endpoints() {
		if !h.namesCredential(e) {
			continue
		}
		named++
		none := absent.endpoints()[i]
		body, contentType := filled(e, h.secretID)
		got := eve.do(e.method, e.path, body, field("Content-Type", contentType))
		body, _ = filled(none, absent.secretID)
		want := eve.do(none.method, none.path, body, field("Content-Type", contentType))
		require.Equal(t, want.Code, got.Code, e)
		require.Equal(t, want.Body.String(), got.Body.String(), e)
		if strings.Contains(e.path, "/secret") && e.method != "GET" && got.Code != http.StatusNotFound {
			got.status(http.StatusConflict) // eve has another one
			continue
		}
		got.status(http.StatusNotFound)
	}
	require.Equal(t, 24, named)
	h.untouched()
	eve.untouched()
}

// needsRecentSignIn reports whether an endpoint returns a plaintext, or shows the form
// for one.
func (h *populatedUser) needsRecentSignIn(e endpoint) bool {
	switch e.method + " " + strings.TrimPrefix(e.path, "/api") {
	case "GET /tokens/new", "POST /tokens", "GET /tokens/" + h.tokenID + "/rotate", "POST /tokens/" + h.tokenID + "/rotate",
		"POST /secret", "POST /secret/create", "POST /secret/reveal", "GET /secret/rotate", "POST /secret/rotate":
		return true
	}
	return false
}

// signInLink returns where the link to the sign-in page on a page returns to, without the mount,
// and the query of the link.
func signInLink(t testing.TB, page string) (next string, query url.Values) {
	t.Helper()
	link, err := url.Parse(html.UnescapeString("/signin?" + between(t, page, `href="/signin?`, `"`)))
	require.NoError(t, err)
	next, found := strings.CutPrefix(auth.LocalPath(link.Query().Get("next"), ""), mount)
	require.True(t, found, link)
	return next, link.Query()
}

// requireSignInAgain asserts the answer to a sign-in that is too old.
func (h *populatedUser) requireSignInAgain(e endpoint, got *answer) {
	h.t.Helper()
	require.NotContains(h.t, got.Body.String(), h.secret)
	if isAPI(e) {
		got.problem(http.StatusUnauthorized, "insufficient_user_authentication")
		require.EqualValues(h.t, 600, got.object()["max_age"])
		require.Equal(h.t, []string{
			`Bearer realm="api"`, `Secret realm="api"`, `Cookie realm="api", error="insufficient_user_authentication", max_age="600"`,
		}, got.Header()["Www-Authenticate"], "RFC 9470 section 3")
		return
	}
	back := map[string]string{"/tokens": "/tokens/new", "/secret/create": "/secret", "/secret/reveal": "/secret"}[e.path]
	if back == "" {
		back = e.path
	}
	if e.method == "GET" {
		require.Equal(h.t, http.StatusSeeOther, got.Code)
		require.Empty(h.t, got.Header()["Www-Authenticate"])
		require.Equal(h.t, "/signin?next="+url.QueryEscape(mount+back)+"&prompt=login", got.Header().Get("Location"))
		fetched := h.do("GET", e.path, "", field("Sec-Fetch-Mode", "cors"), field("Sec-Fetch-Dest", "empty"))
		got = fetched // a script gets the page that a form gets
		h.events.take()
	}
	require.Empty(h.t, got.Header()["Www-Authenticate"])
	next, query := signInLink(h.t, got.page(http.StatusForbidden, "Please sign in again"))
	require.Equal(h.t, "login", query.Get("prompt"))
	path, _, _ := strings.Cut(next, "?")
	require.Equal(h.t, back, path)
}

// What support staff made for a user would outlive their session.
func TestAccess_actor(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
	support := s.actAs("ada", "grace")
	rejected := 0
	for _, e := range h.endpoints() {
		if !h.needsRecentSignIn(e) && e.method != "PATCH" {
			continue
		}
		rejected++
		s.events.take()
		body, contentType := filled(e, h.secretID)
		got := support.do(e.method, e.path, body, field("Content-Type", contentType))
		if isAPI(e) {
			got.problem(http.StatusForbidden, "actor_not_allowed")
		} else {
			got.page(http.StatusForbidden, "You act as another user")
		}
		events := s.events.take()
		require.Len(t, events, 1)
		require.Equal(t, auth.ReasonActor, events[0].Reason)
		require.Equal(t, "grace", events[0].Actor)
		require.Equal(t, support.session.ID, events[0].CredentialID)
	}
	require.Equal(t, 14, rejected)
	require.NoError(t, s.cookie.Revoke(t.Context(), "ada", support.session.ID))
	h.untouched()

	support = s.actAs("ada", "grace")
	support.get("/").page(http.StatusOK)
	s.events.take()
	support.do("DELETE", "/api/secret?id="+h.secretID, "").status(http.StatusNoContent)
	support.post("/tokens/"+h.tokenID+"/revoke", nil).status(http.StatusSeeOther)
	events := s.events.take()
	require.Len(t, events, 2)
	for _, e := range events {
		require.Equal(t, auth.EventRevoked, e.Type)
		require.Equal(t, "ada", e.UserID)
		require.Equal(t, "grace", e.Actor)
	}
}

// Showing a plaintext requires a recent sign-in. Revoking does not.
func TestAccess_oldSignIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		h := newPopulatedUser(t, s, "ada")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		h.post("/secret/reveal", url.Values{"id": {h.secretID}}).page(http.StatusOK, h.secret)
		time.Sleep(time.Nanosecond)
		s.events.take()
		rejected := 0
		for _, e := range h.endpoints() {
			if !h.needsRecentSignIn(e) {
				continue
			}
			rejected++
			body, contentType := filled(e, h.secretID)
			got := h.do(e.method, e.path, body, field("Content-Type", contentType))
			events := s.events.take()
			h.requireSignInAgain(e, got)
			require.Len(t, events, 1)
			require.Equal(t, auth.ReasonAge, events[0].Reason)
			require.Equal(t, h.session.ID, events[0].CredentialID)
		}
		require.Equal(t, 13, rejected)
		h.untouched()
		h.get("/").page(http.StatusOK)
		h.do("DELETE", "/api/secret?id="+h.secretID, "").status(http.StatusNoContent)
		h.post("/tokens/"+h.tokenID+"/revoke", nil).status(http.StatusSeeOther)

		again := s.signIn("ada")
		again.json("POST", "/api/secret", "{}").status(http.StatusCreated)
	})
}

// revokes reports whether an endpoint revokes something, or asks before it does.
func revokes(e endpoint) bool {
	return e.method == "DELETE" || strings.HasSuffix(e.path, "/revoke") || strings.HasSuffix(e.path, "/end")
}

// With RecentForRevoke, a stolen session cannot end those of its user (ASVS 5.0, 7.5.2). It can
// end itself.
func TestAccess_recentForRevoke(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *configs) { c.settings.RecentForRevoke = true })
		h := newPopulatedUser(t, s, "ada")
		support := s.actAs("ada", "grace")
		time.Sleep(10*time.Minute + time.Nanosecond)
		rejected := 0
		for _, e := range h.endpoints() {
			body, contentType := filled(e, h.secretID)
			if !revokes(e) {
				continue
			}
			rejected++
			s.events.take()
			got := h.do(e.method, e.path, body, field("Content-Type", contentType))
			events := s.events.take()
			h.requireSignInAgain(e, got)
			require.Len(t, events, 1)
			require.Equal(t, auth.ReasonAge, events[0].Reason)
			got = support.do(e.method, e.path, body, field("Content-Type", contentType))
			require.Equal(t, http.StatusForbidden, got.Code, e)
			require.Equal(t, auth.ReasonActor, s.events.take()[0].Reason)
		}
		require.Equal(t, 18, rejected)
		h.do("DELETE", "/api/sessions/"+support.session.ID, "").problem(http.StatusUnauthorized, "insufficient_user_authentication")
		support.do("DELETE", "/api/sessions/"+support.session.ID, "").status(http.StatusNoContent)
		h.untouched()
		h.get("/sessions/"+h.session.ID+"/end").page(http.StatusOK, "You will be signed out")
		h.post("/sessions/"+h.session.ID+"/end", nil).page(http.StatusOK, "Signed out")

		again := s.signIn("ada")
		again.get("/sessions/" + h.sessionID + "/end").page(http.StatusOK)
		again.post("/sessions/end", nil).redirects("../sessions?done=sessions_ended")
		again.do("DELETE", "/api/tokens", "").status(http.StatusOK)
		require.Empty(t, h.tokens())
	})
}

// A session cannot grant more access than it has.
func TestAccess_limitedSessionCreates(t *testing.T) {
	t.Parallel()
	s := newService(t)
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
	require.Empty(t, limited.tokens())

	made := create(`["notes:read"]`).status(http.StatusCreated).object()
	require.Equal(t, []any{"notes:read"}, made["scopes"])
	limited.json("POST", "/api/tokens/"+made["id"].(string)+"/rotate", `{"overlap": 0}`).status(http.StatusOK)
}

// Rotating and revealing grant the access of the existing credential.
func TestAccess_limitedSessionRotates(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := newPopulatedUser(t, s, "ada")
	limited := s.signIn("ada", "notes:read")
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
}

func TestAccess_disabledUser(t *testing.T) {
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

// errDirectory must not be shown to users.
var errDirectory = errors.New("directory: connection refused")

// onlyDevelopers configures a service in which only ada may have a client secret.
// While down is true, Config.Developer returns an error.
func onlyDevelopers(down *bool) func(*configs) {
	type account struct{ developer bool }
	return func(c *configs) {
		c.settings.Middleware.Resolve = func(_ context.Context, id *auth.Identity) (any, error) {
			return account{id.UserID == "ada"}, nil
		}
		c.settings.Developer = func(ctx context.Context, id *auth.Identity) (bool, error) {
			if *down {
				return true, errDirectory
			}
			return auth.MustUser[account](ctx).developer, nil
		}
	}
}

func TestAccess_developer(t *testing.T) {
	t.Parallel()
	s := newService(t, onlyDevelopers(new(bool)))
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
	bob.post("/secret/create", newSecret()).page(http.StatusForbidden)
	require.Empty(t, bob.secrets())
	require.Nil(t, bob.get("/api/policy").object()["secret"])
	require.NotContains(t, bob.get("/").page(http.StatusOK), "Client secret")

	// A user who is no longer a developer can still revoke.
	_, first := bob.createSecret()
	_, second := bob.rotateSecret(first.ID)
	bob.json("DELETE", "/api/secret/previous/"+first.ID, "").status(http.StatusNoContent)
	bob.do("DELETE", "/api/secret?id="+second.ID, "").status(http.StatusNoContent)
}

// Whatever an error of Config.Developer wraps, it is an outage, with an event.
func TestAccess_developerErrors(t *testing.T) {
	t.Parallel()
	for _, sentinel := range []error{
		auth.ErrNoCredential, auth.ErrMalformed, auth.ErrInvalidCredential, auth.ErrInsufficientScope, auth.ErrCrossOrigin,
		auth.ErrInvalidArgument, auth.ErrNotFound, auth.ErrConflict, auth.ErrLimit, errors.ErrUnsupported,
		&auth.ArgumentError{Argument: "Name", Fault: "is empty"}, &auth.Error{}, auth.CheckScope(t.Context(), "notes:read"),
	} {
		s := newService(t, func(c *configs) {
			c.settings.Developer = func(context.Context, *auth.Identity) (bool, error) {
				return true, fmt.Errorf("%w: %w", errDirectory, sentinel)
			}
		})
		ada := newPopulatedUser(t, s, "ada")
		for _, e := range []endpoint{{"GET", "/secret"}, {"POST", "/secret/create"}, {"POST", "/secret/rotate"}, {"GET", "/api/policy"}, {"POST", "/api/secret"}} {
			body, contentType := filled(e, ada.secretID)
			s.events.take()
			got := ada.do(e.method, e.path, body, field("Content-Type", contentType)).status(http.StatusServiceUnavailable)
			require.NotContains(t, got.Body.String(), "directory")
			events := s.events.take()
			require.Len(t, events, 1, "%v: %v", e, sentinel)
			require.Equal(t, auth.ReasonUnavailable, events[0].Reason)
			require.ErrorIs(t, events[0].Err, errDirectory)
		}
		ada.untouched()
	}
}

// If Config.Developer returns an error, only the client secret is unavailable.
func TestAccess_developerUnavailable(t *testing.T) {
	t.Parallel()
	down := false
	s := newService(t, onlyDevelopers(&down))
	ada := s.signIn("ada")
	ada.createSecret()
	down = true
	for _, path := range []string{"/api/secret", "/api/policy"} {
		s.events.take()
		got := ada.get(path).problem(http.StatusServiceUnavailable, "unavailable")
		require.NotContains(t, got.Body.String(), "refused")
		event := s.events.refusal(t)
		require.Equal(t, auth.ReasonUnavailable, event.Reason)
		require.Equal(t, errDirectory, event.Err)
	}
	ada.json("POST", "/api/secret/reveal", "").problem(http.StatusServiceUnavailable, "unavailable")
	require.NotContains(t, ada.get("/secret").page(http.StatusServiceUnavailable, "temporarily unavailable"), "refused")
	require.NotContains(t, ada.get("/").page(http.StatusOK), "Client secret", "the other pages still work")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	require.NotEmpty(t, plaintext(ada.post("/tokens", form).page(http.StatusOK)), "a new token is shown nevertheless")
}

// Only a person who opens a page is redirected to the sign-in page.
func TestAccess_redirectsOnlyPages(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.do("GET", "/sessions", "").redirects("/signin?next=%2Faccount%2Fdeveloper%2Fsessions")
	for name, e := range map[string]edit{
		"fetch": func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "cors"); r.Header.Set("Sec-Fetch-Dest", "empty") },
		"an image": func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Mode", "no-cors")
			r.Header.Set("Sec-Fetch-Dest", "image")
		},
		"a prefetch": field("Sec-Purpose", "prefetch"),
		"curl":       field("Accept", "*/*"),
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do("GET", "/sessions", "", e)
			got.page(http.StatusUnauthorized, "/signin?next=")
			require.NotEmpty(t, got.Header().Get("WWW-Authenticate"))
		})
	}
}

// The service's Resolve may require a recent sign-in for everything, or forbid it.
func TestAccess_resolveChooses(t *testing.T) {
	t.Parallel()
	var rejected error
	s := newService(t, func(c *configs) {
		c.settings.Middleware.Resolve = func(context.Context, *auth.Identity) (any, error) { return nil, rejected }
	})
	ada := s.signIn("ada")
	rejected = &auth.Error{Err: auth.ErrReauthenticationRequired, MaxAge: time.Hour}
	got := ada.get("/api/tokens").problem(http.StatusUnauthorized, "insufficient_user_authentication")
	require.EqualValues(t, 3600, got.object()["max_age"])
	require.Contains(t, got.Header().Values("WWW-Authenticate"), `Cookie realm="api", error="insufficient_user_authentication", max_age="3600"`)
	require.Equal(t, "/signin?next="+url.QueryEscape(mount+"/")+"&prompt=login", ada.get("/").status(http.StatusSeeOther).Header().Get("Location"))
	ada.post("/tokens", nil).page(http.StatusForbidden, "Please sign in again")
	rejected = auth.ErrForbidden
	ada.get("/api/tokens").problem(http.StatusForbidden, "forbidden")
	ada.get("/").page(http.StatusForbidden, "Your account can’t use these settings.")
}
