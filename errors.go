package auth

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
)

// The conditions that callers tell apart with errors.Is. None of their texts,
// nor those of the errors that wrap them, holds a credential.
var (
	// ErrNoCredential: the request carries none that this authenticator reads.
	ErrNoCredential = errors.New("auth: no credential")
	// ErrMalformed: a request's credential breaks its grammar, or an argument of
	// a lifecycle call is not what its documentation asks for.
	ErrMalformed = errors.New("auth: malformed")
	// ErrInvalidCredential: unknown, expired, revoked, of another kind, or its
	// owner is disabled. Clients are not told which.
	ErrInvalidCredential = errors.New("auth: invalid credential")
	// ErrInsufficientScope: a good credential without a scope that is needed.
	ErrInsufficientScope = errors.New("auth: insufficient scope")
	// ErrCrossOrigin: a browser's request from another origin, with a cookie.
	ErrCrossOrigin = errors.New("auth: cross-origin request")
	// ErrUnavailable: the store, or what Middleware.Resolve asks, is out.
	ErrUnavailable = errors.New("auth: unavailable")
	// ErrNotFound: no such record, or not this user's.
	ErrNotFound = errors.New("auth: not found")
	// ErrRevoked is an ErrNotFound from Store.Lookup that knows more: the
	// credential was revoked. It changes what events say and no answer.
	ErrRevoked = fmt.Errorf("%w: revoked", ErrNotFound)
	// ErrConflict: the credential is taken, has been rotated already, or the
	// account has a current secret.
	ErrConflict = errors.New("auth: conflict")
	// ErrLimit: the account has as many credentials of this kind as it may.
	ErrLimit = errors.New("auth: limit reached")
)

// A Reason says why a request was refused, or a credential ended, in more detail
// than a client is told. It is one of the constants below: fit for the label of
// a metric.
type Reason string

// The reasons.
const (
	ReasonMissing     Reason = "missing"      // no credential at all
	ReasonMalformed   Reason = "malformed"    // breaks the grammar of RFC 9110 section 11
	ReasonTooLong     Reason = "too_long"     // longer than any that we would know
	ReasonRepeated    Reason = "repeated"     // two session cookies: one of them is somebody else's doing
	ReasonChecksum    Reason = "checksum"     // looks like one of ours, and is a typing error or a guess
	ReasonPrefix      Reason = "prefix"       // does not look like one of ours
	ReasonForged      Reason = "forged"       // a cookie that no key of ours has sealed, or that was altered
	ReasonUnknown     Reason = "unknown"      // not in the store
	ReasonExpired     Reason = "expired"      // past ExpiresAt
	ReasonIdle        Reason = "idle"         // a session unused for IdleTimeout
	ReasonRevoked     Reason = "revoked"      // ended by its owner
	ReasonDisabled    Reason = "disabled"     // Middleware.Resolve refused its owner
	ReasonBrowser     Reason = "browser"      // a client secret sent by a browser: it has leaked
	ReasonRejected    Reason = "rejected"     // by an authenticator that gave no reason
	ReasonScope       Reason = "scope"        // good, but without a scope that is needed
	ReasonScheme      Reason = "scheme"       // good, but of a scheme that may not do this
	ReasonAge         Reason = "age"          // good, but its owner has signed in too long ago for this
	ReasonCrossOrigin Reason = "cross_origin" // good, but another site made the browser send it
	ReasonUnavailable Reason = "unavailable"  // the store, or what Resolve asks, is out
	ReasonCanceled    Reason = "canceled"     // the client went away while we asked
	ReasonInternal    Reason = "internal"     // an authenticator panicked, or answered nothing

	ReasonReplaced Reason = "replaced" // ended: its browser signed in anew
	ReasonLimit    Reason = "limit"    // ended: it made room for a newer session
	ReasonLeaked   Reason = "leaked"   // ended by RevokePlaintext
)

// known reports whether r is one of the reasons of a refusal: an authenticator of
// somebody else may return anything, a credential included.
func (r Reason) known() bool {
	switch r {
	case ReasonMissing, ReasonMalformed, ReasonTooLong, ReasonRepeated, ReasonChecksum, ReasonPrefix,
		ReasonForged, ReasonUnknown, ReasonExpired, ReasonIdle, ReasonRevoked, ReasonDisabled, ReasonBrowser,
		ReasonRejected, ReasonScope, ReasonScheme, ReasonAge, ReasonCrossOrigin, ReasonUnavailable, ReasonCanceled, ReasonInternal:
		return true
	}
	return false
}

// An Error is a refusal: what Middleware.OnError gets, and what
// [Middleware.Authenticate] and [CheckScope] return. An [Authenticator] may
// return one to give its Reason; of such a one only Reason and Err count.
//
// Status and Scopes may be told to the client. Reason and Err are for the
// operator: they tell an expired credential from an unknown one. What OnError or
// [Middleware.Authenticate] has belongs to its request, but for what Err wraps; what an
// authenticator's own methods return may be shared, and is read-only.
type Error struct {
	Status int      // 400, 401, 403, 500 or 503
	Scheme Scheme   // the one that was presented; "" if none was
	Scopes []string // the scopes needed, if that is what failed
	Reason Reason
	Err    error // wraps one of the Err variables, unless Status is 500; read-only

	userID, credentialID string   // whose it was, for the event
	detail               error    // what may be logged of an outage or a fault
	untold               bool     // by CheckScope, which has no request to tell of
	answers              *answers // of the route where it happened
}

// Error returns the condition, the scheme and the reason, without a credential.
func (e *Error) Error() string {
	if e == nil {
		return "auth: refused"
	}
	about := make([]string, 0, 2)
	if e.Scheme != "" {
		about = append(about, string(e.Scheme))
	}
	if e.Reason != "" {
		about = append(about, string(e.Reason))
	}
	text := "auth: refused"
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

// Refusals that know nothing of their request. They are shared, so that junk
// costs no allocation; the chain copies them before it adds anything.
var (
	errNoCredential = &Error{Reason: ReasonMissing, Err: ErrNoCredential}
	errMalformed    = &Error{Reason: ReasonMalformed, Err: ErrMalformed}
	errTooLong      = &Error{Reason: ReasonTooLong, Err: ErrMalformed}
	errPrefix       = &Error{Reason: ReasonPrefix, Err: ErrInvalidCredential}
	errChecksum     = &Error{Reason: ReasonChecksum, Err: ErrInvalidCredential}
	errUnknown      = &Error{Reason: ReasonUnknown, Err: ErrInvalidCredential}
	errRevoked      = &Error{Reason: ReasonRevoked, Err: ErrInvalidCredential}
	errForged       = &Error{Reason: ReasonForged, Err: ErrInvalidCredential}
	errCrossOrigin  = &Error{Reason: ReasonCrossOrigin, Err: ErrCrossOrigin}
	errRepeated     = &Error{Reason: ReasonRepeated, Err: ErrInvalidCredential}
)

// refused is a refusal of a credential whose owner is known.
func refused(c *Credential, reason Reason, err error) error {
	return &Error{Reason: reason, Err: err, userID: c.UserID, credentialID: c.ID}
}

// outage is the refusal for a store or a Resolve that fails. Neither is ever
// told a credential, so their errors may be logged.
func outage(err error) error {
	return &Error{Reason: ReasonUnavailable, Err: unavailable(err), detail: err}
}

// fault is the refusal for a mistake in the program.
func fault(err error) error {
	return &Error{Status: http.StatusInternalServerError, Reason: ReasonInternal, Err: err, detail: err}
}

// An ArgumentError is an [ErrMalformed] of a lifecycle call: it names the argument
// that is not what the documentation asks for, so that a form can show the fault
// beside its field. A call that finds several returns them joined, as errors.Join
// does. It may be told to the client.
type ArgumentError struct {
	Argument string // the parameter, or the field of NewToken or NewSession: "Name", "overlap"
	Fault    string // what is wrong with it, for people: "must not be empty"
}

// Error returns the condition, the argument and the fault.
func (e *ArgumentError) Error() string {
	return ErrMalformed.Error() + ": " + e.Argument + ": " + e.Fault
}

// Unwrap returns [ErrMalformed].
func (e *ArgumentError) Unwrap() error { return ErrMalformed }

// malformed is the error of a lifecycle call with an argument that is wrong.
func malformed(argument, format string, args ...any) error {
	return &ArgumentError{argument, fmt.Sprintf(format, args...)}
}

// unavailable keeps the operator's detail and marks it as an outage.
func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// storeError lets through what a Store's contract names. Anything else is an outage.
func storeError(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	for _, known := range []error{nil, ErrNotFound, ErrConflict, ErrLimit, errors.ErrUnsupported} {
		if errors.Is(err, known) {
			return err
		}
	}
	return unavailable(err)
}

// gone reports whether err is a store's answer that there is no such record, and
// not an outage that wraps one.
func gone(err error) bool { return errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnavailable) }

// panicError tells where a panic came from, without its value: that may hold a
// credential, unless the Go runtime made it. A stack has addresses only.
func panicError(where string, v any) error {
	if err, ok := v.(runtime.Error); ok {
		return fmt.Errorf("auth: %s panicked: %w\n%s", where, err, debug.Stack())
	}
	return fmt.Errorf("auth: %s panicked with a %T\n%s", where, v, debug.Stack())
}

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

// isNilPointer leaves out maps and slices, of which nil is an empty one.
func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// configFault names the field that is wrong and what would be right.
func configFault(of, field, format string, args ...any) error {
	return fmt.Errorf("auth: %s.%s: "+format, append([]any{of, field}, args...)...)
}

var errNilError = errors.New("auth: an error is a nil pointer: neither success nor failure")
