package federate_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkExchange measures whole exchanges, over an [auth.MemoryStore], next to the check of the signature alone:
//
//	go test -run '^$' -bench Exchange -benchtime 5000x
func BenchmarkExchange(b *testing.B) {
	for _, test := range []struct {
		name, id string
		key      any
		check    func(digest, signature []byte) bool
	}{
		{"RS256", "rsa", rsaKey(), func(digest, signature []byte) bool {
			return rsa.VerifyPKCS1v15(&rsaKey().PublicKey, crypto.SHA256, digest, signature) == nil
		}},
		{"ES256", "ec", ecKey(), func(digest, signature []byte) bool {
			return ecdsa.Verify(&ecKey().PublicKey, digest, new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		}},
	} {
		b.Run(test.name, func(b *testing.B) {
			f := newFixture(b)
			tokens := make([]string, b.N)
			for i := range tokens {
				tokens[i] = sign(test.key, object{"alg": test.name, "kid": test.id, "typ": "JWT"}, claims())
			}
			b.ReportAllocs()
			b.ResetTimer()
			for _, token := range tokens {
				if f.exchange(token).Code != 200 {
					b.Fatal(f.takeEvents())
				}
			}
		})
		b.Run(test.name+" signature alone", func(b *testing.B) {
			token := sign(test.key, object{"alg": test.name, "kid": test.id}, claims())
			i := strings.LastIndex(token, ".")
			signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
			require.NoError(b, err)
			for b.Loop() {
				digest := sha256.Sum256([]byte(token[:i]))
				if !test.check(digest[:], signature) {
					b.Fatal("the signature is invalid")
				}
			}
		})
	}
}
