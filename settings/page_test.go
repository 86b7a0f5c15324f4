package settings_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// newToken fills in the form on a page, for a token with full access for 30 days.
func newToken(page string) url.Values {
	_, rest, _ := strings.Cut(page, `name="idempotency" value="`)
	idempotency, _, _ := strings.Cut(rest, `"`)
	return url.Values{"idempotency": {idempotency}, "name": {"deploy"}, "expires": {"720h0m0s"}, "access": {"full"}}
}

var shown = regexp.MustCompile(`<output id="plaintext"[^>]*>([^<]+)<`)

// plaintext returns the plaintext on a page, or "".
func plaintext(page string) string {
	if found := shown.FindStringSubmatch(page); found != nil {
		return html.UnescapeString(found[1])
	}
	return ""
}

// Links are relative, so each of them is followed from its page.
func TestPage_linksResolve(t *testing.T) {
	t.Parallel()
	ada := newPopulatedUser(t, newService(t), "ada")
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
				continue // answered with 415, since it sends no form
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

// Crawlers and prefetching follow every link.
func TestPage_getChangesNothing(t *testing.T) {
	t.Parallel()
	ada := newPopulatedUser(t, newService(t), "ada")
	snapshot := func() (all []auth.Credential) {
		for _, c := range slices.Concat(ada.tokens(), ada.secrets(), ada.sessions()) {
			c.LastUsedAt = time.Time{}
			all = append(all, c)
		}
		return all
	}
	before := snapshot()
	for _, e := range ada.endpoints() {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "get", "TRACE"} {
			ada.do(method, e.path, "")
			ada.do(method, e.path+"?_method=POST&name=x&access=full&expires=never&done=token_revoked", "", field("X-Http-Method-Override", "POST"))
		}
	}
	require.Equal(t, before, snapshot())
}

func TestPage_escapesNames(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	_, c := ada.token(`<script>alert(1)</script>"onload="`)
	for _, path := range []string{"/", "/tokens/revoke", "/tokens/" + c.ID, "/tokens/" + c.ID + "/edit", "/tokens/" + c.ID + "/revoke", "/tokens/" + c.ID + "/rotate"} {
		text := ada.get(path).page(http.StatusOK, "&lt;script&gt;")
		require.NotContains(t, text, "<script>")
		require.NotRegexp(t, `\sonload="`, text)
	}
	ada.signInFrom("<script>alert(1)</script>")
	require.NotContains(t, ada.get("/sessions").page(http.StatusOK, "&lt;script&gt;"), "<script>")
}

// A link on another site must not make the page claim that something was done.
func TestPage_noticeOnlyAfterOwnForms(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	const notice = "The token was revoked."
	ada.get("/?done=token_revoked").page(http.StatusOK, `role="status">`+notice)
	ada.get("/?done=token_revoked", without("Sec-Fetch-Site")).page(http.StatusOK, notice)
	for _, site := range []string{"cross-site", "same-site", "none"} {
		require.NotContains(t, ada.get("/?done=token_revoked", field("Sec-Fetch-Site", site)).Body.String(), notice)
	}
	for _, odd := range []string{"", "nothing", "token_revoked.x", "%00", "<b>"} {
		require.NotContains(t, ada.get("/?done="+url.QueryEscape(odd)).page(http.StatusOK), `role="status"`)
	}
}

// hidden returns the hidden fields of the form on a page.
func hidden(page string) url.Values {
	form := make(url.Values)
	for _, found := range regexp.MustCompile(`type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		form.Set(found[1], html.UnescapeString(found[2]))
	}
	return form
}

// A form that another user has opened, in another tab of the same browser, changes nothing.
func TestPage_otherAccount(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada, bob := newPopulatedUser(t, s, "ada"), newPopulatedUser(t, s, "bob")
	opened := map[string]string{"/tokens": "/tokens/new", "/secret/create": "/secret", "/secret/reveal": "/secret"}
	for i, e := range ada.pages {
		if e.method != "POST" {
			continue
		}
		page := e.path
		if opened[page] != "" {
			page = opened[page]
		}
		form := hidden(ada.get(page).page(http.StatusOK))
		require.NotEmpty(t, form["account"], e)
		require.NotContains(t, form["account"], "ada", e)
		for name, values := range newToken("") {
			if !form.Has(name) {
				form[name] = values
			}
		}
		for _, account := range []string{form.Get("account"), ""} {
			form.Set("account", account)
			form.Set("overlap", "0s")
			for _, path := range []string{e.path, bob.pages[i].path} {
				text := bob.post(path, form).page(http.StatusConflict, "You’ve signed in with another account")
				require.NotContains(t, text, bob.secret)
			}
		}
	}
	ada.untouched()
	bob.untouched()
}

// Between a confirmation and its submission, another credential takes the place of the one
// that it names. It stays.
func TestPage_confirmationNamesOne(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	_, c := ada.token("deploy")
	path := "/tokens/" + c.ID + "/revoke"
	form := hidden(ada.get(path).page(http.StatusOK, c.Hint))
	next, _, err := s.bearer.Rotate(t.Context(), "ada", c.ID, time.Hour)
	require.NoError(t, err)
	ada.post(path, form).redirects("../../?done=token_revoked")
	require.True(t, s.works(auth.SchemeBearer, next), "only the named one is revoked")

	_, first := ada.createSecret()
	_, second := ada.rotateSecret(first.ID)
	current, previous := "/secret/revoke", "/secret/previous/"+first.ID+"/revoke"
	forms := map[string]url.Values{current: nil, previous: nil}
	for path := range forms {
		forms[path] = hidden(ada.get(path).page(http.StatusOK, first.Hint))
	}
	third, _ := ada.rotateSecret(second.ID)
	before := ada.secrets()
	ada.post(current, forms[current]).page(http.StatusConflict)
	ada.do("DELETE", "/api/secret?id="+second.ID, "").problem(http.StatusConflict, "conflict")
	ada.post(previous, forms[previous]).page(http.StatusConflict)
	ada.do("DELETE", "/api/secret/previous/"+first.ID, "").problem(http.StatusConflict, "conflict")
	require.Equal(t, before, ada.secrets())
	require.True(t, s.works(auth.SchemeSecret, third))
}

// Of several submissions of one form, one succeeds.
func TestPage_concurrentSubmits(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	old, _ := ada.createSecret()
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
	require.True(t, s.works(auth.SchemeSecret, old), "in its grace period")
	require.Len(t, ada.secrets(), 2)
	require.Len(t, ada.tokens(), 3, "the rotated one, its successor and the new one")
}
