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
	"github.com/seed-31c5bcb2/auth/internal/metadata"
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
	if cfg.AccentDark == "" && hexColor.MatchString(cfg.Accent) {
		cfg.AccentDark = lighten(cfg.Accent)
	}
	if cfg.Language == "" {
		cfg.Language = "en"
	}
}

var (
	hexColor    = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	languageTag = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
)

// configErrors collects the mistakes in a Config.
type configErrors []error

func (e *configErrors) add(field, format string, args ...any) {
	*e = append(*e, fmt.Errorf("settings: Config.%s: "+format, append([]any{field}, args...)...))
}

// check returns all mistakes in a Config whose defaults have been set.
func (cfg *Config) check() error {
	var e configErrors
	if cfg.Bearer == nil {
		e.add("Bearer", "is nil: use auth.NewBearer")
	}
	cfg.checkSession(&e)
	if cfg.SignInPath == "" {
		e.add("SignInPath", `is empty: name the path of the sign-in page, or "/" if only the API is mounted`)
	} else if auth.LocalPath(cfg.SignInPath, "") == "" || strings.Contains(cfg.SignInPath, "#") {
		e.add("SignInPath", "%q is not a path on this site, such as /signin, which may redirect to another site", cfg.SignInPath)
	}
	if cfg.Developer != nil && cfg.Secret == nil {
		e.add("Developer", "has no effect without a Secret: leave it nil")
	}
	if cfg.MaxAge < 0 {
		e.add("MaxAge", "is %v: use 0 for %v", cfg.MaxAge, defaultMaxAge)
	}
	cfg.checkBrand(&e)
	cfg.checkScopes(&e)
	cfg.checkMetadataKeys(&e)
	if err := checkPlural(cfg.Plural); err != nil {
		e.add("Plural", "%w", err)
	}
	for _, err := range cfg.checkTexts() {
		e.add("Texts", "%w", err)
	}
	return errors.Join(e...)
}

func (cfg *Config) checkBrand(e *configErrors) {
	if !hexColor.MatchString(cfg.Accent) {
		e.add("Accent", "%q is not a color of the form #rrggbb", cfg.Accent)
	}
	if cfg.AccentDark != "" && !hexColor.MatchString(cfg.AccentDark) {
		e.add("AccentDark", "%q is not a color of the form #rrggbb", cfg.AccentDark)
	}
	if !languageTag.MatchString(cfg.Language) {
		e.add("Language", "%q is not a language tag, such as en or pt-BR", cfg.Language)
	}
	if cfg.TokenExampleURL != "" && !isWebAddress(cfg.TokenExampleURL) {
		e.add("TokenExampleURL", "%q is neither a path nor an http or https URL", cfg.TokenExampleURL)
	}
	switch {
	case cfg.SecretExampleURL == "":
	case cfg.Secret == nil:
		e.add("SecretExampleURL", "has no effect without a Secret: leave it empty")
	case !isWebAddress(cfg.SecretExampleURL):
		e.add("SecretExampleURL", "%q is neither a path nor an http or https URL", cfg.SecretExampleURL)
	}
	for _, link := range cfg.Links {
		if link.Text == "" || !isWebAddress(link.URL) {
			e.add("Links", "%q to %q: needs a text, and a path or an http or https URL", link.Text, link.URL)
		}
	}
}

func (cfg *Config) checkScopes(e *configErrors) {
	var known []string
	if cfg.Bearer != nil {
		known = cfg.Bearer.Policy().Scopes
	}
	seen := make(map[string]bool)
	for _, group := range cfg.Scopes {
		for _, s := range group.Scopes {
			switch {
			case seen[s.Name]:
				e.add("Scopes", "%q is repeated", s.Name)
			case !auth.Scopes(s.Name).Has(s.Name) || s.Name == auth.FullAccess:
				e.add("Scopes", "%q is not a scope name: RFC 6749 section 3.3", s.Name)
			case known != nil && !slices.Contains(known, s.Name):
				e.add("Scopes", "%q is not among the Bearer's Scopes", s.Name)
			}
			seen[s.Name] = true
		}
		group.checkPresets(e)
	}
}

func (g ScopeGroup) checkPresets(e *configErrors) {
	for _, p := range g.Presets {
		if strings.TrimSpace(p.Title) == "" || len(p.Scopes) == 0 {
			e.add("Scopes", "a preset of %q needs a title and scopes", g.Title)
		}
		for _, name := range p.Scopes {
			if !slices.ContainsFunc(g.Scopes, func(s Scope) bool { return s.Name == name }) {
				e.add("Scopes", "%q, of the preset %q, is not in its group", name, p.Title)
			}
		}
	}
}

func (cfg *Config) checkMetadataKeys(e *configErrors) {
	seen := make(map[string]bool)
	for _, k := range cfg.MetadataKeys {
		_, fault := metadata.Format(map[string]string{k.Key: ""})
		switch {
		case fault != "":
			e.add("MetadataKeys", "%s", fault)
		case seen[k.Key]:
			e.add("MetadataKeys", "%q is repeated", k.Key)
		case k.Label == "":
			e.add("MetadataKeys", "%q has no Label", k.Key)
		}
		seen[k.Key] = true
	}
}

// scopeGroups returns the configured groups, and the other scopes of the policy.
func (cfg *Config) scopeGroups() []ScopeGroup {
	var groups []ScopeGroup
	seen := make(map[string]bool)
	for _, group := range cfg.Scopes {
		g := ScopeGroup{Title: group.Title, Scopes: slices.Clone(group.Scopes)}
		for _, p := range group.Presets {
			g.Presets = append(g.Presets, ScopePreset{p.Title, slices.Clone(p.Scopes)})
		}
		groups = append(groups, g)
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

// isWebAddress reports whether s is a path on this site or an http or https URL.
func isWebAddress(s string) bool {
	if auth.LocalPath(s, "") != "" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}
