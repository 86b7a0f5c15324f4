package settings_test

import (
	"context"
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// limitedToken issues a token with a scope that works in one network only.
func (u *user) limitedToken(name, network string, scopes ...string) (string, auth.Credential) {
	u.t.Helper()
	plaintext, c, err := u.bearer.Issue(auth.WithClientAddr(context.Background(), clientAddr), u.userID, auth.TokenOptions{
		Name: name, Scopes: scopes, Lifetime: 30 * 24 * time.Hour, Networks: []netip.Prefix{netip.MustParsePrefix(network)},
	})
	require.NoError(u.t, err)
	return plaintext, c
}

func TestTokenPage_facts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		_, c := ada.limitedToken("deploy", "198.51.100.0/24", "notes:read", "notes:write")
		path := "/tokens/" + c.ID
		text := ada.get(path).page(http.StatusOK, "<h1>deploy</h1>", c.Hint, "<code>notes:read</code>", "<code>notes:write</code>",
			"<code>198.51.100.0/24</code>", "in 30 days", "Created", "from "+clientAddr.String(), "Revoke token", path[1:]+"/edit", path[1:]+"/rotate")
		require.NotContains(t, text, "Last used")

		time.Sleep(time.Hour)
		_, next, err := s.bearer.Rotate(t.Context(), "ada", c.ID, time.Hour)
		require.NoError(t, err)
		text = ada.get(path).page(http.StatusOK, ">Replaced<", "Replaced by <a href=\"../tokens/"+next.ID+`"><code>`+next.Hint)
		require.NotContains(t, text, "/edit")
		require.NotContains(t, text, "/rotate")
		ada.get("/tokens/"+next.ID).page(http.StatusOK, "Created to replace <a href=\"../tokens/"+c.ID+`"><code>`+c.Hint, "tokens/"+next.ID+"/revoke")

		// What has expired is removed, not revoked.
		time.Sleep(31 * 24 * time.Hour)
		text = s.signIn("ada").get(path).page(http.StatusOK, "Remove token", "Expired")
		require.NotContains(t, text, "Revoke")
	})
}

// A token that was replaced is found among many.
func TestTokenPage_successorAmongMany(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	_, c := ada.token("old")
	_, next, err := ada.bearer.Rotate(t.Context(), "ada", c.ID, time.Hour)
	require.NoError(t, err)
	for range 1500 {
		ada.token("more")
	}
	ada.get("/tokens/"+c.ID).page(http.StatusOK, `Replaced by <a href="../tokens/`+next.ID)
}

// The page that explains why a plaintext is gone shows none.
func TestTokenPage_shownOnce(t *testing.T) {
	t.Parallel()
	h := newPopulatedUser(t, newService(t), "ada")
	shown := h.post("/tokens", newToken(h.get("/tokens/new").page(http.StatusOK))).page(http.StatusOK)
	later := html.UnescapeString(between(t, shown, `data-later="./`, `"`))
	require.NotContains(t, later, plaintext(shown))
	for _, from := range []edit{field("Sec-Fetch-Site", "same-origin"), field("Sec-Fetch-Site", "none")} {
		text := h.get("/"+later, from).page(http.StatusOK, "A token is shown only once")
		require.NotContains(t, text, plaintext(shown))
	}
	shown = h.post("/secret/reveal", url.Values{"id": {h.secretID}}).page(http.StatusOK)
	later = html.UnescapeString(between(t, shown, `data-later="../`, `"`))
	require.NotContains(t, h.get("/"+later).page(http.StatusOK, "The client secret is hidden again"), plaintext(shown))
}

// editForm opens the form that changes a token, and returns it filled in.
func (u *user) editForm(id string, edits ...edit) url.Values {
	u.t.Helper()
	page := u.get("/tokens/"+id+"/edit", edits...).page(http.StatusOK)
	form := hidden(page)
	for name, values := range filledIn(page) {
		form[name] = values
	}
	if _, rest, found := strings.Cut(page, "<textarea"); found {
		form.Set("networks", between(u.t, rest, ">", "</textarea>"))
	}
	return form
}

func TestTokenPage_edit(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	old, c := ada.limitedToken("deploy", "198.51.100.0/24", "notes:read")
	path := "/tokens/" + c.ID + "/edit"
	form := ada.editForm(c.ID)
	require.Equal(t, url.Values{
		"account": {ada.account()}, "version": form["version"], "name": {"deploy"},
		"access": {"scopes"}, "scope": {"notes:read"}, "networks": {"198.51.100.0/24\n"},
	}, form)

	// Nothing is changed.
	s.events.take()
	ada.post(path, form).redirects("../../tokens/" + c.ID + "?done=token_updated")
	require.Empty(t, s.events.take())

	form.Set("name", " renamed ")
	form["scope"] = []string{"notes:read", "notes:write"}
	form.Set("networks", "")
	ada.post(path, form).redirects("../../tokens/" + c.ID + "?done=token_updated")
	ada.get("/tokens/"+c.ID+"?done=token_updated").page(http.StatusOK, "Your changes were saved", "<h1>renamed</h1>", "Anywhere")
	require.Equal(t, auth.EventUpdated, s.events.take()[0].Type)
	got := ada.tokens()[0]
	require.Equal(t, "renamed", got.Name)
	require.Equal(t, []string{"notes:read", "notes:write"}, got.Scopes.List())
	require.Empty(t, got.Networks)
	require.True(t, s.works(auth.SchemeBearer, old), "the plaintext stays")

	// The form that was just sent is of an older version. Sent twice, as by a double click, it has
	// changed what it should; with another change it undoes nothing.
	ada.post(path, form).redirects("../../tokens/" + c.ID + "?done=token_updated")
	require.Empty(t, s.events.take())
	form.Set("name", "")
	again := hidden(ada.post(path, form).page(http.StatusBadRequest, nameError))
	require.Equal(t, form["version"], again["version"], "the form stays as old as it is")
	form.Set("name", "other")
	ada.post(path, form).page(http.StatusConflict, "It was changed in the meantime")
	now := ada.tokens()[0]
	now.LastUsedAt = got.LastUsedAt // recorded at some time after the use above
	require.Equal(t, got, now)

	form = ada.editForm(c.ID)
	form["access"], form["scope"] = []string{"full"}, nil
	ada.post(path, form).redirects("../../tokens/" + c.ID + "?done=token_updated")
	require.Equal(t, auth.FullAccess, string(ada.tokens()[0].Scopes))
}

func TestTokenPage_invalidEdit(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	_, c := ada.limitedToken("deploy", "198.51.100.0/24", "notes:read")
	before := ada.tokens()
	for want, change := range map[string]url.Values{
		nameError:                  {"name": {""}},
		accessError:                {"scope": nil},
		"“x” is neither":           {"networks": {"x"}},
		"Did you mean 10.0.0.0/8,": {"networks": {"10.0.0.1/8"}},
	} {
		form := ada.editForm(c.ID)
		for name, values := range change {
			form[name] = values
		}
		text := ada.post("/tokens/"+c.ID+"/edit", form).page(http.StatusBadRequest, "<title>Error: Edit")
		require.Equal(t, 2, strings.Count(text, want), want)
	}
	form := ada.editForm(c.ID)
	form["scope"] = []string{"notes:admin"}
	ada.post("/tokens/"+c.ID+"/edit", form).page(http.StatusBadRequest, accessError)
	require.Equal(t, before, ada.tokens())
}

// An old sign-in can take access away, but not add any.
func TestTokenPage_wideningRequiresRecentSignIn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change url.Values
		widens bool
	}{
		"rename":              {url.Values{"name": {"x"}}, false},
		"fewer scopes":        {url.Values{"scope": {"notes:read"}}, false},
		"another scope":       {url.Values{"scope": {"notes:read", "notes:write", "notes:share"}}, true},
		"full access":         {url.Values{"scope": nil, "access": {"full"}}, true},
		"a smaller network":   {url.Values{"networks": {"198.51.100.128/25 198.51.100.7"}}, false},
		"a larger network":    {url.Values{"networks": {"198.51.0.0/16"}}, true},
		"twice the network":   {url.Values{"networks": {"198.51.100.0/23"}}, true},
		"another network":     {url.Values{"networks": {"198.51.100.0/24 2001:db8::/32"}}, true},
		"any network":         {url.Values{"networks": {""}}, true},
		"back to all scopes":  {url.Values{"scope": {"notes:write", "notes:read"}, "name": {"y"}}, false},
		"rename and widening": {url.Values{"name": {"x"}, "networks": {""}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ada := newService(t, func(c *configs) { c.bearer.Scopes = []string{"notes:read", "notes:write", "notes:share"} }).signIn("ada")
				_, c := ada.limitedToken("deploy", "198.51.100.0/24", "notes:read", "notes:write")
				before := ada.tokens()
				form := ada.editForm(c.ID)
				for name, values := range test.change {
					form[name] = values
				}
				time.Sleep(11 * time.Minute)
				ada.get("/tokens/"+c.ID+"/edit").page(http.StatusOK, "To change anything else, sign in again first", "prompt=login")
				got := ada.post("/tokens/"+c.ID+"/edit", form)
				if test.widens {
					next, _ := signInLink(t, got.page(http.StatusForbidden, "Please sign in again"))
					require.Equal(t, "/tokens/"+c.ID+"/edit", next, "a link fills in nothing")
					require.Equal(t, before, ada.tokens())
					return
				}
				got.status(http.StatusSeeOther)
				require.NotEqual(t, before, ada.tokens())
			})
		})
	}
}

// To limit a token that works anywhere takes access away.
func TestTokenPage_firstNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ada := newService(t).signIn("ada")
		_, c := ada.token("deploy")
		form := ada.editForm(c.ID, fromAddr)
		form.Set("networks", "203.0.113.7")
		time.Sleep(11 * time.Minute)
		ada.post("/tokens/"+c.ID+"/edit", form).page(http.StatusBadRequest)
		require.Empty(t, ada.tokens()[0].Networks, "without addresses of clients it would be rejected everywhere")
		ada.post("/tokens/"+c.ID+"/edit", form, fromAddr).status(http.StatusSeeOther)
		require.Equal(t, auth.Networks("203.0.113.7/32"), ada.tokens()[0].Networks)
	})
}

// A session cannot change a token that may do more than the session, nor give a token more.
func TestTokenPage_limitedSessionEdits(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada, limited := s.signIn("ada"), s.signIn("ada", "notes:read")
	_, full := ada.token("full")
	_, reads := ada.issue("reads", time.Hour, "notes:read")
	_, both := ada.issue("both", time.Hour, "notes:read", "notes:write")
	for _, c := range []auth.Credential{full, both} {
		require.NotContains(t, limited.get("/tokens/"+c.ID).page(http.StatusOK), "/edit")
		limited.get("/tokens/"+c.ID+"/edit").page(http.StatusForbidden, "does not have the access")
		form := ada.editForm(c.ID)
		form.Set("name", "x")
		limited.post("/tokens/"+c.ID+"/edit", form).page(http.StatusForbidden, "does not have the access")
	}
	form := limited.editForm(reads.ID)
	for _, change := range []url.Values{{"scope": {"notes:read", "notes:write"}}, {"access": {"full"}, "scope": nil}} {
		for name, values := range change {
			form[name] = values
		}
		limited.post("/tokens/"+reads.ID+"/edit", form).page(http.StatusForbidden, "does not have the access")
	}
	form = limited.editForm(reads.ID)
	form.Set("name", "renamed")
	limited.post("/tokens/"+reads.ID+"/edit", form).status(http.StatusSeeOther)
	for _, c := range ada.tokens() {
		require.NotEqual(t, "x", c.Name)
	}
}

// Support staff who act as the user change nothing.
func TestTokenPage_actor(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada, staff := s.signIn("ada"), s.actAs("ada", "support")
	_, c := ada.issue("deploy", time.Hour, "notes:read", "notes:write")
	form := ada.editForm(c.ID)
	form.Set("name", "x")
	form["scope"] = []string{"notes:read"}
	require.NotContains(t, staff.get("/tokens/"+c.ID).page(http.StatusOK), "/edit")
	staff.get("/tokens/"+c.ID+"/edit").page(http.StatusForbidden, "You act as another user")
	staff.post("/tokens/"+c.ID+"/edit", form).page(http.StatusForbidden, "You act as another user")
	require.Equal(t, []auth.Credential{c}, ada.tokens())
}

// The form keeps scopes that the service no longer offers, and does not undo other changes.
func TestTokenPage_editKeeps(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.bearer.Scopes = nil })
	ada := s.signIn("ada")
	_, c := ada.issue("deploy", time.Hour, "notes:retired", "notes:read")
	ada.get("/tokens/"+c.ID+"/edit").page(http.StatusOK, "Other scopes", `value="notes:retired"`)
	form := ada.editForm(c.ID)
	form.Set("name", "renamed")
	ada.post("/tokens/"+c.ID+"/edit", form).status(http.StatusSeeOther)
	require.Equal(t, c.Scopes, ada.tokens()[0].Scopes)

	form = ada.editForm(c.ID)
	fewer := []string{"notes:read"}
	_, err := s.bearer.Update(t.Context(), "ada", c.ID, auth.TokenUpdate{Scopes: &fewer})
	require.NoError(t, err)
	form.Set("name", "again")
	ada.post("/tokens/"+c.ID+"/edit", form).page(http.StatusConflict, "It was changed in the meantime")
	require.Equal(t, fewer, ada.tokens()[0].Scopes.List())

	_, next, err := s.bearer.Rotate(t.Context(), "ada", c.ID, 30*time.Minute)
	require.NoError(t, err)
	ada.get("/tokens/"+c.ID+"/edit").page(http.StatusConflict, "It was changed in the meantime")
	ada.get("/tokens/"+next.ID+"/edit").page(http.StatusOK, "still works and keeps its access")
}

// A path of one segment is a token, except for those with a page of their own.
func TestTokenPage_methods(t *testing.T) {
	t.Parallel()
	h := newPopulatedUser(t, newService(t), "ada")
	for path, allow := range map[string]string{
		"/tokens/" + h.tokenID: "GET, HEAD", "/tokens/new": "GET, HEAD", "/tokens/revoke": "GET, HEAD, POST",
	} {
		require.Equal(t, allow, h.do("PUT", path, "").status(http.StatusMethodNotAllowed).Header().Get("Allow"), path)
	}
}
