package settings

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A tokenRow is a token in the list.
type tokenRow struct {
	ID, Name, Hint string
	Label          string // what the links call it
	Access         access
	State          state  // stateExpiring too
	Pill           string // the state in words; empty if it is active
	Replaced       bool   // stands under its successor
	Created        moment
	Expires        *moment // nil if never
	Used           *moment // nil if not yet used
	UsedFrom       string  // an address; empty if unknown
}

// An access is what a token may do, and from where.
type access struct {
	Full     bool
	Scopes   []string // nil for full access
	Networks []string
	Summary  string // "13 scopes, 2 networks"
	Open     bool   // shown without opening it
}

// maxInlineScope is how long the only scope of a token may be to be shown without opening it.
const maxInlineScope = 24

func (ts texts) access(t *auth.Credential) access {
	a := access{Full: t.Scopes == auth.FullAccess, Summary: ts.get("scopes.full")}
	if !a.Full {
		a.Scopes = t.Scopes.List()
		a.Summary = ts.plural("tokens.scopes", len(a.Scopes))
	}
	for _, n := range t.Networks.Prefixes() {
		a.Networks = append(a.Networks, networkText(n))
	}
	if a.Networks != nil {
		a.Summary = ts.get("tokens.access", "scopes", a.Summary, "networks", ts.plural("tokens.networks", len(a.Networks)))
	}
	a.Open = a.Networks == nil && (a.Full || len(a.Scopes) == 1 && len(a.Scopes[0]) <= maxInlineScope)
	return a
}

// networkText returns a network as users write it: an address alone if it is only that one.
func networkText(n netip.Prefix) string {
	if n.IsSingleIP() {
		return n.Addr().String()
	}
	return n.String()
}

func (r *request) tokenRow(t *auth.Credential) tokenRow {
	row := tokenRow{
		ID: t.ID, Name: t.Name, Hint: t.Hint, Access: r.texts.access(t), State: stateOf(t, r.now),
		Created: r.texts.moment(t.CreatedAt, r.now), Expires: r.optionalMoment(t.ExpiresAt), Used: r.optionalMoment(t.LastUsedAt),
		UsedFrom: address(t.LastUsedFrom),
	}
	if expiresSoon(t, r.now) {
		row.State = stateExpiring
	}
	if row.State != stateActive {
		row.Pill = r.texts.get("state." + string(row.State))
	}
	return row
}

// tokenRows returns the rows of a page of the list.
func (r *request) tokenRows(tokens []*auth.Credential) []tokenRow {
	rows, labels := make([]tokenRow, len(tokens)), distinctNames(tokens)
	for i, t := range tokens {
		rows[i] = r.tokenRow(t)
		rows[i].Label = labels[i]
		rows[i].Replaced = i > 0 && tokens[i-1].Previous == t.ID
	}
	return rows
}

// tokenAnchor is the fragment of a token's row.
func tokenAnchor(id string) string { return "#token-" + id }

// optionalMoment returns nil for the zero time.
func (r *request) optionalMoment(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	m := r.texts.moment(t, r.now)
	return &m
}

// A tokenList is the data of the list.
type tokenList struct {
	Tokens        []tokenRow
	Live          bool // whether any of the tokens can be used, shown or not
	Filter        filter
	States, Sorts []option
	Toolbar       bool
	Filtered      bool   // the filter leaves tokens out
	Range         string // which of how many tokens are shown
	Pager         pager

	SearchPattern string // what can be searched: no plaintext
	MaxSearch     int
}

// A choice is a value that the toolbar offers, and the key of its text.
type choice struct{ value, text string }

var (
	stateChoices = []choice{
		{"", "filter.state.all"}, {string(stateActive), "filter.state.active"}, {stateExpiring, "filter.state.expiring"},
		{string(stateSuperseded), "filter.state.superseded"}, {string(stateExpired), "filter.state.expired"},
	}
	sortChoices = []choice{{"", "filter.sort.newest"}, {"expiring", "filter.sort.expires"}, {"last_used", "filter.sort.used"}}

	// secretLike matches what may be the plaintext of a credential, which must not get into
	// links. The pattern of the search field is the same.
	secretLike = regexp.MustCompile(`[0-9A-Za-z]{24}`)
)

// An option is an option of a select element.
type option struct {
	Value, Text string
	Selected    bool
}

func (ts texts) options(choices []choice, selected string) []option {
	options := make([]option, len(choices))
	for i, c := range choices {
		options[i] = option{c.value, ts.get(c.text), c.value == selected}
	}
	return options
}

// pageFilter returns the filter that the query of the page names. It ignores what the toolbar does
// not offer, a search that the API rejects, and one for what may be a plaintext.
func pageFilter(query url.Values) filter {
	f := parseFilter(query)
	if checkSearch(f.Search) != "" || secretLike.MatchString(f.Search) {
		f.Search = ""
	}
	f.Sort, f.States = offered(f.Sort, sortChoices), nil
	if state := offered(query.Get("state"), stateChoices); state != "" {
		f.States = []string{state}
	}
	return f
}

// offered returns a value, or "" if it is not among the choices.
func offered(value string, choices []choice) string {
	if slices.ContainsFunc(choices, func(c choice) bool { return c.value == value }) {
		return value
	}
	return ""
}

func (r *request) tokensPage() error {
	f := pageFilter(r.URL.Query())
	tokens, live, err := r.tokensOf(f)
	if err != nil {
		return err
	}
	tokenSorts[f.Sort].sort(tokens.records, r.now)
	tokens.records = r.arrange(tokens.records)
	list := r.pageOfTokens(f, tokens)
	list.Live = live || tokens.next != ""
	return r.show(http.StatusOK, "tokens", view{
		Section: "tokens", Heading: r.texts.get("tokens.heading"), Notice: r.notice(), Data: list,
	})
}

// maxListed is how many tokens the pages of a part of the list show together, in the order of the
// store. Most users have fewer, so that their number is known. Reading 10,000 takes many
// milliseconds.
const maxListed = 1000

// tokensOf returns the part of the tokens that a filter has, and reports whether any of those that
// were read can be used. Only another order than that of the store requires all tokens. Otherwise the
// part ends after maxListed. Expired ones count only if the filter asks for a state: as in other
// lists, they must not hide those behind them.
func (r *request) tokensOf(f filter) (p part, live bool, err error) {
	matches, counted := f.matcher(r.now), 0
	page := auth.Page{After: r.after(), Limit: maxBatch}
	if f.Sort == "" && !f.narrows() {
		page.Limit = 2 * maxListed / 5 // and twice as many next, some of which have expired
	}
	p.next, err = r.read(r.bearer.List, page, func(t *auth.Credential) bool {
		usable := !t.Expired(r.now)
		live = live || usable
		switch {
		case !matches(t):
			return true
		case f.Sort == "" && (usable || f.States != nil):
			if counted == maxListed {
				return false
			}
			counted++
		}
		p.records = append(p.records, t)
		return true
	})
	return p, live, err
}

// arrange moves expired tokens to the end of a sorted list, and each token in its grace period to
// below the one that has replaced it.
func (r *request) arrange(tokens []*auth.Credential) []*auth.Credential {
	replaced, successors := make(map[string]*auth.Credential), make(map[string]bool) // by the ID of the replaced one
	for _, t := range tokens {
		switch {
		case t.Expired(r.now):
		case t.Superseded:
			replaced[t.ID] = t
		case t.Previous != "":
			successors[t.Previous] = true
		}
	}
	arranged, expired := make([]*auth.Credential, 0, len(tokens)), []*auth.Credential(nil)
	for _, t := range tokens {
		switch {
		case t.Expired(r.now):
			expired = append(expired, t)
		case t.Superseded && successors[t.ID]: // below its successor
		default:
			arranged = append(arranged, t)
			if old := replaced[t.Previous]; old != nil && !t.Superseded {
				arranged = append(arranged, old)
			}
		}
	}
	return append(arranged, expired...)
}

// pageOfTokens returns the page of the list that the query asks for.
func (r *request) pageOfTokens(f filter, tokens part) tokenList {
	total := len(tokens.records)
	n, pages := r.pageNumber(total)
	start, end := pageBounds(tokens.records, n)
	list := tokenList{
		Tokens: r.tokenRows(tokens.records[start:end]), Filter: f,
		Toolbar: total > 1 || f.narrows(), Filtered: f.narrows(), Pager: r.pager(f.query(), n, pages, tokens.next),
		States: r.texts.options(stateChoices, strings.Join(f.States, "")), Sorts: r.texts.options(sortChoices, f.Sort),
		SearchPattern: "(?!.*" + secretLike.String() + ").*", MaxSearch: maxSearch,
	}
	if total > 0 && (list.Toolbar || r.after() != "") {
		list.Range = r.rangeText(start+1, end, total, tokens.next != "")
	}
	return list
}

// rangeText says which tokens of a list are on a page. In an older part of the list it says no
// total, which is not known.
func (r *request) rangeText(from, to, total int, more bool) string {
	args := []string{"from", r.texts.number(from), "to", r.texts.number(to), "total", r.texts.number(total)}
	switch {
	case r.after() != "":
		return r.texts.get("tokens.range_older", args...)
	case more:
		return r.texts.get("tokens.range_more", args...)
	}
	return r.texts.get("tokens.range", args...)
}

// pageBounds returns which tokens are on page n, from 1. A token is on the page of its
// successor, which may therefore have one more.
func pageBounds(tokens []*auth.Credential, n int) (start, end int) {
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
func distinctNames(tokens []*auth.Credential) []string {
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
