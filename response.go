package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/challenge"
	"github.com/seed-31c5bcb2/auth/internal/navigation"
)

// WriteError answers a rejected request as Require does without an OnError: with
// the status, its challenges, Cache-Control: no-store, and a problem document (RFC
// 9457) that has a stable "code" and no internal text. Clients are not told why a
// credential is invalid.
//
// err may be any error of this package. [ErrMalformed] and [ErrInvalidArgument] are
// answered with 400, [ErrReauthenticationRequired] with 401 and the challenge of RFC 9470,
// [ErrForbidden] with 403, [ErrNotFound] with 404, [ErrConflict] and [ErrLimit] with 409,
// [errors.ErrUnsupported] with 501, any other error with 503, and nil with 500. The response to
// a HEAD request has no body.
//
// The Observer of the surrounding Require is called for errors of [CheckScope], [CheckRecent],
// [Recheck] and [Watch], and for nil. Other errors have been reported by the call that returned
// them, or are the caller's to log.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil || isNilError(err) {
		err = &Error{Reason: ReasonInternal, Err: errBug, cause: errNothingToWrite, pendingEvent: true}
	}
	e := *asError(err)
	e.Err = err
	if e.responder == nil {
		e.responder = current(r.Context()).responder()
	}
	if e.pendingEvent {
		cmp.Or(e.responder, new(responder)).notifyRefused(r, &e)
	}
	e.write(w, r, new(errorHeaders).fill())
}

// Report calls the Observer of the surrounding Require, or of [Middleware.AuthenticateToken], for
// an error of [CheckScope], [CheckRecent], [Recheck] or [Watch] that cannot be passed to
// WriteError: a gRPC call has no ResponseWriter, and a stream has sent its headers. ctx is the
// context of the request or call. Report does nothing for other errors, since the call that
// returned them has reported them, nor for nil. Call it once for each error.
func Report(ctx context.Context, err error) {
	e := asError(err)
	if !e.pendingEvent {
		return
	}
	rs := cmp.Or(e.responder, current(ctx).responder(), new(responder))
	rs.observe.notify(ctx, nil, e.event())
}

var errNothingToWrite = errors.New("auth: WriteError without an error")

// A responder writes a route's error responses and notifies its Observer.
type responder struct {
	onError     func(http.ResponseWriter, *http.Request, error)
	observe     Observer
	optional    bool
	takesCookie bool
	fields      []string // what else custom authenticators read
	challenges  *challenge.Set
}

// reject answers a request. Without an OnError, header values are shared between
// requests, so that rejecting junk allocates nothing. An OnError gets its own, as it may
// write to them.
func (rs *responder) reject(w http.ResponseWriter, r *http.Request, e Error) {
	if rs.onError != nil {
		rs.callOnError(w, r, e)
		return
	}
	e.write(w, r, &staticHeaders)
}

func (rs *responder) callOnError(w http.ResponseWriter, r *http.Request, e Error) {
	e.setHeaders(w.Header(), conditionOf(e.Err), new(errorHeaders).fill())
	rs.onError(w, r, &e)
}

func (rs *responder) notifyRefused(r *http.Request, e *Error) {
	rs.observe.notify(r.Context(), r, e.event())
}

// event is what the Observer gets for a rejection.
func (e *Error) event() Event {
	refused := newEvent(EventRefused, e.Scheme, e.subject)
	refused.Reason, refused.Err = e.Reason, e.cause
	return refused
}

// errorHeaders are the header values of an error response, in one allocation.
// Appending to one copies it, as its slice has no room.
type errorHeaders struct {
	noStore, noSniff, problem, cookie, authorization [1]string
}

var staticHeaders = *new(errorHeaders).fill()

func (v *errorHeaders) fill() *errorHeaders {
	v.noStore[0], v.noSniff[0], v.problem[0] = "no-store", "nosniff", "application/problem+json"
	v.cookie[0], v.authorization[0] = "Cookie", "Authorization"
	return v
}

// setHeaders sets the headers that do not depend on who writes the body.
func (e *Error) setHeaders(h http.Header, c *condition, v *errorHeaders) {
	h["Cache-Control"] = v.noStore[:]
	if e.responder != nil {
		e.responder.setVary(h, &v.cookie, &v.authorization)
	}
	lines := e.challengeLines(c)
	switch {
	case lines == nil:
		delete(h, "Www-Authenticate")
	case v == &staticHeaders:
		h["Www-Authenticate"] = lines
	default:
		h["Www-Authenticate"] = slices.Clone(lines)
	}
}

// setVary names the request headers by which this route's responses differ. Without a
// credential in Authorization, only Optional answers other than by an error.
func (rs *responder) setVary(h http.Header, cookie, authorization *[1]string) {
	if rs.takesCookie {
		addVary(h, cookie)
	}
	for _, name := range rs.fields {
		addVary(h, &[1]string{name})
	}
	if rs.optional {
		addVary(h, authorization)
	}
}

// write sends the response. As in http.Error, it removes headers that describe the
// body of the handler that did not run. Content-Encoding stays: a wrapper that
// compresses has set it (go.dev/issue/66343).
func (e *Error) write(w http.ResponseWriter, r *http.Request, v *errorHeaders) {
	c := conditionOf(e.Err)
	h := w.Header()
	e.setHeaders(h, c, v)
	for _, name := range [...]string{"Content-Length", "Etag", "Last-Modified"} {
		delete(h, name)
	}
	h["Content-Type"] = v.problem[:]
	h["X-Content-Type-Options"] = v.noSniff[:]
	w.WriteHeader(c.status)
	if r.Method == http.MethodHead {
		return
	}
	body := c.body
	switch {
	case len(e.Scopes) > 0 && c.err == ErrInsufficientScope:
		body = problem(c.status, c.code, c.detail, e.Scopes, 0)
	case e.MaxAge > 0 && c.err == ErrReauthenticationRequired:
		body = problem(c.status, c.code, c.detail, nil, e.maxAge())
	}
	w.Write(body)
}

// maxAge is MaxAge in seconds, as RFC 9470 has it, or zero. Less than a second is one, since
// zero would be no limit.
func (e *Error) maxAge() int64 {
	if e.MaxAge <= 0 {
		return 0
	}
	return max(1, int64(e.MaxAge/time.Second))
}

func problem(status int, code, detail string, scopes []string, maxAge int64) []byte {
	body, err := json.Marshal(struct {
		Type   string   `json:"type"`
		Title  string   `json:"title"`
		Status int      `json:"status"`
		Code   string   `json:"code"`
		Detail string   `json:"detail"`
		Scopes []string `json:"scopes,omitempty"`
		MaxAge int64    `json:"max_age,omitempty"`
	}{"about:blank", http.StatusText(status), status, code, detail, scopes, maxAge})
	if err != nil {
		panic(err) // impossible: strings and numbers
	}
	return append(body, '\n')
}

// addVary adds a header name unless Vary has it, and keeps what others put there.
// If Vary is empty, name itself becomes its value.
func addVary(h http.Header, name *[1]string) {
	have := h["Vary"]
	if len(have) == 0 {
		h["Vary"] = name[:]
		return
	}
	for _, line := range have {
		for listed := range strings.SplitSeq(line, ",") {
			if listed = strings.TrimSpace(listed); listed == "*" || strings.EqualFold(listed, name[0]) {
				return
			}
		}
	}
	h["Vary"] = append(have[:len(have):len(have)], name[0])
}

// defaultChallenges is for errors that are written outside of routes.
var defaultChallenges = newChallenges("", "", []Scheme{SchemeBearer}, []string{""})

// newChallenges returns the challenges of a route. Cookie is not a header scheme
// and gets a challenge only if there is no other: a 401 must have one (RFC 9110
// section 15.5.2). The Bearer of InHeader has a challenge that names its header.
func newChallenges(realm, metadata string, accepted []Scheme, headers []string) *challenge.Set {
	var schemes, names []string
	for i, s := range accepted {
		switch {
		case headers[i] != "":
			names = append(names, headers[i])
		case s != SchemeCookie:
			schemes = append(schemes, string(s))
		}
	}
	if schemes == nil && names == nil {
		schemes = []string{string(SchemeCookie)}
	}
	return challenge.NewSet(cmp.Or(realm, "api"), metadata, schemes, names...)
}

// challengeLines returns one challenge for each header scheme of the route (RFC
// 9110 section 11.6.1), on 401 and on errors for which RFC 6750 section 3.1 has a
// code. An outage, a cross-origin request and ErrForbidden have none: another credential
// would not help.
func (e *Error) challengeLines(c *condition) []string {
	challenges := defaultChallenges
	if e.responder != nil {
		challenges = e.responder.challenges
	}
	bearer := e.Scheme.is(SchemeBearer)
	switch c.err {
	case ErrNoCredential:
		return challenges.Plain
	case ErrInvalidCredential:
		if bearer {
			return challenges.InvalidToken
		}
		return challenges.Plain
	case ErrReauthenticationRequired:
		return challenges.InsufficientAuthentication(string(e.Scheme), e.maxAge())
	case ErrMalformed:
		if bearer || e.Scheme == "" {
			return challenges.InvalidRequest
		}
		return challenges.Plain
	case ErrInsufficientScope:
		if bearer {
			return challenges.InsufficientScope(validScopes(e.Scopes))
		}
		return challenges.Plain
	}
	return nil
}

// validScopes drops names that are not scopes, which a check may have taken from
// the request.
func validScopes(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !validScope(s) })
}

// RedirectToSignIn returns a Middleware.OnError for pages. If a person opens a page in a
// browser and the request is rejected with 401, it redirects (303) to the sign-in page at
// path, with the address of the requested page in the query parameter "next", which the
// sign-in page passes to [LocalPath]. If the error is [ErrReauthenticationRequired] or has
// [ReasonAge], whatever its status, the address also has "prompt=login": the user is signed
// in, and must sign in again.
//
// Other errors and requests are answered by [WriteError]: those with an Authorization header
// or one of [Bearer.InHeader], and all that only a script, an image, a frame, a prefetch, an event stream or a WebSocket
// sends. Browsers say what a request is for in Sec-Fetch-Mode and Sec-Fetch-Dest; without
// these headers, a GET or HEAD request opens a page if its Accept header names text/html, which
// that of curl does not. RedirectToSignIn panics unless path is a path on this site, which
// starts with exactly one slash.
func RedirectToSignIn(path string) func(w http.ResponseWriter, r *http.Request, err error) {
	if LocalPath(path, "") == "" || strings.Contains(path, "#") {
		panic("auth: RedirectToSignIn: not a path on this site: " + path)
	}
	return func(w http.ResponseWriter, r *http.Request, err error) {
		e := asError(err)
		again := e.Reason == ReasonAge || conditionOf(err).err == ErrReauthenticationRequired
		if e.inHeader || !navigation.Is(r) || !again && e.StatusCode() != http.StatusUnauthorized {
			WriteError(w, r, err)
			return
		}
		delete(w.Header(), "Www-Authenticate")
		w.Header().Set("Location", navigation.SignIn(path, LocalPath(navigation.Requested(r).RequestURI(), "/"), again))
		w.WriteHeader(http.StatusSeeOther)
	}
}

// LocalPath returns next if it is safe to redirect a browser there, and fallback
// otherwise. It prevents open redirects. next is safe if it is an absolute path on
// this site, with an optional query and fragment, that has no space, no dot segment, no
// empty segment except after a final slash, and no backslash or control character even
// after decoding. The fallback is not checked.
func LocalPath(next, fallback string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return fallback
	}
	// Browsers read a backslash as a slash, and remove tabs and line breaks before
	// they parse anything.
	if !strings.HasPrefix(next, "/") || strings.Contains(next, " ") || strings.ContainsFunc(next+u.Path, misread) {
		return fallback
	}
	clean := path.Clean(u.Path)
	if u.Path != clean && (clean == "/" || u.Path != clean+"/") {
		return fallback
	}
	return next
}

func misread(r rune) bool { return r < ' ' || r == 0x7F || r == '\\' }
