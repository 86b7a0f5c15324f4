package dbsc

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/seal"
	"github.com/seed-31c5bcb2/auth/internal/wire"
)

const headerRegistration = "Secure-Session-Registration" // of the response to a sign-in

// Reasons for which a registration or a renewal is rejected, besides those of package auth.
const (
	ReasonProof     auth.Reason = "dbsc_proof"     // it is malformed, or has a key or algorithm that is not allowed
	ReasonSignature auth.Reason = "dbsc_signature" // the key has not signed it
	ReasonChallenge auth.Reason = "dbsc_challenge" // it answers a challenge of another session, of other keys, or of the future
	ReasonLate      auth.Reason = "dbsc_late"      // a registration over a minute after the sign-in
	ReasonAgain     auth.Reason = "dbsc_again"     // a registration of a session that is bound
	ReasonSession   auth.Reason = "dbsc_session"   // a renewal that names no session, or one that is not bound
)

// register binds the session of a request to the key whose proof it has.
func (b *Binding) register(w http.ResponseWriter, r *http.Request) {
	if value(r, "Secure-Session-Response") == "" {
		b.reject(w, r, auth.Credential{}, ReasonProof, auth.ErrMalformed)
		return
	}
	session, err := b.signedIn(r)
	if err != nil {
		b.sessions.Refused(r, session, reasonOf(err), causeOf(err))
		auth.WriteError(w, r, err)
		return
	}
	key, reason, err := b.newKey(r, &session)
	if err != nil {
		b.reject(w, r, session, reason, err)
		return
	}
	bound, err := b.sessions.Bind(w, r, session, key)
	if err != nil { // Bind has reported it
		auth.WriteError(w, r, err)
		return
	}
	removeCookie(w, b.offerCookie)
	b.grant(w, r, bound, sealed(b.handles, &bound))
}

// signedIn returns the session that a registration is for: that of its cookie or, without one, that
// of an offer cookie. newKey checks that the challenge is of the same session.
func (b *Binding) signedIn(r *http.Request) (auth.Credential, error) {
	session, err := b.sessions.Presented(r)
	if !errors.Is(err, auth.ErrNoCredential) {
		return session, err
	}
	digest, found := b.offeredFor(r)
	if !found {
		return session, err
	}
	return b.sessions.Find(r.Context(), digest)
}

// offeredFor returns the Digest of the session that an offer cookie names. Another host of the domain
// can plant such cookies, so of several the one counts whose session the challenge is of.
func (b *Binding) offeredFor(r *http.Request) (d auth.Digest, found bool) {
	now := time.Now()
	var asked auth.Digest
	if p, err := parseProof(value(r, "Secure-Session-Response")); err == nil {
		asked, _ = digestIn(b.registration, p.challenge, now)
	}
	n := 0
	for offer := range header.Cookies(r.Header, b.offerCookie.Name) {
		if named, verdict := digestIn(b.offered, offer, now); verdict == seal.Valid && (!found || named == asked) {
			d, found = named, true
		}
		if n++; n == maxPlanted {
			break
		}
	}
	return d, found
}

// newKey returns the key that a registration proves, or why it is rejected.
func (b *Binding) newKey(r *http.Request, session *auth.Credential) (key []byte, reason auth.Reason, err error) {
	now := time.Now()
	switch {
	case session.Bound() || session.Superseded:
		return nil, ReasonAgain, auth.ErrConflict
	case !now.Before(session.CreatedAt.Add(bindWithin)):
		return nil, ReasonLate, auth.ErrForbidden
	}
	p, err := parseProof(value(r, "Secure-Session-Response"))
	switch {
	case err != nil:
		return nil, ReasonProof, asMalformed(err)
	case p.key == nil || !slices.Contains(b.algorithms, p.algorithm):
		return nil, ReasonProof, asMalformed(malformed("a registration needs a jwk and an allowed alg"))
	case !p.verify(p.key):
		return nil, ReasonSignature, auth.ErrForbidden
	case isOf(b.registration, p.challenge, session, now) != seal.Valid:
		return nil, ReasonChallenge, auth.ErrForbidden
	}
	if key, err = marshalKey(p.key); err != nil {
		return nil, ReasonProof, asMalformed(err)
	}
	return key, "", nil
}

// refresh renews the bound cookie, for a proof of the session's key.
func (b *Binding) refresh(w http.ResponseWriter, r *http.Request) {
	id := value(r, "Sec-Secure-Session-Id") // pages cannot set it, only the browser itself
	if id == "" || len(id) > maxID {
		b.reject(w, r, auth.Credential{}, ReasonSession, auth.ErrMalformed)
		return
	}
	digest, verdict := digestIn(b.handles, id, time.Now())
	known := verdict == seal.Valid || verdict == seal.Expired
	session, err := b.sessions.Presented(r)
	if known && err != nil {
		session, err = b.sessions.Find(r.Context(), digest)
	}
	switch {
	case known && isOver(err), err == nil && (!known || session.Digest != digest):
		// Signed out, expired or revoked; or another user has signed in meanwhile.
		wire.JSON(w, http.StatusOK, "application/json", over{id, false})
	case err != nil:
		b.fail(w, r, session, err)
	case !session.Bound():
		b.reject(w, r, session, ReasonSession, auth.ErrInvalidCredential)
	default:
		b.renew(w, r, session, id)
	}
}

// renew is refresh of a bound session.
func (b *Binding) renew(w http.ResponseWriter, r *http.Request, session auth.Credential, id string) {
	answer := value(r, "Secure-Session-Response")
	if answer == "" {
		b.ask(w, session, id)
		return
	}
	key, err := unmarshalKey(session.Sealed)
	if err != nil {
		b.fail(w, r, session, fmt.Errorf("%w: %w", auth.ErrUnavailable, err))
		return
	}
	p, err := parseProof(answer)
	switch {
	case err != nil:
		b.reject(w, r, session, ReasonProof, asMalformed(err))
		return
	case p.key != nil:
		b.reject(w, r, session, ReasonProof, asMalformed(malformed("a renewal has a jwk")))
		return
	case !p.verify(key):
		b.reject(w, r, session, ReasonSignature, auth.ErrInvalidCredential)
		return
	}
	now := time.Now()
	asked, ahead := isOf(b.asked, p.challenge, &session, now), isOf(b.ahead, p.challenge, &session, now)
	switch {
	case asked == seal.Valid, ahead == seal.Valid:
		b.grant(w, r, session, id)
		return
	case asked != seal.Expired && ahead != seal.Expired:
		// Perhaps its key was removed while the browser was idle, so it gets another one.
		b.sessions.Refused(r, session, ReasonChallenge, nil)
	}
	b.ask(w, session, id)
}

// ask makes the browser sign a new challenge.
func (b *Binding) ask(w http.ResponseWriter, session auth.Credential, id string) {
	setChallenge(w, sealed(b.asked, &session), id)
	w.WriteHeader(http.StatusForbidden)
}

// setChallenge sends a challenge, which the browser answers when it next needs to.
func setChallenge(w http.ResponseWriter, challenge, id string) {
	w.Header().Set("Secure-Session-Challenge", fmt.Sprintf("%q;id=%q", challenge, id))
}

// grant sets the bound cookie, and tells the browser when to renew it. The id is that of the
// session in the browser.
func (b *Binding) grant(w http.ResponseWriter, r *http.Request, session auth.Credential, id string) {
	cookie := b.cookie
	cookie.Value = sealed(b.bound, &session)
	cookie.MaxAge = int(b.lifetime / time.Second)
	header.SetCookie(w, &cookie)
	setChallenge(w, sealed(b.ahead, &session), id)
	wire.JSON(w, http.StatusOK, "application/json", b.instructions(r, id))
}

// instructions are what a browser keeps of a session (section "Session instructions" of the draft).
type instructions struct {
	ID          string       `json:"session_identifier"`
	RefreshURL  string       `json:"refresh_url"`
	Scope       scope        `json:"scope"`
	Credentials []credential `json:"credentials"`
	// Initiators are the hosts whose pages may cause a renewal. A link on any page leads to this
	// one, and would otherwise arrive without the bound cookie.
	Initiators []string `json:"allowed_refresh_initiators"`
}

type scope struct {
	Origin      string `json:"origin,omitempty"`
	IncludeSite bool   `json:"include_site"`
}

type credential struct {
	Type       string `json:"type"`
	Name       string `json:"name"`
	Attributes string `json:"attributes"`
}

// over ends the session in the browser.
type over struct {
	ID       string `json:"session_identifier"`
	Continue bool   `json:"continue"`
}

func (b *Binding) instructions(r *http.Request, id string) instructions {
	i := instructions{
		ID: id, RefreshURL: b.path + "refresh",
		Credentials: []credential{{"cookie", b.cookie.Name, b.attributes()}},
		Initiators:  []string{"*"},
	}
	if b.cookie.Domain != "" {
		host := strings.TrimPrefix(b.cookie.Domain, ".")
		if _, port, err := net.SplitHostPort(r.Host); err == nil {
			host = net.JoinHostPort(host, port)
		}
		i.Scope = scope{"https://" + host, true}
	}
	return i
}

// attributes are those of the bound cookie without its age, as Set-Cookie has them.
func (b *Binding) attributes() string {
	cookie := b.cookie
	cookie.Value = "x"
	_, attributes, _ := strings.Cut(cookie.String(), "; ")
	return attributes
}

// isOver reports whether an error of Find means that the session has ended.
func isOver(err error) bool {
	if err == nil {
		return false
	}
	switch reasonOf(err) {
	case auth.ReasonExpired, auth.ReasonIdle, auth.ReasonRevoked, auth.ReasonUnknown:
		return true
	}
	return false
}

func reasonOf(err error) auth.Reason {
	var rejected *auth.Error
	if errors.As(err, &rejected) {
		return rejected.Reason
	}
	return auth.ReasonUnavailable
}

// causeOf returns an outage for the event, and nil for anything else.
func causeOf(err error) error {
	if errors.Is(err, auth.ErrUnavailable) {
		return err
	}
	return nil
}

// fail answers a renewal whose session is not known, perhaps because this process does not have its
// key yet: with 503, since any 4xx except 403 would end the session in the browser.
func (b *Binding) fail(w http.ResponseWriter, r *http.Request, session auth.Credential, err error) {
	b.sessions.Refused(r, session, reasonOf(err), causeOf(err))
	auth.WriteError(w, r, auth.ErrUnavailable)
}

// reject answers a request that is not what a browser sends.
func (b *Binding) reject(w http.ResponseWriter, r *http.Request, session auth.Credential, reason auth.Reason, err error) {
	b.sessions.Refused(r, session, reason, nil)
	auth.WriteError(w, r, err)
}

func asMalformed(err error) error { return fmt.Errorf("%w: %w", auth.ErrMalformed, err) }

// value returns a header whose value is a structured string (RFC 9651 section 3.3.3), without its
// parameters. Chromium sends it without quotes, and the draft with them. It is empty if there are
// several.
func value(r *http.Request, name string) string {
	values := r.Header[http.CanonicalHeaderKey(name)]
	if len(values) != 1 {
		return ""
	}
	text := strings.TrimSpace(values[0])
	before, rest, quoted := strings.Cut(text, `"`)
	if !quoted {
		return text
	}
	text, parameters, closed := strings.Cut(rest, `"`)
	if parameters = strings.TrimSpace(parameters); before != "" || !closed || parameters != "" && parameters[0] != ';' {
		return ""
	}
	return text
}
