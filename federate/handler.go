package federate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/requestinfo"
	"github.com/seed-31c5bcb2/auth/internal/wire"
)

// retrySeconds is when a client should try again after an outage.
const retrySeconds = 15

type handler struct {
	bearer  *auth.Bearer
	store   auth.Store
	rule    func(context.Context, string) (Rule, error)
	keys    *keyring
	observe auth.Observer
}

// A response is that of RFC 8693 section 2.2.1.
type response struct {
	AccessToken string `json:"access_token"`
	IssuedType  string `json:"issued_token_type"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
}

// A refusal says how a request is rejected: the code and the description are for the client, the reason
// and the error for the event.
type refusal struct {
	reason            auth.Reason
	code, description string
	userID            string
	err               error
}

// Refusals without a code get the one of the grant.
const (
	codeRequest     = "invalid_request"
	codeGrant       = "invalid_grant"
	codeUnavailable = "temporarily_unavailable"
	codeInternal    = "server_error"

	noRule = "The JWT is invalid, or does not match the rule."
)

func invalid(reason auth.Reason, format string, args ...any) *refusal {
	return &refusal{reason: reason, description: noRule, err: fmt.Errorf("federate: "+format, args...)}
}

func malformed(description string) *refusal {
	return &refusal{reason: auth.ReasonMalformed, code: codeRequest, description: description, err: errors.New("federate: " + description)}
}

func expired() *refusal {
	refused := invalid(auth.ReasonExpired, "the JWT has expired, or does within a minute")
	refused.description = "The JWT has expired, or does within a minute."
	return refused
}

func unavailable(ctx context.Context, err error) *refusal {
	reason := auth.ReasonUnavailable
	if errors.Is(ctx.Err(), context.Canceled) {
		reason = auth.ReasonCanceled
	}
	return &refusal{reason: reason, code: codeUnavailable, description: "Please try again.", err: err}
}

func internal(err error) *refusal {
	return &refusal{reason: auth.ReasonInternal, code: codeInternal, description: "The rule is misconfigured.", err: err}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, codeRequest, "Use POST.")
		return
	}
	req, refused := readRequest(w, r)
	var resp response
	if refused == nil {
		resp, refused = h.exchange(r.Context(), req)
	}
	if refused == nil {
		wire.JSON(w, http.StatusOK, "application/json", resp)
		return
	}
	addr, _ := auth.ClientAddr(r.Context())
	h.observe(r.Context(), auth.Event{
		Type: auth.EventRefused, Reason: refused.reason, Err: refused.err, UserID: refused.userID, ClientAddr: addr.WithZone(""),
		Method: requestinfo.Method(r), Pattern: requestinfo.Pattern(r), Origin: requestinfo.Origin(r),
	})
	code, status := refused.code, http.StatusBadRequest
	switch code {
	case "":
		code = req.invalid
	case codeUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(retrySeconds))
		status = http.StatusServiceUnavailable
	case codeInternal:
		status = http.StatusInternalServerError
	}
	writeError(w, status, code, refused.description)
}

// exchange verifies the JWT and issues a token. Only when everything else is known to be right, the
// JWT is used up.
func (h *handler) exchange(ctx context.Context, req request) (response, *refusal) {
	t, err := parseJWT(req.jwt)
	if err != nil {
		return response{}, invalid(auth.ReasonMalformed, "%w", err)
	}
	rule, refused := h.find(ctx, req.rule)
	if refused != nil {
		return response{}, refused
	}
	o, refused := h.verify(ctx, req, rule, t)
	if refused == nil {
		var resp response
		if resp, refused = h.issue(ctx, rule, o, t); refused == nil {
			return resp, nil
		}
	}
	refused.userID = rule.UserID
	return response{}, refused
}

func (h *handler) find(ctx context.Context, name string) (Rule, *refusal) {
	rule, err := h.rule(ctx, name)
	switch {
	case err == nil:
	case errors.Is(err, auth.ErrNotFound) && !errors.Is(err, auth.ErrUnavailable):
		return Rule{}, invalid(auth.ReasonUnknown, "there is no rule %q", name)
	default:
		return Rule{}, unavailable(ctx, fmt.Errorf("federate: the rule %q: %w", name, err))
	}
	if err := rule.Check(); err != nil {
		return Rule{}, internal(fmt.Errorf("federate: the rule %q: %w", name, err))
	}
	return rule, nil
}

// verify returns the options of the token. The order of the checks decides what a client can learn: before the
// signature is known to be valid, nothing.
func (h *handler) verify(ctx context.Context, req request, rule Rule, t *jwt) (o auth.TokenOptions, refused *refusal) {
	if issuer, _ := t.claims.text("iss"); issuer != rule.Issuer {
		return o, mismatch(req.rule, "iss", issuer)
	}
	keys, _, err := h.keys.of(rule.Issuer).Find(ctx, t.keyID)
	if err != nil {
		return o, unavailable(ctx, fmt.Errorf("federate: the keys of %s: %w", rule.Issuer, err))
	}
	if err := t.verify(ctx, rule, keys); err != nil {
		return o, invalid(auth.ReasonForged, "rule %q: %w", req.rule, err)
	}
	if len(t.audience) != 1 || t.audience[0] != rule.Audience { // any of several could send the JWT here
		return o, mismatch(req.rule, "aud", strings.Join(t.audience, " "))
	}
	if name, value, ok := rule.match(t.claims); !ok {
		return o, mismatch(req.rule, name, value)
	}
	if refused := t.checkTimes(req.rule, time.Now()); refused != nil {
		return o, refused
	}
	o = auth.TokenOptions{Name: "workload " + req.rule, Scopes: rule.Scopes}
	if o.Metadata, err = rule.metadata(t.claims); err != nil {
		return o, invalid(auth.ReasonForbidden, "rule %q: %w", req.rule, err)
	}
	if req.scope != nil {
		o.Scopes, refused = h.narrow(rule, req.scope)
	}
	return o, refused
}

func mismatch(rule, claim, value string) *refusal {
	return &refusal{reason: auth.ReasonForbidden, description: noRule, err: &MismatchError{rule, claim, shorten(value, 100)}}
}

// shorten keeps what gets into a log short.
func shorten(value string, most int) string {
	if len(value) > most {
		return strings.ToValidUTF8(value[:most], "") + "…"
	}
	return value
}

// narrow returns the scopes that a client asks for, if the rule has all of them. A rule with full access
// has those that exist.
func (h *handler) narrow(rule Rule, asked []string) ([]string, *refusal) {
	have, _ := auth.ParseScopes(rule.Scopes) // which Check has done
	known := h.bearer.Policy().Scopes
	_, err := auth.ParseScopes(asked)
	for _, scope := range asked {
		if err == nil && (!have.Has(scope) || known != nil && scope != auth.FullAccess && !slices.Contains(known, scope)) {
			err = fmt.Errorf("federate: the rule does not have the scope %.40q", scope)
		}
	}
	if err != nil {
		return nil, &refusal{reason: auth.ReasonScope, code: "invalid_scope", description: "The rule does not have all of these scopes.", err: err}
	}
	return asked, nil
}

// issue uses the JWT up and then issues the token. In the other order, two processes could both issue
// one, and the one that comes second would have to revoke its own.
func (h *handler) issue(ctx context.Context, rule Rule, o auth.TokenOptions, t *jwt) (response, *refusal) {
	used := t.marker(rule.Issuer)
	if err := h.store.Create(ctx, used, 0); errors.Is(err, auth.ErrConflict) && !errors.Is(err, auth.ErrUnavailable) {
		refused := invalid(auth.ReasonRepeated, "the JWT was used before")
		refused.description = "The JWT was used before."
		return response{}, refused
	} else if err != nil {
		h.release(ctx, used) // which may have been stored in spite of the error
		return response{}, unavailable(ctx, fmt.Errorf("federate: the store: %w", err))
	}
	o.Lifetime = rule.lifetime(time.Now(), t.expires, h.bearer.Policy().MaxLifetime)
	if o.Lifetime < minLifetime {
		return response{}, expired() // the store has taken that long
	}
	plaintext, c, err := h.bearer.Issue(ctx, rule.UserID, o)
	if err != nil {
		h.release(ctx, used)
		return response{}, issueRefusal(ctx, err)
	}
	return response{plaintext, typeAccess, string(auth.SchemeBearer), int64(time.Until(c.ExpiresAt).Seconds()), string(c.Scopes)}, nil
}

// release lets a JWT be used again for which no token was handed out: the job may have no other, and a
// store that was unavailable may be back in a moment. A token that was stored in spite of the
// error is of no use to anyone, since its plaintext is lost. If release fails, the JWT stays used. The ID
// of the record is that of this exchange alone: however late or often release takes effect, it never
// removes the record of another one.
func (h *handler) release(ctx context.Context, used auth.Credential) {
	const timeout = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	_ = h.store.Revoke(ctx, used.Ref())
}

// issueRefusal says why a token was not issued. Bearer has reported it too, without the exchange.
func issueRefusal(ctx context.Context, err error) *refusal {
	switch {
	case errors.Is(err, auth.ErrUnavailable):
		return unavailable(ctx, err)
	case errors.Is(err, auth.ErrLimit):
		return &refusal{reason: auth.ReasonLimit, code: codeGrant, description: "The user has too many tokens.", err: err}
	}
	return internal(err)
}
