package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

// A plaintextFormat says what the tokens or secrets of one authenticator look
// like. Authenticate and Import ask the same one, so that nothing can be
// imported that would not be let in.
type plaintextFormat struct {
	prefix         string
	acceptImported bool
}

func newPlaintextFormat(config, prefix string, acceptImported bool) (plaintextFormat, []error) {
	var faults []error
	if prefix != "" && !token.ValidPrefix(prefix) {
		faults = append(faults, configFault(config, "Prefix", "%.40q must be at most %d of [A-Za-z0-9_]", prefix, token.MaxPrefix))
	}
	return plaintextFormat{prefix, acceptImported}, faults
}

func (f *plaintextFormat) generate() string             { return token.New(f.prefix) }
func (f *plaintextFormat) hint(plaintext string) string { return hintOf(f.prefix, plaintext) }

// check decides what can be decided without the store.
func (f *plaintextFormat) check(plaintext string) error {
	switch {
	case len(plaintext) > maxPlaintext:
		return errTooLong // before anything looks at each byte of it
	case !header.IsToken68(plaintext):
		return errMalformed
	case f.prefix == "":
		return nil
	case token.Shaped(f.prefix, plaintext):
		if !token.Intact(plaintext) {
			return errChecksum
		}
	case !f.acceptImported:
		return errPrefix
	}
	return nil
}

func (f *plaintextFormat) checkImport(plaintext string) error {
	if len(plaintext) < minImported {
		return malformed("plaintext", "must be at least %d characters: a shorter one can be guessed", minImported)
	}
	switch f.check(plaintext) {
	case errTooLong, errMalformed:
		return malformed("plaintext", "must be at most %d characters of token68 (RFC 9110 section 11.2)", maxPlaintext)
	case errPrefix:
		return malformed("plaintext", "does not start with the Prefix: set AcceptImported to take it over")
	case errChecksum:
		return malformed("plaintext", "has the form of our own tokens, but not their checksum")
	}
	return nil
}

// byHeader is how a header scheme's authenticator answers by itself, outside of a
// chain, which reads the header once for all.
func byHeader(r *http.Request, s Scheme, ask func(*http.Request, header.Authorization) (*Credential, error)) (*Identity, error) {
	presented := header.ParseAuthorization(r.Header)
	if presented.Unreadable {
		return nil, errMalformed
	}
	if !header.IsScheme(presented.Scheme, string(s)) {
		return nil, errNoCredential
	}
	c, err := ask(r, presented)
	if err != nil {
		return nil, err
	}
	return c.identity(), nil
}

// present looks up the plaintext that a request presents.
func (rs *records) present(ctx context.Context, f *plaintextFormat, a header.Authorization, now time.Time) (*Credential, error) {
	if a.Malformed {
		return nil, errMalformed
	}
	if err := f.check(a.Credential); err != nil {
		return nil, err
	}
	return rs.lookup(ctx, digestOf(a.Credential), now)
}
