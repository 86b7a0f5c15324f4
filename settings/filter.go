package settings

import (
	"bytes"
	"cmp"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-31c5bcb2/auth"
)

// A filter says which records a list has, and in what order. The zero value is all of them, the
// newest first. The queries of the page and of the API name it in the same way.
type filter struct {
	Search string
	States []string // any of these; if there are none, all
	Sort   string   // a key of tokenSorts or sessionSorts; if empty, newest
}

func parseFilter(query url.Values) filter {
	return filter{Search: strings.TrimSpace(query.Get("search")), States: query["state"], Sort: query.Get("sort")}
}

// query returns f as a query, without what is the default.
func (f filter) query() url.Values {
	q := make(url.Values)
	if f.Search != "" {
		q.Set("search", f.Search)
	}
	if f.States != nil {
		q["state"] = f.States
	}
	if f.Sort != "" {
		q.Set("sort", f.Sort)
	}
	return q
}

// narrows reports whether f leaves records out.
func (f filter) narrows() bool { return f.Search != "" || f.States != nil }

// matcher returns a function that reports whether f has a record.
func (f filter) matcher(now time.Time) func(*auth.Credential) bool {
	finds := finder(f.Search)
	return func(c *auth.Credential) bool {
		return (f.States == nil || slices.ContainsFunc(f.States, func(s string) bool { return inState(c, s, now) })) && finds(c)
	}
}

const (
	maxSearch = 100 // characters, of which maxlength counts some as two
	minHint   = 4   // characters
)

// finder returns a function that reports whether a search finds a record. In any case of the
// letters, its text is a part of the name, the scopes or the networks, or the end of the hint:
// users see the last four characters of a token, and all hints begin with the same prefix.
func finder(search string) func(*auth.Credential) bool {
	if search == "" {
		return func(*auth.Credential) bool { return true }
	}
	wanted, inHint := appendLower(nil, search), utf8.RuneCountInString(search) >= minHint
	var lower []byte // reused: there may be thousands of records
	contains := func(text string) bool {
		lower = appendLower(lower[:0], text)
		return bytes.Contains(lower, wanted)
	}
	return func(c *auth.Credential) bool {
		if contains(c.Name) || contains(string(c.Scopes)) || contains(string(c.Networks)) {
			return true
		}
		lower = appendLower(lower[:0], c.Hint)
		return inHint && bytes.HasSuffix(lower, wanted)
	}
}

func appendLower(to []byte, text string) []byte {
	for i, n := 0, 0; i < len(text); i += n {
		c := rune(text[i])
		if n = 1; c < utf8.RuneSelf { // most texts have no others
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			to = append(to, byte(c))
			continue
		}
		c, n = utf8.DecodeRuneInString(text[i:])
		to = utf8.AppendRune(to, unicode.ToLower(c))
	}
	return to
}

// stateExpiring is a state of filters and of rows only: such a token is active too.
const stateExpiring = "expiring"

// tokenStates are the states that a filter can name.
var tokenStates = []string{string(stateActive), stateExpiring, string(stateSuperseded), string(stateExpired)}

func inState(t *auth.Credential, s string, now time.Time) bool {
	if s == stateExpiring {
		return expiresSoon(t, now)
	}
	return string(stateOf(t, now)) == s
}

// expiresSoon reports whether a token that can be used is in the last quarter of its
// lifetime, or of 8 weeks if that is shorter.
func expiresSoon(t *auth.Credential, now time.Time) bool {
	if t.ExpiresAt.IsZero() || stateOf(t, now) != stateActive {
		return false
	}
	lifetime := min(t.ExpiresAt.Sub(t.CreatedAt), 8*7*day)
	return t.ExpiresAt.Sub(now) <= lifetime/4
}

// newest is the order of the stores, and the default.
const newest = "newest"

// The orders of the lists, by name.
var (
	tokenSorts   = map[string]order{newest: nil, "oldest": byAge, "last_used": byUse, "expiring": byExpiry, "name": byName}
	sessionSorts = map[string]order{newest: nil, "oldest": byAge, "last_used": bySeen}
)

// An order returns the key by which a record is sorted. Those with the same key are sorted newest
// first. If it is nil, all are.
type order func(c *auth.Credential, now time.Time) sortKey

// A sortKey is compared by its number, and then by its text, byte by byte.
type sortKey struct {
	number int64
	text   string
}

func (k sortKey) compare(other sortKey) int {
	if k.number != other.number {
		return cmp.Compare(k.number, other.number)
	}
	return strings.Compare(k.text, other.text)
}

func byAge(c *auth.Credential, _ time.Time) sortKey { return sortKey{text: c.ID} }

func byName(c *auth.Credential, _ time.Time) sortKey { return sortKey{text: strings.ToLower(c.Name)} }

// byUse begins with the latest use. What was never used comes last.
func byUse(c *auth.Credential, _ time.Time) sortKey {
	if c.LastUsedAt.IsZero() {
		return sortKey{number: math.MaxInt64}
	}
	return sortKey{number: -c.LastUsedAt.UnixMicro()}
}

// bySeen is byUse for sessions: the sign-in counts as a use.
func bySeen(c *auth.Credential, _ time.Time) sortKey {
	return sortKey{number: -lastSeen(c).UnixMicro()}
}

// byExpiry begins with what expires soonest, then what never does, then what has just expired.
func byExpiry(c *auth.Credential, now time.Time) sortKey {
	const never = 1 << 60 // behind the year 9999, in microseconds
	switch {
	case c.ExpiresAt.IsZero():
		return sortKey{number: never}
	case c.Expired(now):
		return sortKey{number: 2*never - c.ExpiresAt.UnixMicro()}
	}
	return sortKey{number: c.ExpiresAt.UnixMicro()}
}

// sort sorts records, which are the newest first.
func (by order) sort(records []*auth.Credential, now time.Time) {
	if by == nil {
		return
	}
	type entry struct {
		sortKey
		age    int
		record *auth.Credential
	}
	entries := make([]entry, len(records))
	for i, c := range records {
		entries[i] = entry{by(c, now), i, c}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if order := a.compare(b.sortKey); order != 0 {
			return order
		}
		return a.age - b.age
	})
	for i, e := range entries {
		records[i] = e.record
	}
}
