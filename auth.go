// Package auth authenticates HTTP requests by personal access token, session
// cookie or client secret, and puts the resolved identity into the request's
// context.
//
//	store := auth.NewMemoryStore()
//	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
//	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: keys})
//
//	mux.Handle("/api/notes", auth.Require(bearer, cookie)(notes))
//
// and in the handler
//
//	id, ok := auth.FromContext(r.Context())
//
// # Which scheme
//
// [Bearer] is the scheme for most endpoints: tokens that people make for their
// scripts and integrations, each with the full access of their account unless it
// is given scopes. [Cookie] is for browsers and for user interfaces whose users
// sign in. [Secret] is for a few endpoints that only servers call, which can keep
// the one secret of their developer's account. Each route says which it takes.
//
// # How it works
//
// All three end in the same act: the SHA-256 digest of an unguessable plaintext
// names one [Credential] in a [Store]. Plaintexts are made from crypto/rand,
// returned once, and not kept. Whatever goes wrong on the way, a request is
// refused: with 401 if its credential is not good, with 400 if it cannot be read,
// with 403 if it may not do this, with 503 if the store is out.
//
// The package settings is a page on which people manage their credentials, for a
// service to mount; sqlstore keeps them in a database.
//
// # What it does not do
//
// It hashes no passwords, runs no OAuth flow, limits no rates and answers no
// CORS preflight. It trusts the connection: serve it over TLS.
//
// # Compatibility
//
// Tokens, cookies and records of one release are understood by all later ones of
// the same major version. Before 1.0, a minor version may change the API; the
// changelog says how.
package auth

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

// A Scheme names a way to authenticate. The names of header schemes are those
// of RFC 9110 section 11.1: case does not matter in a request.
type Scheme string

// The schemes of this package. An [Authenticator] of one's own may have another.
const (
	SchemeBearer Scheme = "Bearer"
	SchemeCookie Scheme = "Cookie"
	SchemeSecret Scheme = "Secret"
)

// An Identity says who is asking and by which credential. Everything in it may
// be shown to the user and written to a log.
//
// What [FromContext] returns is the caller's own, to change and to keep.
type Identity struct {
	UserID          string    // the account that the credential was created for
	Scheme          Scheme    // how it was presented
	CredentialID    string    // the record's public ID; for a cookie, this session's
	Scopes          Scopes    // "*" is the account's full access; "" is none
	AuthenticatedAt time.Time // sign-in (cookie) or creation (token, secret)
	ExpiresAt       time.Time // zero: never
}

// An Authenticator finds out who sent a request by one scheme. [Bearer],
// [Cookie] and [Secret] are the ones of this package; an existing service puts
// its own beside or behind them.
//
// Implementations are safe for concurrent use. They write no response.
type Authenticator interface {
	// Scheme is the name that the Authorization field and the challenge use: a
	// token of RFC 9110 section 5.6.2 of at most 63 bytes, always the same. An
	// authenticator that reads something else than that field (a client
	// certificate, say) has one as well, by which identities, errors and events
	// name it.
	Scheme() Scheme

	// Authenticate returns the identity, or an error for which errors.Is knows
	// one of these:
	//
	//   - ErrNoCredential: the request has no credential for this authenticator.
	//     The next one is asked.
	//   - ErrInvalidCredential: it has one, which is unknown, expired or revoked.
	//   - ErrMalformed: it has one that breaks the scheme's grammar.
	//   - ErrCrossOrigin: it has a good one that a browser added by itself to a
	//     request from another site.
	//   - ErrInsufficientScope: it has a good one that is not enough.
	//
	// Any other error, and whatever wraps ErrUnavailable, is taken for an outage and answered with 503: a client
	// must not throw its credential away because our database is down. To give
	// a reason for events, wrap one of the above in an [Error] with a Reason.
	//
	// An Authenticator never returns a nil Identity with a nil error, nor one
	// without a UserID: both are refused with 500.
	Authenticate(r *http.Request) (*Identity, error)
}

// HeaderCredential returns what the Authorization field holds for the scheme s,
// for authenticators of one's own. It fails with [ErrNoCredential] if there is
// no such field or it names another scheme, and with [ErrMalformed] if there
// are two fields, or what follows the scheme is not one token68 (RFC 9110
// section 11.2; JSON Web Tokens are token68 as well). The credential is of at
// most 64 KiB and not yet known to be worth anything.
func HeaderCredential(r *http.Request, s Scheme) (string, error) {
	a := header.ParseAuthorization(r.Header)
	switch {
	case a.Unreadable:
		return "", errMalformed
	case !header.IsScheme(a.Scheme, string(s)):
		return "", errNoCredential
	case a.Malformed || !header.IsToken68(a.Credential):
		return "", errMalformed
	}
	return a.Credential, nil
}

// Keys are the secrets from which an authenticator derives its encryption keys,
// the newest first: that one alone seals, all of them open. Each is of 32 random
// bytes at least, from crypto/rand or `openssl rand 32`, kept where the database
// is not. To rotate, put a new one in front, and drop the oldest when nothing
// that it has sealed is needed any more.
//
// Keys print, log and marshal as their number only. That holds where their
// methods can be called: fmt calls none on an unexported field of a struct that
// is printed as a whole, and encoding/gob none of these.
type Keys [][]byte

const minKey = 32

// Format implements fmt.Formatter, so that no verb prints a key.
func (k Keys) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "auth.Keys(%d)", len(k)) }

// LogValue implements slog.LogValuer.
func (k Keys) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }

// MarshalJSON returns the same as Format, as a JSON string.
func (k Keys) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", fmt.Sprint(k)), nil }

// MarshalText returns the same as Format.
func (k Keys) MarshalText() ([]byte, error) { return fmt.Append(nil, k), nil }

// check returns every fault of k at once, each naming the key by its place.
func (k Keys) check(of, field string) error {
	var faults []error
	for i, key := range k {
		switch {
		case len(key) < minKey:
			faults = append(faults, configFault(of, field, "key %d has %d bytes: use %d or more random ones", i, len(key), minKey))
		case bytes.Count(key, key[:1]) == len(key):
			faults = append(faults, configFault(of, field, "key %d is one byte repeated: use %d or more random ones", i, minKey))
		}
		for j := range i {
			if bytes.Equal(k[j], key) {
				faults = append(faults, configFault(of, field, "keys %d and %d are equal: remove one", j, i))
			}
		}
	}
	return errors.Join(faults...)
}
