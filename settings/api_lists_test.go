package settings_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
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

// A listQuery is a query of the list of tokens, and what a simple model finds for it.
type listQuery struct {
	search, sort string
	states       []string
}

func (q listQuery) values() url.Values {
	return url.Values{"search": {q.search}, "sort": {q.sort}, "state": q.states}
}

// of returns the IDs of the tokens that q finds among all, which are the newest first.
func (q listQuery) of(all []auth.Credential, now time.Time) (ids []string) {
	states := func(c auth.Credential) []string {
		left := c.ExpiresAt.Sub(now)
		switch {
		case !c.ExpiresAt.IsZero() && left <= 0:
			return []string{"expired"}
		case c.Superseded:
			return []string{"superseded"}
		case !c.ExpiresAt.IsZero() && left <= min(c.ExpiresAt.Sub(c.CreatedAt)/4, 14*24*time.Hour):
			return []string{"active", "expiring"}
		}
		return []string{"active"}
	}
	found := slices.DeleteFunc(slices.Clone(all), func(c auth.Credential) bool {
		inState := q.states == nil || slices.ContainsFunc(states(c), func(s string) bool { return slices.Contains(q.states, s) })
		text, search := strings.ToLower(c.Name+"\n"+string(c.Scopes)+"\n"+string(c.Networks)), strings.ToLower(q.search)
		return !inState || !strings.Contains(text, search) && (len(search) < 4 || !strings.HasSuffix(strings.ToLower(c.Hint), search))
	})
	slices.SortStableFunc(found, func(a, b auth.Credential) int {
		switch q.sort {
		case "oldest":
			return strings.Compare(a.ID, b.ID)
		case "name":
			return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
		case "last_used":
			return b.LastUsedAt.Compare(a.LastUsedAt)
		case "expiring":
			// First those that will expire, then those that never do, then the expired ones, the last first.
			group := func(c auth.Credential) int {
				return map[bool]int{true: 1}[c.ExpiresAt.IsZero()] + map[bool]int{true: 2}[states(c)[0] == "expired"]
			}
			if order := group(a) - group(b); order != 0 {
				return order
			}
			return a.ExpiresAt.Compare(b.ExpiresAt) * (1 - group(a)) // zero times are equal
		}
		return 0
	})
	for _, c := range found {
		ids = append(ids, c.ID)
	}
	return ids
}

// pages returns the IDs of the tokens on all pages of a query.
func (u *user) pages(q url.Values) (ids []string, total any) {
	u.t.Helper()
	for after := ""; ; {
		q.Set("after", after)
		got := u.get("/api/tokens?" + q.Encode()).status(http.StatusOK).object()
		for _, token := range got["tokens"].([]any) {
			ids = append(ids, token.(map[string]any)["id"].(string))
		}
		if total = got["total"]; got["next"] == nil {
			return ids, total
		}
		after = got["next"].(string)
		require.LessOrEqual(u.t, len(ids), 1000, "the list does not end")
	}
}

// variedTokens creates tokens, many of which have the same name and time.
func (u *user) variedTokens(random *rand.Rand) {
	names := []string{"a", "B", "b", "Deploy", "deploy", "Ⱥx", "é", "  z ", "σς", "İ"}
	for range 40 {
		time.Sleep(time.Duration(max(0, random.IntN(300)-200)) * time.Hour)
		o := auth.TokenOptions{Name: names[random.IntN(len(names))], Scopes: []string{[]string{"notes:read", "*"}[random.IntN(2)]}}
		o.Lifetime = []time.Duration{auth.NoExpiry, auth.NoExpiry - 1, time.Hour, 24 * time.Hour, 90 * 24 * time.Hour}[random.IntN(5)]
		if random.IntN(4) == 0 {
			o.Networks = restricted
		}
		plaintext, c, err := u.bearer.Issue(u.t.Context(), u.userID, o)
		require.NoError(u.t, err)
		switch random.IntN(5) {
		case 0:
			require.Equal(u.t, o.Networks == nil, u.works(auth.SchemeBearer, plaintext))
		case 1:
			_, _, err = u.bearer.Rotate(u.t.Context(), u.userID, c.ID, time.Duration(random.IntN(20))*time.Hour)
			require.NoError(u.t, err)
		}
	}
	require.NoError(u.t, u.bearer.Close(u.t.Context())) // which records the uses
}

// Every combination of a search, states, an order and a length of the pages lists what a simple
// model does, from the first page to the last.
func TestAPI_listsAsModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			s := newService(t)
			s.signIn("ada").variedTokens(random)
			ada := s.signIn("ada")
			all, err := s.bearer.List(t.Context(), "ada", auth.Page{Limit: 1000})
			require.NoError(t, err)
			hint := all[random.IntN(len(all))].Hint
			searches := []string{"", "", "A", "deploy", "read", "198.51.100.0/24", "ⱥ", "Σ", "*", "pat_", strings.ToUpper(hint[len(hint)-4:])}
			for _, sort := range []string{"newest", "oldest", "last_used", "expiring", "name"} {
				for range 6 {
					q := listQuery{search: searches[random.IntN(len(searches))], sort: sort}
					for _, state := range []string{"active", "expiring", "superseded", "expired"} {
						if random.IntN(3) == 0 {
							q.states = append(q.states, state)
						}
					}
					want, query, counts := q.of(all, time.Now()), q.values(), random.IntN(2) == 0
					query.Set("limit", strconv.Itoa(1+random.IntN(20)))
					query.Set("total", strconv.FormatBool(counts))
					got, total := ada.pages(query)
					require.Equal(t, want, got, "seed %d: %v", seed, query)
					if counts {
						require.EqualValues(t, len(want), total)
					} else {
						require.Nil(t, total)
					}
				}
			}
			require.NoError(t, s.cookie.Close(t.Context()))
		})
	}
}

// While other tokens are created and revoked, the pages have each of those that stay once.
func TestAPI_pagesWhileTokensChange(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	stay := make(map[string]bool)
	for i := range 60 {
		_, c := ada.issue(fmt.Sprint("stays ", i%7), 24*time.Hour, "notes:read")
		stay[c.ID] = true
	}
	var done atomic.Bool
	var changes sync.WaitGroup
	defer changes.Wait()
	defer done.Store(true)
	for range 2 {
		changes.Go(func() {
			for !done.Load() {
				_, c, err := s.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "stays 3", Scopes: []string{"*"}, Lifetime: 12 * time.Hour})
				if !assert.NoError(t, err) || !assert.NoError(t, s.bearer.Revoke(t.Context(), "ada", c.ID)) {
					return
				}
			}
		})
	}
	for _, sort := range []string{"newest", "oldest", "name", "expiring", "last_used"} {
		for _, total := range []string{"true", "false"} {
			ids, _ := ada.pages(url.Values{"sort": {sort}, "limit": {"7"}, "total": {total}})
			seen := make(map[string]int)
			for _, id := range ids {
				seen[id]++
			}
			for id := range stay {
				require.Equal(t, 1, seen[id], sort)
			}
		}
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
	h.get("/api/tokens?search="+strings.Repeat("%E6%97%A5", 101)).problem(http.StatusBadRequest, "invalid_argument").fields("search")
	h.get("/api/tokens?search=" + strings.Repeat("%E6%97%A5", 100)).status(http.StatusOK)
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
