package settings

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A code identifies a kind of problem for programs.
type code string

const (
	codeMissingCredential code = "missing_credential"               // 401
	codeInvalidCredential code = "invalid_credential"               // 401
	codeAge               code = "insufficient_user_authentication" // 401: the name of RFC 9470; pages have 403
	codeSession           code = "session_required"                 // 403: a token or client secret was sent
	codeActor             code = "actor_not_allowed"                // 403: someone else acts as the user
	codeForbidden         code = "forbidden"                        // 403: Middleware.Resolve does not allow it
	codeScope             code = "insufficient_scope"               // 403: the session has less access than this requires
	codeCrossOrigin       code = "cross_origin"                     // 403
	codeDeveloper         code = "developer_required"               // 403: the user may not have a client secret
	codeInvalidArgument   code = "invalid_argument"                 // 400: errors has the fields
	codeMalformed         code = "malformed_request"                // 400: the request cannot be parsed
	codeNotFound          code = "not_found"                        // 404
	codeMethod            code = "method_not_allowed"               // 405
	codeConflict          code = "conflict"                         // 409: changed in the meantime, or exists already
	codeLimit             code = "limit_reached"                    // 409
	codePrecondition      code = "precondition_failed"              // 412: If-Match names another version
	codeTooLarge          code = "too_large"                        // 413
	codeMediaType         code = "unsupported_media_type"           // 415
	codeNotRevealable     code = "not_revealable"                   // 409: only the digest is stored
	codeUnsupported       code = "unsupported"                      // 501: the store cannot do this
	codeUnavailable       code = "unavailable"                      // 503
	codeInternal          code = "internal"                         // 500
)

// A problem is the answer to a request that was not fulfilled: a problem document
// (RFC 9457) of the API, or a page. It is safe to send to clients.
type problem struct {
	Status int          `json:"status"`
	Code   code         `json:"code"`
	Detail string       `json:"detail"`
	Errors []fieldError `json:"errors,omitempty"`
	MaxAge int          `json:"max_age,omitempty"` // seconds since a sign-in that is recent enough
	Scopes []string     `json:"scopes,omitempty"`  // the scopes that the session lacks
	ID     string       `json:"id,omitempty"`      // of the token that an earlier request with the same Idempotency-Key has created

	said bool   // Errors are the service's own, in its words
	text string // the key of the text on the page; if empty, it follows from Code
}

// A fieldError is an invalid field of the request's body or query.
type fieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return "settings: " + string(p.Code) }

// afterChange returns the answer to a request that may have changed something. After an outage
// this is not known: a store may have committed the change before it failed. ended says that the
// session was found to have ended after the change.
func (p *problem) afterChange(ended bool) *problem {
	after := *p
	switch {
	case p.Status == http.StatusInternalServerError:
		after.text = "unknown.internal"
		after.Detail = "An internal error occurred. It is not known whether the change was made: read the list before you try again."
	case p.Status == http.StatusServiceUnavailable:
		after.text = "unknown.change"
		after.Detail = "The service is temporarily unavailable. It is not known whether the change was made: read the list before you try again."
	case p.Status == http.StatusUnauthorized && ended:
		after.text = "unknown.signed_out"
		after.Detail = "The session ended during the request. Read the list to see what has changed."
	}
	return &after
}

// unavailable is the answer to an outage.
func unavailable() *problem {
	return &problem{
		Status: http.StatusServiceUnavailable, Code: codeUnavailable,
		Detail: "The service is temporarily unavailable. Please try again.",
	}
}

var (
	errSession       = &problem{Status: http.StatusForbidden, Code: codeSession, Detail: "Only a signed-in session can manage credentials."}
	errActor         = &problem{Status: http.StatusForbidden, Code: codeActor, Detail: "In this session another user acts as the owner of the account. Only the owner can do this."}
	errDeveloper     = &problem{Status: http.StatusForbidden, Code: codeDeveloper, Detail: "This user cannot have a client secret."}
	errMethod        = &problem{Status: http.StatusMethodNotAllowed, Code: codeMethod, Detail: "The method is not allowed. See the Allow header."}
	errNotRevealable = &problem{Status: http.StatusConflict, Code: codeNotRevealable, Detail: "The secret was shown once and cannot be shown again."}
	errTooLarge      = &problem{Status: http.StatusRequestEntityTooLarge, Code: codeTooLarge, Detail: "The body is too large."}
	errNoSecretID    = invalidArgument(fieldError{"id", "is missing"})
	errAccount       = &problem{Status: http.StatusConflict, Code: codeConflict, text: "account.changed"}
	errSecretExists  = &problem{Status: http.StatusConflict, Code: codeConflict, text: "secret.twice"}
	errVersion       = &problem{Status: http.StatusPreconditionFailed, Code: codePrecondition, Detail: "The token was changed in the meantime. Read it again."}
	errOldForm       = &problem{Status: http.StatusBadRequest, Code: codeInvalidArgument, text: "secret.old"}
	errInternal      = &problem{Status: http.StatusInternalServerError, Code: codeInternal, Detail: "An internal error occurred."}
	errMediaType     = &problem{Status: http.StatusUnsupportedMediaType, Code: codeMediaType, Detail: "The Content-Type of the body is not supported here."}
)

func insufficientScope(missing []string) *problem {
	return &problem{
		Status: http.StatusForbidden, Code: codeScope, Scopes: missing,
		Detail: "This session does not have the access you are trying to grant.",
	}
}

func malformed(detail string) *problem {
	return &problem{Status: http.StatusBadRequest, Code: codeMalformed, Detail: detail}
}

func invalidArgument(fields ...fieldError) *problem {
	return &problem{Status: http.StatusBadRequest, Code: codeInvalidArgument, Detail: "Some fields are invalid.", Errors: fields}
}

// problemOf returns the answer to any error. Package auth maps its own errors, and
// treats unknown ones as outages.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	e := &auth.Error{Err: err}
	switch code(e.Code()) {
	case codeInvalidArgument:
		return invalidArgument(fieldErrors(err)...)
	case codeUnavailable:
		return unavailable()
	}
	p = &problem{Status: e.StatusCode(), Code: code(e.Code()), Detail: e.Detail()}
	var given *auth.Error
	if p.Code == codeAge && errors.As(err, &given) {
		p.MaxAge = int(given.MaxAge / time.Second)
	}
	return p
}

// Durations are seconds in the API, and null is NoExpiry.
const (
	lifetimeDetail = "must be a number of seconds, from 60 to max_lifetime of the policy, or null for never if that is null"
	overlapDetail  = "must be a number of seconds, from 0 to max_overlap of the policy"
)

// argumentFields maps arguments of package auth to fields of the API and the forms.
// An empty Detail stands for the one of the error.
var argumentFields = map[string]fieldError{
	"Name": {Field: "name"}, "Scopes": {Field: "scopes"}, "After": {Field: "after"},
	"Idempotency": {Field: "idempotency"}, "Networks": {Field: "networks"}, "Metadata": {Field: "metadata"},
	"Lifetime": {"expires_in", lifetimeDetail}, "overlap": {"overlap", overlapDetail},
}

// fieldErrors returns the fields named by the argument errors within err.
func fieldErrors(err error) []fieldError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []fieldError
		for _, err := range joined.Unwrap() {
			all = append(all, fieldErrors(err)...)
		}
		return all
	}
	var e *auth.ArgumentError
	if !errors.As(err, &e) || argumentFields[e.Argument].Field == "" {
		return nil
	}
	f := argumentFields[e.Argument]
	if f.Detail == "" {
		f.Detail = e.Fault
	}
	return []fieldError{f}
}

// write sends p as a problem document.
func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(struct {
		Type  string `json:"type"`
		Title string `json:"title"`
		*problem
	}{"about:blank", http.StatusText(p.Status), p})
}
