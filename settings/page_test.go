package settings_test

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// newToken fills in the form of a page for a token with full access for 30 days.
func newToken(page string) url.Values {
	_, rest, _ := strings.Cut(page, `name="after" value="`)
	after, _, _ := strings.Cut(rest, `"`)
	return url.Values{"after": {after}, "name": {"deploy"}, "expires": {"720h0m0s"}, "access": {"full"}}
}

var shown = regexp.MustCompile(`id="plaintext"[^>]* value="([^"]+)"`)

// plaintext is what a page shows once; "" if it shows none.
func plaintext(page string) string {
	if found := shown.FindStringSubmatch(page); found != nil {
		return html.UnescapeString(found[1])
	}
	return ""
}

func TestPagesAreProtected(t *testing.T) {
	t.Parallel()
	ada := newHousehold(t, newService(t), "ada")
	for _, e := range ada.pages {
		if e.method != "GET" {
			continue
		}
		got := ada.get(e.path)
		text := got.page(http.StatusOK)
		h := got.Header()
		require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'", h.Get("Content-Security-Policy"))
		require.Equal(t, "same-origin", h.Get("Cross-Origin-Opener-Policy"))
		require.Equal(t, "same-origin", h.Get("Referrer-Policy"))
		require.Equal(t, "DENY", h.Get("X-Frame-Options"))
		require.NotRegexp(t, `<script>|<style|\sstyle="|\son[a-z]+="|javascript:`, text, "nothing inline")
		require.NotContains(t, text, ada.token)
		require.NotContains(t, text, ada.secret)
		require.Equal(t, 1, strings.Count(text, "<h1>"), e.path)
	}
}

// Links are relative, so that each has to lead somewhere from where it stands.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	ada := newHousehold(t, newService(t), "ada")
	link := regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	followed := make(map[string]bool)
	var follow func(path string)
	follow = func(path string) {
		if followed[path] {
			return
		}
		followed[path] = true
		got := ada.get(strings.TrimPrefix(path, mount)).status(http.StatusOK)
		base, err := url.Parse(path)
		require.NoError(t, err)
		for _, found := range link.FindAllStringSubmatch(got.Body.String(), -1) {
			to, err := base.Parse(html.UnescapeString(found[1]))
			require.NoError(t, err)
			to.Fragment = ""
			require.True(t, strings.HasPrefix(to.Path, mount+"/"), "%s leads to %s", path, to)
			if strings.Contains(found[0], "action=") {
				require.NotEqual(t, http.StatusNotFound, ada.do("POST", strings.TrimPrefix(to.Path, mount), "").Code, to)
				continue // without a form it changes nothing: 415
			}
			follow(to.String())
		}
	}
	follow(mount + "/")
	ada.untouched()
	for _, path := range []string{"/tokens/new", "/secret", "/sessions", "/tokens/" + ada.tokenID + "/revoke"} {
		require.True(t, followed[mount+path], path)
	}
	require.Greater(t, len(followed), 12)
}

// Looking changes nothing: crawlers and prefetching follow every link.
func TestGetChangesNothing(t *testing.T) {
	t.Parallel()
	ada := newHousehold(t, newService(t), "ada")
	snapshot := func() (all []auth.Credential) {
		for _, c := range slices.Concat(ada.tokens(), ada.secrets(), ada.sessions()) {
			c.LastUsedAt = time.Time{}
			all = append(all, c)
		}
		return all
	}
	before := snapshot()
	for _, e := range append(append([]endpoint{}, ada.pages...), ada.api...) {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "get", "TRACE"} {
			ada.do(method, e.path, "")
			ada.do(method, e.path+"?_method=POST&name=x&access=full&expires=never&done=token_revoked", "", field("X-Http-Method-Override", "POST"))
		}
	}
	require.Equal(t, before, snapshot())
}

func TestMethodsAndPathsThatAreNotThere(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	require.Equal(t, "GET, HEAD", ada.do("POST", "/", "").Header().Get("Allow"))
	ada.do("POST", "/", "").page(http.StatusMethodNotAllowed, "That cannot be done here.")
	ada.json("PUT", "/api/tokens", "{}").problem(http.StatusMethodNotAllowed, "method_not_allowed")
	require.Equal(t, "DELETE, GET, HEAD, POST", ada.json("PUT", "/api/tokens", "{}").Header().Get("Allow"))
	ada.get("/api/nothing").problem(http.StatusNotFound, "not_found")
	ada.get("/nothing").page(http.StatusNotFound)
	// A router in front that cleans no path: ours must not redirect past the mount.
	ada.Handler = http.StripPrefix(mount, ada.settings)
	for _, path := range []string{"//", "/./", "/tokens/../secret", "/%2e%2e/", "/%2f", "//tokens", "/tokens//new", "/secret/"} {
		require.Equal(t, http.StatusNotFound, ada.get(path).Code, path)
	}
	require.Equal(t, http.StatusOK, ada.do("HEAD", "/", "").Code)
	require.Empty(t, ada.do("HEAD", "/", "").Body.String())
	require.Equal(t, http.StatusMethodNotAllowed, ada.do("POST", "/style.css", "").Code)
}

// Without the slash at the end, relative links would lead astray.
func TestTheSlashIsAdded(t *testing.T) {
	t.Parallel()
	s := newService(t)
	cfg := settings.Config{Bearer: s.bearer, Cookie: s.cookie, SignInPath: "/signin"}
	h, err := settings.New(cfg)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	http.StripPrefix("/a/settings", h).ServeHTTP(w, httptest.NewRequest("GET", "/a/settings", nil))
	require.Equal(t, http.StatusSeeOther, w.Code)
	to, err := (&url.URL{Path: "/a/settings"}).Parse(w.Header().Get("Location"))
	require.NoError(t, err)
	require.Equal(t, "/a/settings/", to.Path)
}

func TestAssetsAreForEverybody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	page := s.signIn("ada").get("/").page(http.StatusOK)
	for _, asset := range []struct{ path, contentType string }{
		{"style.css", "text/css; charset=utf-8"}, {"script.js", "text/javascript; charset=utf-8"},
	} {
		version := between(t, page, `"./`+asset.path, `"`)
		require.Regexp(t, `^\?v=[0-9a-f]{12}$`, version)
		got := s.do("GET", "/"+asset.path+version, "").status(http.StatusOK)
		require.Equal(t, asset.contentType, got.Header().Get("Content-Type"))
		require.Contains(t, got.Header().Get("Cache-Control"), "public")
	}
	require.Contains(t, s.do("GET", "/style.css", "").Body.String(), "--accent: #0b57d0;\n  --on-accent: #ffffff;")
	_, other, _ := strings.Cut(newService(t, func(c *configs) { c.settings.Accent = "#ffcc00" }).signIn("ada").get("/").Body.String(), "style.css")
	_, mine, _ := strings.Cut(page, "style.css")
	require.NotEqual(t, mine[:16], other[:16], "another colour has another address")
	light := newService(t, func(c *configs) { c.settings.Accent = "#ffcc00" })
	require.Contains(t, light.do("GET", "/style.css", "").Body.String(), "--on-accent: #000000;")
}

func TestNamesAreEscaped(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	_, c := ada.token(`<script>alert(1)</script>"onload="`)
	for _, path := range []string{"/", "/tokens/revoke", "/tokens/" + c.ID + "/revoke", "/tokens/" + c.ID + "/rotate"} {
		text := ada.get(path).page(http.StatusOK, "&lt;script&gt;")
		require.NotContains(t, text, "<script>")
		require.NotRegexp(t, `\sonload="`, text)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", origin, nil)
	r.Header.Set("User-Agent", "<script>alert(1)</script>")
	_, err := s.cookie.SignIn(w, r, "ada", auth.NewSession{})
	require.NoError(t, err)
	require.NotContains(t, ada.get("/sessions").page(http.StatusOK, "&lt;script&gt;"), "<script>")
}

// A link on another site must not make our page claim that something was done.
func TestNoticesAreOurOwn(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	const said = "The token was revoked."
	ada.get("/?done=token_revoked").page(http.StatusOK, `role="status">`+said)
	ada.get("/?done=token_revoked", without("Sec-Fetch-Site")).page(http.StatusOK, said)
	for _, site := range []string{"cross-site", "same-site", "none"} {
		require.NotContains(t, ada.get("/?done=token_revoked", field("Sec-Fetch-Site", site)).Body.String(), said)
	}
	for _, odd := range []string{"", "nothing", "token_revoked.x", "%00", "<b>"} {
		require.NotContains(t, ada.get("/?done="+url.QueryEscape(odd)).page(http.StatusOK), `role="status"`)
	}
}

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
	text := got.page(http.StatusOK, "Token “deploy” created", "It is not shown again", "readonly", "in 30 days", "notes:read")
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
		text = ada.post("/tokens", form).page(http.StatusConflict, "You have made a token since you opened this form")
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
		name    = "Give it a name"
		expires = "Choose when it expires"
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
		ada.post("/tokens", form).page(http.StatusConflict, "You have as many tokens")
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
		ada.post("/tokens", form).page(http.StatusBadRequest, "Choose when it expires")
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
	page = ada.get(path).page(http.StatusOK, "Rotate “deploy”", "No longer", "1 hour", "1 day")
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
	ada.get("/tokens/"+ada.tokens()[newer].ID+"/revoke").page(http.StatusOK, "Ends with it", c.Hint)

	// The same form again rotates nothing.
	ada.post(path, url.Values{"overlap": {"1h0m0s"}}).page(http.StatusConflict, "It has changed since")
	ada.get(path).page(http.StatusConflict, "It has changed since")
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

func TestSecretPage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	ada.get("/secret").page(http.StatusOK, "You have no client secret", "secret/assign")
	ada.post("/secret/reveal", nil).page(http.StatusNotFound)
	ada.get("/secret/rotate").page(http.StatusNotFound)
	ada.get("/secret/revoke").page(http.StatusNotFound)

	first := plaintext(ada.post("/secret/assign", nil).page(http.StatusOK, "Client secret created", "Authorization: Secret "))
	require.True(t, s.works(auth.SchemeSecret, first))
	require.Empty(t, plaintext(ada.post("/secret/assign", nil).page(http.StatusConflict)))
	text := ada.get("/secret").page(http.StatusOK, "acme_cs_…"+first[len(first)-4:], "Reveal")
	require.NotContains(t, text, first)
	require.NotContains(t, text, "Previous secret")

	s.events.take()
	require.Equal(t, first, plaintext(ada.post("/secret/reveal", nil).page(http.StatusOK, "Your client secret")))
	require.Equal(t, auth.EventRevealed, s.events.take()[0].Kind)

	page := ada.get("/secret/rotate").page(http.StatusOK, "7 days")
	form := url.Values{"id": {between(t, page, `name="id" value="`, `"`)}, "overlap": {"168h0m0s"}}
	ada.post("/secret/rotate", url.Values{"id": form["id"]}).page(http.StatusBadRequest, "Choose how long")
	ada.post("/secret/rotate", url.Values{"id": form["id"], "overlap": {"169h"}}).page(http.StatusBadRequest, "Choose how long")
	second := plaintext(ada.post("/secret/rotate", form).page(http.StatusOK, "Client secret rotated"))
	for range 2 {
		require.Empty(t, plaintext(ada.post("/secret/rotate", form).page(http.StatusConflict, "It has changed since")))
	}
	require.True(t, s.works(auth.SchemeSecret, first), "the form that was sent again ended nothing")
	require.True(t, s.works(auth.SchemeSecret, second))
	ada.get("/secret").page(http.StatusOK, "Previous secret", "in 7 days")
	ada.get("/secret/rotate").page(http.StatusOK, "the one before it, which still works, ends now")

	previous := "/secret/previous/" + ada.secrets()[1].ID + "/revoke"
	ada.get(previous).page(http.StatusOK, "End the previous secret now?", ada.secrets()[1].Hint)
	ada.post("/secret/previous/"+ada.secrets()[0].ID+"/revoke", nil).page(http.StatusConflict)
	ada.post(previous, nil).redirects("../../../secret?done=previous_revoked")
	require.False(t, s.works(auth.SchemeSecret, first))
	require.True(t, s.works(auth.SchemeSecret, second))
	ada.post(previous, nil).page(http.StatusNotFound)

	ada.get("/secret/revoke").page(http.StatusOK, ada.secrets()[0].Hint)
	ada.post("/secret/revoke", nil).redirects("../secret?done=secret_revoked")
	require.False(t, s.works(auth.SchemeSecret, second))
}

func TestSecretsThatAreShownOnce(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.secret.RevealKeys = nil })
	ada := s.signIn("ada")
	ada.post("/secret/assign", nil).page(http.StatusOK, "It is not shown again")
	require.NotContains(t, ada.get("/secret").page(http.StatusOK), "Reveal")
	ada.post("/secret/reveal", nil).page(http.StatusConflict, "was shown once")

	// Nor does a key that came later show what was made before.
	later, err := auth.NewSecret(s.store, auth.SecretConfig{Prefix: "acme_cs", RevealKeys: auth.Keys{testKey(3)}})
	require.NoError(t, err)
	h, err := settings.New(settings.Config{Bearer: s.bearer, Cookie: s.cookie, Secret: later, SignInPath: "/signin"})
	require.NoError(t, err)
	s.Handler = http.StripPrefix(mount, h)
	require.NotContains(t, ada.get("/secret").page(http.StatusOK), "Reveal")
	ada.post("/secret/reveal", nil).page(http.StatusConflict, "was shown once")
	ada.json("POST", "/api/secret/reveal", "").problem(http.StatusConflict, "not_revealable")
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

func TestSessionsPage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	agents := map[string]string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                   "Chrome on macOS",
		"Mozilla/5.0 (Linux; Android 15; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":     "Samsung Internet on Android",
		"Mozilla/5.0 (iPad; CPU OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1":           "Chrome on iPad",
		"curl/8.5.0":               "curl",
		"":                         "Unknown device",
		"Mozilla/5.0 (compatible)": "Unknown device",
	}
	for agent := range agents {
		r := httptest.NewRequest("POST", origin, nil)
		r.Header.Set("User-Agent", agent)
		_, err := s.cookie.SignIn(httptest.NewRecorder(), r, "ada", auth.NewSession{})
		require.NoError(t, err)
	}
	text := ada.get("/sessions").page(http.StatusOK)
	for agent, device := range agents {
		require.Contains(t, text, `class="name">`+device+`<`, agent)
	}
	first := between(t, text, "<tbody", "</tr>")
	require.Contains(t, first, "Firefox on Linux")
	require.Contains(t, first, "This session")
	require.Equal(t, 1, strings.Count(text, "This session"))

	other := s.signIn("ada")
	ada.get("/sessions/"+other.session.ID+"/end").page(http.StatusOK, "End Firefox on Linux?")
	other.get("/").page(http.StatusOK)
	ada.post("/sessions/"+other.session.ID+"/end", nil).redirects("../../sessions?done=session_ended")
	other.get("/").status(http.StatusSeeOther)

	names := between(t, ada.get("/sessions/end").page(http.StatusOK), `<ul class="names">`, "</ul>")
	require.Contains(t, names, "Safari on iPhone, last seen")
	require.NotContains(t, names, "Firefox on Linux", "this one goes on")
	ada.post("/sessions/end", nil).redirects("../sessions?done=sessions_ended")
	require.Len(t, ada.sessions(), 1)
	require.NotContains(t, ada.get("/sessions").page(http.StatusOK), "End all others")

	got := ada.post("/sessions/"+ada.session.ID+"/end", nil)
	got.redirects("/signin")
	require.Contains(t, got.Header().Get("Set-Cookie"), "Max-Age=0", "signed out")
	require.Empty(t, ada.sessions())
}

// The record of a last use is behind; that this session is used now is certain.
func TestThisSessionIsSeenNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.store.setFailing("Touch")
		ada := s.signIn("ada")
		time.Sleep(30 * time.Minute)
		row := between(t, ada.get("/sessions").page(http.StatusOK), "This session", "</tr>")
		require.Contains(t, row, ">just now<")
		require.Contains(t, row, ">30 minutes ago<", "when it started")
		s.cookie.Close(t.Context())
	})
}

// Sessions by which nobody can come in are not worth a line.
func TestSessionsThatHaveEndedAreNotShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *configs) { c.cookie.Lifetime, c.cookie.IdleTimeout = 10*time.Hour, time.Hour })
		s.signIn("ada")
		time.Sleep(2 * time.Hour)
		ada := s.signIn("ada")
		require.Equal(t, 1, strings.Count(ada.get("/sessions").page(http.StatusOK), `class="name"`))
		require.Len(t, ada.get("/api/sessions").object()["sessions"], 1)
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

// A double click, or two windows: one wins.
func TestFormsSentAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	old, _ := ada.assigned()
	_, c := ada.token("deploy")
	form := url.Values{"id": {ada.secrets()[0].ID}, "overlap": {"1h0m0s"}}
	for name, path := range map[string]string{"a secret": "/secret/rotate", "a token": "/tokens/" + c.ID + "/rotate"} {
		var mu sync.Mutex
		codes := make(map[int]int)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				got := ada.post(path, form)
				mu.Lock()
				defer mu.Unlock()
				codes[got.Code]++
			})
		}
		wg.Wait()
		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusConflict: 19}, codes, name)
	}
	require.True(t, s.works(auth.SchemeSecret, old), "in its overlap")
	require.Len(t, ada.secrets(), 2)
	require.Len(t, ada.tokens(), 2)
}

func TestFormsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	ada := newHousehold(t, newService(t), "ada")
	for _, e := range ada.pages {
		if e.method != "POST" {
			continue
		}
		for _, contentType := range []string{"", "text/plain", "application/json", "multipart/form-data; boundary=x"} {
			ada.do("POST", e.path, "name=x", field("Content-Type", contentType)).page(http.StatusUnsupportedMediaType)
		}
		ada.post(e.path, url.Values{"name": {strings.Repeat("x", 20<<10)}}).page(http.StatusRequestEntityTooLarge)
		ada.do("POST", e.path, "name=%zz", field("Content-Type", "application/x-www-form-urlencoded")).page(http.StatusBadRequest)
		ada.post(e.path, url.Values{"overlap": {"0s", "1h0m0s"}}).page(http.StatusBadRequest)
	}
	ada.untouched()
}

// No credential is in what a marshalled or printed configuration shows.
func TestTheHandlerPrintsNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, v := range []any{s.Handler, s.bearer} {
		text := fmt.Sprintf("%v %+v", v, v)
		require.NotContains(t, text, string(testKey(1)))
		_, err := json.Marshal(v)
		require.NoError(t, err)
	}
}
