package settings_test

import (
	"fmt"
	"html"
	"maps"
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
	"github.com/seed-31c5bcb2/auth/settings"
)

func TestTokensList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		ada.get("/").page(http.StatusOK, "You have no tokens yet", `href="./tokens/new"`)

		issue := func(name string, lifetime time.Duration, scopes ...string) (string, auth.Credential) {
			p, c, err := s.bearer.Issue(t.Context(), "ada", auth.NewToken{Name: name, Scopes: scopes, Lifetime: lifetime})
			require.NoError(t, err)
			return p, c
		}
		issue("never", 0)
		issue("ninety", 90*24*time.Hour, "notes:read")
		soon, c := issue("soon", 30*24*time.Hour)
		issue("expired", time.Hour)
		time.Sleep(24 * 24 * time.Hour)
		s.works(auth.SchemeBearer, soon)
		require.NoError(t, s.bearer.Close(t.Context()))
		time.Sleep(5 * time.Minute)
		ada = s.signIn("ada")

		text := ada.get("/").page(http.StatusOK)
		var names []string
		for _, found := range regexp.MustCompile(`class="name">([^<]+)<`).FindAllStringSubmatch(text, -1) {
			names = append(names, found[1])
		}
		require.Equal(t, []string{"soon", "ninety", "never", "expired"}, names, "the soonest to expire first")
		row := between(t, text, ">soon<", "</tr>")
		require.Contains(t, row, c.Hint)
		require.NotContains(t, row, soon)
		require.Contains(t, row, "Expires soon")
		require.Contains(t, row, "Full access")
		require.Contains(t, row, `title="`+c.ExpiresAt.Format("2006-01-02 15:04")+` UTC" data-relative>in 6 days<`)
		require.Contains(t, row, ">5 minutes ago<")
		require.Contains(t, row, ">24 days ago<")
		require.Contains(t, row, "/rotate\"")
		require.Contains(t, between(t, text, ">never<", "</tr>"), "Never")
		require.Contains(t, between(t, text, ">ninety<", "</tr>"), `<code class="scope">notes:read</code>`)
		row = between(t, text, ">expired<", "</tr>")
		require.Contains(t, row, "Expired")
		require.NotContains(t, row, "/rotate", "there is nothing to replace")
	})
}

func TestTokensListHasPages(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	for i := range 101 {
		ada.token(fmt.Sprintf("token-%03d", i))
	}
	seen := make(map[string]bool)
	for page, next := 1, "?page=1"; next != ""; page++ {
		text := ada.get("/"+next).page(http.StatusOK, fmt.Sprintf("Page %d", page))
		for _, name := range regexp.MustCompile(`token-\d{3}`).FindAllString(text, -1) {
			seen[name] = true
		}
		_, rest, found := strings.Cut(text, `rel="next"`)
		next = ""
		if found && rest != "" {
			next = fmt.Sprintf("?page=%d", page+1)
		}
	}
	require.Len(t, seen, 101)
	for _, odd := range []string{"?page=0", "?page=-1", "?page=99", "?page=x", "?page=99999999999999999999"} {
		ada.get("/"+odd).page(http.StatusOK, "token-")
	}
}

func TestCreateAToken(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.ExampleURL = "/v1/me"
		c.settings.Scopes = []settings.ScopeGroup{{Title: "Notes", Scopes: []settings.Scope{{Name: "notes:read", Description: "read your notes"}}}}
	})
	ada := s.signIn("ada")
	page := ada.get("/tokens/new").page(http.StatusOK, "7 days", "30 days", "60 days", "90 days", "Never", "read your notes", "notes:write")
	require.NotContains(t, page, "checked", "nothing is chosen already")
	form := newToken(page)
	form["access"], form["scope"] = []string{"scopes"}, []string{"notes:read"}
	s.events.take()

	got := ada.post("/tokens", form)
	text := got.page(http.StatusOK, "Token “deploy” created", "It will not be shown again", "readonly", "in 30 days", "notes:read")
	token := plaintext(text)
	require.True(t, s.works(auth.SchemeBearer, token))
	require.Contains(t, html.UnescapeString(text), `curl -H 'Authorization: Bearer `+token+`' '`+origin+`/v1/me'`)
	require.Empty(t, got.Header().Get("Location"), "never in a URL")
	require.Empty(t, got.Header()["Set-Cookie"], "nor in a cookie")
	require.Len(t, ada.tokens(), 1)
	made := ada.tokens()[0]
	require.Equal(t, 30*24*time.Hour, made.ExpiresAt.Sub(made.CreatedAt))
	require.Equal(t, []auth.Event{{Kind: auth.EventIssued, Scheme: auth.SchemeBearer, UserID: "ada", CredentialID: made.ID, Remote: "192.0.2.1:1234"}}, s.events.take())

	// Never again: in no page, nor by sending the form once more.
	for _, path := range []string{"/", "/tokens/new", "/tokens/" + made.ID + "/revoke", "/api/tokens", "/api/tokens/" + made.ID} {
		require.NotContains(t, ada.get(path).status(http.StatusOK).Body.String(), token)
	}
	for range 2 {
		text = ada.post("/tokens", form).page(http.StatusConflict, "You have created a token since you opened this form")
		require.Empty(t, plaintext(text))
		require.Len(t, ada.tokens(), 1)
	}
	require.Contains(t, text, `value="deploy"`, "what was filled in is still there")
	require.Equal(t, 3, strings.Count(text, " checked"))

	again := newToken(text)
	require.NotEmpty(t, plaintext(ada.post("/tokens", again).page(http.StatusOK)), "somebody who means it makes another one")
	require.Len(t, ada.tokens(), 2)
}

func TestTokenFormsThatAreWrong(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.bearer.MaxLifetime, c.bearer.MaxPerUser = 365*24*time.Hour, 1 })
	ada := s.signIn("ada")
	page := ada.get("/tokens/new").page(http.StatusOK, `value="8760h0m0s"`, `max="365"`)
	require.NotContains(t, page, `value="never"`)
	const (
		name    = "Enter a name"
		expires = "Choose when the token expires"
		access  = "Choose either full access"
	)
	for _, test := range []struct {
		name  string
		form  url.Values
		wrong []string
	}{
		{"all empty", url.Values{"name": nil, "expires": nil, "access": nil}, []string{name, expires, access}},
		{"blank name", url.Values{"name": {"  "}}, []string{name}},
		{"long name", url.Values{"name": {strings.Repeat("x", 10<<10)}}, []string{name}},
		{"NUL in the name", url.Values{"name": {"a\x00b"}}, []string{name}},
		{"line break in the name", url.Values{"name": {"a\nb"}}, []string{name}},
		{"escape in the name", url.Values{"name": {"a\x1bb"}}, []string{name}},
		{"line separator in the name", url.Values{"name": {"a\u2028b"}}, []string{name}},
		{"text direction in the name", url.Values{"name": {"a\u202eb"}}, []string{name}},
		{"name that is not UTF-8", url.Values{"name": {"a\xff"}}, []string{name}},
		{"invisible name", url.Values{"name": {"\u3164"}}, []string{name}},
		{"never under a policy", url.Values{"expires": {"never"}}, []string{expires}},
		{"over the policy", url.Values{"expires": {"8760h0m1s"}}, []string{expires}},
		{"negative", url.Values{"expires": {"-1h"}}, []string{expires}},
		{"zero", url.Values{"expires": {"0s"}}, []string{expires}},
		{"overflow", url.Values{"expires": {"9999999999h"}}, []string{expires}},
		{"custom without days", url.Values{"expires": {"custom"}}, []string{expires}},
		{"custom of no days", url.Values{"expires": {"custom"}, "days": {"0"}}, []string{expires}},
		{"custom over the policy", url.Values{"expires": {"custom"}, "days": {"366"}}, []string{expires}},
		{"custom that overflows", url.Values{"expires": {"custom"}, "days": {"106752"}}, []string{expires}},
		{"custom in words", url.Values{"expires": {"custom"}, "days": {"ten"}}, []string{expires}},
		{"unknown scope", url.Values{"access": {"scopes"}, "scope": {"notes:admin"}}, []string{access}},
		{"no scope", url.Values{"access": {"scopes"}}, []string{access}},
		{"full access and scopes", url.Values{"scope": {"notes:read"}}, []string{access}},
		{"the wildcard as a scope", url.Values{"access": {"scopes"}, "scope": {"*", "notes:read"}}, []string{access}},
		{"10,000 scopes", url.Values{"access": {"scopes"}, "scope": strings.Split(strings.Repeat("s ", 1000), " ")}, []string{access}},
	} {
		t.Run(test.name, func(t *testing.T) {
			form := newToken(page)
			for k, v := range test.form {
				form[k] = v
			}
			got := ada.post("/tokens", form)
			text := got.page(http.StatusBadRequest, `role="alert"`, "<title>Error: ")
			for _, fault := range []string{name, expires, access} {
				want := 0
				for _, w := range test.wrong {
					if w == fault {
						want = 2 // in the summary and at the field
					}
				}
				require.Equal(t, want, strings.Count(text, fault), fault)
			}
			require.Empty(t, ada.tokens())
		})
	}
	t.Run("emoji joined", func(t *testing.T) {
		form := newToken(page)
		form.Set("name", "\U0001F469\u200D\U0001F4BB")
		form.Set("expires", "custom")
		form.Set("days", "365")
		ada.post("/tokens", form).page(http.StatusOK)
		require.Equal(t, "\U0001F469\u200D\U0001F4BB", ada.tokens()[0].Name)
		require.Equal(t, 365*24*time.Hour, ada.tokens()[0].ExpiresAt.Sub(ada.tokens()[0].CreatedAt))
	})
	t.Run("at the limit", func(t *testing.T) {
		form := newToken(ada.get("/tokens/new").page(http.StatusOK))
		ada.post("/tokens", form).page(http.StatusConflict, "You have reached the maximum number of tokens")
		require.Len(t, ada.tokens(), 1)
	})
}

// Without a policy too, what overflows or is no time at all is not for ever.
func TestTokenFormsWithoutAPolicy(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	for _, choice := range []url.Values{
		{"expires": {"0s"}}, {"expires": {"-0s"}}, {"expires": {"custom"}, "days": {"106752"}},
		{"expires": {"custom"}, "days": {"213504"}}, {"expires": {"custom"}, "days": {"9223372036854775807"}},
	} {
		form := newToken(ada.get("/tokens/new").page(http.StatusOK))
		maps.Copy(form, choice)
		ada.post("/tokens", form).page(http.StatusBadRequest, "Choose when the token expires")
	}
	require.Empty(t, ada.tokens())
}

// Times are in the words in which people count.
func TestTimesInWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		for lifetime, words := range map[time.Duration]string{
			30 * time.Second:              "in less than a minute",
			time.Minute:                   "in 1 minute",
			59 * time.Minute:              "in 59 minutes",
			59*time.Minute + 31*1e9:       "in 1 hour",
			36 * time.Hour:                "in 36 hours",
			47*time.Hour + 45*time.Minute: "in 2 days",
			99 * 24 * time.Hour:           "in 99 days",
			122 * 24 * time.Hour:          "in 4 months",
			3 * 366 * 24 * time.Hour:      "in 3 years",
		} {
			_, c, err := s.bearer.Issue(t.Context(), "ada", auth.NewToken{Name: "x", Lifetime: lifetime})
			require.NoError(t, err)
			row := between(t, ada.get("/").page(http.StatusOK), c.Hint, "</tr>")
			require.Contains(t, row, `data-relative>`+words+`<`)
		}
	})
}

// The line to paste names the service as the browser does, which may be behind a
// proxy, and not the page that has sent the form.
func TestTheCurlLineNamesTheService(t *testing.T) {
	t.Parallel()
	const friend = "https://ui.example.com"
	ada := newService(t, func(c *configs) { c.cookie.TrustedOrigins = []string{friend} }).signIn("ada")
	curl := func(edits ...edit) string {
		page := ada.post("/tokens", newToken(ada.get("/tokens/new").page(http.StatusOK)), edits...).page(http.StatusOK)
		return html.UnescapeString(between(t, page, "curl -H ", "</textarea>"))
	}
	insecure := func(r *http.Request) { r.TLS = nil }
	require.Contains(t, curl(), " 'https://api.example.com/'")
	require.Contains(t, curl(insecure), " 'https://api.example.com/'", "a proxy has ended TLS")
	require.Contains(t, curl(field("Origin", friend), field("Sec-Fetch-Site", "same-site")), " 'https://api.example.com/'")
	require.Contains(t, curl(insecure, without("Origin")), " 'http://api.example.com/'")
	odd := curl(without("Origin"), func(r *http.Request) { r.Host = "x';touch y;'" })
	require.Contains(t, odd, ` 'https://x'\'';touch y;'\''/'`)
}

// A policy of less than a day leaves something to choose as well.
func TestAShortPolicyIsOffered(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) { c.bearer.MaxLifetime = 90 * time.Minute }).signIn("ada")
	page := ada.get("/tokens/new").page(http.StatusOK, `value="1h30m0s"`, "90 minutes")
	require.NotContains(t, page, `value="custom"`)
	form := newToken(page)
	form.Set("expires", "1h30m0s")
	require.NotEmpty(t, plaintext(ada.post("/tokens", form).page(http.StatusOK)))
}

func TestRotateAToken(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.bearer.MaxOverlap = 48 * time.Hour })
	ada := s.signIn("ada")
	_, short, err := s.bearer.Issue(t.Context(), "ada", auth.NewToken{Name: "short", Lifetime: 2 * time.Hour})
	require.NoError(t, err)
	page := ada.get("/tokens/"+short.ID+"/rotate").page(http.StatusOK, "1 hour")
	require.NotContains(t, page, "1 day", "it does not live so long")
	require.NoError(t, s.bearer.Revoke(t.Context(), "ada", short.ID))

	old, c := ada.token("deploy", "notes:read")
	path := "/tokens/" + c.ID + "/rotate"
	page = ada.get(path).page(http.StatusOK, "Rotate “deploy”", "None: it stops working now", "1 hour", "1 day")
	require.NotContains(t, page, "168h0m0s", "longer than the policy")
	require.NotContains(t, page, "checked")
	for _, odd := range []string{"", "x", "-1h", "49h", "99999999999h"} {
		ada.post(path, url.Values{"overlap": {odd}}).page(http.StatusBadRequest, `role="alert"`, "Choose how long")
	}
	require.Len(t, ada.tokens(), 1)

	s.events.take()
	next := plaintext(ada.post(path, url.Values{"overlap": {"1h0m0s"}}).page(http.StatusOK, "Token “deploy” rotated"))
	require.True(t, s.works(auth.SchemeBearer, old))
	require.True(t, s.works(auth.SchemeBearer, next))
	require.Equal(t, auth.EventRotated, s.events.take()[0].Kind)
	ada.get("/").page(http.StatusOK, "Replaced: works until it expires")
	newer := slices.IndexFunc(ada.tokens(), func(c auth.Credential) bool { return !c.Superseded })
	ada.get("/tokens/"+ada.tokens()[newer].ID+"/revoke").page(http.StatusOK, "Also revoked", c.Hint)

	// The same form again rotates nothing.
	ada.post(path, url.Values{"overlap": {"1h0m0s"}}).page(http.StatusConflict, "It was changed in the meantime")
	ada.get(path).page(http.StatusConflict, "It was changed in the meantime")
	require.Len(t, ada.tokens(), 2)
	require.True(t, s.works(auth.SchemeBearer, next))

	current := slices.IndexFunc(ada.tokens(), func(c auth.Credential) bool { return !c.Superseded })
	path = "/tokens/" + ada.tokens()[current].ID + "/rotate"
	last := plaintext(ada.post(path, url.Values{"overlap": {"0s"}}).page(http.StatusOK))
	require.False(t, s.works(auth.SchemeBearer, next))
	require.False(t, s.works(auth.SchemeBearer, old), "two live in one line at most")
	require.True(t, s.works(auth.SchemeBearer, last))
	ada.post(path, url.Values{"overlap": {"0s"}}).page(http.StatusNotFound)
}

func TestRevokeTokens(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada, bob := s.signIn("ada"), s.signIn("bob")
	bobs, _ := bob.token("deploy")
	first, c := ada.token("first")
	ada.get("/tokens/"+c.ID+"/revoke").page(http.StatusOK, "Revoke “first”?", c.Hint)
	require.True(t, s.works(auth.SchemeBearer, first))
	s.events.take()
	ada.post("/tokens/"+c.ID+"/revoke", nil).redirects("../../?done=token_revoked")
	require.Equal(t, []auth.Event{{Kind: auth.EventRevoked, Scheme: auth.SchemeBearer, UserID: "ada", CredentialID: c.ID, Reason: auth.ReasonRevoked, Remote: "192.0.2.1:1234"}}, s.events.take())
	require.False(t, s.works(auth.SchemeBearer, first))
	ada.post("/tokens/"+c.ID+"/revoke", nil).page(http.StatusNotFound, "It may have been revoked already")

	for i := range 25 {
		ada.token(fmt.Sprintf("many-%d", i))
	}
	text := ada.get("/tokens/revoke").page(http.StatusOK, "and 5 more")
	require.Equal(t, 20, strings.Count(text, "<li>many-"))
	ada.post("/tokens/revoke", nil).redirects("../?done=tokens_revoked")
	require.Empty(t, ada.tokens())
	require.True(t, s.works(auth.SchemeBearer, bobs), "another's are another's")
}

func TestMoreThanAnybodyLooksThrough(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	for range 1001 {
		ada.token("deploy")
	}
	ada.get("/").page(http.StatusOK, "Only the newest 1000 are shown.")
	ada.get("/tokens/revoke").page(http.StatusOK, "and 980 more")
}
