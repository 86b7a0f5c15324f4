package redisstore

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Only record.go and the scripts know the layout, so these tests are in the package.

func credentials() []auth.Credential {
	at := time.UnixMicro(1795583847034923).UTC()
	whole := auth.Credential{
		ID: "01JD0000000000000000000000", Kind: auth.KindToken, UserID: "user-1", Name: "deploy", Hint: "acme_…1234",
		Scopes: "notes:read notes:write", Sealed: []byte{0, 1, 0xFF}, CreatedAt: at, ExpiresAt: at.Add(time.Hour),
		LastUsedAt: at.Add(time.Minute), Superseded: true, Previous: "01JC0000000000000000000000",
	}
	rand.Read(whole.Digest[:])
	odd := whole
	odd.UserID, odd.Name, odd.Scopes, odd.Sealed = "\x00\xff 'ä'\n", strings.Repeat("x", maxText), "", nil
	odd.ExpiresAt, odd.LastUsedAt, odd.Superseded, odd.Kind = time.Time{}, time.Time{}, false, auth.KindSecret
	far := odd
	far.ExpiresAt = time.UnixMicro(1<<63 - 1).UTC()
	return []auth.Credential{whole, odd, far, {Kind: auth.KindSession}}
}

func TestDecode_roundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range credentials() {
		text, err := encode(c)
		require.NoError(t, err)
		got, err := decode(text)
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
}

func TestDecode_expiryBefore1970(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(-1, 0), time.UnixMicro(-1 << 63)} {
		text, err := encode(auth.Credential{Kind: auth.KindToken, ExpiresAt: at})
		require.NoError(t, err)
		got, err := decode(text)
		require.NoError(t, err)
		require.Equal(t, time.UnixMicro(1).UTC(), got.ExpiresAt, "an expiry, not never")
	}
}

func TestEncode_textTooLong(t *testing.T) {
	t.Parallel()
	_, err := encode(auth.Credential{Kind: auth.KindToken, Name: strings.Repeat("x", maxText+1)})
	require.Error(t, err)
}

// A truncated or corrupt record is rejected, and above all never read as one that does
// not expire.
func TestDecode_corruptRecord(t *testing.T) {
	t.Parallel()
	text, err := encode(credentials()[0])
	require.NoError(t, err)
	for n := range len(text) {
		_, err := decode(text[:n])
		require.Error(t, err, "truncated to %d bytes", n)
	}
	_, err = decode(text + "0")
	require.Error(t, err, "with a trailing byte")
	set := func(at int, with string) string { return text[:at] + with + text[at+len(with):] }
	for name, corrupt := range map[string]string{
		"another version":         set(0, "2"),
		"kind 0":                  set(1, "0"),
		"an unknown kind":         set(1, "4"),
		"an invalid flag":         set(2, "2"),
		"a time in letters":       set(createdAt, "now"),
		"a time with a sign":      set(createdAt, "-"),
		"a time with spaces":      set(expiresAt, "  "),
		"a zero expiry":           set(expiresAt, strings.Repeat("0", timeLength)),
		"almost never":            set(expiresAt, never[1:]+"8"),
		"a time that overflows":   set(expiresAt, "09999999999999999999"),
		"a length with a sign":    set(headLength, "+0006"),
		"a length beyond the end": set(headLength, "00007"),
	} {
		_, err := decode(corrupt)
		require.Error(t, err, name)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range credentials() {
		text, err := encode(c)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add("0" + "1" + strings.Repeat("0", timeLength))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := decode(text)
		if err != nil {
			return
		}
		encoded, err := encode(c)
		require.NoError(t, err)
		require.Equal(t, text, encoded, "two encodings of one record")
	})
}
