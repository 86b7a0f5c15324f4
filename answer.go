package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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
	e.setHeaders(w.Header())
	e.write(w, r)
}

// answerTo makes an Error with a status and a route out of any error.
func answerTo(r *http.Request, err error) Error {
	var given *Error
	e := Error{Err: err}
	switch {
	case errors.As(err, &given) && given.Status >= 400:
		e = *given
	case err == nil:
		e.Status = http.StatusInternalServerError
	case errors.Is(err, ErrNotFound):
		e.Status = http.StatusNotFound
	case errors.Is(err, ErrConflict), errors.Is(err, ErrLimit):
		e.Status = http.StatusConflict
	case given == nil && errors.Is(err, ErrMalformed):
		e.Status = http.StatusBadRequest // an argument, and not a credential
	default:
		e.Status, e.Reason = statusOf(err)
	}
	if c := current(r.Context()); e.route == nil && c != nil {
		e.route = c.route
	}
	return e
}

// An answerer writes refusals and tells of decisions.
type answerer struct {
	onError func(http.ResponseWriter, *http.Request, error)
	observe Observer
}

// refuse answers a request. The Error is moved to the heap only for an OnError:
// junk costs no allocation.
func (a *answerer) refuse(w http.ResponseWriter, r *http.Request, e Error) {
	e.setHeaders(w.Header())
	if a.onError != nil {
		a.callOnError(w, r, e)
		return
	}
	e.write(w, r)
}

func (a *answerer) callOnError(w http.ResponseWriter, r *http.Request, e Error) {
	a.onError(w, r, &e)
}

func (a *answerer) tellRefused(r *http.Request, e *Error) {
	a.tell(r, Event{
		Kind: EventRefused, Scheme: e.Scheme, UserID: e.userID, CredentialID: e.credentialID,
		Reason: e.Reason, Err: e.detail,
	})
}

func (a *answerer) tell(r *http.Request, e Event) {
	if a.observe != nil {
		e.Remote = r.RemoteAddr
		a.observe(r.Context(), e)
	}
}

// Header values of refusals are shared, with no room behind them: whoever adds
// to one gets a copy, and net/http never writes into one.
var (
	varyCookie        = []string{"Cookie"}
	varyAuthorization = []string{"Authorization"}
	noStore           = []string{"no-store"}
	noSniff           = []string{"nosniff"}
	problemType       = []string{"application/problem+json"}
)

func (e *Error) setHeaders(h http.Header) {
	h["Cache-Control"] = noStore
	if e.route != nil && e.route.takesCookie {
		addVary(h, varyCookie)
		if e.route.optional {
			addVary(h, varyAuthorization)
		}
	}
	if lines := e.challengeLines(); lines != nil {
		h["Www-Authenticate"] = lines
	} else {
		delete(h, "Www-Authenticate")
	}
}

// challengeLines returns one challenge per header scheme of the route (RFC 9110
// section 11.6.1), on 401 and on what RFC 6750 section 3.1 gives a code for. An
// outage and a cross-origin request have none: another credential would not help.
func (e *Error) challengeLines() []string {
	cs := &defaultChallenges
	if e.route != nil {
		cs = &e.route.challenges
	}
	bearer := header.IsScheme(string(e.Scheme), string(SchemeBearer))
	switch {
	case e.Status == http.StatusUnauthorized && bearer && !errors.Is(e.Err, ErrNoCredential):
		return cs.invalidToken
	case e.Status == http.StatusUnauthorized:
		return cs.plain
	case e.Status == http.StatusBadRequest && (bearer || e.Scheme == "" && e.Reason != ""):
		return cs.invalidRequest
	case e.Status == http.StatusBadRequest && e.Scheme != "":
		return cs.plain
	case e.Status == http.StatusForbidden && errors.Is(e.Err, ErrInsufficientScope) && bearer:
		return cs.format("insufficient_scope", strings.Join(e.Scopes, " "))
	case e.Status == http.StatusForbidden && errors.Is(e.Err, ErrInsufficientScope):
		return cs.plain
	}
	return nil
}

// challenges are the WWW-Authenticate lines of a route, made once.
type challenges struct {
	realm, metadata string
	schemes         []Scheme

	plain, invalidToken, invalidRequest []string
}

var defaultChallenges = newChallenges("", "", []Scheme{SchemeBearer})

func newChallenges(realm, metadata string, accepted []Scheme) challenges {
	if realm == "" {
		realm = "api"
	}
	if err := challenge.Check(realm); err != nil {
		panic(fmt.Sprintf("auth: Middleware.Realm: %v", err))
	}
	if u, err := url.Parse(metadata); metadata != "" && (err != nil || u.Host == "") {
		panic(fmt.Sprintf("auth: Middleware.ResourceMetadata: %q is no absolute URL", metadata))
	}
	cs := challenges{realm: realm, metadata: metadata}
	for _, s := range accepted {
		same := func(other Scheme) bool { return header.IsScheme(string(s), string(other)) }
		if s != SchemeCookie && !slices.ContainsFunc(cs.schemes, same) {
			cs.schemes = append(cs.schemes, s)
		}
	}
	if len(cs.schemes) == 0 {
		cs.schemes = []Scheme{SchemeCookie} // a 401 has to have one: RFC 9110 section 15.5.2
	}
	cs.plain = cs.format("", "")
	cs.invalidToken = cs.format("invalid_token", "")
	cs.invalidRequest = cs.format("invalid_request", "")
	return cs
}

// format writes the lines, with what RFC 6750 section 3 says about Bearer. No
// other scheme here has error codes.
func (cs *challenges) format(code, scope string) []string {
	lines := make([]string, len(cs.schemes))
	for i, s := range cs.schemes {
		params := []challenge.Param{{Name: "realm", Value: cs.realm}}
		if header.IsScheme(string(s), string(SchemeBearer)) {
			params = append(params,
				challenge.Param{Name: "error", Value: code},
				challenge.Param{Name: "scope", Value: scope},
				challenge.Param{Name: "resource_metadata", Value: cs.metadata})
		}
		lines[i] = challenge.Format(string(s), params...)
	}
	return lines
}

// write sends status and body. What the handler that did not run may have been
// promised by a middleware in front goes, as in http.Error.
func (e *Error) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for _, name := range [...]string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified"} {
		delete(h, name)
	}
	h["Content-Type"] = problemType
	h["X-Content-Type-Options"] = noSniff
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
// stays. With none there, value itself becomes the header's.
func addVary(h http.Header, value []string) {
	have := h["Vary"]
	if len(have) == 0 {
		h["Vary"] = value[:1:1]
		return
	}
	for _, line := range have {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, value[0]) {
				return
			}
		}
	}
	h["Vary"] = append(have[:len(have):len(have)], value[0])
}
