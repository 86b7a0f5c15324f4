package seal_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/seal"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

const name = "__Host-session"

func key(b byte) []byte { return append(bytes.Repeat([]byte{b}, 31), b+1) }

func newCookies(keys ...[]byte) *seal.Cookies { return seal.NewCookies(name, keys, time.Hour) }

func sealed(t testing.TB, c *seal.Cookies, plaintext string) string {
	t.Helper()
	value, err := c.Seal(plaintext)
	require.NoError(t, err)
	return value
}

func opens(c *seal.Cookies, value string) bool {
	_, verdict := c.Open(value, time.Now())
	return verdict == seal.Valid
}

func TestCookies(t *testing.T) {
	t.Parallel()
	c := newCookies(key(1))
	plaintext := token.New("")
	value := sealed(t, c, plaintext)
	require.NotContains(t, value, plaintext)
	require.NotEqual(t, value, sealed(t, c, plaintext), "sealed twice")
	for range 2 {
		digest, verdict := c.Open(value, time.Now())
		require.Equal(t, seal.Valid, verdict)
		require.Equal(t, token.Digest(plaintext), digest)
		text, verdict := c.OpenText(value, time.Now())
		require.Equal(t, seal.Valid, verdict)
		require.Equal(t, plaintext, text)
	}
	_, verdict := c.OpenText(value, time.Now().Add(100*365*24*time.Hour))
	require.Equal(t, seal.Expired, verdict)
	_, err := c.Seal(strings.Repeat("a", seal.MaxCookie))
	require.Error(t, err, "no browser keeps a cookie of that size")
}

// mutations returns values that differ from a sealed one. securecookie itself accepts line
// breaks and loose padding bits.
func mutations(value string) []string {
	list := []string{
		"", `"` + value + `"`, value + "=", value + "\n", "\n" + value, value + " x", value + value, "%" + value,
		strings.Repeat("A", 5000), strings.Repeat("A", 4096), strings.Repeat("A", 144), "MXwyfDM=", // 1|2|3
		strings.ToLower(value), strings.ReplaceAll(value, "-", "+"), strings.ReplaceAll(value, "_", "/"),
	}
	for i := range value {
		for _, c := range []byte{value[i] ^ 1, value[i] ^ 2, 'A', '=', '\n', 0x80} {
			list = append(list, value[:i]+string([]byte{c})+value[i+1:])
		}
		list = append(list, value[:i], value[i:]+"A", value[:i]+"\n"+value[i:], value[:i]+"\r"+value[i:])
	}
	return list
}

func TestCookies_tampered(t *testing.T) {
	t.Parallel()
	c := newCookies(key(1))
	value := sealed(t, c, token.New(""))
	for _, opened := range []bool{false, true} { // before the value is cached, and after
		for _, mutated := range mutations(value) {
			if mutated != value {
				require.False(t, opens(c, mutated), "%q", mutated)
				text, verdict := c.OpenText(mutated, time.Now())
				require.Equal(t, seal.Forged, verdict, "%q", mutated)
				require.Empty(t, text)
			}
		}
		require.True(t, opens(c, value), "cached: %v", opened)
	}
}

// The last character of a value with padding has bits that decoders ignore.
func TestCookies_loosePaddingBits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// In the year 2000 a timestamp has nine digits, which makes the value end in "=".
		c := newCookies(key(1))
		value := sealed(t, c, token.New(""))
		require.True(t, strings.HasSuffix(value, "="))
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := len(value) - 2
		others := 0
		for _, char := range alphabet {
			other := value[:last] + string(char) + "="
			if other != value {
				require.False(t, opens(c, other))
				others++
			}
		}
		require.Equal(t, 63, others)
		require.True(t, opens(c, value))
	})
}

// What Plausible rejects is not a value of ours; all that Seal returns is plausible.
func TestPlausible(t *testing.T) {
	t.Parallel()
	value := sealed(t, newCookies(key(1)), token.New(""))
	require.True(t, seal.Plausible(value))
	require.True(t, seal.Plausible(goldenValue))
	require.True(t, seal.Plausible(value[:20]+"A"+value[21:]), "the MAC is not checked")
	for _, junk := range []string{
		"", "x", strings.Repeat("A", 144), strings.Repeat("0", 144), value[:76], value + "=", value + value, value[:143] + "\n",
		value[:20] + "\n" + value[21:], value[:20] + "+" + value[21:], value[:20] + "=" + value[21:], value[:140] + "A=AA", value[:140] + "\n\n\n\n",
		base64.URLEncoding.EncodeToString([]byte("+1700000000|" + strings.Repeat("x", 96))),
		base64.URLEncoding.EncodeToString([]byte("|" + strings.Repeat("x", 107))),
		base64.URLEncoding.EncodeToString([]byte("170000000000|" + strings.Repeat("x", 95))),
	} {
		require.False(t, seal.Plausible(junk), "%q", junk)
	}
}

func TestCookies_keys(t *testing.T) {
	t.Parallel()
	older, newer, removed := key(10), key(20), key(30)
	now := newCookies(newer, older)
	require.True(t, opens(now, sealed(t, newCookies(older, removed), "x")))
	require.False(t, opens(now, sealed(t, newCookies(removed), "x")))
	value := sealed(t, now, "x")
	require.True(t, opens(newCookies(newer), value), "the first key seals")
	require.False(t, opens(newCookies(older), value))
}

func TestCookies_ofAnotherPurpose(t *testing.T) {
	t.Parallel()
	c := newCookies(key(1))
	other := seal.NewCookies("__Host-preferences", [][]byte{key(1)}, time.Hour)
	require.False(t, opens(c, sealed(t, other, "x")), "of another name")
	foreign, err := securecookie.New(key(1), key(1)).Encode(name, "x")
	require.NoError(t, err)
	require.False(t, opens(c, foreign), "sealed by the application with the same key")
}

// Each bubble's clock starts at the same time: they are two machines, and the clock of one
// may be ahead.
func TestCookies_clocks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		issue, present time.Duration
		want           seal.Verdict
	}{
		{"at once", 0, 0, seal.Valid},
		{"at its end", 0, time.Hour, seal.Valid}, // the record in the store decides
		{"a second past its end", 0, time.Hour + time.Second, seal.Expired},
		{"a year past its end", 0, 365 * 24 * time.Hour, seal.Expired},
		{"from a clock a minute ahead", time.Minute, 0, seal.Valid},
		{"from a clock over a minute ahead", 61 * time.Second, 0, seal.Ahead},
		{"from a clock an hour ahead", time.Hour, 0, seal.Ahead},
	} {
		t.Run(test.name, func(t *testing.T) {
			var value string
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(test.issue)
				value = sealed(t, newCookies(key(1)), "x")
			})
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(test.present)
				digest, verdict := newCookies(key(2), key(1)).Open(value, time.Now())
				require.Equal(t, test.want, verdict)
				require.Equal(t, token.Digest("x"), digest)
				_, verdict = newCookies(key(3)).Open(value, time.Now())
				require.Equal(t, seal.Forged, verdict, "whatever its age")
				_, verdict = newCookies(key(1)).Open(value[:len(value)-1]+"A", time.Now())
				require.Equal(t, seal.Forged, verdict, "whatever its age")
			})
		})
	}
}

// Cookies of every release open in all later ones. This one was sealed in 2019, and lives for
// a century.
const (
	goldenValue = "MTU3NzQwNDgwMHxGcWFVLVhiSlk2QnNNb3VpM002RFo0ekhNMktmZWNlQ3drb2F0" +
		"VEdqQ0pHOGR4RDZRZ0ZRczNaZ2lMMHVURzJWfI_0wYQQMPOtwxHOpfCn83DUhUQRBRgItzfkuv8bU0qJ"
	goldenPlaintext = "0123456789abcdefghijklmnopqrstuv"
)

func newGoldenCookies() *seal.Cookies {
	return seal.NewCookies(name, [][]byte{key(1)}, 100*365*24*time.Hour)
}

func TestCookies_golden(t *testing.T) {
	t.Parallel()
	digest, verdict := newGoldenCookies().Open(goldenValue, time.Now())
	require.Equal(t, seal.Valid, verdict)
	require.Equal(t, token.Digest(goldenPlaintext), digest)
}

// A sealed value opens to the digest of its plaintext, and no other value opens.
func FuzzCookies(f *testing.F) {
	c := newGoldenCookies()
	for i, value := range mutations(goldenValue) {
		if i < 32 {
			f.Add(value, "plaintext", i)
		}
	}
	f.Add(goldenValue, "x", 0)
	f.Add(goldenValue, "a|b\x00", 1<<20)
	f.Fuzz(func(t *testing.T, value, plaintext string, i int) {
		require.Equal(t, value == goldenValue, opens(c, value), "%q", value)
		own, err := c.Seal(plaintext)
		if err != nil || plaintext == "" {
			return // too long, or nothing to seal
		}
		digest, verdict := c.Open(own, time.Now())
		require.Equal(t, seal.Valid, verdict)
		require.Equal(t, token.Digest(plaintext), digest)
		b := []byte(own)
		b[uint(i)%uint(len(b))] ^= byte(1 + uint(i)%255)
		require.False(t, opens(c, string(b)), "%q of %q", b, own)
	})
}
