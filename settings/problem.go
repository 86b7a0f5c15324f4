package settings

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A code names a kind of problem, for programs.
type code string

const (
	codeUnauthenticated code = "unauthenticated"                  // 401
	codeAge             code = "insufficient_user_authentication" // 403: as RFC 9470 calls it
	codeSession         code = "session_required"                 // 403: a token or a secret
	codeScope           code = "insufficient_scope"               // 403: the session has less than this needs
	codeCrossOrigin     code = "cross_origin"                     // 403
	codeDeveloper       code = "developer_required"               // 403: the account has no client secret
	codeInvalid         code = "invalid"                          // 400: errors says which fields
	codeMalformed       code = "malformed"                        // 400: what cannot be read
	codeNotFound        code = "not_found"                        // 404
	codeMethod          code = "method_not_allowed"               // 405
	codeConflict        code = "conflict"                         // 409: changed meanwhile, or there already
	codeLimit           code = "limit_reached"                    // 409
	codeTooLarge        code = "too_large"                        // 413
	codeMediaType       code = "unsupported_media_type"           // 415
	codeUnrevealable    code = "not_revealable"                   // 409: kept as a digest alone
	codeUnavailable     code = "unavailable"                      // 503
	codeInternal        code = "internal"                         // 500
)

// A problem is an answer to a request that was not fulfilled: a problem document
// (RFC 9457) of the API, and a page for people. It has no internal text.
type problem struct {
	Status int          `json:"status"`
	Code   code         `json:"code"`
	Detail string       `json:"detail"`
	Errors []fieldError `json:"errors,omitempty"`
	MaxAge int          `json:"max_age,omitempty"` // in seconds: how old a sign-in may be
	Scopes []string     `json:"scopes,omitempty"`  // that the session lacks
}

// A fieldError blames a field of the request's body or query.
type fieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return "settings: " + string(p.Code) }

var (
	errSession      = &problem{Status: http.StatusForbidden, Code: codeSession, Detail: "Only a signed-in session manages credentials."}
	errDeveloper    = &problem{Status: http.StatusForbidden, Code: codeDeveloper, Detail: "This account has no client secret."}
	errNotFound     = &problem{Status: http.StatusNotFound, Code: codeNotFound, Detail: "There is no such thing."}
	errMethod       = &problem{Status: http.StatusMethodNotAllowed, Code: codeMethod, Detail: "The method is not one of those in Allow."}
	errMediaType    = &problem{Status: http.StatusUnsupportedMediaType, Code: codeMediaType, Detail: "The body has another Content-Type than is expected here."}
	errTooLarge     = &problem{Status: http.StatusRequestEntityTooLarge, Code: codeTooLarge, Detail: "The body is too large."}
	errUnrevealable = &problem{Status: http.StatusConflict, Code: codeUnrevealable, Detail: "It was shown once and is kept nowhere."}
	errMoved        = &problem{Status: http.StatusConflict, Code: codeConflict, Detail: "It has changed since you looked at it."}
)

func tooOld(maxAge time.Duration) *problem {
	return &problem{
		Status: http.StatusForbidden, Code: codeAge, MaxAge: int(maxAge / time.Second),
		Detail: "This needs a sign-in that is not so long ago.",
	}
}

func lacking(scopes []string) *problem {
	return &problem{
		Status: http.StatusForbidden, Code: codeScope, Scopes: scopes,
		Detail: "The session itself has not the access that it would give out.",
	}
}

func unreadable(detail string) *problem {
	return &problem{Status: http.StatusBadRequest, Code: codeMalformed, Detail: detail}
}

func invalid(faults ...fieldError) *problem {
	return &problem{Status: http.StatusBadRequest, Code: codeInvalid, Detail: "Some fields are not what they should be.", Errors: faults}
}

// problemOf finds the answer to any error.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var refused *auth.Error
	if errors.As(err, &refused) && refused.Status == http.StatusInternalServerError {
		return &problem{Status: refused.Status, Code: codeInternal, Detail: "Something went wrong."}
	}
	switch {
	case errors.Is(err, auth.ErrUnavailable):
	case errors.Is(err, auth.ErrNoCredential), errors.Is(err, auth.ErrInvalidCredential):
		return &problem{Status: http.StatusUnauthorized, Code: codeUnauthenticated, Detail: "Sign in first."}
	case errors.Is(err, auth.ErrCrossOrigin):
		return &problem{Status: http.StatusForbidden, Code: codeCrossOrigin, Detail: "The request comes from another origin."}
	case errors.Is(err, auth.ErrNotFound):
		return errNotFound
	case errors.Is(err, auth.ErrConflict):
		return errMoved
	case errors.Is(err, auth.ErrLimit):
		return &problem{Status: http.StatusConflict, Code: codeLimit, Detail: "The account has as many as it may."}
	case errors.Is(err, auth.ErrMalformed):
		if faults := blamed(err); faults != nil {
			return invalid(faults...)
		}
		return unreadable("The request could not be read.")
	}
	return &problem{Status: http.StatusServiceUnavailable, Code: codeUnavailable, Detail: "This is out of service for the moment."}
}

// fieldNames are what the API and the forms call the arguments of package auth.
var fieldNames = map[string]string{
	"Name": "name", "Scopes": "scopes", "Lifetime": "expires_in", "overlap": "overlap", "After": "after", "id": "id",
}

// blamed returns the fields that the errors within err name.
func blamed(err error) []fieldError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []fieldError
		for _, err := range joined.Unwrap() {
			all = append(all, blamed(err)...)
		}
		return all
	}
	var e *auth.ArgumentError
	if errors.As(err, &e) && fieldNames[e.Argument] != "" {
		return []fieldError{{fieldNames[e.Argument], e.Fault}}
	}
	return nil
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
