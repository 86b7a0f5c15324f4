package settings

import (
	"net/http"
	"net/netip"
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

func (ts texts) access(t auth.Credential) access {
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

func (r *request) tokenRow(t auth.Credential) tokenRow {
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
func (r *request) tokenRows(tokens []auth.Credential) []tokenRow {
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

// collectTokens returns the part of the user's tokens that the query asks for: those that keep
// accepts among maxRead.
func (r *request) collectTokens(keep func(auth.Credential) bool) (part, error) {
	tokens, err := r.collect(r.bearer.List, auth.Page{After: r.after(), Limit: maxRead}, keep)
	if err != nil || tokens.next == "" {
		return tokens, err
	}
	more, err := r.bearer.List(r.Context(), r.id.UserID, auth.Page{After: tokens.next, Limit: 1})
	if len(more) == 0 {
		tokens.next = ""
	}
	return tokens, err
}

// A tokenList is the data of the list.
type tokenList struct {
	Tokens        []tokenRow
	Live          bool // whether any of the tokens can be used, shown or not
	Filter        tokenFilter
	States, Sorts []option
	Toolbar       bool
	Filtered      bool   // the filter leaves tokens out
	Range         string // which of how many tokens are shown
	Pager         pager

	SearchPattern string // what can be searched: no plaintext
	MaxSearch     int
}

// An option is an option of a select element.
type option struct {
	Value, Text string
	Selected    bool
}

func (ts texts) options(choices []filterChoice, selected string) []option {
	options := make([]option, len(choices))
	for i, c := range choices {
		options[i] = option{c.value, ts.get(c.text), c.value == selected}
	}
	return options
}

func (r *request) tokensPage() error {
	f := parseTokenFilter(r.URL.Query())
	live, matches := false, f.matcher(r.now)
	tokens, err := r.collectTokens(func(t auth.Credential) bool {
		live = live || !t.Expired(r.now)
		return matches(t)
	})
	if err != nil {
		return err
	}
	tokens.records = f.order(tokens.records, r.now)
	list := r.pageOfTokens(f, tokens)
	list.Live = live
	return r.show(http.StatusOK, "tokens", view{
		Section: "tokens", Heading: r.texts.get("tokens.heading"), Notice: r.notice(), Data: list,
	})
}

// pageOfTokens returns the page of the list that the query asks for.
func (r *request) pageOfTokens(f tokenFilter, tokens part) tokenList {
	total := len(tokens.records)
	n, pages := r.pageNumber(total)
	start, end := pageBounds(tokens.records, n)
	list := tokenList{
		Tokens: r.tokenRows(tokens.records[start:end]), Filter: f,
		Toolbar: total > 1 || f.narrows(), Filtered: f.narrows(), Pager: r.pager(f.query(), n, pages, tokens.next),
		States: r.texts.options(filterStates, f.State), Sorts: r.texts.options(filterSorts, f.Sort),
		SearchPattern: "(?!.*" + secretLike.String() + ").*", MaxSearch: maxFilter,
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

// pathToken returns the token whose ID is in the path.
func (r *request) pathToken() (auth.Credential, error) {
	return r.bearer.Get(r.Context(), r.id.UserID, r.PathValue("id"))
}

func (r *request) rotateTokenPage() error { return r.showTokenRotation(true) }

func (r *request) showTokenRotation(valid bool) error {
	t, err := r.pathToken()
	switch {
	case err != nil:
		return err
	case stateOf(t, r.now) != stateActive:
		return auth.ErrConflict
	}
	replaced, err := r.replacedFacts(t)
	if err != nil {
		return err
	}
	text := r.texts.get("rotate.token.text")
	if replaced != nil {
		text = r.texts.get("rotate.token.previous", "hint", replaced[0].Codes[0])
	}
	return r.showRotation("tokens", r.texts.get("rotate.token.heading", "name", t.Name), rotation{
		Text: text, Choices: r.overlaps(r.bearer.Policy().MaxOverlap, t.ExpiresAt), Back: "",
	}, valid)
}

func (r *request) rotateTokenForm() error {
	form, err := r.form()
	if err != nil {
		return err
	}
	overlap, ok := parseOverlap(form.Get("overlap"))
	if !ok {
		return r.showTokenRotation(false)
	}
	r.mayHaveSecret() // for the navigation
	plaintext, made, err := r.rotateToken(r.PathValue("id"), overlap)
	switch {
	case err != nil && problemOf(err).Code == codeInvalidArgument:
		return r.showTokenRotation(false)
	case err != nil:
		return err
	}
	return r.showToken("plaintext.rotated.heading", made, plaintext)
}

func (r *request) revokeTokenPage() error {
	t, err := r.pathToken()
	if err != nil {
		return err
	}
	replaced, err := r.replacedFacts(t)
	if err != nil {
		return err
	}
	heading, text, button := "revoke.token.heading", "revoke.token.text", "revoke.token.button"
	if t.Expired(r.now) {
		heading, text, button = "remove.token.heading", "remove.token.text", "remove.token.button"
	}
	return r.confirm("tokens", r.texts.get(heading, "name", t.Name), confirmation{
		Text: r.texts.get(text), Button: r.texts.get(button),
		Facts: append([]fact{
			{Term: r.texts.get("field.token"), Codes: []string{t.Hint}},
			r.timeFact("field.created", t.CreatedAt, ""),
			r.timeFact("field.used", t.LastUsedAt, "time.unused"),
		}, replaced...),
	})
}

// replacedFacts names the token that t has replaced, if that is in its grace period
// and will be revoked with t.
func (r *request) replacedFacts(t auth.Credential) ([]fact, error) {
	if t.Previous == "" {
		return nil, nil
	}
	old, err := r.bearer.Get(r.Context(), r.id.UserID, t.Previous)
	switch {
	case err != nil && problemOf(err).Code != codeNotFound:
		return nil, err
	case err != nil, old.Expired(r.now):
		return nil, nil
	}
	return []fact{{Term: r.texts.get("field.replaced"), Codes: []string{old.Hint}}}, nil
}

// timeFact is a fact with a time, or with the text none if the time is zero.
func (r *request) timeFact(term string, t time.Time, none string) fact {
	f := fact{Term: r.texts.get(term), Time: r.optionalMoment(t)}
	if f.Time == nil {
		f.Text = r.texts.get(none)
	}
	return f
}

func (r *request) revokeTokenForm() error {
	if _, err := r.form(); err != nil {
		return err
	}
	t, err := r.pathToken()
	if err != nil {
		return err
	}
	if err := r.bearer.Revoke(r.Context(), r.id.UserID, t.ID); err != nil {
		return err
	}
	if t.Expired(r.now) {
		return r.redirectDone("", "token_removed")
	}
	return r.redirectDone("", "token_revoked")
}
