package settings_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// listed returns the names of the tokens on all pages of a query, and its total.
func (u *user) listed(query string) (names []string, total any) {
	u.t.Helper()
	for after, pages := "", 0; ; pages++ {
		require.Less(u.t, pages, 40, "the list does not end")
		got := u.get("/api/tokens?" + query + "&after=" + url.QueryEscape(after)).status(http.StatusOK).object()
		for _, token := range got["tokens"].([]any) {
			names = append(names, token.(map[string]any)["name"].(string))
		}
		total = got["total"]
		if got["next"] == nil {
			return names, total
		}
		after = got["next"].(string)
	}
}

// lifetimes are those of tokens with the same names.
var lifetimes = []struct {
	name     string
	lifetime time.Duration
}{{"Zebra", auth.NoExpiry}, {"apple", time.Hour}, {"Deploy", 24 * time.Hour}, {"deploy staging", time.Minute}, {"never", auth.NoExpiry}, {"apple", 2 * time.Hour}}

func TestAPI_sortAndFilter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		s.signIn("eve").token("apple of eve")
		ids := make(map[string]string)
		for _, l := range lifetimes {
			_, c := ada.issue(l.name, l.lifetime, "notes:read")
			ids[l.name] = c.ID
			time.Sleep(time.Second)
		}
		plaintext, _ := ada.issue("used", auth.NoExpiry, "notes:read")
		require.True(t, s.works(auth.SchemeBearer, plaintext))
		time.Sleep(2 * time.Minute) // "deploy staging" has expired, and the use is stored
		_, next, err := s.bearer.Rotate(t.Context(), "ada", ids["Deploy"], time.Hour)
		require.NoError(t, err)
		require.Equal(t, "Deploy", next.Name)

		for query, want := range map[string]string{
			"":                                       "Deploy used apple never deploy-staging Deploy apple Zebra",
			"sort=newest":                            "Deploy used apple never deploy-staging Deploy apple Zebra",
			"sort=oldest":                            "Zebra apple Deploy deploy-staging never apple used Deploy",
			"sort=name":                              "apple apple Deploy Deploy deploy-staging never used Zebra",
			"sort=expiring":                          "apple Deploy apple Deploy used never Zebra deploy-staging",
			"sort=last_used":                         "used Deploy apple never deploy-staging Deploy apple Zebra",
			"search=DEPLOY":                          "Deploy deploy-staging Deploy",
			"search=+deploy%20s":                     "deploy-staging",
			"search=" + next.Hint[len(next.Hint)-4:]: "Deploy",
			"search=" + url.QueryEscape(next.Hint):   "Deploy",
			"search=acme":                            "",
			"search=eve":                             "never",
			"search=nothing":                         "",
			"search=pat_":                            "",
			"search=S%3AREAD":                        "Deploy used apple never deploy-staging Deploy apple Zebra",
			"state=expiring":                         "",
			"state=active":                           "Deploy used apple never apple Zebra",
			"state=expired":                          "deploy-staging",
			"state=superseded":                       "Deploy",
			"state=expired&state=superseded":         "deploy-staging Deploy",
			"state=active&sort=name&search=app":      "apple apple",
			"state=superseded&search=staging":        "",
			"sort=name&search=deploy&state=superseded": "Deploy",
		} {
			fields := strings.Fields(want)
			for i := range fields {
				fields[i] = strings.ReplaceAll(fields[i], "deploy-", "deploy ")
			}
			for _, limit := range []string{"", "&limit=1", "&limit=3"} {
				names, total := ada.listed(query + limit)
				require.Equal(t, fields, append([]string{}, names...), query+limit)
				require.Nil(t, total, query)
				_, total = ada.listed(query + limit + "&total=true")
				require.EqualValues(t, len(fields), total, query+limit)
			}
		}
		require.NoError(t, s.bearer.Close(t.Context()))
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

// A page of a sorted list continues behind its last record, even if that does not exist anymore.
func TestAPI_sortedPages(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	for i := range 5 {
		ada.token(fmt.Sprintf("token-%d", i))
	}
	first := ada.get("/api/tokens?sort=name&limit=2").status(http.StatusOK).object()
	last := first["tokens"].([]any)[1].(map[string]any)
	ada.do("DELETE", "/api/tokens/"+last["id"].(string), "").status(http.StatusNoContent)
	next := url.QueryEscape(first["next"].(string))
	names, _ := ada.listed("sort=name&limit=100")
	require.Equal(t, []string{"token-0", "token-2", "token-3", "token-4"}, names)
	got := ada.get("/api/tokens?sort=name&after=" + next).status(http.StatusOK).object()
	require.Len(t, got["tokens"], 3)
	require.Nil(t, got["next"])

	// The position of another order, or junk, is no position.
	for _, query := range []string{
		"sort=oldest&after=" + next, "sort=name&after=junk", "sort=name&after=" + last["id"].(string), "after=%00", "sort=name&after=%00",
		"sort=name&after=" + base64.RawURLEncoding.EncodeToString([]byte("name")),
	} {
		ada.get("/api/tokens?"+query).problem(http.StatusBadRequest, "invalid_argument").fields("after")
	}
}

func TestAPI_sessionsQuery(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	phone := s.startSessionOf("ada", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Safari/604.1")
	ids := func(query string) (ids []string) {
		for _, v := range ada.get("/api/sessions?" + query).status(http.StatusOK).object()["sessions"].([]any) {
			ids = append(ids, v.(map[string]any)["id"].(string))
		}
		return ids
	}
	require.Equal(t, []string{phone.session.ID}, ids("search=iphone"))
	both := ids("sort=oldest")
	slices.Reverse(both)
	require.Equal(t, ids("sort=newest"), both)
	require.Len(t, ids("sort=last_used"), 2)
	require.EqualValues(t, 2, ada.get("/api/sessions?total=true&limit=1").object()["total"])
	for _, query := range []string{"sort=name", "sort=expiring"} {
		ada.get("/api/sessions?"+query).problem(http.StatusBadRequest, "invalid_argument").fields("sort")
	}
	ada.get("/api/sessions?state=active").problem(http.StatusBadRequest, "invalid_argument").fields("state")
}

// The current session counts as live: see the list of sessions.
func TestAPI_oneSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *configs) { c.cookie.IdleTimeout = time.Hour })
		ada := s.signIn("ada")
		idle := s.signIn("ada")
		support := s.actAs("ada", "grace")
		for _, u := range []*user{ada, idle, support} {
			one := ada.get("/api/sessions/" + u.session.ID).status(http.StatusOK).object()
			require.Contains(t, ada.get("/api/sessions").object()["sessions"], one)
			require.Equal(t, u == ada, one["current"])
		}
		require.Equal(t, "grace", ada.get("/api/sessions/" + support.session.ID).object()["actor"])
		for range 4 {
			time.Sleep(30 * time.Minute)
			ada.get("/api/policy").status(http.StatusOK)
		}
		ada.get("/api/sessions/"+idle.session.ID).problem(http.StatusNotFound, "not_found")
		ada.get("/api/sessions/absent").problem(http.StatusNotFound, "not_found")
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

// A parameter that is misspelled, or meant for another list, is not ignored. One answer has all
// faults.
func TestAPI_unknownParameters(t *testing.T) {
	t.Parallel()
	h := newPopulatedUser(t, newService(t), "ada")
	for _, e := range h.api {
		path, _, _ := strings.Cut(e.path, "?")
		body, contentType := filled(e, h.secretID)
		got := h.do(e.method, path+"?id=x&id=y&Limit=1&force", body, field("Content-Type", contentType))
		got.problem(http.StatusBadRequest, "invalid_argument").fields("Limit", "force", "id")
		h.do(e.method, path+"?limit=%zz", body, field("Content-Type", contentType)).problem(http.StatusBadRequest, "malformed_request")
		h.do(e.method, path+"?a;b", body, field("Content-Type", contentType)).problem(http.StatusBadRequest, "malformed_request")
	}
	h.untouched()
	h.get("/api/tokens?limit=0&sort=random&state=active&state=dead&total=yes&page=2&search="+strings.Repeat("x", 256)).
		problem(http.StatusBadRequest, "invalid_argument").fields("limit", "page", "search", "sort", "state", "total")
	for _, query := range []string{"limit=", "limit=0", "sort=", "state=", "total=", "search=%ff", "after=a&after=b", "state=active&state=expired&state=active"} {
		name, _, _ := strings.Cut(query, "=")
		h.get("/api/tokens?"+query).problem(http.StatusBadRequest, "invalid_argument").fields(name)
	}
	h.get("/api/tokens?search=&after=").status(http.StatusOK)
	// The pages ignore them, as pages do.
	h.get("/?utm_source=mail").page(http.StatusOK)
}

// With more tokens than one request reads, the total is not known.
func TestAPI_totalOfManyTokens(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	ada.fill(auth.KindToken, 10_000, 9_000)
	for _, sort := range []string{"newest", "oldest", "name"} {
		got := ada.get("/api/tokens?total=true&limit=1&sort=" + sort).status(http.StatusOK).object()
		require.EqualValues(t, 10_000, got["total"], sort)
		got = ada.get("/api/tokens?total=true&limit=1&state=expired&sort=" + sort).status(http.StatusOK).object()
		require.EqualValues(t, 1_000, got["total"], sort)
	}
	ada.token("one more")
	for _, sort := range []string{"newest", "oldest"} {
		got := ada.get("/api/tokens?total=true&limit=1&sort=" + sort).status(http.StatusOK).object()
		require.Nil(t, got["total"], sort)
		require.NotNil(t, got["next"])
	}
}

// No query of a user with 10,000 tokens takes long.
func BenchmarkAPI_tokens(b *testing.B) {
	ada := newService(b).signIn("ada")
	ada.fill(auth.KindToken, 10_000, 9_000)
	for _, query := range []string{"", "total=true", "sort=name&total=true", "sort=expiring&total=true", "search=record-77&total=true", "search=nothing", "state=expired&sort=last_used"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				ada.get("/api/tokens?limit=50&" + query).status(http.StatusOK)
			}
		})
	}
}
