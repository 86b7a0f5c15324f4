package dbsc

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// An Algorithm is one by which browsers sign (RFC 7518 section 3.1).
type Algorithm string

// The algorithms that the draft has, except for "none".
const (
	ES256 Algorithm = "ES256" // ECDSA on P-256 with SHA-256
	RS256 Algorithm = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256, with keys of 2048 to 4096 bits
)

func (a Algorithm) known() bool { return a == ES256 || a == RS256 }

const (
	maxProof  = 4096
	minRSA    = 2048
	maxRSA    = 4096
	coordSize = 32 // of P-256
)

// A proof is a DBSC proof: a JSON Web Token that the browser signs with the key of the session.
type proof struct {
	algorithm Algorithm
	key       crypto.PublicKey // of a registration, otherwise nil
	challenge string
	signed    string // what the signature is of
	signature []byte
}

var errProof = errors.New("dbsc: the proof is malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProof}, args...)...)
}

// parseProof reads a proof strictly. It does not verify the signature. Errors do not contain
// anything of the proof.
func parseProof(text string) (*proof, error) {
	if len(text) > maxProof {
		return nil, malformed("it has over %d bytes", maxProof)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, malformed("it has %d parts", len(parts))
	}
	head, err := object(parts[0])
	if err != nil {
		return nil, err
	}
	claims, err := object(parts[1])
	if err != nil {
		return nil, err
	}
	signature, err := decode(parts[2])
	if err != nil {
		return nil, err
	}
	p := &proof{
		algorithm: Algorithm(stringOf(head["alg"])), challenge: stringOf(claims["jti"]),
		signed: text[:len(parts[0])+1+len(parts[1])], signature: signature,
	}
	_, critical := head["crit"]
	switch {
	case stringOf(head["typ"]) != "dbsc+jwt":
		return nil, malformed("typ is not dbsc+jwt")
	case critical:
		return nil, malformed("it has crit, and no extension is known")
	case !p.algorithm.known():
		return nil, malformed("alg is not ES256 or RS256")
	case p.challenge == "":
		return nil, malformed("jti is not a challenge")
	}
	if key, ok := head["jwk"]; ok {
		p.key, err = parseKey(key, p.algorithm)
	}
	return p, err
}

// decode accepts base64url in its one form: without padding, white space and stray bits.
func decode(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") || len(b) == 0 {
		return nil, malformed("a part is not base64url")
	}
	return b, nil
}

// object decodes a part of a token: a JSON object whose names are exact and each there once, as
// other readers of it could choose another one.
func object(part string) (map[string]json.RawMessage, error) {
	b, err := decode(part)
	if err != nil {
		return nil, err
	}
	return members(b)
}

func members(b []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, malformed("a part is not a JSON object")
	}
	all := make(map[string]json.RawMessage)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, malformed("a part is not JSON")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, malformed("a part is not JSON")
		}
		key, _ := name.(string)
		if _, twice := all[key]; twice {
			return nil, malformed("a member is there twice")
		}
		all[key] = value
	}
	if _, err := d.Token(); err != nil || d.More() || int(d.InputOffset()) != len(b) {
		return nil, malformed("a part is not one JSON object")
	}
	return all, nil
}

// stringOf returns a JSON string, or "" if it is something else.
func stringOf(value json.RawMessage) (s string) {
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// parseKey reads a public key (RFC 7517) of the algorithm.
func parseKey(jwk json.RawMessage, a Algorithm) (crypto.PublicKey, error) {
	m, err := members(jwk)
	if err != nil {
		return nil, err
	}
	if _, private := m["d"]; private {
		return nil, malformed("jwk is a private key")
	}
	switch kty := stringOf(m["kty"]); {
	case a == ES256 && kty == "EC" && stringOf(m["crv"]) == "P-256":
		return parseECDSA(stringOf(m["x"]), stringOf(m["y"]))
	case a == RS256 && kty == "RSA":
		return parseRSA(stringOf(m["n"]), stringOf(m["e"]))
	}
	return nil, malformed("jwk is not a key of alg")
}

func parseECDSA(x, y string) (crypto.PublicKey, error) {
	xBytes, xErr := decode(x)
	yBytes, yErr := decode(y)
	if xErr != nil || yErr != nil || len(xBytes) != coordSize || len(yBytes) != coordSize {
		return nil, malformed("jwk does not have coordinates of %d bytes", coordSize)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, xBytes, yBytes))
	if err != nil {
		return nil, malformed("jwk is not a point of P-256")
	}
	return key, nil
}

func parseRSA(n, e string) (crypto.PublicKey, error) {
	nBytes, err := decode(n)
	if err != nil {
		return nil, err
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(nBytes), E: 65537}
	switch bits := key.N.BitLen(); {
	case e != "AQAB":
		return nil, malformed("jwk has an exponent other than 65537")
	case nBytes[0] == 0 || bits < minRSA || bits > maxRSA || key.N.Bit(0) == 0:
		return nil, malformed("jwk has no modulus of %d to %d bits", minRSA, maxRSA)
	}
	return key, nil
}

// verify reports whether the key has signed p by p.algorithm.
func (p *proof) verify(key crypto.PublicKey) bool {
	hash := sha256.Sum256([]byte(p.signed))
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if p.algorithm != ES256 || len(p.signature) != 2*coordSize {
			return false
		}
		r, s := new(big.Int).SetBytes(p.signature[:coordSize]), new(big.Int).SetBytes(p.signature[coordSize:])
		return ecdsa.Verify(key, hash[:], r, s)
	case *rsa.PublicKey:
		return p.algorithm == RS256 && rsa.VerifyPKCS1v15(key, crypto.SHA256, hash[:], p.signature) == nil
	}
	return false
}

// marshalKey returns a public key as records keep it: in PKIX form, which names its type.
func marshalKey(key crypto.PublicKey) ([]byte, error) { return x509.MarshalPKIXPublicKey(key) }

func unmarshalKey(b []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("dbsc: the key of the session is corrupt: %w", err)
	}
	return key, nil
}
