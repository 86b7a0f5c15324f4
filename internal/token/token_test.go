package token_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/token"
)

func TestNew(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	counts := make(map[rune]int)
	for range 10_000 {
		s := token.New("")
		require.Len(t, s, 32)
		require.False(t, seen[s])
		seen[s] = true
		for _, c := range s {
			counts[c]++
		}
	}
	// 320,000 characters over 62: 5,161 each, give or take. Taking bytes modulo 62
	// would make the first eight half as likely again.
	require.Len(t, counts, 62)
	for c, n := range counts {
		require.InDelta(t, 5161, n, 600, "%c", c)
	}
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	s := token.New("acme_pat")
	require.True(t, token.Shaped("acme_pat", s))
	require.True(t, token.Intact(s))
	for i := range s {
		for _, c := range []byte("0aZ") {
			if c != s[i] {
				require.False(t, token.Intact(s[:i]+string(c)+s[i+1:]), "character %d", i)
			}
		}
	}
	for i := range len(s) - 1 {
		if s[i] != s[i+1] {
			swapped := s[:i] + string(s[i+1]) + string(s[i]) + s[i+2:]
			require.False(t, token.Intact(swapped), "characters %d and %d swapped", i, i+1)
		}
	}
	require.False(t, token.Intact(""))
	require.False(t, token.Intact("000000"))
	// Scanners of leaked credentials know the form: it must never change. The
	// checksum is that of Python's zlib.crc32.
	require.True(t, token.Intact("acme_pat_0123456789ABCDEFGHIJKLMNOPQRSTUV1V3Feb"))
}

func TestPrefixes(t *testing.T) {
	t.Parallel()
	for p, want := range map[string]bool{"a": true, "acme_pat": true, "A9_": true, strings.Repeat("a", 16): true, "": false, strings.Repeat("a", 17): false, "a-b": false, "é": false, "a b": false} {
		require.Equal(t, want, token.ValidPrefix(p), p)
	}
	s := token.New("a")
	for _, p := range []string{"", "b", "ab", "a_"} {
		require.False(t, token.Shaped(p, s), p)
	}
	require.False(t, token.Shaped("a", s+"x"))
	require.False(t, token.Shaped("a", strings.Replace(s, "_", "-", 1)))
}

func FuzzFormat(f *testing.F) {
	f.Add("acme_pat", token.New("acme_pat"))
	f.Add("a", "a_"+strings.Repeat("0", 38))
	f.Add("", token.New(""))
	f.Fuzz(func(t *testing.T, prefix, s string) {
		if token.ValidPrefix(prefix) {
			made := token.New(prefix)
			if !token.Shaped(prefix, made) || !token.Intact(made) || len(made) > 55 {
				t.Fatalf("%q is not recognised", made)
			}
			if token.Shaped(prefix, s) && (len(s) != len(made) || !strings.HasPrefix(s, prefix+"_")) {
				t.Fatalf("%q is taken for a token", s)
			}
		}
		if len(s) < 60 {
			token.Intact(s)
		}
		if token.Intact(s) && len(s) > 7 && len(s) < 60 {
			if flipped := s[:len(s)-7] + string(s[len(s)-7]^1) + s[len(s)-6:]; token.Intact(flipped) {
				t.Fatalf("%q and %q have one checksum", s, flipped)
			}
		}
	})
}

func BenchmarkIntact(b *testing.B) {
	s := token.New("acme_pat")
	b.ReportAllocs()
	for b.Loop() {
		if !token.Intact(s) {
			b.Fatal(s)
		}
	}
}
