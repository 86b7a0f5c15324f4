package endpoint

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/origin"
)

const wellKnown = "/.well-known/oauth-protected-resource"

// A MetadataConfig configures [NewMetadata]. Resource is required.
type MetadataConfig struct {
	// Resource identifies the API: the https URL that clients use, with the path that all its
	// endpoints have in common, without a query or fragment, such as "https://app.example/mcp". http is
	// allowed for loopback addresses only.
	Resource string
	// AuthorizationServers are the issuers (RFC 8414) that clients can get tokens from. If empty, the
	// document names none: users create their tokens themselves.
	AuthorizationServers []string
	// Scopes are those that tokens may have. If nil, the document names none.
	Scopes []string
	// Name is the name of the API, for people.
	Name string
	// Documentation is the URL of a page for developers, for example on how to create a token.
	Documentation string
}

// NewMetadata returns a handler for the metadata of a protected resource (RFC 9728), by which
// clients find out how to get a token. It returns an error that lists everything that is wrong with
// cfg.
//
// It answers at the path of [MetadataURL], and with 404 at all others, so that it can be mounted at
// "/.well-known/oauth-protected-resource" and below. Set the ResourceMetadata of
// [auth.Middleware] to MetadataURL, and the challenge names it.
//
// The document is public: scripts of all origins may read it, with any header except Authorization, and
// caches keep it for an hour.
func NewMetadata(cfg MetadataConfig) (http.Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	location, err := MetadataURL(cfg.Resource)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(location)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(cfg.document())
	if err != nil {
		return nil, err
	}
	return &metadata{u.EscapedPath(), append(body, '\n')}, nil
}

func (cfg *MetadataConfig) check() error {
	faults := configErrors{config: "MetadataConfig"}
	if _, err := parseResource(cfg.Resource); err != nil {
		faults.add("Resource", "%w", err)
	}
	for _, issuer := range cfg.AuthorizationServers {
		if _, err := parseResource(issuer); err != nil {
			faults.add("AuthorizationServers", "%.80q: %w", issuer, err)
		}
	}
	if cfg.Scopes != nil {
		if _, err := auth.ParseScopes(cfg.Scopes); err != nil || slices.Contains(cfg.Scopes, auth.FullAccess) {
			faults.add("Scopes", "are not names of scopes")
		}
	}
	if cfg.Documentation != "" {
		if _, err := parseURL(cfg.Documentation); err != nil {
			faults.add("Documentation", "%w", err)
		}
	}
	return faults.err()
}

// A document is that of RFC 9728 section 2.
type document struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	Methods              []string `json:"bearer_methods_supported"`
	Name                 string   `json:"resource_name,omitempty"`
	Documentation        string   `json:"resource_documentation,omitempty"`
}

func (cfg *MetadataConfig) document() document {
	return document{cfg.Resource, cfg.AuthorizationServers, cfg.Scopes, []string{"header"}, cfg.Name, cfg.Documentation}
}

// MetadataURL returns the URL of the metadata of a protected resource, for the ResourceMetadata of
// [auth.Middleware]: for "https://app.example/mcp" it is
// "https://app.example/.well-known/oauth-protected-resource/mcp" (RFC 9728 section 3.1). It returns an
// error if resource is not what [MetadataConfig] allows.
func MetadataURL(resource string) (string, error) {
	u, err := parseResource(resource)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host + wellKnown + strings.TrimSuffix(u.EscapedPath(), "/"), nil
}

// parseResource also rejects a path that a router would clean.
func parseResource(resource string) (*url.URL, error) {
	u, err := parseURL(resource)
	switch {
	case err != nil:
		return nil, err
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("must not have a query")
	case u.Path != "" && auth.LocalPath(u.EscapedPath(), "") == "":
		return nil, errors.New("must not have a path with dot segments or empty segments")
	}
	return u, nil
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("must be an https URL, such as https://app.example/api")
	case u.Fragment != "" || strings.HasSuffix(s, "#"):
		return nil, errors.New("must not have a fragment")
	case u.Scheme == "http" && !origin.Loopback(u.Hostname()):
		return nil, errors.New("must be an https URL: http is for loopback addresses")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("must be ASCII without spaces")
	}
	return u, nil
}

type metadata struct {
	path string // escaped
	body []byte
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	switch {
	case r.URL.EscapedPath() != m.path:
		writeProblem(w, http.StatusNotFound, "not_found", "Not found.")
		return
	case r.Method == http.MethodOptions: // a preflight (CORS)
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Headers", "*")
		h.Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		writeProblem(w, http.StatusMethodNotAllowed, "method_not_allowed", "Use GET.")
		return
	}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(m.body)
	}
}
