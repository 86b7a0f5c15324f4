package auth

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/seed-31c5bcb2/auth/internal/challenge"
	"github.com/seed-31c5bcb2/auth/internal/header"
)

// WriteError answers a refused request as Require does unless there is an
// OnError: the status, its challenges, Cache-Control: no-store, and a problem
// document (RFC 9457) without internal text. Clients are not told why a
// credential is invalid. Any error of this package will do: what is not an
// *[Error] is answered by its condition: [ErrMalformed] with 400, [ErrNotFound]
// with 404, [ErrConflict] and [ErrLimit] with 409, and what is unknown with 503.
// It writes no body to a HEAD request.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e := answerTo(r, err)
	if given := within(err); given.untold && e.answers != nil {
		given.untold = false
		e.answers.tellRefused(r, &e)
	}
	v := new(headerValues).fill()
	e.setHeaders(w.Header(), v)
	e.write(w, r, v)
}

// answerTo makes an Error with a status and a route out of any error.
func answerTo(r *http.Request, err error) Error {
	given := within(err)
	e := Error{Err: err}
	switch {
	case given.Status >= 400 && given.Status < 600:
		e = *given
	case err == nil:
		e.Status = http.StatusInternalServerError
	case errors.Is(err, ErrUnavailable):
		e.Status, e.Reason = statusOf(err)
	case errors.Is(err, ErrNotFound):
		e.Status = http.StatusNotFound
	case errors.Is(err, ErrConflict), errors.Is(err, ErrLimit):
		e.Status = http.StatusConflict
	case given.Reason == "" && errors.Is(err, ErrMalformed):
		e.Status = http.StatusBadRequest // an argument, and not a credential
	default:
		e.Status, e.Reason = statusOf(err)
	}
	if c := current(r.Context()); e.answers == nil && c != nil {
		e.answers = c.answers
	}
	return e
}

// answers is what a route says to requests, and of them.
type answers struct {
	onError     func(http.ResponseWriter, *http.Request, error)
	observe     Observer
	optional    bool
	takesCookie bool
	challenges  *challenge.Set
}

// refuse answers a request. What is shared between requests, to make junk cost no
// allocation, is not shown to an OnError, which might write to it.
func (a *answers) refuse(w http.ResponseWriter, r *http.Request, e Error) {
	if a.onError != nil {
		a.callOnError(w, r, e)
		return
	}
	e.setHeaders(w.Header(), &shared)
	e.write(w, r, &shared)
}

func (a *answers) callOnError(w http.ResponseWriter, r *http.Request, e Error) {
	e.setHeaders(w.Header(), new(headerValues).fill())
	a.onError(w, r, &e)
}

func (a *answers) tellRefused(r *http.Request, e *Error) {
	a.tell(r, Event{
		Kind: EventRefused, Scheme: e.Scheme, UserID: e.userID, CredentialID: e.credentialID,
		Reason: e.Reason, Err: e.detail,
	})
}

func (a *answers) tell(r *http.Request, e Event) {
	if a.observe != nil {
		e.Remote = r.RemoteAddr
		a.observe(r.Context(), e)
	}
}

// headerValues are the values of a refusal's fields, in one allocation. Whoever
// adds to one gets a copy, as there is no room behind it.
type headerValues struct {
	noStore, noSniff, problem, cookie, authorization [1]string
}

var shared = *new(headerValues).fill()

func (v *headerValues) fill() *headerValues {
	v.noStore[0], v.noSniff[0], v.problem[0] = "no-store", "nosniff", "application/problem+json"
	v.cookie[0], v.authorization[0] = "Cookie", "Authorization"
	return v
}

// setHeaders sets what does not depend on who writes the body.
func (e *Error) setHeaders(h http.Header, v *headerValues) {
	h["Cache-Control"] = v.noStore[:]
	if e.answers != nil {
		e.answers.setVary(h, &v.cookie, &v.authorization)
	}
	lines := e.challengeLines()
	switch {
	case lines == nil:
		delete(h, "Www-Authenticate")
	case v == &shared:
		h["Www-Authenticate"] = lines
	default:
		h["Www-Authenticate"] = slices.Clone(lines)
	}
}

// setVary names the fields by which the answers of this route differ.
func (a *answers) setVary(h http.Header, cookie, authorization *[1]string) {
	if a.takesCookie {
		addVary(h, cookie)
	}
	if a.optional {
		addVary(h, authorization)
	}
}

// write sends status and body. What the handler that did not run may have been
// promised by a middleware in front goes, as in http.Error; Content-Encoding
// stays, which a wrapper that compresses has set (go.dev/issue/66343).
func (e *Error) write(w http.ResponseWriter, r *http.Request, v *headerValues) {
	h := w.Header()
	for _, name := range [...]string{"Content-Length", "Etag", "Last-Modified"} {
		delete(h, name)
	}
	h["Content-Type"] = v.problem[:]
	h["X-Content-Type-Options"] = v.noSniff[:]
	w.WriteHeader(e.Status)
	if r.Method != http.MethodHead {
		w.Write(e.body())
	}
}

// body returns a problem document. It says no more than the status allows:
// nothing tells an expired credential from one that never was.
func (e *Error) body() []byte {
	switch {
	case e.Status == http.StatusForbidden && errors.Is(e.Err, ErrInsufficientScope):
		return problem(e.Status, "The credential lacks a scope that is needed.", e.Scopes)
	case e.Status == http.StatusUnauthorized && errors.Is(e.Err, ErrNoCredential):
		return bodyMissing
	}
	if body := bodies[e.Status]; body != nil {
		return body
	}
	return problem(e.Status, "", nil)
}

var (
	bodyMissing = problem(http.StatusUnauthorized, "Authentication is required.", nil)
	bodies      = map[int][]byte{
		http.StatusBadRequest:          problem(http.StatusBadRequest, "The credential, or another part of the request, is malformed.", nil),
		http.StatusUnauthorized:        problem(http.StatusUnauthorized, "The credential is not valid.", nil),
		http.StatusForbidden:           problem(http.StatusForbidden, "The request comes from another origin.", nil),
		http.StatusNotFound:            problem(http.StatusNotFound, "There is no such thing.", nil),
		http.StatusConflict:            problem(http.StatusConflict, "It exists already, or its limit is reached.", nil),
		http.StatusInternalServerError: problem(http.StatusInternalServerError, "", nil),
		http.StatusServiceUnavailable:  problem(http.StatusServiceUnavailable, "Authentication is out of service for the moment. The credential was not looked at: keep it.", nil),
	}
)

func problem(status int, detail string, scopes []string) []byte {
	body, err := json.Marshal(struct {
		Type   string   `json:"type"`
		Title  string   `json:"title"`
		Status int      `json:"status"`
		Detail string   `json:"detail,omitempty"`
		Scopes []string `json:"scopes,omitempty"`
	}{"about:blank", http.StatusText(status), status, detail, scopes})
	if err != nil {
		panic(err) // strings and a number
	}
	return append(body, '\n')
}

// addVary adds a field name, unless it is there: what others have put into Vary
// stays. With none there, name itself becomes the header's.
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

// defaultChallenges is for errors that are answered outside of every route.
var defaultChallenges = newChallenges("", "", []Scheme{SchemeBearer})

// newChallenges makes the challenges of a route. Cookie is no header scheme, and
// gets one only if there is no other: a 401 must have a challenge (RFC 9110
// section 15.5.2).
func newChallenges(realm, metadata string, accepted []Scheme) *challenge.Set {
	var schemes []string
	for _, s := range accepted {
		if s != SchemeCookie {
			schemes = append(schemes, string(s))
		}
	}
	if schemes == nil {
		schemes = []string{string(SchemeCookie)}
	}
	return challenge.NewSet(cmp.Or(realm, "api"), metadata, schemes)
}

// validScopes leaves out what is no scope, from a check that somebody made of a
// request's own words.
func validScopes(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !validScope(s) })
}

// challengeLines returns one challenge per header scheme of the route (RFC 9110
// section 11.6.1), on 401 and on what RFC 6750 section 3.1 gives a code for. An
// outage and a cross-origin request have none: another credential would not help.
func (e *Error) challengeLines() []string {
	cs := defaultChallenges
	if e.answers != nil {
		cs = e.answers.challenges
	}
	bearer := header.IsScheme(string(e.Scheme), string(SchemeBearer))
	switch {
	case e.Status == http.StatusUnauthorized && bearer && !errors.Is(e.Err, ErrNoCredential):
		return cs.InvalidToken
	case e.Status == http.StatusUnauthorized:
		return cs.Plain
	case e.Status == http.StatusBadRequest && (bearer || e.Scheme == "" && e.Reason != ""):
		return cs.InvalidRequest
	case e.Status == http.StatusBadRequest && e.Scheme != "":
		return cs.Plain
	case e.Status == http.StatusForbidden && errors.Is(e.Err, ErrInsufficientScope) && bearer:
		return cs.InsufficientScope(validScopes(e.Scopes))
	case e.Status == http.StatusForbidden && errors.Is(e.Err, ErrInsufficientScope):
		return cs.Plain
	}
	return nil
}

// RedirectToSignIn returns a Middleware.OnError for pages that people look at:
// where a request for a page is refused because nobody is signed in, it redirects
// to the sign-in page at path with the page's own address as next, for
// [LocalPath] to check. That is a GET or HEAD answered with 401 that has no
// Authorization field; all else is answered by [WriteError]. It panics unless
// path is a path on this site: it starts with one slash.
func RedirectToSignIn(path string) func(w http.ResponseWriter, r *http.Request, err error) {
	if LocalPath(path, "") == "" || strings.Contains(path, "#") {
		panic("auth: RedirectToSignIn: not a path on this site: " + path)
	}
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return func(w http.ResponseWriter, r *http.Request, err error) {
		e := within(err)
		reading := r.Method == http.MethodGet || r.Method == http.MethodHead
		if !reading || len(r.Header["Authorization"]) > 0 || e.Status != http.StatusUnauthorized {
			WriteError(w, r, err)
			return
		}
		delete(w.Header(), "Www-Authenticate")
		next := LocalPath(address(r), "/")
		w.Header().Set("Location", path+separator+"next="+url.QueryEscape(next))
		w.WriteHeader(http.StatusSeeOther)
	}
}

// address is what the browser asked for, also behind http.StripPrefix, which
// changes r.URL alone.
func address(r *http.Request) string {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u.RequestURI()
	}
	return r.URL.RequestURI()
}

// LocalPath returns next if a browser that is sent there stays on this site, and
// fallback if it would not, or that is not certain: next is the part of a request
// by which a sign-in page is turned into a way to somebody else's. What stays is
// an absolute path, with a query and a fragment as it likes, whose path, decoded,
// has no empty or dot segment before its end, and that has neither a backslash nor
// a control character anywhere. The fallback is returned as it is.
func LocalPath(next, fallback string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return fallback
	}
	// Browsers read a backslash as a slash and take tabs and line breaks out
	// before they look at anything.
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
