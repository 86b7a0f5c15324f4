package federate

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/seed-31c5bcb2/auth"
)

const (
	maxJWT      = 16 << 10
	maxKeyID    = 256
	maxDepth    = 16
	maxJWTAge   = 24 * time.Hour
	skew        = time.Minute
	keptFor     = time.Hour // after the JWT has expired, since the clocks of processes differ
	markerUser  = "\x01workload "
	digestLabel = "github.com/seed-31c5bcb2/auth/federate\x00"
)

// A jwt has been parsed. Nothing in it is known to be true before verify.
type jwt struct {
	text       string // all three parts
	signed     string // the part that the signature is over
	alg, keyID string
	claims     claims

	audience                []string
	expires, issued, begins time.Time // zero if the JWT does not say
}

// rejected are headers of keys that come with the JWT, of extensions that change how it is read, and of
// encryption. A verifier that knows them could be made to use a key of the client.
var rejected = []string{"jwk", "jku", "x5c", "x5u", "crit", "b64", "zip", "enc"}

// parseJWT accepts the compact serialization only (RFC 7515 section 7.1), in its one canonical spelling.
func parseJWT(text string) (*jwt, error) {
	if len(text) > maxJWT || strings.Count(text, ".") != 2 || strings.ContainsAny(text, "\r\n") { // which base64 ignores
		return nil, fmt.Errorf("the JWT is not three parts of at most %d bytes together", maxJWT)
	}
	parts := strings.Split(text, ".")
	header, err := parsePart(parts[0])
	if err != nil {
		return nil, fmt.Errorf("the header of the JWT %w", err)
	}
	t := &jwt{text: text, signed: parts[0] + "." + parts[1]}
	if t.claims, err = parsePart(parts[1]); err != nil {
		return nil, fmt.Errorf("the payload of the JWT %w", err)
	}
	if signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil || len(signature) == 0 {
		return nil, errors.New("the signature of the JWT is not base64url")
	}
	for _, name := range rejected {
		if _, ok := header[name]; ok {
			return nil, fmt.Errorf("the JWT has the header %s", name)
		}
	}
	// Another type, such as at+jwt, is a token for another purpose (RFC 8725 section 3.11).
	if kind, ok := header["typ"]; ok && kind != "JWT" && kind != "jwt" {
		return nil, errors.New("the JWT is of another type")
	}
	var isText [2]bool
	t.alg, isText[0] = header["alg"].(string)
	t.keyID, isText[1] = header["kid"].(string)
	if !isText[0] || !isText[1] || t.keyID == "" || len(t.keyID) > maxKeyID {
		return nil, errors.New("the JWT does not say with which algorithm and key it is signed")
	}
	return t, t.parseClaims()
}

// parseClaims reads the claims whose types RFC 7519 section 4.1 defines.
func (t *jwt) parseClaims() error {
	var errs [4]error
	t.audience, errs[0] = t.claims.texts("aud")
	t.expires, errs[1] = t.claims.time("exp")
	t.issued, errs[2] = t.claims.time("iat")
	t.begins, errs[3] = t.claims.time("nbf")
	return errors.Join(errs[:]...)
}

func parsePart(part string) (claims, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("is not base64url")
	}
	return parseObject(text)
}

// parseObject rejects an object that has a key twice, at any depth: of two parsers, one may take the first
// value and the other the last. encoding/json takes the last.
func parseObject(text []byte) (claims, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // float64 would round large numbers
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok || len(bytes.Trim(text[d.InputOffset():], " \t\r\n")) > 0 {
		return nil, errors.New("is not one JSON object")
	}
	return object, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	switch {
	case err != nil:
		return nil, errors.New("is not JSON")
	case depth == maxDepth:
		return nil, errors.New("is nested too deeply")
	case token == json.Delim('{'):
		return parseMembers(d, depth)
	case token == json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		if _, err := d.Token(); err != nil {
			return nil, errors.New("is not JSON")
		}
		return list, nil
	}
	return token, nil
}

func parseMembers(d *json.Decoder, depth int) (any, error) {
	object := make(map[string]any)
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, errors.New("is not JSON")
		}
		if _, ok := object[name]; ok {
			return nil, errors.New("has a key twice")
		}
		if object[name], err = parseValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("is not JSON")
	}
	return object, nil
}

// claims are those of a JWT, as parseObject returns them.
type claims map[string]any

// find returns the claim with a name, or with a path that begins with a slash.
func (c claims) find(name string) (any, bool) {
	path, nested := strings.CutPrefix(name, "/")
	if !nested {
		v, ok := c[name]
		return v, ok
	}
	var v any = map[string]any(c)
	for key := range strings.SplitSeq(path, "/") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = object[key]; !ok {
			return nil, false
		}
	}
	return v, true
}

// text returns a claim as rules compare it.
func (c claims) text(name string) (string, bool) {
	v, _ := c.find(name)
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number: // 1.0 and 10e-1 are the same number as 1: only one spelling counts
		_, err := strconv.ParseInt(v.String(), 10, 64)
		return v.String(), err == nil
	}
	return "", false
}

// texts returns a claim that is a text or a list of texts. It may be missing.
func (c claims) texts(name string) (texts []string, err error) {
	v, there := c[name]
	list, isList := v.([]any)
	if !isList && there {
		list = []any{v}
	}
	for _, v := range list {
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("the claim %s is neither a text nor a list of texts", name)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// time returns a claim that is a whole number of seconds since 1970, before the year 10000. It may be
// missing. RFC 7519 allows fractions, which no known issuer sends.
func (c claims) time(name string) (time.Time, error) {
	const last = 253402300799
	v, there := c[name]
	if !there {
		return time.Time{}, nil
	}
	n, ok := v.(json.Number)
	seconds, err := strconv.ParseInt(n.String(), 10, 64)
	if !ok || err != nil || seconds <= 0 || seconds > last {
		return time.Time{}, fmt.Errorf("the claim %s is not a time", name)
	}
	return time.Unix(seconds, 0), nil
}

// verify checks the signature by one of keys, which are those with the ID that the JWT names.
// go-oidc compares the issuer again.
func (t *jwt) verify(ctx context.Context, rule Rule, keys []publicKey) error {
	if !slices.Contains(algorithms, t.alg) {
		return fmt.Errorf("the algorithm %.20q is not allowed", t.alg)
	}
	set := new(oidc.StaticKeySet)
	for _, key := range keys {
		if key.allows(t.alg) {
			set.PublicKeys = append(set.PublicKeys, key.key)
		}
	}
	if len(set.PublicKeys) == 0 {
		return fmt.Errorf("the issuer has no key %.100q for %s", t.keyID, t.alg)
	}
	verifier := oidc.NewVerifier(rule.Issuer, set, &oidc.Config{
		SupportedSigningAlgs: []string{t.alg},
		SkipExpiryCheck:      true, // see checkTimes
		SkipClientIDCheck:    true, // the caller compares it
	})
	if _, err := verifier.Verify(ctx, t.text); err != nil {
		return errors.New("the signature is invalid") // without the error, which could quote the JWT
	}
	return nil
}

// checkTimes says why a JWT is not valid now.
func (t *jwt) checkTimes(rule string, now time.Time) *refusal {
	switch {
	case t.expires.IsZero() || t.issued.IsZero():
		return invalid(auth.ReasonMalformed, "rule %q: the JWT has no exp or no iat", rule)
	case t.issued.After(now.Add(skew)) || t.begins.After(now.Add(skew)):
		return invalid(auth.ReasonClock, "rule %q: the JWT is from the future: compare the clocks", rule)
	case t.expires.Sub(t.issued) > maxJWTAge:
		return invalid(auth.ReasonForbidden, "rule %q: the JWT is valid for more than %v", rule, maxJWTAge)
	case t.expires.Sub(now) < minLifetime+time.Second: // see Rule.lifetime
		return expired()
	}
	return nil
}

// marker returns the record of a JWT that has been used. It has the digest of the issuer and the jti. If
// there is no jti, it is that of what is signed, without the signature: ECDSA signatures have a
// second form that is valid too.
//
// The record is a session without scopes, because sessions are kept until they expire, have no effect
// on the tokens of any user, and are presented in a cookie that only the service can encrypt. Its
// user ID has a control character, as no ID may that is passed to package auth: it is in the lists and
// limits of no user, and no call of that package revokes it. Each has a user ID of its own, so
// that they are not all in one index of the store, and an ID that no other exchange knows: see release.
func (t *jwt) marker(issuer string) auth.Credential {
	what := "jwt\x00" + t.signed
	if id, ok := t.claims["jti"].(string); ok && id != "" {
		what = "jti\x00" + id
	}
	digest := sha256.Sum256([]byte(digestLabel + issuer + "\x00" + what))
	return auth.Credential{
		ID: rand.Text(), Kind: auth.KindSession, UserID: markerUser + base64.RawURLEncoding.EncodeToString(digest[:]), Name: "used workload JWT",
		Digest: digest, CreatedAt: time.Now().UTC().Truncate(time.Microsecond), ExpiresAt: t.expires.Add(keptFor).UTC(),
	}
}
