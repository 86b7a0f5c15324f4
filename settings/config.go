package settings

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

const (
	defaultMaxAge = 10 * time.Minute
	defaultAccent = "#0b57d0"
)

func (cfg *Config) setDefaults() {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = defaultMaxAge
	}
	if cfg.Accent == "" {
		cfg.Accent = defaultAccent
	}
	if cfg.ExampleURL == "" {
		cfg.ExampleURL = "/"
	}
	if cfg.Language == "" {
		cfg.Language = "en"
	}
}

var (
	colour   = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	language = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
)

// check returns every fault of a configuration that has its defaults.
func (cfg *Config) check() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf("settings: Config.%s: "+format, append([]any{field}, args...)...))
	}
	if cfg.Bearer == nil {
		fault("Bearer", "is nil: use auth.NewBearer")
	}
	if cfg.Cookie == nil {
		fault("Cookie", "is nil: use auth.NewCookie, as only signed-in sessions manage credentials")
	}
	if auth.LocalPath(cfg.SignInPath, "") == "" || strings.Contains(cfg.SignInPath, "#") {
		fault("SignInPath", "%q is not a path on this site, such as /signin", cfg.SignInPath)
	}
	if cfg.MaxAge < 0 {
		fault("MaxAge", "is %v: use 0 for %v", cfg.MaxAge, defaultMaxAge)
	}
	if !colour.MatchString(cfg.Accent) {
		fault("Accent", "%q is not a colour of the form #rrggbb", cfg.Accent)
	}
	if !language.MatchString(cfg.Language) {
		fault("Language", "%q is not a language tag, such as en or pt-BR", cfg.Language)
	}
	if !webAddress(cfg.ExampleURL) {
		fault("ExampleURL", "%q is neither a path nor a URL of http or https", cfg.ExampleURL)
	}
	for _, link := range cfg.Links {
		if link.Text == "" || !webAddress(link.URL) {
			fault("Links", "%q to %q: needs a text, and a path or a URL of http or https", link.Text, link.URL)
		}
	}
	cfg.checkScopes(fault)
	for _, err := range checkTexts(cfg.Texts) {
		fault("Texts", "%w", err)
	}
	return errors.Join(faults...)
}

func (cfg *Config) checkScopes(fault func(field, format string, args ...any)) {
	var known []string
	if cfg.Bearer != nil {
		known = cfg.Bearer.Policy().Scopes
	}
	seen := make(map[string]bool)
	for _, group := range cfg.Scopes {
		for _, s := range group.Scopes {
			switch {
			case seen[s.Name]:
				fault("Scopes", "%q is there twice", s.Name)
			case !auth.Scopes(s.Name).Has(s.Name) || s.Name == "*":
				fault("Scopes", "%q is not a scope's name: RFC 6749 section 3.3", s.Name)
			case known != nil && !slices.Contains(known, s.Name):
				fault("Scopes", "%q is not among the Bearer's Scopes", s.Name)
			}
			seen[s.Name] = true
		}
	}
}

// scopeGroups are those of the configuration, and what the policy has besides.
func (cfg *Config) scopeGroups() []ScopeGroup {
	var groups []ScopeGroup
	seen := make(map[string]bool)
	for _, group := range cfg.Scopes {
		groups = append(groups, ScopeGroup{group.Title, slices.Clone(group.Scopes)})
		for _, s := range group.Scopes {
			seen[s.Name] = true
		}
	}
	var rest []Scope
	for _, name := range cfg.Bearer.Policy().Scopes {
		if !seen[name] {
			rest = append(rest, Scope{Name: name})
		}
	}
	if rest != nil {
		groups = append(groups, ScopeGroup{Scopes: rest})
	}
	return groups
}

// webAddress reports whether s is a path on this site or a URL of the web.
func webAddress(s string) bool {
	if auth.LocalPath(s, "") != "" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}
