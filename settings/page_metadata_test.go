package settings_test

import (
	"context"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// withNotes lets users set two entries of the metadata.
func withNotes(c *configs) {
	c.settings.MetadataKeys = []settings.MetadataKey{{Key: "team", Label: "Team"}, {Key: "cost.center-1", Label: "Cost <center>"}}
}

// metadata returns all metadata of the user's only token.
func (u *user) metadata() map[string]string {
	u.t.Helper()
	require.Len(u.t, u.tokens(), 1)
	return maps.Collect(u.tokens()[0].Metadata.All())
}

// labeled issues a token with metadata, of which the tenant is the service's own.
func (u *user) labeled(team string) auth.Credential {
	u.t.Helper()
	_, c, err := u.bearer.Issue(context.Background(), u.userID, auth.TokenOptions{
		Name: "deploy", Scopes: []string{"notes:read"}, Lifetime: time.Hour,
		Metadata: map[string]string{"tenant": "acme-7", "team": team},
	})
	require.NoError(u.t, err)
	return c
}

func TestMetadataFields_create(t *testing.T) {
	t.Parallel()
	require.NotContains(t, newService(t).signIn("ada").get("/tokens/new").page(http.StatusOK), "metadata")
	ada := newService(t, withNotes).signIn("ada")
	for typed, want := range map[string]map[string]string{
		"":                       {},
		" \t":                    {},
		" Web & <b>co</b> ":      {"team": "Web & <b>co</b>"},
		strings.Repeat("x", 256): {"team": strings.Repeat("x", 256)},
	} {
		page := ada.get("/tokens/new").page(http.StatusOK, `>Team (optional)</label>`, `>Cost &lt;center&gt; (optional)</label>`, `name="metadata.cost.center-1"`)
		form := newToken(page)
		form.Set("metadata.team", typed)
		form.Set("metadata.cost.center-1", "")
		require.NotEmpty(t, plaintext(ada.post("/tokens", form).page(http.StatusOK)))
		require.Equal(t, want, ada.metadata())
		require.NoError(t, ada.bearer.Revoke(t.Context(), "ada", ada.tokens()[0].ID))
	}
}

// invalidEntries are fields of a form, and what the page says about them.
var invalidEntries = []struct{ name, value, want string }{
	{"metadata.team", "a\nb", "Enter one line of text for “Team”."},
	{"metadata.team", "a\x00b", "Enter one line of text for “Team”."},
	{"metadata.team", "a\u0085b", "Enter one line of text for “Team”."},
	{"metadata.team", "a\u2028b", "Enter one line of text for “Team”."},
	{"metadata.team", "a\u202eb", "Enter one line of text for “Team”."},
	{"metadata.team", "a\xffb", "Enter one line of text for “Team”."},
	{"metadata.cost.center-1", "a\x7fb", "Enter one line of text for “Cost <center>”."},
	{"metadata.team", strings.Repeat("x", 257), "Shorten it to about 256 characters."},
	{"metadata.team", strings.Repeat("\u00e9", 129), "Shorten it to about 128 characters."},
	{"metadata.team", strings.Repeat("x", 9000), "Shorten it to about 256 characters."},
	{"metadata.tenant", "acme-7", "Some fields are invalid."},
	{"metadata.tenant", "evil", "Some fields are invalid."},
	{"metadata.tenant", "", "Some fields are invalid."},
	{"metadata.", "x", "Some fields are invalid."},
	{"metadata.Team", "x", "Some fields are invalid."},
	{"metadata.a=b\nc", "x", "Some fields are invalid."},
}

// Both forms check what the API checks. They say at the field what is wrong, and keep the rest.
func TestMetadataFields_invalid(t *testing.T) {
	t.Parallel()
	ada := newService(t, withNotes).signIn("ada")
	c := ada.labeled("web")
	for path, open := range map[string]func() url.Values{
		"/tokens":                   func() url.Values { return newToken(ada.get("/tokens/new").page(http.StatusOK)) },
		"/tokens/" + c.ID + "/edit": func() url.Values { return ada.editForm(c.ID) },
	} {
		for _, test := range invalidEntries {
			form := open()
			form.Set("name", "kept")
			form.Set("metadata.cost.center-1", "kept too")
			form.Set(test.name, test.value)
			text := html.UnescapeString(ada.post(path, form).page(http.StatusBadRequest, "<title>Error: ", `value="kept"`))
			want := 1
			if test.name == "metadata.team" || test.name == "metadata.cost.center-1" {
				want = 2 // in the summary and at the field
			}
			require.Equal(t, want, strings.Count(text, test.want), "%s %q", path, test)
			if test.name != "metadata.cost.center-1" {
				require.Contains(t, text, `value="kept too"`)
			}
			require.NotContains(t, text, "acme-7")
			require.Equal(t, []auth.Credential{c}, ada.tokens())
		}
		form := open()
		form["metadata.team"] = []string{"a", "b"}
		ada.post(path, form).page(http.StatusBadRequest, "The request couldn’t be read")
	}
	require.Equal(t, []auth.Credential{c}, ada.tokens())
}

// A form in which everything has its maximum length is not too large.
func TestMetadataFields_longest(t *testing.T) {
	t.Parallel()
	var keys []settings.MetadataKey
	for i := range 16 {
		keys = append(keys, settings.MetadataKey{Key: fmt.Sprintf("%064d", i), Label: "Label"})
	}
	var scopes []string
	for i := range 100 {
		scopes = append(scopes, fmt.Sprintf("scope:%013d", i))
	}
	ada := newService(t, func(c *configs) { c.settings.MetadataKeys, c.bearer.Scopes = keys, scopes }).signIn("ada")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	form["access"], form["scope"] = []string{"scopes"}, scopes
	form.Set("name", strings.Repeat("\u00e9", 127))
	form.Set("networks", strings.Repeat("2001:db8:1111:1111:1111:1111:1111:1111\r\n", 16))
	for _, k := range keys {
		form.Set("metadata."+k.Key, strings.Repeat("\u00e9", 128))
	}
	ada.post("/tokens", form, fromAddr).page(http.StatusOK)
	require.Len(t, ada.metadata(), 16)
	form = ada.editForm(ada.tokens()[0].ID, fromAddr)
	form.Set("name", "renamed")
	ada.post("/tokens/"+ada.tokens()[0].ID+"/edit", form, fromAddr).status(http.StatusSeeOther)
}

// A service may list more keys than a token can have entries.
func TestMetadataFields_tooMany(t *testing.T) {
	t.Parallel()
	keys := strings.Split("a b c d e f g h i j k l m n o p q", " ")
	ada := newService(t, func(c *configs) {
		for _, key := range keys {
			c.settings.MetadataKeys = append(c.settings.MetadataKeys, settings.MetadataKey{Key: key, Label: key})
		}
	}).signIn("ada")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	for _, key := range keys {
		form.Set("metadata."+key, "x")
	}
	ada.post("/tokens", form).page(http.StatusBadRequest, "Fill in fewer of the optional fields.", `name="metadata.q" dir="auto" value="x"`)
	form.Set("metadata.q", "")
	ada.post("/tokens", form).page(http.StatusOK)
	require.Len(t, ada.metadata(), 16)
}

func TestMetadataFields_edit(t *testing.T) {
	t.Parallel()
	ada := newService(t, withNotes).signIn("ada")
	c := ada.labeled(" web ")
	path := "/tokens/" + c.ID + "/edit"
	text := ada.get("/tokens/"+c.ID).page(http.StatusOK, "<dt>Team</dt>")
	require.NotContains(t, text, "acme-7")
	require.NotContains(t, text, "Cost", "the token has no such entry")
	require.NotContains(t, ada.get(path).page(http.StatusOK), "acme-7")

	for _, step := range []struct {
		change url.Values
		want   map[string]string
	}{
		{url.Values{"name": {"renamed"}}, map[string]string{"team": " web "}}, // as a program has set it
		{url.Values{"metadata.cost.center-1": {" 12 "}}, map[string]string{"team": " web ", "cost.center-1": "12"}},
		{url.Values{"metadata.team": {"ops"}}, map[string]string{"team": "ops", "cost.center-1": "12"}},
		{url.Values{"metadata.team": nil, "metadata.cost.center-1": nil}, map[string]string{"team": "ops", "cost.center-1": "12"}}, // of an older form
		{url.Values{"metadata.team": {""}}, map[string]string{"cost.center-1": "12"}},
	} {
		form := ada.editForm(c.ID)
		maps.Copy(form, step.change)
		ada.post(path, form).redirects("../../tokens/" + c.ID + "?done=token_updated")
		step.want["tenant"] = "acme-7"
		require.Equal(t, step.want, ada.metadata())
	}
	ada.get("/tokens/"+c.ID).page(http.StatusOK, "<dt>Cost &lt;center&gt;</dt><dd><bdi>12</bdi>")
}

// A form does not undo another change of the metadata, unless users do not see that entry.
func TestMetadataFields_changedMeanwhile(t *testing.T) {
	t.Parallel()
	ada := newService(t, withNotes).signIn("ada")
	c := ada.labeled("web")
	set := func(key, value string) {
		_, err := ada.bearer.Update(t.Context(), "ada", c.ID, auth.TokenUpdate{Metadata: map[string]*string{key: &value}})
		require.NoError(t, err)
	}
	form := ada.editForm(c.ID)
	form.Set("metadata.team", "mine")
	set("team", "theirs")
	ada.post("/tokens/"+c.ID+"/edit", form).page(http.StatusConflict, "It was changed in the meantime")
	require.Equal(t, "theirs", ada.metadata()["team"])

	form = ada.editForm(c.ID)
	form.Set("metadata.team", "mine")
	set("tenant", "acme-8")
	ada.post("/tokens/"+c.ID+"/edit", form).status(http.StatusSeeOther)
	require.Equal(t, map[string]string{"team": "mine", "tenant": "acme-8"}, ada.metadata())
}

// Only the service knows what an entry grants, so a change requires a recent sign-in, as it does in
// the API. An empty entry is as good as none.
func TestMetadataFields_requireRecentSignIn(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"web", "", "ops"} {
		for _, was := range []string{"web", ""} {
			t.Run(was+" to "+value, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ada := newService(t, withNotes).signIn("ada")
					c := ada.labeled(was)
					form := ada.editForm(c.ID)
					form.Set("name", "renamed")
					form.Set("metadata.team", value)
					time.Sleep(11 * time.Minute)
					got := ada.post("/tokens/"+c.ID+"/edit", form)
					if value != was {
						got.page(http.StatusForbidden, "Please sign in again")
						require.Equal(t, was, ada.metadata()["team"])
						return
					}
					got.status(http.StatusSeeOther)
				})
			})
		}
	}
}

// A link cannot set an entry. After a sign-in, the form says which ones to enter again.
func TestMetadataFields_links(t *testing.T) {
	t.Parallel()
	s := newService(t, withNotes)
	ada := s.signIn("ada")
	for _, link := range []string{"metadata.team=evil", "team=evil", "metadata=evil", "metadata[team]=evil"} {
		text := ada.get("/tokens/new?" + link).page(http.StatusOK)
		require.NotContains(t, text, "evil")
		require.NotContains(t, text, "A link filled in")
	}
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	form.Set("metadata.cost.center-1", "confidential")
	require.NoError(t, s.cookie.Revoke(t.Context(), "ada", ada.session.ID))
	next, query := signInLink(t, ada.post("/tokens", form).Body.String())
	require.NotContains(t, query.Encode(), "confidential")
	text := s.signIn("ada").get(next).page(http.StatusOK, `id="metadata-1-again">Enter this again`)
	require.Equal(t, 1, strings.Count(text, "Enter this again"))
}

// The service sees the entries of the forms before they are stored.
func TestMetadataFields_service(t *testing.T) {
	t.Parallel()
	check := func(team string) error {
		if team == "web" {
			return nil
		}
		return &auth.ArgumentError{Argument: "metadata.team", Fault: "There is no team " + team + "."}
	}
	ada := newService(t, withNotes, func(c *configs) {
		c.settings.BeforeIssue = func(_ context.Context, _ *auth.Identity, o *auth.TokenOptions) error {
			return check(o.Metadata["team"])
		}
		c.settings.BeforeUpdate = func(_ context.Context, _ *auth.Identity, _ auth.Credential, u *auth.TokenUpdate) error {
			return check(*u.Metadata["team"])
		}
	}).signIn("ada")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	form.Set("metadata.team", "sales")
	ada.post("/tokens", form).page(http.StatusBadRequest, `id="metadata-0-error">There is no team sales.`, `<a href="#metadata-0">There is no team sales.`)
	form.Set("metadata.team", "web")
	ada.post("/tokens", form).page(http.StatusOK)
	id := ada.tokens()[0].ID
	form = ada.editForm(id)
	form.Set("metadata.team", "law")
	ada.post("/tokens/"+id+"/edit", form).page(http.StatusBadRequest, `id="metadata-0-error">There is no team law.`)
	require.Equal(t, "web", ada.metadata()["team"])
}
