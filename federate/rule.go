package federate

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/federate/internal/pattern"
)

const (
	maxText     = 256 // of a metadata value, and so of a claim that is recorded
	maxKey      = 64
	maxEntries  = 16
	metadataKey = "workload."
	minLifetime = time.Minute
)

// A Rule says which JWTs may be exchanged, and for what. [GitHubActions], [GitLab] and [Kubernetes]
// return rules that are safe for their platforms. UserID and Scopes are set by the service in any case.
//
// A claim is named by its key at the top of the JWT, such as "repository_id". A name that begins with a
// slash is a path through nested objects, such as "/kubernetes.io/serviceaccount/uid". Texts,
// integers and booleans can be compared; a claim that is a list or an object never matches.
type Rule struct {
	// Issuer is the https URL that the claim iss must be, without a query. Its keys are found by OpenID
	// Connect Discovery.
	Issuer string
	// Audience is what the claim aud must be, as a text or as a list of nothing else. It should name
	// this service alone, for example by its URL: otherwise another service that receives the JWT could
	// exchange it. It must not be the Issuer.
	Audience string

	// Claims have the exact values that claims must have. At least one is required. Prefer IDs: a
	// name, for example of a repository, can be given up and taken over.
	Claims map[string]string
	// Patterns have patterns of which a claim must match at least one. In a pattern "*" matches any
	// number of characters except "/" and ":", which separate the parts of such names, and "**"
	// matches any characters. All other characters match themselves. A claim is in Claims or
	// in Patterns.
	Patterns map[string][]string
	// Record names further claims that the metadata of the token shall have, if the JWT has them.
	Record []string

	// UserID is the user that the token belongs to.
	UserID string
	// Scopes are those of the token, as in [auth.TokenOptions].
	Scopes []string
	// Lifetime is that of the token, from a minute to MaxLifetime. Zero means [MaxLifetime].
	Lifetime time.Duration
	// Metadata is added to that of the token, as in [auth.TokenOptions]. No key begins with "workload.".
	Metadata map[string]string
}

// ruleErrors collects the mistakes in a Rule or in the argument of a preset.
type ruleErrors struct {
	subject string
	errs    []error
}

func (e *ruleErrors) add(field, format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf("federate: "+e.subject+"."+field+" "+format, args...))
}

func (e *ruleErrors) err() error { return errors.Join(e.errs...) }

// Check returns an error that lists everything that is wrong with r, or nil. The endpoint calls it
// for each exchange. A service should call it when a rule is stored.
//
// For the issuers of GitHub and GitLab.com, which anyone can get a JWT from, it requires an exact ID of
// the repository or project, or of its owner, and that the events are named which may
// start the job. Of other issuers with which anyone can have an account, it cannot tell whether a rule is
// too wide.
func (r *Rule) Check() error {
	faults := &ruleErrors{subject: "Rule"}
	if err := checkURL(r.Issuer); err != nil {
		faults.add("Issuer", "%w", err)
	}
	switch {
	case r.Audience == "" || len(r.Audience) > maxText:
		faults.add("Audience", "must be 1 to %d bytes", maxText)
	case r.Audience == r.Issuer:
		faults.add("Audience", "is the issuer, which is the audience of JWTs for the issuer itself")
	}
	r.checkClaims(faults)
	r.checkRecorded(faults)
	r.checkPublicIssuer(faults)
	if r.UserID == "" {
		faults.add("UserID", "is required")
	}
	if _, err := auth.ParseScopes(r.Scopes); err != nil {
		faults.add("Scopes", "are invalid: %w", err)
	}
	if r.Lifetime != 0 && (r.Lifetime < minLifetime || r.Lifetime > MaxLifetime) {
		faults.add("Lifetime", "is %v: use %v to %v, or 0 for the latter", r.Lifetime, minLifetime, MaxLifetime)
	}
	return faults.err()
}

func (r *Rule) checkClaims(faults *ruleErrors) {
	if len(r.Claims) == 0 {
		faults.add("Claims", "is empty: a rule must require at least one exact value, such as the ID of a repository")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		if r.Claims[name] == "" || len(r.Claims[name]) > maxText {
			faults.add("Claims", "has for %.100q a value that is not 1 to %d bytes", name, maxText)
		}
		if slices.Contains([]string{"iss", "aud", "exp", "nbf", "iat", "jti"}, name) {
			faults.add("Claims", "has %s, which is always checked", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Patterns)) {
		if _, ok := r.Claims[name]; ok {
			faults.add("Patterns", "has %.100q, which Claims has too", name)
		}
		if len(r.Patterns[name]) == 0 {
			faults.add("Patterns", "has no pattern for %.100q, which no claim would match", name)
		}
		for _, p := range r.Patterns[name] {
			if fault := pattern.Check(p); fault != "" {
				faults.add("Patterns", "has for %.100q the pattern %.100q, which %s", name, p, fault)
			}
		}
	}
}

// checkRecorded rejects a rule whose tokens could not have all of their metadata.
func (r *Rule) checkRecorded(faults *ruleErrors) {
	names := r.recorded()
	seen := make(map[string]string, len(names))
	for _, name := range names {
		key := keyOf(name)
		if fault := checkName(name); fault != "" {
			faults.add("Claims, Patterns or Record", "names the claim %.100q, which %s", name, fault)
		} else if other, ok := seen[key]; ok {
			faults.add("Claims, Patterns or Record", "names %q and %q, which would both be recorded as %s", other, name, key)
		}
		seen[key] = name
	}
	for _, key := range slices.Sorted(maps.Keys(r.Metadata)) {
		if strings.HasPrefix(key, metadataKey) {
			faults.add("Metadata", "has the key %.100q: those that begin with %q are for claims", key, metadataKey)
		}
	}
	if n := len(names) + len(r.Metadata); n > maxEntries {
		faults.add("Metadata", "and the claims that are recorded are %d entries: a token has at most %d", n, maxEntries)
	}
}

// checkName returns what is wrong with the name of a claim.
func checkName(name string) string {
	path, nested := strings.CutPrefix(name, "/")
	switch {
	case len(keyOf(name)) > maxKey:
		return fmt.Sprintf("is longer than %d bytes", maxKey-len(metadataKey))
	case path == "" || nested && slices.Contains(strings.Split(path, "/"), ""):
		return "is no name or path of a claim"
	}
	return ""
}

// keyOf returns the key of the metadata for a claim.
func keyOf(name string) string {
	return metadataKey + strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
			return c
		case c >= 'A' && c <= 'Z':
			return c - 'A' + 'a'
		case c == '/':
			return '.'
		}
		return '_'
	}, strings.TrimPrefix(name, "/"))
}

// recorded returns the names of the claims that the metadata has, sorted.
func (r *Rule) recorded() []string {
	names := slices.Concat([]string{"iss", "sub"}, slices.Collect(maps.Keys(r.Claims)), slices.Collect(maps.Keys(r.Patterns)), r.Record)
	slices.Sort(names)
	return slices.Compact(names)
}

// A publicIssuer gives JWTs to anyone. For its rules, names are not enough.
type publicIssuer struct {
	ids   []string // the claims that cannot be taken over, of which a rule needs one
	event string   // the claim that says what has started the job
}

func publicIssuerOf(issuer string) (p publicIssuer, ok bool) {
	switch {
	case issuer == GitHubIssuer || strings.HasPrefix(issuer, GitHubIssuer+"/"):
		return publicIssuer{[]string{"repository_id", "repository_owner_id"}, "event_name"}, true
	case issuer == GitLabIssuer:
		return publicIssuer{[]string{"project_id", "namespace_id"}, "pipeline_source"}, true
	}
	return publicIssuer{}, false
}

func (r *Rule) checkPublicIssuer(faults *ruleErrors) {
	public, ok := publicIssuerOf(r.Issuer)
	if !ok {
		return
	}
	if !slices.ContainsFunc(public.ids, func(id string) bool { return isNumber(r.Claims[id]) }) {
		faults.add("Claims", "must have a number for %s: names can be taken over", strings.Join(public.ids, " or "))
	}
	events := r.Patterns[public.event]
	if event, ok := r.Claims[public.event]; ok {
		events = []string{event}
	}
	if len(events) == 0 || slices.ContainsFunc(events, func(e string) bool { return strings.Contains(e, "*") }) {
		faults.add("Claims or Patterns", "must name the values of %s: strangers can start jobs by pull requests", public.event)
	}
	if strings.HasPrefix(r.Audience, "https://github.com/") && public.event == "event_name" {
		faults.add("Audience", "is the one that jobs get without asking for one, so other services may have the JWT: use the URL of this service")
	}
	for _, p := range r.Patterns["sub"] {
		if kind, rest, _ := strings.Cut(p, ":"); kind == "repo" || kind == "project_path" {
			if name, _, _ := strings.Cut(rest, ":"); strings.Contains(name, "*") {
				faults.add("Patterns", "has for sub the pattern %.100q, which is too wide: it matches other repositories", p)
			}
		}
	}
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// match returns the name and the value of the first claim that is not what r requires.
func (r *Rule) match(c claims) (name, value string, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		if value, found := c.text(name); !found || value != r.Claims[name] {
			return name, value, false
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Patterns)) {
		value, found := c.text(name)
		if !found || !slices.ContainsFunc(r.Patterns[name], func(p string) bool { return pattern.Match(p, value) }) {
			return name, value, false
		}
	}
	return "", "", true
}

// metadata returns what the token gets. It returns an error for a claim that does not fit: cut off, it
// could be taken for another.
func (r *Rule) metadata(c claims) (map[string]string, error) {
	entries := maps.Clone(r.Metadata)
	if entries == nil {
		entries = make(map[string]string)
	}
	for _, name := range r.recorded() {
		if value, there := c.find(name); !there || value == nil {
			continue
		}
		value, ok := c.text(name)
		if !ok || len(value) > maxText || strings.ContainsFunc(value, isControl) {
			return nil, fmt.Errorf("federate: the claim %s cannot be recorded: it must be a text of at most %d bytes without control characters", name, maxText)
		}
		entries[keyOf(name)] = value
	}
	return entries, nil
}

func isControl(c rune) bool { return c < ' ' || c >= 0x7F && c < 0xA0 }

// lifetime returns how long a token lives whose JWT expires at the given time: whole seconds, at least one
// of which are left of the JWT, since the token's begin a little later.
func (r *Rule) lifetime(now, expires time.Time, most time.Duration) time.Duration {
	d := min(expires.Sub(now)-time.Second, MaxLifetime)
	if r.Lifetime > 0 {
		d = min(d, r.Lifetime)
	}
	if most > 0 {
		d = min(d, most)
	}
	return d.Truncate(time.Second)
}

// checkURL returns an error that completes a sentence about the URL of an issuer.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxText || u.Opaque != "":
		return fmt.Errorf("is not a URL of at most %d bytes", maxText)
	case u.Scheme != "https" || u.Hostname() == "":
		return errors.New("is not an https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return errors.New("has a user, a query or a fragment")
	}
	return nil
}
