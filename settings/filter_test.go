package settings_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// rows returns the names of the tokens that the list shows for a query.
func (u *user) rows(query string) []string {
	u.t.Helper()
	names := []string{}
	for _, found := range regexp.MustCompile(`class="name" title="([^"]+)"`).FindAllStringSubmatch(u.get("/"+query).page(http.StatusOK), -1) {
		names = append(names, found[1])
	}
	return names
}

func TestTokensPage_filter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		pause := func() { time.Sleep(time.Hour) }
		ada.issue("gone", time.Minute, "notes:read")
		pause()
		used, _ := ada.issue("Deploy", 300*24*time.Hour, "notes:write")
		pause()
		ada.issue("soon", 5*time.Hour, "notes:read")
		pause()
		_, _, err := ada.bearer.Issue(t.Context(), "ada", auth.TokenOptions{
			Name: "bound", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		})
		require.NoError(t, err)
		pause()
		_, old := ada.issue("rotated", 90*24*time.Hour, "notes:read")
		pause()
		_, next, err := ada.bearer.Rotate(t.Context(), "ada", old.ID, 24*time.Hour)
		require.NoError(t, err)
		time.Sleep(50 * time.Minute)
		require.True(t, s.works(auth.SchemeBearer, used))
		require.NoError(t, s.bearer.Close(t.Context()))
		ada = s.signIn("ada")

		all := []string{"rotated", "rotated", "bound", "soon", "Deploy", "gone"}
		for query, want := range map[string][]string{
			"":                            all,
			"?search=&state=&sort=":       all,
			"?state=unknown&sort=unknown": all,
			"?search=%ff":                 all, // no UTF-8, which the API rejects
			"?state=active":               {"rotated", "bound", "soon", "Deploy"},
			"?state=expiring":             {"soon"},
			"?state=superseded":           {"rotated"},
			"?state=expired":              {"gone"},
			"?sort=expiring":              {"soon", "rotated", "rotated", "Deploy", "bound", "gone"},
			"?sort=last_used":             {"Deploy", "rotated", "rotated", "bound", "soon", "gone"},
			"?search=+dEPLOY+":            {"Deploy"},
			"?search=notes:write":         {"Deploy"},
			"?search=192.0.2":             {"bound"},
			"?search=rot&state=active":    {"rotated"},
			"?search=" + next.Hint[len(next.Hint)-4:]: {"rotated"},
			"?search=absent":                      {},
			"?search=acme_pat":                    {}, // begins all hints
			"?search=" + strings.Repeat("x ", 60): all,
			"?search=" + strings.Repeat("日", 100): {}, // as many as maxlength allows
			"?search=" + strings.Repeat("日", 101): all,
		} {
			require.Equal(t, want, ada.rows(strings.ReplaceAll(query, " ", "+")), query)
		}
		ada.get("/?search=absent").page(http.StatusOK, "No tokens match.", `href="./">Clear<`)
	})
}

// The links of the pages keep the filter, but not a plaintext that was searched.
func TestTokensPage_linksKeepTheFilter(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	for i := range 60 {
		ada.token(fmt.Sprintf("token-%d", i))
	}
	ada.get("/?search=Token&sort=expiring").page(http.StatusOK, `href="?page=2&amp;search=Token&amp;sort=expiring"`, "1 to 50 of 60")
	plaintext, _ := ada.token("secret")
	text := ada.get("/?search="+url.QueryEscape(plaintext)).page(http.StatusOK, "1 to 50 of 61")
	require.NotContains(t, text, plaintext)
	require.NotContains(t, text, plaintext[len(plaintext)-10:])
}

// A token soon expires if that is in the last quarter of its lifetime, or within two weeks.
func TestTokensPage_expiresSoon(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		lifetime, age time.Duration
		soon          bool
	}{
		{time.Hour, 44 * time.Minute, false},
		{time.Hour, 45 * time.Minute, true},
		{7 * day, 5 * day, false},
		{7 * day, 6 * day, true},
		{90 * day, 75 * day, false},
		{90 * day, 76 * day, true},
		{5 * 365 * day, 5*365*day - 15*day, false},
		{5 * 365 * day, 5*365*day - 14*day, true},
		{auth.NoExpiry, 1000 * day, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(t)
			s.signIn("ada").issue("x", c.lifetime, auth.FullAccess)
			time.Sleep(c.age)
			text := s.signIn("ada").get("/").page(http.StatusOK)
			require.Equal(t, c.soon, strings.Contains(text, `<span class="pill">Expires soon<`), "%v after %v", c.lifetime, c.age)
		})
	}
}

// A token in its grace period is on the page of its successor.
func TestTokensPage_replacedIsOnThePageOfItsSuccessor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ada := newService(t).signIn("ada")
		_, old := ada.issue("old", auth.NoExpiry, auth.FullAccess)
		ada.issue("between", auth.NoExpiry, auth.FullAccess)
		time.Sleep(time.Second)
		_, _, err := ada.bearer.Rotate(t.Context(), "ada", old.ID, time.Hour)
		require.NoError(t, err)
		for i := range 49 {
			time.Sleep(time.Second)
			ada.token(fmt.Sprint(i))
		}
		first := ada.rows("")
		require.Len(t, first, 51)
		require.Equal(t, []string{"old", "old"}, first[49:])
		require.Equal(t, []string{"between"}, ada.rows("?page=2"))
		text := ada.get("/").page(http.StatusOK, "1 to 51 of 52")
		require.Equal(t, 1, strings.Count(text, `is-superseded is-replaced"`))
		ada.get("/?page=2").page(http.StatusOK, "52 to 52 of 52")
	})
}

// Links to different tokens have different names, also if the tokens have the same.
func TestTokensPage_distinctLinks(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	for range 3 {
		ada.token("deploy")
	}
	ada.token("other")
	ada.fill(auth.KindToken, 2, 2) // without a hint
	for i := range 2 {
		c := auth.Credential{
			ID: fmt.Sprintf("x%d", i), Kind: auth.KindToken, UserID: "ada", Name: "imported", Scopes: auth.FullAccess, CreatedAt: time.Now(),
		}
		c.Digest[0], c.Digest[1] = 99, byte(i)
		require.NoError(t, ada.store.Create(t.Context(), c, 0))
	}
	text := ada.get("/").page(http.StatusOK, `aria-label="Revoke other"`, `aria-label="Revoke imported"`, `aria-label="Revoke imported (2)"`)
	seen := make(map[string]bool)
	for _, found := range regexp.MustCompile(`aria-label="(R[^"]+)"`).FindAllStringSubmatch(text, -1) {
		require.False(t, seen[found[1]], found[1])
		seen[found[1]] = true
	}
	require.Len(t, seen, 16)
}

// An expired token is removed, not revoked.
func TestTokensPage_removesExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		_, c := ada.issue("old", time.Minute, auth.FullAccess)
		time.Sleep(time.Hour)
		text := ada.get("/").page(http.StatusOK, ">Remove<")
		require.NotContains(t, text, "Revoke", "nothing can be revoked")
		path := "/tokens/" + c.ID + "/revoke"
		ada.get(path).page(http.StatusOK, "Remove “old”?", "Remove token")
		ada.post(path, nil).redirects("../../?done=token_removed")
		require.Empty(t, ada.tokens())
	})
}

// More than five tokens are revoked together only if their number was typed.
func TestTokensPage_revokeAllByNumber(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	for i := range 5 {
		ada.token(fmt.Sprint("deploy-", i))
	}
	require.NotContains(t, ada.get("/tokens/revoke").page(http.StatusOK, "Revoke all 5 tokens?"), `name="number"`)
	ada.fill(auth.KindToken, 1000, 995)
	ada.get("/tokens/revoke").page(http.StatusOK, "Revoke all 1,000 tokens?", "Type 1,000 to confirm", `name="number"`)
	for _, number := range []string{"", "999", "1001", "1,000x", "-1000", "x", "10 00 0"} {
		ada.post("/tokens/revoke", url.Values{"number": {number}}).page(http.StatusBadRequest, `role="alert"`, "Type 1,000 to confirm that", "Error: ")
	}
	require.NotEmpty(t, ada.tokens())
	ada.post("/tokens/revoke", url.Values{"number": {" 1.000 "}}).redirects("../?done=tokens_revoked")
	require.Empty(t, ada.tokens())
}

// What the translation says separates thousands.
func TestConfig_thousands(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) {
		c.settings.Texts = map[string]string{"number.thousands": "{high}\u202f{low}"}
	}).signIn("ada")
	ada.fill(auth.KindToken, 1005, 1005)
	ada.get("/?sort=last_used").page(http.StatusOK, "1 to 50 of 1\u202f005")
}

// The page and the API find the same tokens, and sort them in the same way.
func TestFilter_pageAndAPI(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		ada.issue("gone", time.Minute, "notes:read")
		time.Sleep(time.Second)
		ada.issue("soon", 2*time.Hour, "notes:read")
		time.Sleep(100 * time.Minute)
		require.NoError(t, ada.store.Create(t.Context(), auth.Credential{
			ID: auth.NewIdempotency(), Kind: auth.KindToken, UserID: "ada", Name: "ÜBER deploy", Hint: "acme_pat_…Wx9z", Scopes: "notes:write",
			CreatedAt: time.Now().UTC(), LastUsedAt: time.Now().UTC(),
		}, 0))
		time.Sleep(time.Second)
		_, _, err := ada.bearer.Issue(t.Context(), "ada", auth.TokenOptions{
			Name: "bound", Scopes: []string{auth.FullAccess}, Lifetime: time.Hour, Networks: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")},
		})
		require.NoError(t, err)
		for query, want := range map[string]string{
			"search=über": "ÜBER deploy", "search=ÜBER+DE": "ÜBER deploy", "search=wX9Z": "ÜBER deploy", "search=" + url.QueryEscape("acme_pat_…Wx9z"): "ÜBER deploy",
			"search=x9z": "", "search=acme": "", "search=NOTES:r": "soon gone", "search=notes:write+x": "", "search=2001:DB8::": "bound", "search=*": "bound",
			"search=" + strings.Repeat("x", 23): "", "state=active": "bound ÜBER-deploy soon", "state=expiring": "soon", "state=superseded": "", "state=expired": "gone",
			"sort=expiring": "soon bound ÜBER-deploy gone", "sort=last_used": "ÜBER-deploy bound soon gone", "state=expiring&sort=expiring&search=oo": "soon",
		} {
			want := strings.Fields(strings.ReplaceAll(want, " deploy", "-deploy"))
			for i := range want {
				want[i] = strings.ReplaceAll(want[i], "-", " ")
			}
			require.Equal(t, append([]string{}, want...), ada.rows("?"+query), query)
			listed, _ := ada.listed(query)
			require.Equal(t, want, append([]string{}, listed...), query)
		}
	})
}
