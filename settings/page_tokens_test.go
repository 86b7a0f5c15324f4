package settings_test

import (
	"fmt"
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

func TestTokensPage_empty(t *testing.T) {
	t.Parallel()
	newService(t).signIn("ada").get("/").page(http.StatusOK, "You have no tokens yet", `href="./tokens/new"`)
}

func TestTokensPage_list(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		ada.token("never")
		time.Sleep(time.Second)
		ada.issue("ninety", 90*24*time.Hour, "notes:read")
		time.Sleep(time.Second)
		soon, c := ada.issue("soon", 30*24*time.Hour, auth.FullAccess)
		ada.issue("expired", time.Hour, auth.FullAccess)
		time.Sleep(24 * 24 * time.Hour)
		s.works(auth.SchemeBearer, soon)
		require.NoError(t, s.bearer.Close(t.Context()))
		time.Sleep(5 * time.Minute)

		text := s.signIn("ada").get("/").page(http.StatusOK)
		var names []string
		for _, found := range regexp.MustCompile(`class="name" title="([^"]+)"`).FindAllStringSubmatch(text, -1) {
			names = append(names, found[1])
		}
		require.Equal(t, []string{"soon", "ninety", "never", "expired"}, names, "the newest first, then those that have expired")
		row := between(t, text, ">soon<", "</tr>")
		for _, want := range []string{
			c.Hint, ">Expires soon<", "Full access", ">5 minutes ago<", `/rotate"`, ">" + c.CreatedAt.Format("2006-01-02") + " UTC<",
			`title="` + c.ExpiresAt.Format("2006-01-02 15:04") + ` UTC" data-relative>in 6 days<`,
		} {
			require.Contains(t, row, want)
		}
		require.NotContains(t, row, soon)
		require.Contains(t, between(t, text, ">never<", "</tr>"), "Never")
		require.Contains(t, between(t, text, ">ninety<", "</tr>"), `<code class="scope">notes:read</code>`)
		row = between(t, text, ">expired<", "</tr>")
		require.Contains(t, row, ">Expired<")
		require.Contains(t, row, `aria-label="Remove expired">Remove<`)
		require.NotContains(t, row, "/rotate")
	})
}

func TestTokensPage_pager(t *testing.T) {
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

func TestTokensPage_gracePeriods(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) { c.bearer.MaxOverlap = 48 * time.Hour }).signIn("ada")
	_, short := ada.issue("short", 2*time.Hour, auth.FullAccess)
	page := ada.get("/tokens/"+short.ID+"/rotate").page(http.StatusOK, "1 hour")
	require.NotContains(t, page, "1 day", "the token expires earlier")

	_, c := ada.issue("deploy", auth.NoExpiry, "notes:read")
	path := "/tokens/" + c.ID + "/rotate"
	page = ada.get(path).page(http.StatusOK, "Rotate “deploy”", "Immediately", "1 hour", "1 day")
	require.NotContains(t, page, "168h0m0s", "over MaxOverlap")
	require.NotContains(t, page, "checked")
	for _, invalid := range []string{"", "x", "-1h", "49h", "99999999999h"} {
		ada.post(path, url.Values{"overlap": {invalid}}).page(http.StatusBadRequest, `role="alert"`, "Choose when the old one")
	}
	require.Len(t, ada.tokens(), 2)
}

// currentToken returns the only token that has not been rotated.
func (u *user) currentToken() auth.Credential {
	u.t.Helper()
	current := slices.DeleteFunc(u.tokens(), func(c auth.Credential) bool { return c.Superseded })
	require.Len(u.t, current, 1)
	return current[0]
}

func TestTokensPage_rotate(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	old, c := ada.issue("deploy", auth.NoExpiry, "notes:read")
	path := "/tokens/" + c.ID + "/rotate"
	s.events.take()
	next := plaintext(ada.post(path, url.Values{"overlap": {"1h0m0s"}}).page(http.StatusOK, "Token “deploy” rotated"))
	require.True(t, s.works(auth.SchemeBearer, old))
	require.True(t, s.works(auth.SchemeBearer, next))
	require.Equal(t, auth.EventRotated, s.events.take()[0].Type)
	ada.get("/").page(http.StatusOK, ">Replaced<")
	ada.get("/tokens/"+ada.currentToken().ID+"/revoke").page(http.StatusOK, "Also revoked", c.Hint)

	// Submitting the form again rotates nothing.
	ada.post(path, url.Values{"overlap": {"1h0m0s"}}).page(http.StatusConflict, "It was changed in the meantime")
	ada.get(path).page(http.StatusConflict, "It was changed in the meantime")
	require.Len(t, ada.tokens(), 2)
	require.True(t, s.works(auth.SchemeBearer, next))

	path = "/tokens/" + ada.currentToken().ID + "/rotate"
	last := plaintext(ada.post(path, url.Values{"overlap": {"0s"}}).page(http.StatusOK))
	require.False(t, s.works(auth.SchemeBearer, next))
	require.False(t, s.works(auth.SchemeBearer, old), "at most two generations are valid")
	require.True(t, s.works(auth.SchemeBearer, last))
	ada.post(path, url.Values{"overlap": {"0s"}}).page(http.StatusNotFound)
}

func TestTokensPage_revoke(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada, bob := s.signIn("ada"), s.signIn("bob")
	bobs, _ := bob.token("deploy")
	first, c := ada.token("first")
	ada.get("/tokens/"+c.ID+"/revoke").page(http.StatusOK, "Revoke “first”?", c.Hint)
	require.True(t, s.works(auth.SchemeBearer, first))
	s.events.take()
	ada.post("/tokens/"+c.ID+"/revoke", nil).redirects("../../?done=token_revoked")
	require.Equal(t, []auth.Event{{Type: auth.EventRevoked, Operation: "revoke", Scheme: auth.SchemeBearer, UserID: "ada", CredentialID: c.ID, Reason: auth.ReasonRevoked,
		Method: "POST", Pattern: "POST /tokens/{id}/revoke", Origin: origin}}, s.events.take())
	require.False(t, s.works(auth.SchemeBearer, first))
	ada.post("/tokens/"+c.ID+"/revoke", nil).page(http.StatusNotFound, "It may have been revoked or removed already")

	for i := range 25 {
		ada.token(fmt.Sprintf("many-%d", i))
	}
	text := ada.get("/tokens/revoke").page(http.StatusOK, "and 5 more")
	require.Equal(t, 20, strings.Count(text, "<li>\u2068many-"))
	require.Contains(t, text, "Revoke all 25 tokens?")
	ada.post("/tokens/revoke", url.Values{"number": {"25"}}).redirects("../?done=tokens_revoked")
	require.Empty(t, ada.tokens())
	require.True(t, s.works(auth.SchemeBearer, bobs), "tokens of another user are kept")
}
