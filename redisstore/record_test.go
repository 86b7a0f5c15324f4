package redisstore

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// The layout is between this file and the scripts, so its tests are inside.

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

func TestRecordComesBackWhole(t *testing.T) {
	t.Parallel()
	for _, c := range credentials() {
		text, err := encode(c)
		require.NoError(t, err)
		got, err := decode(text)
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
}

func TestTimesBefore1970Ended(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(-1, 0), time.UnixMicro(-1 << 63)} {
		text, err := encode(auth.Credential{Kind: auth.KindToken, ExpiresAt: at})
		require.NoError(t, err)
		got, err := decode(text)
		require.NoError(t, err)
		require.Equal(t, time.UnixMicro(1).UTC(), got.ExpiresAt, "an end, and not never")
	}
}

func TestTooLongATextIsRefused(t *testing.T) {
	t.Parallel()
	_, err := encode(auth.Credential{Kind: auth.KindToken, Name: strings.Repeat("x", maxText+1)})
	require.Error(t, err)
}

// What is cut off, or has bytes of another, is no record; least of all one that
// never expires.
func TestSpoiltRecordIsRefused(t *testing.T) {
	t.Parallel()
	text, err := encode(credentials()[0])
	require.NoError(t, err)
	for n := range len(text) {
		_, err := decode(text[:n])
		require.Error(t, err, "cut to %d bytes", n)
	}
	_, err = decode(text + "0")
	require.Error(t, err, "with something behind it")
	set := func(at int, with string) string { return text[:at] + with + text[at+len(with):] }
	for name, spoilt := range map[string]string{
		"another version":         set(0, "2"),
		"no kind":                 set(1, "0"),
		"a kind that is none":     set(1, "4"),
		"no flag":                 set(2, "2"),
		"a time in letters":       set(createdAt, "now"),
		"a time with a sign":      set(createdAt, "-"),
		"a time with spaces":      set(expiresAt, "  "),
		"no expiry at all":        set(expiresAt, strings.Repeat("0", timeLength)),
		"nearly never":            set(expiresAt, never[1:]+"8"),
		"more than a time holds":  set(expiresAt, "09999999999999999999"),
		"a length with a sign":    set(headLength, "+0006"),
		"a length that is longer": set(headLength, "00007"),
	} {
		_, err := decode(spoilt)
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
		again, err := encode(c)
		require.NoError(t, err)
		require.Equal(t, text, again, "two spellings of one record")
	})
}
