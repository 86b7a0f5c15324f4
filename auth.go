// Package auth authenticates HTTP requests by personal access token, session cookie or
// client secret, and puts the identity of the user into the request's context.
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
// # Schemes
//
// Use [Bearer] for most endpoints: users create tokens for their scripts and
// integrations, each with full access or with scopes. Use [Cookie] for browsers and for
// user interfaces in which users sign in. Use [Secret] for a few endpoints that only
// servers call: each developer has one client secret. Each route names the schemes that
// it accepts.
//
// # How it works
//
// All three work the same way: the SHA-256 digest of the presented plaintext identifies one
// [Credential] in a [Store]. Plaintexts come from crypto/rand, are returned once, and are
// not stored, except for client secrets, which [SecretConfig].RevealKeys encrypts. If
// anything goes wrong, the request is rejected: 401 if the credential is invalid, 400 if it
// is malformed, 403 if it does not permit the request, 503 if the store is unavailable.
//
// Package settings is a page on which users manage their credentials. Package sqlstore
// has a Store over an SQL database, with module cachestore as a cache in front of it.
// Module redisstore has one over Redis, with a cache of its own.
//
// # Start and shutdown
//
// Create the store, then the authenticators, then the routes. Call [Store].Purge
// periodically, for example once a day. At shutdown, call http.Server.Shutdown, then Close
// of each authenticator, which writes pending last-use times, and then close the store and
// its database. Shutdown waits for open streams unless http.Server.RegisterOnShutdown ends
// them. The context of Close must not be one that Shutdown has used up.
//
// # What it does not do
//
// The package does not hash passwords, run OAuth flows, limit rates, or answer CORS
// preflights. It must be served over TLS.
//
// # Compatibility
//
// Tokens, cookies and records of one release work with all later ones of the same major
// version. Before 1.0, a minor version may change the API; the changelog says how.
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

// A Scheme names a way to authenticate. The names of header schemes are those of RFC
// 9110 section 11.1; requests may use any case.
type Scheme string

// The schemes of this package. A custom [Authenticator] may have another.
const (
	SchemeBearer Scheme = "Bearer"
	SchemeCookie Scheme = "Cookie"
	SchemeSecret Scheme = "Secret"
)

// is reports whether two names are of one scheme (RFC 9110 section 11.1: in any case).
func (s Scheme) is(other Scheme) bool { return header.SameScheme(string(s), string(other)) }

// canonical returns the constant for a name of one of this package's schemes in any case, so
// that identities and events of a custom authenticator can be compared with it.
func (s Scheme) canonical() Scheme {
	for _, own := range [...]Scheme{SchemeBearer, SchemeCookie, SchemeSecret} {
		if s.is(own) {
			return own
		}
	}
	return s
}

// An Identity says which user sent a request, and by which credential. It may be shown to
// the user and written to logs. Its JSON leaves out the Metadata; fmt and slog.TextHandler
// print all fields.
type Identity struct {
	UserID          string    `json:"user_id"`                   // the user that the credential belongs to
	Scheme          Scheme    `json:"scheme"`                    // by which the credential was presented
	CredentialID    string    `json:"credential_id"`             // the public ID of the credential; for a cookie, of the session
	Scopes          Scopes    `json:"scopes"`                    // FullAccess is everything that the user may do
	Metadata        Metadata  `json:"-"`                         // the service's own data about the credential
	Actor           string    `json:"actor,omitempty"`           // the user who acts as UserID, if it is another: see SessionOptions
	AuthenticatedAt time.Time `json:"authenticated_at,omitzero"` // the sign-in for a cookie, the creation for a token or secret
	ExpiresAt       time.Time `json:"expires_at,omitzero"`       // zero means never
}

// An Authenticator authenticates requests by one scheme. [Bearer], [Cookie] and [Secret]
// are those of this package; a service may add its own before or after them.
//
// Implementations must be safe for concurrent use. They write no response.
//
// One that reads more of a request than Authorization should also have the method
//
//	Vary() []string
//
// which returns the names of the headers that it reads, always the same: "Cookie",
// "X-Api-Key", or "*" for anything that is not a header, such as a client certificate (RFC
// 9110 section 12.5.5). They are added to the Vary header of all responses of its routes, so
// that caches keep the responses to different users apart. Without the method, responses to
// requests that it accepts have "Vary: *", unless its scheme is Cookie or is named by the
// Authorization header.
type Authenticator interface {
	// Scheme returns the name that the Authorization header and the challenge use: a
	// token of RFC 9110 section 5.6.2 of at most 63 bytes, always the same. An
	// authenticator that reads something else, for example a client certificate, has
	// one too: it is the name in identities, errors and events. If it is a name of this
	// package's schemes in another case, these have the constant.
	Scheme() Scheme

	// Authenticate returns the identity, or an error that wraps one of the following:
	//
	//   - ErrNoCredential: the request has no credential for this authenticator. The
	//     next one is tried.
	//   - ErrInvalidCredential: the credential is unknown, expired or revoked. The next
	//     one is tried as well.
	//   - ErrMalformed: the credential violates the grammar of the scheme.
	//   - ErrCrossOrigin: the credential is valid, but a browser attached it to a
	//     cross-origin request.
	//   - ErrInsufficientScope: the credential is valid but lacks a required scope.
	//   - ErrForbidden: the credential is valid, but the user may not do this.
	//   - ErrReauthenticationRequired: the user signed in too long ago for this.
	//
	// Any other error, and any error that wraps ErrUnavailable, is treated as an outage
	// and answered with 503, so that clients do not discard credentials while a database
	// is down. To supply a reason for events, return an [Error] with a Reason.
	//
	// If the error is nil, the Identity must have a UserID: otherwise the request is
	// answered with 500, as it is if Authenticate panics. The Identity's Scheme is replaced
	// by that of the authenticator.
	Authenticate(r *http.Request) (*Identity, error)
}

// HeaderCredential returns the credential that the Authorization header carries for
// scheme s. It is meant for custom authenticators. It returns [ErrNoCredential] if there
// is no such header or it names another scheme, and [ErrMalformed] if there are two, if it is
// over 64 KiB long, or if the credential has anything but visible ASCII characters, or a space,
// comma, quote or backslash. The credential has not been verified.
func HeaderCredential(r *http.Request, s Scheme) (string, error) {
	a := header.ParseAuthorization(r.Header)
	switch {
	case a.Unreadable:
		return "", errMalformed
	case !s.is(Scheme(a.Scheme)):
		return "", errNoCredential
	case a.Malformed || !header.IsCredential(a.Credential):
		return "", errMalformed
	}
	return a.Credential, nil
}

// Keys are secrets from which an authenticator derives its encryption keys, newest first.
// The first is used for encryption; all are tried for decryption. Each must have at least
// 32 random bytes, from crypto/rand or `openssl rand 32`, and be kept apart from the
// database. To rotate, add a new one at the front, and remove the last one when nothing
// that it encrypted is needed anymore. If several processes share the keys, first add the new
// one at the end everywhere, so that each can decrypt what another encrypts: see
// docs/guides/rotating-keys.md.
//
// Keys print, log and marshal as their count, for example auth.Keys(2). That holds where
// their methods can be called: fmt does not call the methods of an unexported field of a
// struct that is printed as a whole, and encoding/gob calls none of these.
type Keys [][]byte

const minKey = 32

// Format implements [fmt.Formatter], so that no verb prints a key.
func (k Keys) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "auth.Keys(%d)", len(k)) }

// LogValue implements [slog.LogValuer].
func (k Keys) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }

// MarshalJSON returns the same as Format, as a JSON string.
func (k Keys) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", fmt.Sprint(k)), nil }

// MarshalText returns the same as Format.
func (k Keys) MarshalText() ([]byte, error) { return fmt.Append(nil, k), nil }

// check returns everything that is wrong with k. It names keys by their index.
func (k Keys) check(config, field string) error {
	var faults []error
	for i, key := range k {
		switch {
		case len(key) < minKey:
			faults = append(faults, configError(config, field, "key %d has %d bytes: use %d or more random ones", i, len(key), minKey))
		case bytes.Count(key, key[:1]) == len(key):
			faults = append(faults, configError(config, field, "key %d is one byte repeated: use %d or more random ones", i, minKey))
		}
		for j := range i {
			if bytes.Equal(k[j], key) {
				faults = append(faults, configError(config, field, "keys %d and %d are equal: remove one", j, i))
			}
		}
	}
	return errors.Join(faults...)
}
