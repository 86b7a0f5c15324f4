package settings

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/networks"
	"github.com/seed-31c5bcb2/auth/internal/text"
)

// This file has the form of a token, which the pages for a new token and for changing one share: its
// choices, its faults, and what it sends.

// A tokenForm is the form for a new token, or for changing one, with its choices and what was
// filled in.
type tokenForm struct {
	Heading string
	Edits   string // the ID of the token that the form changes; empty if it creates one
	Version string // of that token: see tokenVersion
	// Idempotency is the auth.NewIdempotency of the form: sent again, it creates no second token.
	Idempotency string

	Name        string
	Expires     string // the value of the choice; "custom" means Until
	Until       string // a date
	Earliest    string // the minimum of Until
	Latest      string // the maximum of Until, empty for no limit
	Access      string // "full" or "scopes"
	Choices     []lifetimeChoice
	Custom      bool
	Never       bool
	Full        bool
	Groups      []scopeGroup
	Networks    string // one on each line
	AskNetworks bool
	Address     string // of this request
	Metadata    []metadataField

	Filled  bool              // by the query
	Retype  bool              // networks were left out of the query, and have to be typed again
	Count   string            // how many tokens of how many the user has
	Reached string            // that this is the maximum
	Note    string            // about the token that the one to change has replaced
	SignIn  string            // the address to sign in and return from, if some changes require that
	Problem string            // with the form as a whole
	Errors  map[string]string // by field
}

// Invalid reports whether the form has errors.
func (f *tokenForm) Invalid() bool { return f.Problem != "" || len(f.Errors) > 0 }

type lifetimeChoice struct {
	Value, Text string
	Until       moment
	lifetime    time.Duration
}

type scopeGroup struct {
	Title   string
	Scopes  []scopeChoice
	Presets []ScopePreset
}

// Names returns the names of all scopes, as a preset has them.
func (g scopeGroup) Names() string {
	var names []string
	for _, s := range g.Scopes {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

type scopeChoice struct {
	Scope
	Chosen bool
}

// tokenForm returns a form with the choices that the policy and the session allow, and with the
// scopes in chosen. 30 days are chosen, or less if that is the limit.
func (r *request) tokenForm(chosen []string) *tokenForm {
	limit := r.bearer.Policy().MaxLifetime
	f := &tokenForm{
		Heading: r.texts.get("new.heading"), Idempotency: auth.NewIdempotency(),
		Choices: r.lifetimes(limit), Custom: limit == 0 || limit >= day, Earliest: r.now.UTC().Add(day).Format(time.DateOnly),
		Never: limit == 0, Full: r.id.Scopes.Has(auth.FullAccess), Groups: r.scopeChoices(chosen), Errors: make(map[string]string),
		Metadata: r.metadataFields(func(string) string { return "" }),
	}
	if limit > 0 {
		f.Latest = r.now.UTC().Add(limit).Format(time.DateOnly)
	}
	for _, c := range f.Choices {
		if c.lifetime <= 30*day {
			f.Expires = c.Value
		}
	}
	if f.Groups != nil {
		f.Access = "scopes"
	}
	if addr, known := auth.ClientAddr(r.Context()); known {
		// Otherwise a token with networks would be rejected everywhere.
		f.AskNetworks, f.Address = true, address(addr)
	}
	return f
}

// scopeChoices returns the scopes that the session may grant.
func (r *request) scopeChoices(chosen []string) []scopeGroup {
	var groups []scopeGroup
	for _, group := range r.scopes {
		g := scopeGroup{Title: group.Title}
		for _, s := range group.Scopes {
			if r.id.Scopes.Has(s.Name) {
				g.Scopes = append(g.Scopes, scopeChoice{s, slices.Contains(chosen, s.Name)})
			}
		}
		for _, p := range group.Presets {
			if r.missing(p.Scopes) == nil {
				g.Presets = append(g.Presets, p)
			}
		}
		if g.Scopes != nil {
			groups = append(groups, g)
		}
	}
	return groups
}

// lifetimes returns the lifetimes to choose from, up to the limit. Zero means no
// limit.
func (r *request) lifetimes(limit time.Duration) []lifetimeChoice {
	var choices []lifetimeChoice
	for _, d := range []time.Duration{7 * day, 30 * day, 60 * day, 90 * day} {
		if limit == 0 || d < limit {
			choices = append(choices, r.lifetimeChoice(d))
		}
	}
	if limit > 0 {
		choices = append(choices, r.lifetimeChoice(limit))
	}
	return choices
}

func (r *request) lifetimeChoice(d time.Duration) lifetimeChoice {
	return lifetimeChoice{d.String(), r.texts.exactly(d), r.texts.moment(r.now.Add(d), r.now), d}
}

// isSeparator reports what may stand between the scopes of a link and between networks.
func isSeparator(c rune) bool { return c == ',' || unicode.IsSpace(c) }

// refill fills in what was sent.
func (f *tokenForm) refill(form url.Values) {
	f.Name, f.Expires, f.Until = form.Get("name"), form.Get("expires"), form.Get("until")
	f.Access, f.Networks = form.Get("access"), form.Get("networks")
	for i := range f.Metadata {
		f.Metadata[i].Value = form.Get(f.Metadata[i].Name)
	}
	for _, g := range f.Groups {
		for i := range g.Scopes {
			g.Scopes[i].Chosen = slices.Contains(form["scope"], g.Scopes[i].Name)
		}
	}
}

// addFaults adds what is wrong with the form that was sent: at its field if the form has that one.
// Faults that the service has found are in its own words.
func (f *tokenForm) addFaults(ts texts, p *problem, form url.Values) {
	for _, e := range p.Errors {
		text := e.Detail
		if !p.said {
			text = f.faultText(ts, e.Field, form)
		}
		if f.has(e.Field) {
			f.Errors[e.Field] = strings.TrimSpace(f.Errors[e.Field] + " " + text)
		} else {
			f.Problem = strings.TrimSpace(f.Problem + " " + text)
		}
	}
	if !f.Invalid() { // of an argument that no field has, such as the user's ID
		f.Problem = ts.get("problem." + string(codeInvalidArgument))
	}
}

// has reports whether the form has a field, by its name in the API.
func (f *tokenForm) has(field string) bool {
	switch field {
	case "expires_in":
		return f.Edits == ""
	case "networks":
		return f.AskNetworks
	}
	return field == "name" || field == "scopes" || f.metadataField(field) != nil
}

// faultText says what to enter in an invalid field. The limit of a name is in bytes,
// which users cannot count.
func (f *tokenForm) faultText(ts texts, field string, form url.Values) string {
	if name := strings.TrimSpace(form.Get("name")); field == "name" && len(name) > maxName {
		return ts.plural("error.name_long", charactersWithin(name, maxName))
	}
	if _, wrong, _ := readNetworks(form.Get("networks")); field == "networks" && wrong != "" {
		if p, err := netip.ParsePrefix(wrong); err == nil {
			return ts.get("error.network_bits", "network", wrong, "masked", p.Masked().String())
		}
		return ts.get("error.network", "network", wrong)
	}
	if m := f.metadataField(field); m != nil {
		return ts.valueError(m.label, form.Get(field))
	}
	if _, known := ts.byKey["error."+field]; !known {
		return ts.get("problem." + string(codeInvalidArgument))
	}
	return ts.get("error." + field)
}

// maxName is the maximum of a token's name in bytes: see auth.TokenOptions.
const maxName = 255

// charactersWithin returns how many characters of s are within its first bytes. It does
// not count combining marks and the parts of joined emoji.
func charactersWithin(s string, bytes int) (n int) {
	joined := false
	for i, c := range s {
		if i+utf8.RuneLen(c) > bytes {
			break
		}
		mark := unicode.In(c, unicode.M, unicode.Cf)
		if !mark && !joined {
			n++
		}
		joined = c == '\u200d'
	}
	return n
}

// readToken reads the fields of the form. None of them has a default.
func (r *request) readToken(form url.Values) (o auth.TokenOptions, invalid []fieldError) {
	o, invalid = r.readAccess(form, r.knowsAddresses())
	entries, faults := r.readMetadata(form, "")
	o.Metadata, invalid = entries.set(), append(invalid, faults...)
	if o.Idempotency = form.Get("idempotency"); o.Idempotency == "" {
		invalid = append(invalid, fieldError{Field: "idempotency"})
	}
	var ok bool
	if o.Lifetime, ok = r.readLifetime(form.Get("expires"), form.Get("until"), form.Get("zone")); !ok {
		invalid = append(invalid, fieldError{Field: "expires_in"})
	}
	return o, invalid
}

// readAccess reads the name, the scopes and the networks. Networks are invalid unless they were
// asked for.
func (r *request) readAccess(form url.Values, networks bool) (o auth.TokenOptions, invalid []fieldError) {
	o.Name = strings.TrimSpace(form.Get("name"))
	if text.CheckName(o.Name, maxName) != "" {
		invalid = append(invalid, fieldError{Field: "name"})
	}
	switch chosen := form["scope"]; {
	case form.Get("access") == "full" && len(chosen) == 0:
		o.Scopes = []string{auth.FullAccess}
	case form.Get("access") == "scopes" && len(chosen) > 0 && !slices.Contains(chosen, auth.FullAccess):
		o.Scopes = chosen
	default:
		invalid = append(invalid, fieldError{Field: "scopes"})
	}
	var valid bool
	if o.Networks, _, valid = readNetworks(form.Get("networks")); !valid || o.Networks != nil && !networks {
		invalid = append(invalid, fieldError{Field: "networks"})
	}
	return o, invalid
}

// readNetworks reads networks and single addresses, and returns nil if there are none. wrong is
// the first that is not valid.
func readNetworks(list string) (prefixes []netip.Prefix, wrong string, ok bool) {
	for _, text := range strings.FieldsFunc(list, isSeparator) {
		p, err := parseNetwork(text)
		canonical, fault := networks.Format([]netip.Prefix{p})
		if err != nil || fault != "" {
			return nil, strings.ToValidUTF8(text[:min(len(text), 50)], ""), false
		}
		prefixes = append(prefixes, netip.MustParsePrefix(canonical))
	}
	return prefixes, "", len(prefixes) <= networks.Max
}

// readLifetime reads the choice of a lifetime, which must be one that the form offers, except
// that Issue checks the limit of "never".
func (r *request) readLifetime(choice, until, zone string) (time.Duration, bool) {
	switch choice {
	case "never":
		return auth.NoExpiry, true
	case "custom":
		return r.readUntil(until, zone)
	}
	for _, offered := range r.lifetimes(r.bearer.Policy().MaxLifetime) {
		if choice == offered.Value {
			return offered.lifetime, true
		}
	}
	return 0, false
}

// readUntil returns the lifetime up to the last minute of a day, within the limit. zone is the
// number of minutes that the day begins after that of UTC, as JavaScript has it, and is empty
// without a script.
func (r *request) readUntil(date, zone string) (time.Duration, bool) {
	start, err := time.Parse(time.DateOnly, date)
	if err != nil || start.After(r.now.AddDate(100, 0, 0)) {
		return 0, false
	}
	if minutes, err := strconv.Atoi(zone); err == nil && minutes >= -14*60 && minutes <= 12*60 {
		start = start.Add(time.Duration(minutes) * time.Minute)
	}
	lifetime, limit := start.Add(day-time.Minute).Sub(r.now), r.bearer.Policy().MaxLifetime
	if limit > 0 && date <= r.now.UTC().Add(limit).Format(time.DateOnly) {
		lifetime = min(lifetime, limit) // the last day that can be chosen ends after the limit
	}
	return lifetime, lifetime >= time.Minute && (limit == 0 || lifetime <= limit)
}
