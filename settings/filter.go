package settings

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A tokenFilter says which tokens the list shows, and in what order. The zero value is all
// tokens, the newest first.
type tokenFilter struct {
	Search string
	State  string // "active", "expiring", "superseded" or "expired"; empty means all
	Sort   string // "expires" or "used"; empty means the newest first
}

const (
	maxFilter     = 100 // bytes of a search
	stateExpiring = "expiring"
)

var (
	filterStates = []filterChoice{
		{"", "filter.state.all"}, {string(stateActive), "filter.state.active"}, {stateExpiring, "filter.state.expiring"},
		{string(stateSuperseded), "filter.state.superseded"}, {string(stateExpired), "filter.state.expired"},
	}
	filterSorts = []filterChoice{{"", "filter.sort.newest"}, {"expires", "filter.sort.expires"}, {"used", "filter.sort.used"}}

	// secretLike matches what may be the plaintext of a credential: names and hints are
	// searched, and a plaintext must not get into links. The pattern of the field is the same.
	secretLike = regexp.MustCompile(`[0-9A-Za-z]{24}`)
)

// A filterChoice is a value of a parameter of the query, and the key of its text.
type filterChoice struct{ value, text string }

// known returns the value of a parameter, or "" if it is not among the choices.
func known(value string, choices []filterChoice) string {
	if slices.ContainsFunc(choices, func(c filterChoice) bool { return c.value == value }) {
		return value
	}
	return ""
}

// parseTokenFilter reads a filter from a query. Unknown states and orders, and a search for
// what may be a plaintext, are ignored.
func parseTokenFilter(query url.Values) tokenFilter {
	f := tokenFilter{
		Search: strings.TrimSpace(query.Get("search")),
		State:  known(query.Get("state"), filterStates), Sort: known(query.Get("sort"), filterSorts),
	}
	if len(f.Search) > maxFilter || secretLike.MatchString(f.Search) {
		f.Search = ""
	}
	return f
}

// query returns f as a query, without what is the default.
func (f tokenFilter) query() url.Values {
	q := make(url.Values)
	for name, value := range map[string]string{"search": f.Search, "state": f.State, "sort": f.Sort} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// narrows reports whether f leaves tokens out.
func (f tokenFilter) narrows() bool { return f.Search != "" || f.State != "" }

// matcher returns a function that reports whether f shows a token. A search finds a part of
// the name, the hint, a scope or a network, in any case.
func (f tokenFilter) matcher(now time.Time) func(auth.Credential) bool {
	search := strings.ToLower(f.Search)
	finds := func(s string) bool { return strings.Contains(strings.ToLower(s), search) }
	return func(t auth.Credential) bool {
		switch f.State {
		case "":
		case stateExpiring:
			if !expiresSoon(t, now) {
				return false
			}
		default:
			if string(stateOf(t, now)) != f.State {
				return false
			}
		}
		return search == "" || finds(t.Name) || finds(t.Hint) || finds(string(t.Scopes)) || finds(string(t.Networks))
	}
}

// expiresSoon reports whether a token that can be used is in the last quarter of its
// lifetime, or of 8 weeks if that is shorter.
func expiresSoon(t auth.Credential, now time.Time) bool {
	if t.ExpiresAt.IsZero() || stateOf(t, now) != stateActive {
		return false
	}
	lifetime := min(t.ExpiresAt.Sub(t.CreatedAt), 8*7*day)
	return t.ExpiresAt.Sub(now) <= lifetime/4
}

// order sorts tokens, which are the newest first, for the list. Expired tokens come last, and
// a token in its grace period after the one that has replaced it.
func (f tokenFilter) order(tokens []auth.Credential, now time.Time) []auth.Credential {
	sorted := make([]*auth.Credential, len(tokens)) // records are large
	for i := range tokens {
		sorted[i] = &tokens[i]
	}
	slices.SortStableFunc(sorted, func(a, b *auth.Credential) int {
		expired := a.Expired(now)
		if order := cmp.Compare(rank(expired), rank(b.Expired(now))); order != 0 {
			return order
		}
		switch f.Sort {
		case "used":
			return b.LastUsedAt.Compare(a.LastUsedAt)
		case "expires":
			if order := cmp.Compare(rank(a.ExpiresAt.IsZero()), rank(b.ExpiresAt.IsZero())); order != 0 {
				return order
			}
			if expired {
				return b.ExpiresAt.Compare(a.ExpiresAt)
			}
			return a.ExpiresAt.Compare(b.ExpiresAt)
		}
		return 0
	})
	ordered := make([]auth.Credential, len(tokens))
	for i, t := range sorted {
		ordered[i] = *t
	}
	return withReplaced(ordered, now)
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}

// withReplaced moves each token in its grace period to below its successor.
func withReplaced(tokens []auth.Credential, now time.Time) []auth.Credential {
	replaced := make(map[string]auth.Credential) // by ID
	for _, t := range tokens {
		if stateOf(t, now) == stateSuperseded {
			replaced[t.ID] = t
		}
	}
	if len(replaced) == 0 {
		return tokens
	}
	follows := make(map[string]bool)
	for _, t := range tokens {
		if _, found := replaced[t.Previous]; found && stateOf(t, now) == stateActive {
			follows[t.Previous] = true
		}
	}
	ordered := make([]auth.Credential, 0, len(tokens))
	for _, t := range tokens {
		if follows[t.ID] {
			continue
		}
		ordered = append(ordered, t)
		if follows[t.Previous] {
			ordered = append(ordered, replaced[t.Previous])
		}
	}
	return ordered
}

// pageBounds returns which tokens are on page n, from 1. A token is on the page of its
// successor, which may therefore have one more.
func pageBounds(tokens []auth.Credential, n int) (start, end int) {
	edge := func(i int) int {
		i = min(i, len(tokens))
		if 0 < i && i < len(tokens) && tokens[i-1].Previous != "" && tokens[i-1].Previous == tokens[i].ID {
			i++
		}
		return i
	}
	return edge((n - 1) * perPage), edge(n * perPage)
}

// distinctNames returns what the links of each token call it: its name, with the hint if
// another token on the page has the same name, and with a number if that is the same too.
func distinctNames(tokens []auth.Credential) []string {
	names, count := make([]string, len(tokens)), make(map[string]int)
	for _, t := range tokens {
		count[t.Name]++
	}
	for i, t := range tokens {
		names[i] = t.Name
		if count[t.Name] > 1 && t.Hint != "" {
			names[i] += " " + t.Hint
		}
	}
	return numbered(names)
}

// numbered adds a number to the second and later ones of equal names.
func numbered(names []string) []string {
	used := make(map[string]bool)
	for i, name := range names {
		for n := 2; used[names[i]]; n++ {
			names[i] = name + " (" + strconv.Itoa(n) + ")"
		}
		used[names[i]] = true
	}
	return names
}
