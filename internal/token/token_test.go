package token_test

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

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
	// 320,000 characters over 62 are about 5,161 each. Taking bytes modulo 62 would make
	// the first eight a quarter more likely.
	require.Len(t, counts, 62)
	for c, n := range counts {
		require.InDelta(t, 5161, n, 600, "%c", c)
	}
}

func TestIntact(t *testing.T) {
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
	// Secret scanners rely on the format: it must never change. The checksum is that of
	// Python's zlib.crc32.
	require.True(t, token.Intact("acme_pat_0123456789ABCDEFGHIJKLMNOPQRSTUV1V3Feb"))
	// Six characters could encode this checksum a second time, plus 2^32.
	require.False(t, token.Intact("acme_pat_0123456789ABCDEFGHIJKLMNOPQRSTUV6BiUqf"))
	for c := range 256 {
		if c != 'b' {
			require.False(t, token.Intact("acme_pat_0123456789ABCDEFGHIJKLMNOPQRSTUV1V3Fe"+string([]byte{byte(c)})), "%q", c)
		}
	}
}

func TestValidPrefix(t *testing.T) {
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

// Plaintexts of up to 64 bytes are hashed from the stack, longer ones are not.
func TestDigest(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 32, 55, 63, 64, 65, 66, 512} {
		plaintext := strings.Repeat("a", n)
		require.Equal(t, sha256.Sum256([]byte(plaintext)), token.Digest(plaintext), "%d bytes", n)
	}
}

func TestHint(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ prefix, plaintext, want string }{
		{"", "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", "…Pcx3"},
		{"acme_pat", "acme_pat_0123456789ABCDEFGHIJKLMNOPQRSTUV1V3Feb", "acme_pat_…3Feb"},
		{"acme_pat", "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", "…Pcx3"},
		{"acme", "acmepat0123456789abcdefghij", "…ghij"},
	} {
		require.Equal(t, test.want, token.Hint(test.prefix, test.plaintext))
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 1, 12, 9, 30, 0, 0, time.UTC)
	seen, last := make(map[string]bool), ""
	for i := range 1000 {
		now := at.Add(time.Duration(i) * time.Millisecond)
		id := token.ID(now)
		require.Regexp(t, "^[0-7][0-9A-HJKMNP-TV-Z]{25}$", id)
		require.Greater(t, id, last, "IDs sort by their times")
		require.Equal(t, id[:10], token.ID(now)[:10], "the first ten characters are the time")
		require.False(t, seen[id[10:]], "the others are random")
		seen[id[10:]], last = true, id
	}
	// The example of github.com/ulid/spec.
	require.Equal(t, "01ARYZ6S41", token.ID(time.UnixMilli(1469918176385))[:10])
}

func TestIDTime(t *testing.T) {
	t.Parallel()
	for _, ms := range []int64{0, 1, 1469918176385, 1<<48 - 1} {
		at, ok := token.IDTime(token.ID(time.UnixMilli(ms)))
		require.True(t, ok, ms)
		require.Equal(t, time.UnixMilli(ms).UTC(), at)
	}
	id := token.ID(time.UnixMilli(1469918176385))
	for _, junk := range []string{
		"", id[1:], id + "0", "8" + id[1:], "Z" + id[1:], strings.ToLower(id), id[:25] + "I", id[:25] + "\n", "\n" + id[:25], id[:24] + "é",
	} {
		_, ok := token.IDTime(junk)
		require.False(t, ok, "%q", junk)
	}
}

func TestFromUUID(t *testing.T) {
	t.Parallel()
	for uuid, want := range map[string]string{
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398f": "01FWHE4YDGFK1SHH6W1G60EECF", // RFC 9562, appendix A.6
		"017F22E2-79B0-7CC3-98C4-DC0C0C07398F": "01FWHE4YDGFK1SHH6W1G60EECF",
		"017f22e2-79b0-4cc3-98c4-dc0c0c07398f": "", // random: version 4
		"017f22e2-79b0-7cc3-d8c4-dc0c0c07398f": "", // another variant
		"017f22e279b0-7cc3-98c4-dc0c0c07398f":  "",
		"017f22e27-9b0-7cc3-98c4-dc0c0c07398f": "",
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398g": "",
		"017f22e2-79b0-7cc3-98c4-dc0c0c0739-f": "",
		"01FWHE4YDGFK1SHH6W1G60EECF":           "",
		"":                                     "",
	} {
		id, ok := token.FromUUID(uuid)
		require.Equal(t, want, id, uuid)
		require.Equal(t, want != "", ok, uuid)
		if ok {
			made, ok := token.IDTime(id)
			require.True(t, ok)
			require.Equal(t, time.Date(2022, 2, 22, 19, 22, 22, 0, time.UTC), made)
		}
	}
}

func FuzzFromUUID(f *testing.F) {
	f.Add("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
	f.Add("017f22e2-79b0-7cc3-98c4-dc0c0c0739-f")
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := token.FromUUID(s)
		if _, valid := token.IDTime(id); ok != valid || ok != (id != "") {
			t.Fatalf("%q becomes %q", s, id)
		}
	})
}

func TestDerivedID(t *testing.T) {
	t.Parallel()
	id := token.ID(time.UnixMilli(1469918176385))
	derived := token.DerivedID(id, "ada")
	require.Equal(t, derived, token.DerivedID(id, "ada"))
	require.Regexp(t, "^01ARYZ6S41[0-9A-HJKMNP-TV-Z]{16}$", derived, "it has the time")
	for _, other := range []string{
		id, token.DerivedID(id, "grace"), token.DerivedID(token.ID(time.UnixMilli(1469918176385)), "ada"), token.DerivedID(derived, "ada"),
	} {
		require.NotEqual(t, derived, other)
	}
}

func FuzzDigest(f *testing.F) {
	for _, n := range []int{0, 1, 55, 64, 65, 512} {
		f.Add(strings.Repeat("a", n))
	}
	f.Fuzz(func(t *testing.T, plaintext string) {
		if token.Digest(plaintext) != sha256.Sum256([]byte(plaintext)) {
			t.Fatalf("%q", plaintext)
		}
	})
}

func FuzzIntact(f *testing.F) {
	f.Add("acme_pat", token.New("acme_pat"))
	f.Add("a", "a_"+strings.Repeat("0", 38))
	f.Add("", token.New(""))
	f.Fuzz(func(t *testing.T, prefix, s string) {
		if token.ValidPrefix(prefix) {
			made := token.New(prefix)
			if !token.Shaped(prefix, made) || !token.Intact(made) || len(made) > 55 {
				t.Fatalf("%q is not recognized", made)
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

// BenchmarkDigest shows what hashing from the stack saves for a token with a prefix.
func BenchmarkDigest(b *testing.B) {
	const plaintext = "acme_pat_0123456789ABCDEFGHIJKLMNOPQRSTUV1V3Feb"
	b.Run("from the stack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			token.Digest(plaintext)
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

func BenchmarkIntact(b *testing.B) {
	s := token.New("acme_pat")
	b.ReportAllocs()
	for b.Loop() {
		if !token.Intact(s) {
			b.Fatal(s)
		}
	}
}
