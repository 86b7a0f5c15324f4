package endpoint

import (
	"context"
	"errors"
	"net/http"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/lastuse"
)

// A RevocationConfig configures [NewRevocation]. Bearer or Secret is required.
type RevocationConfig struct {
	Bearer *auth.Bearer // revokes tokens, if not nil
	Secret *auth.Secret // revokes client secrets, if not nil

	// Observe, if not nil, receives whether a request presented a valid credential. That of the
	// authenticator receives the revocation.
	Observe auth.Observer
}

// NewRevocation returns a handler for OAuth 2.0 Token Revocation (RFC 7009), for example for a
// command line tool that signs out. It returns an error that lists everything that is wrong with cfg.
//
// A request is a POST of a form with the parameter token, as for [NewIntrospection]. Who has a
// token can revoke it: the request needs no other credential, and an Authorization header is
// ignored. Limit the rate of requests, as those of any endpoint that takes a credential.
//
// The response is 200 without a body, the same for all tokens: whether it was revoked, is unknown, or
// was invalid already (RFC 7009 section 2.2). A malformed request is answered with 400, and an
// outage with 503: the token may still be valid, and the client should try again.
//
// The event of the revocation has [auth.ReasonRevoked]. It has [auth.ReasonLeaked] if the credential
// was presented where it must not be: a token outside of its networks, or a client secret by a
// browser. The client's address is that of [auth.WithClientAddr], and a token with networks is
// outside of them if there is none. The user need not be enabled: Resolve is not asked.
func NewRevocation(cfg RevocationConfig) (http.Handler, error) {
	h := &revocation{m: auth.Middleware{Observe: cfg.Observe}}
	faults := configErrors{config: "RevocationConfig"}
	h.revokers = faults.revokers(cfg.Bearer, cfg.Secret)
	if err := faults.err(); err != nil {
		return nil, err
	}
	return h, nil
}

// A revoker is a Bearer or a Secret.
type revoker interface {
	auth.Authenticator
	Revoke(ctx context.Context, userID, id string) error
	RevokePlaintext(ctx context.Context, plaintext string) (auth.Credential, error)
}

// revokers returns those of the two that are not nil.
func (e *configErrors) revokers(bearer *auth.Bearer, secret *auth.Secret) (list []revoker) {
	if bearer != nil {
		list = append(list, bearer)
	}
	if secret != nil {
		list = append(list, secret)
	}
	if list == nil {
		e.add("Bearer", "is nil, and so is Secret: there is nothing to revoke")
	}
	for _, a := range list {
		e.require(auth.Middleware{}, []auth.Authenticator{a})
	}
	return list
}

type revocation struct {
	m        auth.Middleware
	revokers []revoker
}

func (h *revocation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, ok := readForm(w, r)
	if !ok {
		return
	}
	if err := h.revokeAny(r); err != nil {
		writeOAuthError(w, http.StatusServiceUnavailable, "temporarily_unavailable")
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// revokeAny asks all authenticators. A token belongs to at most one of them, so the store of another
// may be unavailable.
func (h *revocation) revokeAny(r *http.Request) (failed error) {
	for _, a := range h.revokers {
		revoked, err := h.revoke(r, a, r.PostForm.Get("token"))
		if revoked {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// revoke revokes the token if it is one of a. The errors that it returns have been reported.
func (h *revocation) revoke(r *http.Request, a revoker, token string) (revoked bool, err error) {
	sent := r.WithContext(lastuse.Ignore(r.Context()))
	sent.Header = http.Header{"Authorization": {string(a.Scheme()) + " " + token}}
	if site := r.Header["Sec-Fetch-Site"]; site != nil {
		sent.Header["Sec-Fetch-Site"] = site // by which Secret recognizes browsers
	}
	accepted, err := h.m.Authenticate(sent, a)
	switch {
	case err == nil:
		id, _ := auth.FromContext(accepted.Context())
		err = a.Revoke(accepted.Context(), id.UserID, id.CredentialID)
	case mayBeValid(err):
		_, err = a.RevokePlaintext(sent.Context(), token)
	case !isOutage(err):
		return false, nil
	}
	if errors.Is(err, auth.ErrNotFound) && !errors.Is(err, auth.ErrUnavailable) {
		return false, nil
	}
	return err == nil, err
}

// mayBeValid reports whether a token that was rejected can be used by others, or elsewhere. One that
// is unknown may be so new that only a cache does not know it.
func mayBeValid(err error) bool {
	var e *auth.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Reason == auth.ReasonUnknown || e.Reason == auth.ReasonNetwork || e.Reason == auth.ReasonBrowser
}

func isOutage(err error) bool {
	var e *auth.Error
	return !errors.As(err, &e) || e.StatusCode() >= http.StatusInternalServerError
}
