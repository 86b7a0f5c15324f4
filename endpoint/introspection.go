package endpoint

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/lastuse"
	"github.com/seed-31c5bcb2/auth/internal/wire"
)

// An IntrospectionConfig configures [NewIntrospection]. Bearer, Allow, and one of Secret and
// CallerScope are required.
type IntrospectionConfig struct {
	// Bearer has the tokens that callers may ask about.
	Bearer *auth.Bearer

	// Secret lets callers authenticate by their client secret: by "Authorization: Secret", and by
	// HTTP Basic with the user ID and the secret, which standard clients send as the client ID and the
	// client secret. If nil, no caller can.
	Secret *auth.Secret
	// CallerScope lets callers authenticate by a token of Bearer that has this scope. Full access
	// includes it, so Allow should look at the caller. If empty, no caller can.
	CallerScope string

	// Allow decides whether a caller may ask about a token. If it returns false, the response is that
	// for an unknown token, and the event of the caller has [auth.ReasonForbidden]. An error is an
	// outage, answered with 503 and reported in Event.Err. A panic passes through, as a handler's
	// does. Allow must be safe for concurrent use, and must not modify the identities. It is required,
	// since a client secret or a scope alone does not say whose tokens its owner may ask about.
	Allow func(ctx context.Context, caller, token *auth.Identity) (bool, error)

	// Middleware is the service's own: its Realm, its Resolve, which is called for the caller and for
	// the token, and its Observe. OnError is not used.
	Middleware auth.Middleware

	// ClientAddr returns the address of the client that has sent the token to the caller, for
	// example from a parameter of r.PostForm, if Allow trusts its callers with this. If it is nil or
	// returns the zero Addr, the address is unknown, and tokens with networks are inactive. The
	// address of the caller itself is that of [auth.WithClientAddr].
	ClientAddr func(r *http.Request) netip.Addr

	// CountUse records that the token was used. If false, asking about a token is no use of it.
	CountUse bool
}

// NewIntrospection returns a handler for OAuth 2.0 Token Introspection (RFC 7662): services in other
// languages ask it whether a token is active, and whose it is. It returns an error that lists
// everything that is wrong with cfg.
//
// A request is a POST of a form with the parameter token. Its body has at most 16 KiB, and no
// parameter twice. token_type_hint and other parameters are ignored, and so is the query. The
// caller's credential is never in the form. HTTP Basic is decoded as RFC 6749 section 2.3.1
// requires: the user ID and the secret are both form-encoded. The user ID must be that of the
// secret.
//
// The response for an active token has the members active, scope ("*" is full access), client_id
// and sub, which are both the UserID, since users create their tokens themselves, exp unless the
// token never expires, iat, token_type, and jti, which is the CredentialID. Every other token gets
// the same response, byte for byte: {"active":false}. It is the same for tokens that are unknown,
// expired, revoked, malformed, used outside of their networks, of a disabled user, or that Allow
// does not allow. All responses have "Cache-Control: no-store".
//
// Errors are those of RFC 6749 section 5.2: 400 for a malformed request, 401 for a caller without a
// valid credential, and 403 if its token lacks CallerScope. An outage is answered with 503, and does
// not mean that the token is inactive.
func NewIntrospection(cfg IntrospectionConfig) (http.Handler, error) {
	h := &introspection{cfg: cfg, observe: observer(cfg.Middleware.Observe)}
	faults := configErrors{config: "IntrospectionConfig"}
	callers := cfg.callers(&faults)
	if len(faults.errs) == 0 {
		m := cfg.Middleware
		m.OnError = rejectCaller
		if wrap := faults.require(m, callers); wrap != nil {
			h.answer = wrap(http.HandlerFunc(h.introspect))
		}
	}
	if err := faults.err(); err != nil {
		return nil, err
	}
	return h, nil
}

// callers returns the authenticators of callers.
func (cfg *IntrospectionConfig) callers(faults *configErrors) (list []auth.Authenticator) {
	if cfg.Bearer == nil {
		faults.add("Bearer", "is nil: use auth.NewBearer")
	}
	if cfg.Allow == nil {
		faults.add("Allow", "is nil: decide which caller may ask about which token")
	}
	if cfg.Secret == nil && cfg.CallerScope == "" {
		faults.add("Secret", "is nil, and CallerScope is empty: no caller could authenticate")
	}
	if cfg.Secret != nil {
		list = append(list, cfg.Secret, basic{cfg.Secret})
	}
	if cfg.CallerScope != "" {
		if _, err := auth.ParseScopes([]string{cfg.CallerScope}); err != nil || cfg.CallerScope == auth.FullAccess {
			faults.add("CallerScope", "%.40q is not the name of a scope", cfg.CallerScope)
		}
		list = append(list, cfg.Bearer)
	}
	return list
}

type introspection struct {
	cfg     IntrospectionConfig
	observe auth.Observer
	answer  http.Handler
}

// ServeHTTP reads the form before the caller is authenticated: a caller whose secret is revoked
// while it sends the form gets no answer.
func (h *introspection) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r, ok := readForm(w, r); ok {
		h.answer.ServeHTTP(w, r)
	}
}

func (h *introspection) introspect(w http.ResponseWriter, r *http.Request) {
	caller, ok := auth.FromContext(r.Context())
	if !ok {
		panic("endpoint: Require passed a request without an identity")
	}
	if caller.Scheme == auth.SchemeBearer {
		if err := auth.CheckScope(r.Context(), h.cfg.CallerScope); err != nil {
			auth.Report(r.Context(), err)
			w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer error=\"insufficient_scope\", scope=\"%s\"", h.cfg.CallerScope))
			writeOAuthError(w, http.StatusForbidden, "insufficient_scope")
			return
		}
	}
	token, err := h.find(r)
	if err == nil && token != nil {
		var allowed bool
		if allowed, err = h.allow(r, caller, token); !allowed {
			token = nil
		}
	}
	if err != nil {
		writeOAuthError(w, http.StatusServiceUnavailable, "temporarily_unavailable")
		return
	}
	wire.JSON(w, http.StatusOK, "application/json", describe(token))
}

// allow calls Allow and reports a caller that may not ask: the response does not tell that caller, and
// operators should know who tries tokens.
func (h *introspection) allow(r *http.Request, caller, token *auth.Identity) (bool, error) {
	allowed, err := h.cfg.Allow(r.Context(), caller, token)
	if allowed && err == nil {
		return true, nil
	}
	reason := auth.ReasonForbidden
	if err != nil {
		reason = auth.ReasonUnavailable
	}
	e := refused(r, reason, err)
	e.Scheme, e.UserID, e.CredentialID = caller.Scheme, caller.UserID, caller.CredentialID
	h.observe(r.Context(), e)
	return false, err
}

// find returns the identity of the token in the form, or nil if it is not active.
func (h *introspection) find(r *http.Request) (*auth.Identity, error) {
	var addr netip.Addr
	if h.cfg.ClientAddr != nil {
		addr = h.cfg.ClientAddr(r)
	}
	ctx := auth.WithClientAddr(r.Context(), addr)
	if !h.cfg.CountUse {
		ctx = lastuse.Ignore(ctx)
	}
	ctx, err := h.cfg.Middleware.AuthenticateToken(ctx, r.PostForm.Get("token"), h.cfg.Bearer)
	if err == nil {
		id, _ := auth.FromContext(ctx)
		return id, nil
	}
	var e *auth.Error
	if !errors.As(err, &e) || e.StatusCode() >= http.StatusInternalServerError {
		return nil, err // which the Observer has received
	}
	return nil, nil
}

// A description is the response of RFC 7662 section 2.2. Only active is there if it is false.
type description struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	Expires   int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	Subject   string `json:"sub,omitempty"`
	ID        string `json:"jti,omitempty"`
}

func describe(id *auth.Identity) description {
	if id == nil {
		return description{}
	}
	d := description{
		Active: true, Scope: string(id.Scopes), ClientID: id.UserID, TokenType: string(id.Scheme), Subject: id.UserID, ID: id.CredentialID,
		IssuedAt: id.AuthenticatedAt.Unix(),
	}
	if !id.ExpiresAt.IsZero() {
		d.Expires = id.ExpiresAt.Unix()
	}
	return d
}

// rejectCaller answers with an error of RFC 6749 section 5.2. Require has set the challenges.
func rejectCaller(w http.ResponseWriter, _ *http.Request, err error) {
	var e *auth.Error
	status := http.StatusServiceUnavailable
	if errors.As(err, &e) {
		status = e.StatusCode()
	}
	codes := map[int]string{
		http.StatusBadRequest: "invalid_request", http.StatusUnauthorized: "invalid_client", http.StatusForbidden: "unauthorized_client",
		http.StatusServiceUnavailable: "temporarily_unavailable", http.StatusInternalServerError: "server_error",
	}
	writeOAuthError(w, status, cmp.Or(codes[status], "invalid_request"))
}

// A basic authenticates a client by HTTP Basic, with the user ID and the client secret.
type basic struct{ secret *auth.Secret }

// Scheme returns "Basic" (RFC 7617).
func (basic) Scheme() auth.Scheme { return "Basic" }

// Authenticate decodes the credential as RFC 6749 section 2.3.1 requires, and passes the secret on.
func (b basic) Authenticate(r *http.Request) (*auth.Identity, error) {
	credential, err := auth.HeaderCredential(r, "Basic")
	if err != nil {
		return nil, err
	}
	userID, secret, ok := decodeBasic(credential)
	if !ok {
		return nil, auth.ErrMalformed
	}
	sent := r.WithContext(r.Context())
	sent.Header = http.Header{"Authorization": {string(auth.SchemeSecret) + " " + secret}}
	if site := r.Header["Sec-Fetch-Site"]; site != nil {
		sent.Header["Sec-Fetch-Site"] = site // by which Secret recognizes browsers
	}
	id, err := b.secret.Authenticate(sent)
	switch {
	case errors.Is(err, auth.ErrNoCredential):
		return nil, auth.ErrMalformed // the secret is empty
	case err != nil:
		return nil, err
	case id.UserID != userID:
		return nil, auth.ErrInvalidCredential
	}
	return id, nil
}

func decodeBasic(credential string) (userID, secret string, ok bool) {
	decoded, err := base64.StdEncoding.Strict().DecodeString(credential)
	if err != nil {
		return "", "", false
	}
	userID, secret, ok = strings.Cut(string(decoded), ":")
	userID, userErr := url.QueryUnescape(userID)
	secret, secretErr := url.QueryUnescape(secret)
	return userID, secret, ok && userErr == nil && secretErr == nil
}
