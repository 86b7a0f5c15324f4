package settings_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// fill adds n records of one kind to the user. All but the oldest, live many, are expired. The
// newest is added first, so that the current secret is added last.
func (u *user) fill(kind auth.Kind, n, live int) {
	u.t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	for i := n - 1; i >= 0; i-- {
		c := auth.Credential{
			ID: fmt.Sprintf("%026d", i), Kind: kind, UserID: u.userID, Scopes: auth.FullAccess,
			Name: fmt.Sprintf("record-%d", i), CreatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(time.Hour),
		}
		c.Digest[0] = byte(kind)
		binary.BigEndian.PutUint64(c.Digest[8:], uint64(i))
		if i >= live {
			c.ExpiresAt = now.Add(-time.Minute)
		}
		if kind == auth.KindSecret {
			c.Superseded = i >= live
		}
		require.NoError(u.t, u.store.Create(u.t.Context(), c, 0))
	}
}

// shownOn follows the pager from a page to the last one, and returns the text between before
// and after of each row.
func (u *user) shownOn(path, before, after string) []string {
	u.t.Helper()
	var rows []string
	row := regexp.MustCompile(regexp.QuoteMeta(before) + "(.*?)" + regexp.QuoteMeta(after))
	next := regexp.MustCompile(`<a href="(\?[^"]*)"(?: rel="next")?>(?:Next|Show older ones)</a>`)
	for query, pages := "", 0; ; pages++ {
		require.Less(u.t, pages, 60, "the list does not end")
		text := u.get(path + query).page(http.StatusOK)
		for _, found := range row.FindAllStringSubmatch(text, -1) {
			rows = append(rows, found[1])
		}
		found := next.FindStringSubmatch(text)
		if found == nil {
			return rows
		}
		query = html.UnescapeString(found[1])
	}
}

// Expired records do not hide older ones that can be used.
func TestLists_liveBehindExpired(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	ada.fill(auth.KindToken, 1201, 1)
	ada.fill(auth.KindSession, 1201, 1)

	text := ada.get("/").page(http.StatusOK, "record-0<", "1 to 50 of 1,201")
	require.Less(t, strings.Index(text, "record-0<"), strings.Index(text, "record-1200<"), "before the expired ones")
	ada.get("/tokens/revoke").page(http.StatusOK, "record-0\u2069 (")
	text = ada.get("/sessions").page(http.StatusOK, "End all other sessions", "This device")
	require.Equal(t, 2, strings.Count(text, `class="name"`))
	require.Equal(t, 1, strings.Count(ada.get("/sessions/end").page(http.StatusOK), "<li>record-0, last seen"))

	sessions := ada.get("/api/sessions?limit=2").status(http.StatusOK).object()
	require.Len(t, sessions["sessions"], 2)
	require.Nil(t, sessions["next"], "no session that can be used follows")
	sessions = ada.get("/api/sessions?limit=1").status(http.StatusOK).object()
	require.Len(t, sessions["sessions"], 1)
	sessions = ada.get("/api/sessions?limit=1&after=" + sessions["next"].(string)).status(http.StatusOK).object()
	require.Len(t, sessions["sessions"], 1)
	require.Nil(t, sessions["next"])
}

// The client secret is found behind the expired ones of earlier rotations.
func TestLists_secretBehindExpired(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	ada.fill(auth.KindSecret, 1201, 1)
	require.Equal(t, fmt.Sprintf("%026d", 0), secretID(t, ada.get("/secret/revoke").page(http.StatusOK)).Get("id"))
	require.NotNil(t, ada.get("/api/secret").object()["current"])
}

// What is not on the pages of the newest records is on those of the older ones.
func TestLists_olderRecords(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	ada.fill(auth.KindToken, 1101, 1101)
	ada.fill(auth.KindSession, 1101, 1101)
	ada.get("/sessions/end").page(http.StatusOK, "and others")

	names := ada.shownOn("/", `class="name" title="`, `"`)
	require.Len(t, names, 1101)
	seen := make(map[string]bool)
	for _, name := range names {
		seen[name] = true
	}
	require.Len(t, seen, 1101, "each token is on one page")

	ids := ada.shownOn("/sessions", `href="./sessions/`, `/end"`)
	require.Len(t, ids, 1102)
	seen = make(map[string]bool)
	for _, id := range ids {
		seen[id] = true
	}
	require.Len(t, seen, 1102, "each session is on one page")
	require.Contains(t, seen, ada.session.ID)
}

// In the order of the store, the list has parts of 1,000 tokens that can be used. In another order, and to
// revoke all, it reads 10,000. Those behind are reached by its links.
func TestLists_manyTokens(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10_000, 10_001} {
		ada := newService(t).signIn("ada")
		ada.fill(auth.KindToken, n, n)
		if n == 10_000 {
			text := ada.get("/?page=200&sort=last_used").page(http.StatusOK, "9,951 to 10,000 of 10,000", "record-0<")
			require.NotContains(t, text, "There are older ones")
			last := fmt.Sprintf("%026d", 9000)
			ada.get("/?page=20").page(http.StatusOK, "951 to 1,000 of more than 1,000", "record-9000<", "There are older ones", `?after=`+last+`"`)
			ada.get("/?page=20&after="+last).page(http.StatusOK, "951 to 1,000 of the older ones", "record-8000<", "There are older ones")
			ada.get("/?state=active&search=record").page(http.StatusOK, "1 to 50 of more than 1,000")
			require.NotContains(t, ada.get("/?search=record-99").page(http.StatusOK, "1 to 50 of 111"), "There are older ones")
			ada.get("/tokens/revoke").page(http.StatusOK, "Revoke all 10,000 tokens?", "and 9,980 more")
			continue
		}
		ada.get("/?sort=last_used").page(http.StatusOK, "There are older ones that are not on these pages.", "1 to 50 of more than 10,000", `?after=`+fmt.Sprintf("%026d", 1)+`&amp;sort`)
		ada.get("/?after="+fmt.Sprintf("%026d", 1)).page(http.StatusOK, "1 to 1 of the older ones", "record-0<", "Show the newest")
		ada.get("/tokens/revoke").page(http.StatusOK, "Revoke all tokens?", "and others", "Type 10,000 to confirm")
	}
}

// A readStore counts the records that lists have returned.
type readStore struct {
	auth.Store
	records atomic.Int64
}

func (s *readStore) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	list, err := s.Store.List(ctx, kind, userID, page)
	s.records.Add(int64(len(list)))
	return list, err
}

// However many tokens a user has, the pages that need few read few.
func TestLists_readFewTokens(t *testing.T) {
	t.Parallel()
	store := &readStore{Store: auth.NewMemoryStore()}
	ada := newService(t, func(c *configs) { c.store, c.bearer.MaxPerUser = &faultyStore{Store: store}, 20_000 }).signIn("ada")
	ada.fill(auth.KindToken, 5_000, 5_000)
	for path, most := range map[string]int64{
		"/": 1200, "/?page=10": 1200, "/?after=" + fmt.Sprintf("%026d", 4500) + "&page=10": 1200, "/?state=active": 2000, "/?search=record": 2000,
		"/tokens/new": 1000, "/tokens/" + fmt.Sprintf("%026d", 1): 0, "/api/tokens": 101, "/?sort=last_used": 5_000, "/?state=expired": 5_000,
	} {
		store.records.Store(0)
		ada.get(path).status(http.StatusOK)
		require.LessOrEqual(t, store.records.Load(), most, path)
	}
}

// The work for one page has a bound. What lies behind it is reached by its links.
func TestLists_boundedWork(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	ada.fill(auth.KindSession, 10_500, 1)
	text := ada.get("/sessions").page(http.StatusOK, "End all other sessions", "There are older ones")
	require.Equal(t, 1, strings.Count(text, `class="name"`))
	require.Len(t, ada.shownOn("/sessions", `class="name">`, "<"), 2)
	first := ada.get("/api/sessions").status(http.StatusOK).object()
	require.Len(t, first["sessions"], 1)
	rest := ada.get("/api/sessions?after=" + url.QueryEscape(first["next"].(string))).status(http.StatusOK).object()
	require.Len(t, rest["sessions"], 1)
	require.Nil(t, rest["next"])
}

func TestLists_invalidAfter(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	ada.token("deploy")
	for _, path := range []string{"/", "/sessions"} {
		ada.get(path+"?after=%00").page(http.StatusBadRequest, "Some fields are invalid.")
		ada.get(path + "?after=" + strings.Repeat("x", 100)).page(http.StatusBadRequest)
	}
	text := ada.get("/?after=0").page(http.StatusOK, "There are no older ones.", "Show the newest")
	require.NotContains(t, text, "You have no tokens yet")
}

// A list that ends where the work for one page does has no next page.
func TestLists_endAtTheBound(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	ada.fill(auth.KindSession, 9_999, 0)
	require.NotContains(t, ada.get("/sessions").page(http.StatusOK), "There are older ones")
	require.Nil(t, ada.get("/api/sessions").status(http.StatusOK).object()["next"])
}
