package settings_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
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
	ada.do("POST", "/", "").page(http.StatusMethodNotAllowed, "This page does not support that action.")
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

// A double click, or two windows: one wins.
func TestFormsSentAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	old, _ := ada.assigned()
	_, c := ada.token("deploy")
	secret := ada.secrets()[0].ID
	for name, path := range map[string]string{"a secret": "/secret/rotate", "a rotation": "/tokens/" + c.ID + "/rotate", "a token": "/tokens"} {
		form := newToken(ada.get("/tokens/new").page(http.StatusOK))
		form.Set("id", secret)
		form.Set("overlap", "1h0m0s")
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
	require.Len(t, ada.tokens(), 3, "the one that was rotated, its successor, and the new one")
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
