package dbsc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/dbsc"
)

// offered signs a user in and returns the challenge for the registration.
func (b *browser) offered() string { return b.offeredTo("alice") }

func (b *browser) offeredTo(user string) string {
	w := b.send(httptest.NewRequest("POST", "/sign-in/"+user, nil))
	return registrationHeader.FindStringSubmatch(w.Header().Get("Secure-Session-Registration"))[3]
}

// with returns a jwk with a member replaced, or removed if value is nil.
func with(jwk map[string]any, name string, value any) map[string]any {
	if jwk[name] = value; value == nil {
		delete(jwk, name)
	}
	return jwk
}

// Each of these is signed by its key, or cannot be.
func TestProofs_malformed(t *testing.T) {
	t.Parallel()
	ec, strong, weak := newECKey(t), newRSAKey(t, 2048), newRSAKey(t, 1024)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	point, err := p384.PublicKey.Bytes()
	require.NoError(t, err)
	head := func(change string, value any) func(string) string {
		return func(c string) string { return prove(ec, c, true, map[string]any{change: value}) }
	}
	raw := func(head, claims string) func(string) string {
		return func(c string) string {
			return signed(ec, strings.ReplaceAll(head, "JWK", jsonOf(ec.jwk())), strings.ReplaceAll(claims, "CHALLENGE", c))
		}
	}
	const good = `{"typ":"dbsc+jwt","alg":"ES256","jwk":JWK}`
	for name, proof := range map[string]func(challenge string) string{
		"empty":                   func(string) string { return "" },
		"no token":                func(string) string { return "x" },
		"two parts":               func(c string) string { p := prove(ec, c, true, nil); return p[:strings.LastIndex(p, ".")] },
		"four parts":              func(c string) string { return prove(ec, c, true, nil) + ".x" },
		"no signature":            func(c string) string { p := prove(ec, c, true, nil); return p[:strings.LastIndex(p, ".")+1] },
		"over 4 KiB":              raw(good, `{"jti":"CHALLENGE","x":"`+strings.Repeat("x", 4096)+`"}`),
		"padded":                  func(c string) string { return prove(ec, c, true, nil) + "=" },
		"standard base64":         func(c string) string { return strings.ReplaceAll(prove(ec, c, true, nil)+"+", "-", "+") },
		"stray bits":              func(c string) string { return strayBits(prove(ec, c, true, nil)) },
		"a quote at the end only": func(c string) string { return prove(ec, c, true, nil) + `"` },
		"typ JWT":                 head("typ", "JWT"),
		"typ in another case":     head("typ", "DBSC+JWT"),
		"no typ":                  head("typ", nil),
		"alg none":                head("alg", "none"),
		"alg HS256":               head("alg", "HS256"),
		"alg ES384":               head("alg", "ES384"),
		"alg of another key":      head("alg", "RS256"),
		"alg is a list":           head("alg", []string{"ES256"}),
		"no alg":                  head("alg", nil),
		"crit":                    head("crit", []string{"b64"}),
		"no jwk":                  head("jwk", nil),
		"jwk is null":             raw(`{"typ":"dbsc+jwt","alg":"ES256","jwk":null}`, `{"jti":"CHALLENGE"}`),
		"jwk is a string":         head("jwk", "x"),
		"jwk with d":              head("jwk", with(ec.jwk(), "d", "AAAA")),
		"jwk of P-384":            head("jwk", map[string]any{"kty": "EC", "crv": "P-384", "x": encode(point[1:49]), "y": encode(point[49:])}),
		"jwk without crv":         head("jwk", with(ec.jwk(), "crv", nil)),
		"jwk with kty OKP":        head("jwk", with(ec.jwk(), "kty", "OKP")),
		"point off the curve":     head("jwk", with(ec.jwk(), "y", encode(make([]byte, 32)))),
		"point at infinity":       head("jwk", with(with(ec.jwk(), "y", encode(make([]byte, 32))), "x", encode(make([]byte, 32)))),
		"short coordinate":        head("jwk", with(ec.jwk(), "x", encode(make([]byte, 31)))),
		"long coordinate":         head("jwk", with(ec.jwk(), "x", encode(append(make([]byte, 1), decoded(ec.jwk()["x"])...)))),
		"coordinate is a number":  head("jwk", with(ec.jwk(), "x", 1)),
		"RSA of 1024 bits":        func(c string) string { return prove(weak, c, true, nil) },
		"RSA with exponent 3": func(c string) string {
			return prove(strong, c, true, map[string]any{"jwk": with(strong.jwk(), "e", "Aw")})
		},
		"RSA with leading zero": func(c string) string {
			return prove(strong, c, true, map[string]any{"jwk": with(strong.jwk(), "n", encode(append([]byte{0}, strong.N.Bytes()...)))})
		},
		"even modulus": func(c string) string {
			even := new(big.Int).Sub(strong.N, big.NewInt(1))
			return prove(strong, c, true, map[string]any{"jwk": with(strong.jwk(), "n", encode(even.Bytes()))})
		},
		"modulus of 8192 bits": func(c string) string {
			return prove(strong, c, true, map[string]any{"jwk": with(strong.jwk(), "n", encode(append([]byte{0x80}, make([]byte, 1023)...)))})
		},
		"header is a list":     raw(`["dbsc+jwt"]`, `{"jti":"CHALLENGE"}`),
		"header is not JSON":   raw(`{"typ":"dbsc+jwt","alg":"ES256","jwk":JWK`, `{"jti":"CHALLENGE"}`),
		"two headers":          raw(good+good, `{"jti":"CHALLENGE"}`),
		"header with a tail":   raw(good+" ", `{"jti":"CHALLENGE"}`),
		"alg twice":            raw(`{"typ":"dbsc+jwt","alg":"none","alg":"ES256","jwk":JWK}`, `{"jti":"CHALLENGE"}`),
		"alg twice, escaped":   raw(`{"typ":"dbsc+jwt","\u0061lg":"none","alg":"ES256","jwk":JWK}`, `{"jti":"CHALLENGE"}`),
		"names in other cases": raw(`{"TYP":"dbsc+jwt","Alg":"ES256","jwk":JWK}`, `{"jti":"CHALLENGE"}`),
		"no jti":               raw(good, `{}`),
		"jti in another case":  raw(good, `{"JTI":"CHALLENGE"}`),
		"jti twice":            raw(good, `{"jti":"x","jti":"CHALLENGE"}`),
		"jti is a list":        raw(good, `{"jti":["CHALLENGE"]}`),
		"claims are not JSON":  raw(good, "\x00"),
	} {
		s := newService(t, options{})
		b := newBrowser(t, s)
		challenge := b.offered()
		w := b.register("/dbsc/registration", proof(challenge))
		require.Equal(t, http.StatusBadRequest, w.Code, name)
		require.Equal(t, []auth.Reason{dbsc.ReasonProof}, s.reasons(), name)
		require.Empty(t, s.sessions("alice")[0].Sealed, name)
		// The browser can still register.
		require.Equal(t, http.StatusOK, b.register("/dbsc/registration", prove(ec, challenge, true, nil)).Code, name)
	}
}

// Each of these is well-formed, and signed by another key, in another form, or over another text.
func TestProofs_wrongSignature(t *testing.T) {
	t.Parallel()
	ec, other, strong := newECKey(t), newECKey(t), newRSAKey(t, 2048)
	replaceSignature := func(p string, signature []byte) string { return p[:strings.LastIndex(p, ".")+1] + encode(signature) }
	for name, proof := range map[string]func(challenge string) string{
		"of another key":  func(c string) string { return prove(other, c, true, map[string]any{"jwk": ec.jwk()}) },
		"of zeros":        func(c string) string { return replaceSignature(prove(ec, c, true, nil), make([]byte, 64)) },
		"of 63 bytes":     func(c string) string { return replaceSignature(prove(ec, c, true, nil), make([]byte, 63)) },
		"of one byte":     func(c string) string { return replaceSignature(prove(strong, c, true, nil), make([]byte, 1)) },
		"of other claims": func(c string) string { return swapClaims(prove(ec, "x", true, nil), prove(ec, c, true, nil)) },
		"in DER form": func(c string) string {
			p := prove(ec, c, true, nil)
			der, _ := ec.PrivateKey.Sign(rand.Reader, make([]byte, 32), nil)
			return replaceSignature(p, der)
		},
		"RSA-PSS": func(c string) string {
			p := prove(strong, c, true, nil)
			pss, _ := rsa.SignPSS(rand.Reader, strong.PrivateKey, 5, make([]byte, 32), nil)
			return replaceSignature(p, pss)
		},
	} {
		s := newService(t, options{})
		b := newBrowser(t, s)
		w := b.register("/dbsc/registration", proof(b.offered()))
		require.Equal(t, http.StatusForbidden, w.Code, name)
		require.Equal(t, []auth.Reason{dbsc.ReasonSignature}, s.reasons(), name)
		require.Empty(t, s.sessions("alice")[0].Sealed, name)
	}
}

// A renewal has no key, and an algorithm that the service does not offer is rejected.
func TestProofs_keyWhereNone(t *testing.T) {
	t.Parallel()
	s := newService(t, options{dbsc: dbsc.Config{Algorithms: []dbsc.Algorithm{dbsc.ES256}}})
	b := newBrowser(t, s)
	require.Equal(t, http.StatusBadRequest, b.register("/dbsc/registration", prove(newRSAKey(t, 2048), b.offered(), true, nil)).Code)
	require.Equal(t, []auth.Reason{dbsc.ReasonProof}, s.reasons())
	b.signIn("alice")
	thief := b.copyCookies()
	thief.key = newECKey(t)
	r := httptest.NewRequest("POST", "/dbsc/refresh", nil)
	r.Header.Set("Sec-Secure-Session-Id", b.id)
	r.Header.Set("Secure-Session-Response", prove(thief.key, b.challenge, true, nil))
	require.Equal(t, http.StatusBadRequest, thief.send(r).Code)
	require.Equal(t, []auth.Reason{dbsc.ReasonProof}, s.reasons())
}

func strayBits(p string) string {
	last := p[len(p)-1]
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return p[:len(p)-1] + string(alphabet[strings.IndexByte(alphabet, last)|1])
}

func swapClaims(a, b string) string {
	partsA, partsB := strings.Split(a, "."), strings.Split(b, ".")
	partsA[1] = partsB[1]
	return strings.Join(partsA, ".")
}

func decoded(value any) []byte {
	b, _ := base64.RawURLEncoding.DecodeString(value.(string))
	return b
}
