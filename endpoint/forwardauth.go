package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/header"
)

// A ForwardAuthConfig configures [NewForwardAuth]. Proxy and Authenticators are required.
type ForwardAuthConfig struct {
	// Proxy is the proxy that asks. Another one describes requests in other fields, which a client
	// could set.
	Proxy Proxy

	// Authenticators are those that [auth.Middleware.Require] is called with.
	Authenticators []auth.Authenticator

	// Middleware is the service's own: its Realm, its ResourceMetadata, its Resolve, which keeps
	// disabled users out, and its Observe. OnError is not used.
	Middleware auth.Middleware

	// ClientAddr returns the address of the client, which the proxy has added to r, for example to
	// X-Forwarded-For: see docs/guides/networks.md. r is the proxy's request. If ClientAddr is nil
	// or returns the zero Addr, the address is unknown, and tokens with networks are rejected, even
	// if a handler around this one has called [auth.WithClientAddr]: the address that it knows may
	// be the proxy's.
	ClientAddr func(r *http.Request) netip.Addr

	// Check, if not nil, decides on requests that have been authenticated, as that of
	// [auth.RequireFunc] does. r has the method, the host and the URL that the client has requested
	// of the proxy, and no body. It is not called for a path that proxies and back ends read in
	// different ways: one with dot segments, empty segments, semicolons, backslashes or encoded
	// slashes. That is answered with 403.
	Check func(r *http.Request, id *auth.Identity) error

	// Metadata maps names of header fields to keys of the identity's Metadata, for example
	// "X-Auth-Tenant" to "tenant". Names begin with "X-Auth-".
	Metadata map[string]string
}

// Fields of a response to an accepted request: see NewForwardAuth.
const (
	fieldUser       = "X-Auth-User"
	fieldScheme     = "X-Auth-Scheme"
	fieldScopes     = "X-Auth-Scopes"
	fieldCredential = "X-Auth-Credential"
	fieldActor      = "X-Auth-Actor"
)

// NewForwardAuth returns a handler that tells a reverse proxy whether a request may pass: nginx by
// auth_request, Caddy by forward_auth, Traefik by ForwardAuth, and Envoy by ext_authz over HTTP. It
// returns an error that lists everything that is wrong with cfg.
//
// The proxy asks with a request of its own, which is often a GET. The handler decides on the one of
// the client: on its method, its scheme and its host, which the proxy must send as cfg.Proxy
// describes. So a POST that another site makes a browser send is rejected, and so is a WebSocket
// upgrade. If one of these fields is missing, empty, there twice or malformed, the request is
// rejected. The event has [auth.ReasonInternal] if only a misconfigured proxy can be the cause, and
// otherwise [auth.ReasonMalformed].
//
// The response has one of these statuses, and no others, because nginx makes a 500 of others:
//
//   - 200: the request may pass.
//   - 401: there is no valid credential, or it is malformed, or the sign-in is too old. The challenges
//     are those of Require, for the client.
//   - 403: a scope is missing, the request comes from another origin, Resolve or Check forbid it or
//     find nothing, or the proxy or the client sent fields that it must not send. It is not a 5xx
//     if the proxy is misconfigured, since Envoy may be configured to let requests pass after a
//     5xx.
//   - 503: the store, Resolve or Check is unavailable. nginx makes a 500 of it, unless it is
//     configured as in the guide, and Envoy its status_on_error.
//
// A response with 200 has no body and these header fields, which the proxy adds to the request for
// the back end:
//
//   - X-Auth-User: the UserID.
//   - X-Auth-Scheme: Bearer, Cookie, Secret, or that of another authenticator.
//   - X-Auth-Scopes: the scopes, separated by spaces. "*" is full access.
//   - X-Auth-Credential: the CredentialID, which is no secret.
//   - X-Auth-Actor: the user who acts as X-Auth-User, if that is another. It is empty otherwise.
//   - those of cfg.Metadata. They are empty if the identity does not have the entry.
//
// All of them are always there: a proxy that copies a missing field may leave the client's, or send
// something else, as Caddy 2.6 does.
//
// In their values, a percent sign, a comma, and bytes that are not visible ASCII are
// percent-encoded, as are spaces except between scopes. So a value cannot be taken for two, and
// different users have different values.
//
// A proxy may remove fields that the client names in Connection (RFC 9110 section 7.6.1). The guide
// has configurations that prevent this. Behind another proxy, back ends should reject requests without
// the fields. nginx sends no empty fields, so behind it X-Auth-Actor may be missing.
//
// The proxy must remove these fields from the client's request. As a second line of defense, a
// request with one of them is rejected if the proxy sends it along, even if it is written with
// underscores or dots in place of hyphens, which some back ends do not distinguish.
//
// Except with Envoy, the query of the proxy's request may have a parameter "scope" with the scopes
// that the credential must have, separated by spaces: each location of the proxy can require its
// own. Other parameters are rejected with 403. The proxy must not add the client's query: Caddy
// does unless its uri has a question mark, such as "uri /forward-auth?".
//
// Only the proxy should be able to reach the handler. The body of a request is not needed: it is not
// read. A panic of ClientAddr or Check passes through, as a handler's does. net/http then closes the
// connection, and the proxy rejects the request.
func NewForwardAuth(cfg ForwardAuthConfig) (http.Handler, error) {
	f := &forwardAuth{proxy: cfg.Proxy, clientAddr: cfg.ClientAddr, metadata: maps.Clone(cfg.Metadata)}
	f.observe = observer(cfg.Middleware.Observe)
	faults := configErrors{config: "ForwardAuthConfig"}
	if !cfg.Proxy.known() {
		faults.add("Proxy", "is %.40q: use one of the constants, such as ProxyNGINX", string(cfg.Proxy))
	}
	f.own = []string{fieldUser, fieldScheme, fieldScopes, fieldCredential, fieldActor}
	for _, name := range slices.Sorted(maps.Keys(cfg.Metadata)) {
		if fault := checkField(name, f.own); fault != "" {
			faults.add("Metadata", "%.80q %s", name, fault)
		}
		if cfg.Metadata[name] == "" {
			faults.add("Metadata", "%.80q has no key", name)
		}
		f.own = append(f.own, http.CanonicalHeaderKey(name))
	}
	m := cfg.Middleware
	m.OnError = rejectForProxy
	wrap := faults.require(m, slices.Clone(cfg.Authenticators))
	if err := faults.err(); err != nil {
		return nil, err
	}
	var next http.Handler = http.HandlerFunc(f.accept)
	if cfg.Check != nil {
		next = m.RequireFunc(checkClean(cfg.Check))(next)
	}
	f.decide = wrap(next)
	return f, nil
}

// checkField returns what is wrong with the name of a field of ForwardAuthConfig.Metadata, or "".
func checkField(name string, taken []string) string {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !header.IsToken(name) || !strings.HasPrefix(canonical, "X-Auth-") || strings.Map(hyphenate, name) != name:
		return "is not a name such as X-Auth-Tenant"
	case slices.Contains(taken, canonical):
		return "is there already"
	}
	return ""
}

type forwardAuth struct {
	proxy      Proxy
	clientAddr func(r *http.Request) netip.Addr
	metadata   map[string]string
	own        []string // the fields of accepted requests, in canonical form
	observe    auth.Observer
	decide     http.Handler
}

type requiredScopesKey struct{}

func (f *forwardAuth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var addr netip.Addr
	if f.clientAddr != nil {
		addr = f.clientAddr(r)
	}
	ctx := auth.WithClientAddr(r.Context(), addr)
	original, err := f.original(r.WithContext(ctx))
	if err != nil {
		reason := auth.ReasonInternal
		var byClient clientError
		if errors.As(err, &byClient) {
			reason = auth.ReasonMalformed
		}
		f.reject(w, r.WithContext(ctx), reason, err)
		return
	}
	if name := f.forged(r.Header); name != "" {
		f.reject(w, original, auth.ReasonMalformed, fmt.Errorf("the client sent %s, which only the proxy may send", name))
		return
	}
	f.decide.ServeHTTP(w, original)
}

func (f *forwardAuth) reject(w http.ResponseWriter, r *http.Request, reason auth.Reason, err error) {
	f.observe(r.Context(), refused(r, reason, fmt.Errorf("endpoint: forward auth: %w", err)))
	writeProblem(w, http.StatusForbidden, "forbidden", "This is not allowed.")
}

// original returns the request that the client has sent to the proxy, without its body.
func (f *forwardAuth) original(r *http.Request) (*http.Request, error) {
	t, err := f.proxy.target(r)
	if err != nil {
		return nil, err
	}
	scopes, err := f.requiredScopes(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	original := r
	if scopes != nil {
		original = r.WithContext(context.WithValue(r.Context(), requiredScopesKey{}, scopes))
	}
	original.Method, original.Host, original.URL, original.RequestURI = t.method, t.host, t.url, t.uri
	original.Body, original.ContentLength, original.TransferEncoding = http.NoBody, 0, nil
	original.TLS = nil
	if t.secure {
		original.TLS = new(tls.ConnectionState) // a Cookie with Insecure rejects http origins on an https site
	}
	return original, nil
}

// requiredScopes reads the query of the proxy's request. A client cannot choose it, except with
// Envoy, which passes on the client's.
func (f *forwardAuth) requiredScopes(query string) ([]string, error) {
	if query == "" || f.proxy == ProxyEnvoy {
		return nil, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil || len(values) != 1 || len(values["scope"]) != 1 {
		return nil, errors.New("the query is not one parameter scope: with Caddy, uri must contain a question mark, or the client's query is added")
	}
	scopes := strings.Split(values.Get("scope"), " ")
	if _, err := auth.ParseScopes(scopes); err != nil {
		return nil, errors.New("the parameter scope has others than scopes, separated by single spaces")
	}
	return scopes, nil
}

// forged returns the name of a field of accepted requests that the client has sent, or "". CGI and
// its successors, such as WSGI, replace hyphens by underscores, and some servers all characters that
// are neither letters nor digits.
func (f *forwardAuth) forged(h http.Header) string {
	for name := range h {
		canonical := http.CanonicalHeaderKey(strings.Map(hyphenate, name))
		if slices.Contains(f.own, canonical) {
			return canonical
		}
	}
	return ""
}

func hyphenate(r rune) rune {
	if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
		return r
	}
	return '-'
}

// accept answers a request that may pass, unless it lacks a scope that the proxy requires.
func (f *forwardAuth) accept(w http.ResponseWriter, r *http.Request) {
	if scopes, ok := r.Context().Value(requiredScopesKey{}).([]string); ok {
		if err := auth.CheckScope(r.Context(), scopes...); err != nil {
			auth.WriteError(w, r, err)
			return
		}
	}
	id, ok := auth.FromContext(r.Context())
	if !ok {
		panic("endpoint: Require passed a request without an identity")
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store") // a proxy may cache answers, and would miss a revocation
	h.Set(fieldUser, escape(id.UserID))
	h.Set(fieldScheme, escape(string(id.Scheme)))
	h.Set(fieldScopes, escapeList(id.Scopes.List()))
	h.Set(fieldCredential, escape(id.CredentialID))
	h.Set(fieldActor, escape(id.Actor))
	for name, key := range f.metadata {
		h.Set(name, escape(id.Metadata.Get(key)))
	}
	w.WriteHeader(http.StatusOK)
}

// rejectForProxy answers with 401, 403 or 503 only. Require has set the challenges.
func rejectForProxy(w http.ResponseWriter, r *http.Request, err error) {
	var e *auth.Error
	if !errors.As(err, &e) {
		e = new(auth.Error)
	}
	switch status := e.StatusCode(); {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusServiceUnavailable:
		auth.WriteError(w, r, err)
	case status == http.StatusBadRequest && w.Header().Get("WWW-Authenticate") != "":
		writeProblem(w, http.StatusUnauthorized, e.Code(), e.Detail())
	case status >= http.StatusInternalServerError:
		w.Header().Del("WWW-Authenticate")
		writeProblem(w, http.StatusServiceUnavailable, e.Code(), e.Detail())
	default:
		w.Header().Del("WWW-Authenticate")
		writeProblem(w, http.StatusForbidden, "forbidden", "This is not allowed.")
	}
}

// checkClean is check for paths that all programs read in the same way.
func checkClean(check func(r *http.Request, id *auth.Identity) error) func(r *http.Request, id *auth.Identity) error {
	return func(r *http.Request, id *auth.Identity) error {
		escaped := strings.ToLower(r.URL.EscapedPath())
		if auth.LocalPath(escaped, "") == "" || strings.Contains(escaped, "%2f") || strings.Contains(escaped, ";") {
			return auth.ErrForbidden
		}
		return check(r, id)
	}
}

// escape percent-encodes what a header field cannot have or could be read in several ways.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '%' || c == ',' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func escapeList(names []string) string {
	escaped := make([]string, len(names))
	for i, name := range names {
		escaped[i] = escape(name)
	}
	return strings.Join(escaped, " ")
}
