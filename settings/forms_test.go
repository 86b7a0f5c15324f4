package settings_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// filledIn returns the fields of the form on a page that have a value, except hidden ones.
func filledIn(page string) url.Values {
	form := make(url.Values)
	for _, input := range regexp.MustCompile(`<input [^>]*>`).FindAllString(page, -1) {
		attribute := func(name string) string {
			found := regexp.MustCompile(` ` + name + `="([^"]*)"`).FindStringSubmatch(input)
			if found == nil {
				return ""
			}
			return html.UnescapeString(found[1])
		}
		choice := slices.Contains([]string{"radio", "checkbox"}, attribute("type"))
		if attribute("type") != "hidden" && attribute("value") != "" && (!choice || strings.HasSuffix(input, " checked>")) {
			form.Add(attribute("name"), attribute("value"))
		}
	}
	return form
}

// A typedForm is a form, what a person fills in, and what of it comes back by a link.
type typedForm struct {
	page, path   string
	values, kept url.Values
}

// typedForms are all forms with fields, for a user with a token and a secret.
func (h *populatedUser) typedForms() []typedForm {
	limited := url.Values{
		"name": {`Grüße & <b>100% "+"?</b>`}, "expires": {"custom"}, "until": {inDays(45)},
		"access": {"scopes"}, "scope": {"notes:read", "notes:write"},
	}
	return []typedForm{
		{"/tokens/new", "/tokens", limited, limited},
		{"/tokens/new", "/tokens", url.Values{"name": {"x"}, "expires": {"never"}, "access": {"full"}}, url.Values{"name": {"x"}, "expires": {"720h0m0s"}, "access": {"scopes"}}},
		{"/tokens/" + h.tokenID + "/rotate", "/tokens/" + h.tokenID + "/rotate", url.Values{"overlap": {"24h0m0s"}}, url.Values{}},
		{"/secret/rotate", "/secret/rotate", url.Values{"overlap": {"168h0m0s"}}, url.Values{}},
	}
}

// fill opens a form, and returns it filled in.
func (h *populatedUser) fill(f typedForm) url.Values {
	h.t.Helper()
	form := hidden(h.get(f.page).page(http.StatusOK))
	for name, values := range f.values {
		form[name] = values
	}
	return form
}

// What was typed comes back after a sign-in that the form required, or if the user was signed
// out in another tab. The sign-in sends nothing. Full access and the like are chosen again.
func TestForms_surviveSignIn(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(h *populatedUser){
		"sign-in too old": func(*populatedUser) { time.Sleep(11 * time.Minute) },
		"signed out": func(h *populatedUser) {
			require.NoError(h.t, h.service.cookie.Revoke(h.t.Context(), "ada", h.session.ID))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newPopulatedUser(t, newService(t), "ada")
				for _, f := range h.typedForms() {
					form := h.fill(f)
					end(h)
					next, _ := signInLink(t, h.post(f.path, form).Body.String())
					require.NotContains(t, next, form.Get("account"))
					h.user = h.signIn("ada")
					require.Equal(t, f.kept, filledIn(h.get(next).page(http.StatusOK)), next)
				}
				require.Len(t, h.tokens(), 1)
				require.Equal(t, h.secretID, h.secrets()[0].ID)
			})
		})
	}
}

// A form whose page was asked for without a sign-in is filled in too, if the link says so.
func TestForms_linkSurvivesSignIn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	got := s.do("GET", "/tokens/new?name=deploy&scope=notes%3Aread&access=scopes", "").status(http.StatusSeeOther)
	to, err := url.Parse(got.Header().Get("Location"))
	require.NoError(t, err)
	text := s.signIn("ada").get(strings.TrimPrefix(to.Query().Get("next"), mount)).page(http.StatusOK, "A link filled in this form")
	require.Equal(t, url.Values{"name": {"deploy"}, "expires": {"720h0m0s"}, "access": {"scopes"}, "scope": {"notes:read"}}, filledIn(text))

	// What is too long for a URL is left out.
	long := s.do("GET", "/tokens/new?name="+strings.Repeat("x", 3000), "").Header().Get("Location")
	require.Less(t, len(long), 100)
}

// A session that ends during the request may have changed something.
func TestForms_signedOutMeanwhile(t *testing.T) {
	t.Parallel()
	s := newService(t)
	sessionID := "" // ends with the next token
	s.after(func(method string) error {
		if method == "Create" && sessionID != "" {
			id := sessionID
			sessionID = ""
			require.NoError(t, s.cookie.Revoke(t.Context(), "ada", id))
		}
		return nil
	})
	h := newPopulatedUser(t, s, "ada")
	f := h.typedForms()[0]
	form := h.fill(f)
	sessionID = h.session.ID
	text := h.post(f.path, form).page(http.StatusUnauthorized, "check the list")
	require.NotContains(t, text, "No changes were made")
	next, _ := signInLink(t, text)
	again := s.signIn("ada")
	require.Equal(t, f.kept, filledIn(again.get(next).page(http.StatusOK)))

	sessionID = again.session.ID
	got := again.json("POST", "/api/tokens", tokenBody(validName, validScopes, validExpiry)).problem(http.StatusUnauthorized, "invalid_credential")
	require.Contains(t, got.object()["detail"], "Read the list")
}

// A link of another site can only suggest: it neither sends the form nor chooses full access or
// a token that never expires, even if it leads through the sign-in page, after which it looks
// like one of ours. Invalid values are left out.
func TestForms_otherSitesLink(t *testing.T) {
	t.Parallel()
	h := newPopulatedUser(t, newService(t), "ada")
	link := "/tokens/new?" + h.typedForms()[1].values.Encode()
	for _, from := range []edit{field("Sec-Fetch-Site", "same-origin"), field("Sec-Fetch-Site", "cross-site"), field("Sec-Fetch-Site", "same-site"), field("Sec-Fetch-Site", "none"), without("Sec-Fetch-Site")} {
		text := h.get(link, from).page(http.StatusOK, "A link filled in this form")
		require.Equal(t, url.Values{"name": {"x"}, "expires": {"720h0m0s"}, "access": {"scopes"}}, filledIn(text))
		text = h.get("/tokens/"+h.tokenID+"/rotate?overlap=1h0m0s", from).page(http.StatusOK)
		require.Empty(t, filledIn(text))
	}
	for _, invalid := range []string{
		"name=a%00b", "name=a%ff", "name=" + strings.Repeat("x", 256), "expires=1ns", "expires=-1h", "expires=custom2",
		"until=" + inDays(45), "expires=custom", "expires=custom&until=" + inDays(-1), "expires=custom&until=" + inDays(400), "expires=custom&until=x", "name=a%E2%80%AEb", "access=*", "scope=notes:admin", "scope=*", "idempotency=z", "account=z", "overlap=1ns", "",
	} {
		text := h.get("/tokens/new?" + invalid).page(http.StatusOK)
		require.Equal(t, url.Values{"expires": {"720h0m0s"}, "access": {"scopes"}}, filledIn(text), invalid)
		require.NotContains(t, text, "A link filled in", invalid)
		require.Equal(t, h.account(), hidden(text).Get("account"))
		require.NotEqual(t, "z", hidden(text).Get("idempotency"))
	}
	// Only the name of a field that no link fills in is kept.
	form := newToken(h.get("/tokens/new", fromAddr).page(http.StatusOK))
	form.Set("networks", "203.0.113.0/24")
	require.NoError(t, h.service.cookie.Revoke(t.Context(), "ada", h.session.ID))
	next, _ := signInLink(t, h.post("/tokens", form, fromAddr).Body.String())
	require.NotContains(t, next, "203")
	h.user = h.signIn("ada")
	require.NotContains(t, h.get(next, fromAddr).page(http.StatusOK, "Enter the networks again"), ">203")
	require.NoError(t, h.service.cookie.Revoke(t.Context(), "ada", h.sessions()[0].ID))
	h.user = h.signIn("ada")
	text := h.get("/tokens/new?name=" + url.QueryEscape(`"><script>alert(1)</script>`)).page(http.StatusOK)
	require.NotContains(t, text, "<script>")
	h.untouched()
}

// After an outage a form comes back filled in. The store may have made the change before it
// failed, and the pages and the API say so. Sent again, the form creates at most one token.
func TestForms_surviveOutage(t *testing.T) {
	t.Parallel()
	for _, committed := range []bool{false, true} {
		s := newService(t)
		failing := false
		s.after(func(method string) error {
			if failing && method == "Create" {
				return errDisk
			}
			return nil
		})
		h := newPopulatedUser(t, s, "ada")
		failing = true
		if !committed {
			s.store.setFailing("Create")
		}
		f := h.typedForms()[0]
		form := h.fill(f)
		s.events.take()
		text := h.post(f.path, form).page(http.StatusServiceUnavailable, "can’t tell whether the token was created")
		require.Len(t, s.events.take(), 1)
		require.Equal(t, f.values, filledIn(text))
		require.Equal(t, form.Get("idempotency"), hidden(text).Get("idempotency"))

		failing = false
		s.store.setFailing()
		again := hidden(text)
		for name, values := range filledIn(text) {
			again[name] = values
		}
		want := http.StatusOK
		if committed {
			want = http.StatusConflict
		}
		h.post(f.path, again).page(want)
		require.Len(t, h.tokens(), 2, "committed: %v", committed)
	}
}

// The answer to a change that fails does not claim that nothing was changed, and leads back to
// the form.
func TestForms_outageOfAnyChange(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
	s.store.setFailing("Create", "Update", "Rotate", "Revoke", "RevokeAll")
	failed := 0
	for _, e := range h.endpoints() {
		body, contentType := filled(e, h.secretID)
		got := h.do(e.method, e.path, body, field("Content-Type", contentType))
		if got.Code != http.StatusServiceUnavailable {
			continue
		}
		failed++
		require.NotContains(t, got.Body.String(), "No changes")
		require.NotContains(t, got.Body.String(), "Nothing")
		require.Regexp(t, unknownChange, got.Body.String(), e)
		if !isAPI(e) && e.path != "/tokens" {
			back, err := url.Parse(mount + e.path)
			require.NoError(t, err)
			back, err = back.Parse(html.UnescapeString(between(t, got.Body.String(), `class="button" href="`, `">Go back and try again`)))
			require.NoError(t, err)
			s.store.setFailing()
			h.get(strings.TrimPrefix(back.RequestURI(), mount)).page(http.StatusOK)
			s.store.setFailing("Create", "Update", "Rotate", "Revoke", "RevokeAll")
		}
	}
	require.Equal(t, 21, failed)
	h.untouched()

	// Requests that change nothing make no such claim.
	s.store.setFailing("List", "Get")
	for _, path := range []string{"/", "/secret", "/sessions/end"} {
		require.NotContains(t, h.get(path).page(http.StatusServiceUnavailable), "not known")
	}
	require.NotContains(t, h.post("/secret/reveal", url.Values{"id": {h.secretID}}).page(http.StatusServiceUnavailable), "not known")
	h.json("POST", "/api/secret/reveal", secretJSON(h.secretID)).problem(http.StatusServiceUnavailable, "unavailable")
}

// If the outage is noticed before the form is read, the answer leads back to it, filled in.
func TestForms_outageOfAuthentication(t *testing.T) {
	t.Parallel()
	down := false
	s := newService(t, func(c *configs) {
		c.settings.Middleware.Resolve = func(context.Context, *auth.Identity) (any, error) {
			if down {
				return nil, errDirectory
			}
			return nil, nil
		}
	})
	h := newPopulatedUser(t, s, "ada")
	for _, f := range h.typedForms() {
		form := h.fill(f)
		down = true
		text := h.post(f.path, form).page(http.StatusServiceUnavailable)
		down = false
		back, err := url.Parse(mount + f.path)
		require.NoError(t, err)
		back, err = back.Parse(html.UnescapeString(between(t, text, `class="button" href="`, `">Go back and try again`)))
		require.NoError(t, err)
		require.Equal(t, f.kept, filledIn(h.get(strings.TrimPrefix(back.RequestURI(), mount)).page(http.StatusOK)))
	}
	h.untouched()
}
