package auth

import (
	"crypto/sha256"
	"testing"
)

// BenchmarkDigestOf shows what digestOf saves for a token with a prefix.
func BenchmarkDigestOf(b *testing.B) {
	const plaintext = "acme_pat_0123456789012345678901234567890123abcd"
	b.Run("from the stack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			digestOf(plaintext)
		}
	})
	b.Run("by a conversion", func(b *testing.B) {
		b.ReportAllocs()
		text := plaintext
		for b.Loop() {
			sha256.Sum256([]byte(text))
		}
	})
}
