package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Conditions that callers tell apart with errors.Is. Neither these errors nor
// those that wrap them contain a credential.
var (
	// ErrNoCredential means that the request has no credential that the
	// authenticator reads.
	ErrNoCredential = errors.New("auth: no credential")
	// ErrMalformed means that a request's credential violates its grammar.
	ErrMalformed = errors.New("auth: malformed")
	// ErrInvalidCredential means that the credential is unknown, expired, revoked, of
	// another kind or form, or that its user is disabled: see the Reasons. Clients do not
	// learn which. SignIn and SignOut return it for too many session cookies.
	ErrInvalidCredential = errors.New("auth: invalid credential")
	// ErrInsufficientScope means that the credential is valid but lacks a required
	// scope.
	ErrInsufficientScope = errors.New("auth: insufficient scope")
	// ErrForbidden means that the user or the credential may not do this, whatever its scopes:
	// a new credential would not help.
	ErrForbidden = errors.New("auth: forbidden")
	// ErrReauthenticationRequired means that the user signed in too long ago for this, and
	// must sign in again (RFC 9470).
	ErrReauthenticationRequired = errors.New("auth: reauthentication required")
	// ErrCrossOrigin means that a request that could change something comes from another
	// origin, where a browser's cookie would authorize it or be set.
	ErrCrossOrigin = errors.New("auth: cross-origin request")
	// ErrUnavailable means that the store, or a backend that Middleware.Resolve or a check of
	// RequireFunc uses, is unavailable.
	ErrUnavailable = errors.New("auth: unavailable")
	// ErrInvalidArgument means that an argument of a call that creates, changes or reads
	// credentials is not allowed. The error wraps an [ArgumentError] for each such argument.
	ErrInvalidArgument = errors.New("auth: invalid argument")
	// ErrNotFound means that the user has no such credential.
	ErrNotFound = errors.New("auth: not found")
	// ErrRevoked wraps ErrNotFound. A Store may return it from Lookup for a revoked
	// credential. It affects events, not responses.
	ErrRevoked = fmt.Errorf("%w: revoked", ErrNotFound)
	// ErrConflict means that the credential exists already, or has been rotated or updated since it
	// was read, or that the user already has a client secret.
	ErrConflict = errors.New("auth: conflict")
	// ErrLimit means that the user has the maximum number of credentials of this
	// kind.
	ErrLimit = errors.New("auth: limit reached")

	// errBug marks mistakes in the program. They are answered with 500.
	errBug = errors.New("auth: internal error")
)

// A Reason says why a request was rejected, or why a credential was revoked, in
// more detail than clients see. It is one of the constants below, so it can
// be a metric's label.
type Reason string

// Reasons for which a request is rejected.
const (
	ReasonMissing     Reason = "missing"      // no credential
	ReasonMalformed   Reason = "malformed"    // violates the grammar of RFC 9110 section 11
	ReasonTooLong     Reason = "too_long"     // longer than any valid credential
	ReasonRepeated    Reason = "repeated"     // two session cookies, at least one of them probably planted; or too many for SignIn
	ReasonChecksum    Reason = "checksum"     // has the form of our tokens but a wrong checksum: a typing error or a guess
	ReasonPrefix      Reason = "prefix"       // does not have the form of our tokens
	ReasonForged      Reason = "forged"       // a cookie that was altered, or that none of the keys encrypted, whatever its age
	ReasonUnknown     Reason = "unknown"      // not in the store
	ReasonExpired     Reason = "expired"      // past ExpiresAt, or a cookie of ours that is older than Lifetime
	ReasonClock       Reason = "clock"        // a cookie of ours from over a minute in the future: a machine's clock is wrong
	ReasonIdle        Reason = "idle"         // a session that was not used for IdleTimeout
	ReasonRevoked     Reason = "revoked"      // revoked, and the store still knows it
	ReasonNotBound    Reason = "not_bound"    // a session that is bound to a device, presented without proof of it: a stolen cookie, or a browser that could not renew its own
	ReasonDisabled    Reason = "disabled"     // Middleware.Resolve rejected the user
	ReasonNetwork     Reason = "network"      // a credential with Networks, presented from another one or from an unknown address
	ReasonBrowser     Reason = "browser"      // a client secret sent by a browser: it has leaked
	ReasonRejected    Reason = "rejected"     // rejected by an authenticator that gave no reason
	ReasonScope       Reason = "scope"        // valid, but lacks a required scope
	ReasonForbidden   Reason = "forbidden"    // valid, but Resolve or a check of RequireFunc does not allow this
	ReasonScheme      Reason = "scheme"       // valid, but this scheme may not do this
	ReasonActor       Reason = "actor"        // valid, but another user acts in it, and may not do this
	ReasonAge         Reason = "age"          // valid, but the user signed in too long ago for this
	ReasonCrossOrigin Reason = "cross_origin" // valid, but another site made the browser send it
	ReasonUnavailable Reason = "unavailable"  // the store, or a backend of Resolve or of a check, is unavailable
	ReasonCanceled    Reason = "canceled"     // the client went away, or the caller canceled; a deadline that passes is ReasonUnavailable
	ReasonInternal    Reason = "internal"     // an authenticator panicked, or returned neither an identity nor an error
)

// Reasons for which a credential is revoked, besides ReasonRevoked.
const (
	ReasonReplaced Reason = "replaced" // its browser signed in again
	ReasonLimit    Reason = "limit"    // it was the oldest session when a new one exceeded MaxPerUser; of EventFailed, ErrLimit
	ReasonLeaked   Reason = "leaked"   // by RevokePlaintext
)

// Reasons for which a call fails, besides ReasonLimit, ReasonUnavailable, ReasonCanceled,
// ReasonInternal for a panic and, for a request with too many session cookies, ReasonRepeated.
const (
	ReasonInvalidArgument Reason = "invalid_argument" // ErrInvalidArgument
	ReasonNotFound        Reason = "not_found"        // ErrNotFound
	ReasonConflict        Reason = "conflict"         // ErrConflict
	ReasonUnsupported     Reason = "unsupported"      // errors.ErrUnsupported
)

// known reports whether r is a reason for rejecting a request. A custom
// authenticator may return any string, even a credential.
func (r Reason) known() bool {
	switch r {
	case ReasonMissing, ReasonMalformed, ReasonTooLong, ReasonRepeated, ReasonChecksum, ReasonPrefix,
		ReasonForged, ReasonUnknown, ReasonExpired, ReasonClock, ReasonIdle, ReasonRevoked, ReasonNotBound, ReasonDisabled, ReasonNetwork, ReasonBrowser,
		ReasonRejected, ReasonScope, ReasonForbidden, ReasonScheme, ReasonActor, ReasonAge, ReasonCrossOrigin, ReasonUnavailable, ReasonCanceled, ReasonInternal:
		return true
	}
	return false
}

// An Error says why a request was rejected. Middleware.OnError is called with
// one, and [Middleware.Authenticate], [Middleware.AuthenticateToken], [CheckScope],
// [CheckRecent] and [Recheck] return one. An [Authenticator], Middleware.Resolve and a check of
// [RequireFunc] may return one to supply a Reason; only its exported fields except Scheme are
// used.
//
// StatusCode, Code, Detail, Scopes and MaxAge may be sent to the client. Reason and Err
// may not: they distinguish, for example, an expired credential from an unknown
// one.
//
// An Error passed to OnError or returned by Middleware.Authenticate is not
// shared, except for what Err wraps. One returned by an authenticator's method
// may be shared and must not be modified.
type Error struct {
	Scheme Scheme   // of the credential; empty if there was none
	Scopes []string // the required scopes, if Err is ErrInsufficientScope
	// MaxAge is the age at which a sign-in is too old, if Err is ErrReauthenticationRequired.
	// Clients get it in whole seconds, and at least one. Zero means that they are not told.
	MaxAge time.Duration
	Reason Reason
	Err    error // wraps one of the Err variables, unless StatusCode is 500 or 501; read-only

	subject                 // for the event
	cause        error      // what went wrong inside; may be logged
	pendingEvent bool       // WriteError notifies the Observer
	inHeader     bool       // the request has a header of Bearer.InHeader
	decided      bool       // by Resolve, which may choose any condition
	responder    *responder // of the route; nil outside of routes
}

// A subject is whom an event is about, as far as that is known.
type subject struct {
	userID, credentialID, actor string
}

func (id *Identity) subject() subject { return subject{id.UserID, id.CredentialID, id.Actor} }
func subjectOf(c *Credential) subject { return subject{c.UserID, c.ID, c.Actor} }

// Error returns the condition, the scheme and the reason, without a credential.
func (e *Error) Error() string {
	if e == nil {
		return "auth: rejected"
	}
	about := make([]string, 0, 2)
	if e.Scheme != "" {
		about = append(about, string(e.Scheme))
	}
	if e.Reason != "" {
		about = append(about, string(e.Reason))
	}
	text := "auth: rejected"
	if e.Err != nil {
		text = e.Err.Error()
	}
	if len(about) == 0 {
		return text
	}
	return text + " (" + strings.Join(about, ", ") + ")"
}

// Unwrap returns Err.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// StatusCode returns the HTTP status code for the error: 400, 401, 403, 404, 409, 500, 501
// or 503.
func (e *Error) StatusCode() int { return conditionOf(e).status }

// Code returns the error's stable name for clients, which the "code" member of
// problem documents carries: for example "invalid_credential".
func (e *Error) Code() string { return conditionOf(e).code }

// Detail returns a sentence for the person who reads the response. It is the same
// for all reasons that have the same Code.
func (e *Error) Detail() string { return conditionOf(e).detail }

// A condition is how an error is answered. It is the only place that maps errors
// to statuses.
type condition struct {
	err    error // what errors.Is looks for
	status int
	code   string
	detail string
	reason Reason // if the error has none; not known if authenticators do not return err
	body   []byte // the problem document
}

// conditions are in order of precedence: an outage that wraps another condition
// is an outage.
var conditions = [...]*condition{
	newCondition(errBug, http.StatusInternalServerError, "internal", "An internal error occurred.", ReasonInternal),
	conditionUnavailable,
	newCondition(ErrNoCredential, http.StatusUnauthorized, "missing_credential", "Authentication is required.", ReasonMissing),
	newCondition(ErrMalformed, http.StatusBadRequest, "malformed_request", "The credential, or another part of the request, is malformed.", ReasonMalformed),
	newCondition(ErrInvalidCredential, http.StatusUnauthorized, "invalid_credential", "The credential is not valid.", ReasonRejected),
	newCondition(ErrReauthenticationRequired, http.StatusUnauthorized, "insufficient_user_authentication", "This requires a more recent sign-in.", ReasonAge),
	newCondition(ErrInsufficientScope, http.StatusForbidden, "insufficient_scope", "The credential lacks a required scope.", ReasonScope),
	newCondition(ErrForbidden, http.StatusForbidden, "forbidden", "This is not allowed.", ReasonForbidden),
	newCondition(ErrCrossOrigin, http.StatusForbidden, "cross_origin", "The request comes from another origin.", ReasonCrossOrigin),
	newCondition(ErrInvalidArgument, http.StatusBadRequest, "invalid_argument", "An argument is not allowed.", ReasonInvalidArgument),
	newCondition(ErrNotFound, http.StatusNotFound, "not_found", "Not found.", ReasonNotFound),
	newCondition(ErrConflict, http.StatusConflict, "conflict", "It exists already, or was changed in the meantime.", ReasonConflict),
	newCondition(ErrLimit, http.StatusConflict, "limit_reached", "The limit is reached.", ReasonLimit),
	newCondition(errors.ErrUnsupported, http.StatusNotImplemented, "unsupported", "This is not supported.", ReasonUnsupported),
}

var conditionUnavailable = newCondition(ErrUnavailable, http.StatusServiceUnavailable, "unavailable",
	"The service is temporarily unavailable. This does not mean that the credential is invalid. Please try again.", ReasonUnavailable)

func newCondition(err error, status int, code, detail string, reason Reason) *condition {
	return &condition{err, status, code, detail, reason, problem(status, code, detail, nil, 0)}
}

// conditionOf treats an error that it does not know as an outage, so that clients
// keep their credentials. A nil error is a bug of the caller.
func conditionOf(err error) *condition {
	if err == nil {
		err = errBug
	}
	for _, c := range conditions {
		if errors.Is(err, c.err) {
			return c
		}
	}
	return conditionUnavailable
}

// Errors that know nothing of their request. They are shared, so that rejecting
// junk allocates nothing. rejection copies them before it adds anything.
var (
	errNoCredential  = &Error{Reason: ReasonMissing, Err: ErrNoCredential}
	errMalformed     = &Error{Reason: ReasonMalformed, Err: ErrMalformed}
	errTooLong       = &Error{Reason: ReasonTooLong, Err: ErrMalformed}
	errPrefix        = &Error{Reason: ReasonPrefix, Err: ErrInvalidCredential}
	errChecksum      = &Error{Reason: ReasonChecksum, Err: ErrInvalidCredential}
	errUnknown       = &Error{Reason: ReasonUnknown, Err: ErrInvalidCredential}
	errRevoked       = &Error{Reason: ReasonRevoked, Err: ErrInvalidCredential}
	errForged        = &Error{Reason: ReasonForged, Err: ErrInvalidCredential}
	errClock         = &Error{Reason: ReasonClock, Err: ErrInvalidCredential}
	errCookieExpired = &Error{Reason: ReasonExpired, Err: ErrInvalidCredential}
	errCrossOrigin   = &Error{Reason: ReasonCrossOrigin, Err: ErrCrossOrigin}
	errRepeated      = &Error{Reason: ReasonRepeated, Err: ErrInvalidCredential}
)

// errRejected is for a credential whose user is known.
func errRejected(c *Credential, reason Reason, err error) error {
	return &Error{Reason: reason, Err: err, subject: subjectOf(c)}
}

// errUnavailable is for a store or a Resolve that fails. Neither ever receives a
// plaintext, so their errors may be logged.
func errUnavailable(err error) error {
	return &Error{Reason: ReasonUnavailable, Err: asUnavailable(err), cause: err}
}

// errInternal is for a mistake in the program.
func errInternal(err error) error {
	return &Error{Reason: ReasonInternal, Err: fmt.Errorf("%w: %w", errBug, err), cause: err}
}

// asUnavailable keeps the operator's detail and marks it as an outage.
func asUnavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// outageReason is the reason of an outage in ctx. If its deadline has passed, the store may
// have been too slow, as in an outage; if it was canceled, nothing is known of the store.
func outageReason(ctx context.Context) Reason {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ReasonCanceled
	}
	return ReasonUnavailable
}

// asError returns the Error that err wraps, or an empty one.
func asError(err error) *Error {
	if e, ok := err.(*Error); ok && e != nil {
		return e // without the allocation of errors.As
	}
	var e *Error
	if errors.As(err, &e) && e != nil {
		return e
	}
	return new(Error)
}

// An ArgumentError names an argument that is not allowed, so that a form can show the fault
// next to its field. A call that finds several returns them joined by errors.Join: errors.As
// finds the first, and Unwrap() []error all of them. It may be sent to the client.
type ArgumentError struct {
	Argument string // the parameter, or the field of an Options or Page struct: "overlap", "Name"
	Fault    string // what is wrong with it, for people: "must not be empty"
}

// Error returns the condition, the argument and the fault.
func (e *ArgumentError) Error() string {
	return ErrInvalidArgument.Error() + ": " + e.Argument + ": " + e.Fault
}

// Unwrap returns [ErrInvalidArgument].
func (e *ArgumentError) Unwrap() error { return ErrInvalidArgument }

func argumentError(argument, format string, args ...any) error {
	return &ArgumentError{argument, fmt.Sprintf(format, args...)}
}

// configError names the field that is wrong, and a value that would be right.
func configError(config, field, format string, args ...any) error {
	return fmt.Errorf("auth: %s.%s: "+format, append([]any{config, field}, args...)...)
}

// storeError passes on the errors that the Store contract gives the method that was called,
// and those of methods that are not supported. Any other is an outage, for example
// ErrNotFound from List.
func storeError(err error, known ...error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || isUnsupported(err) {
		return err
	}
	for _, k := range known {
		if errors.Is(err, k) {
			return err
		}
	}
	return asUnavailable(err)
}

// createError is storeError of Store.Create. Without a limit, ErrLimit has no meaning.
func createError(err error, limit int) error {
	if limit > 0 {
		return storeError(err, ErrConflict, ErrLimit)
	}
	return storeError(err, ErrConflict)
}

// isUnsupported reports whether err wraps errors.ErrUnsupported itself. For errors.Is,
// syscall.EOPNOTSUPP and ENOSYS are that too, but in a store they are outages.
func isUnsupported(err error) bool {
	if err == errors.ErrUnsupported {
		return true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return isUnsupported(e.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), isUnsupported)
	}
	return false
}

// isNotFound reports whether err is a store's answer that there is no such record,
// and not an outage that wraps one.
func isNotFound(err error) bool {
	return errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnavailable)
}

// panicError says where a panic came from. The value may contain a credential, so
// it is left out unless the Go runtime made it. A stack holds only addresses.
func panicError(where string, v any) error {
	if err, ok := v.(runtime.Error); ok {
		return fmt.Errorf("auth: %s panicked: %w\n%s", where, err, debug.Stack())
	}
	return fmt.Errorf("auth: %s panicked with a %T\n%s", where, v, debug.Stack())
}

// isNil also finds nil pointers in interfaces. It is for what routes and stores
// are built from: a nil that is found at the first request would be too late.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan:
		return r.IsNil()
	}
	return false
}

// isNilPointer finds the nil *User of a lookup that found no user and forgot to say so.
// Nil maps and slices are fine.
func isNilPointer(user any) bool {
	v := reflect.ValueOf(user)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// isNilError finds the classic mistake of returning a nil *Error as an error.
func isNilError(err error) bool {
	e, ok := err.(*Error)
	return ok && e == nil
}
