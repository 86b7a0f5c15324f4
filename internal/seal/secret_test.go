package seal_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/seal"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

func newSecrets(keys ...[]byte) seal.Secrets { return seal.NewSecrets(keys) }

func TestSecrets(t *testing.T) {
	t.Parallel()
	const plaintext = "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3"
	digest := token.Digest(plaintext)
	older, newer := key(1), key(2)
	sealed := newSecrets(older).Seal(plaintext, "ada", "01")
	require.False(t, bytes.Contains(sealed, []byte(plaintext)))
	require.NotEqual(t, sealed, newSecrets(older).Seal(plaintext, "ada", "01"), "sealed twice")
	for _, test := range []struct {
		name       string
		s          seal.Secrets
		sealed     []byte
		userID, id string
		digest     [32]byte
		want       string // empty if it does not open
	}{
		{"by its key", newSecrets(older), sealed, "ada", "01", digest, plaintext},
		{"by an older key", newSecrets(newer, older), sealed, "ada", "01", digest, plaintext},
		{"without its key", newSecrets(newer), sealed, "ada", "01", digest, ""},
		{"without keys", newSecrets(), sealed, "ada", "01", digest, ""},
		{"of another user", newSecrets(older), sealed, "eve", "01", digest, ""},
		{"of another record", newSecrets(older), sealed, "ada", "02", digest, ""},
		{"of a user and an ID that are one string", newSecrets(older), sealed, "ada0", "1", digest, ""},
		{"of another digest", newSecrets(older), sealed, "ada", "01", token.Digest("x"), ""},
		{"nothing", newSecrets(older), nil, "ada", "01", digest, ""},
		{"too short", newSecrets(older), sealed[:20], "ada", "01", digest, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := test.s.Open(test.sealed, test.userID, test.id, test.digest)
			require.Equal(t, test.want != "", ok)
			require.Equal(t, test.want, got)
		})
	}
}

// Secrets of every release open in all later ones.
func TestSecrets_golden(t *testing.T) {
	t.Parallel()
	const plaintext = "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3"
	sealed, err := hex.DecodeString("6ddce6ed0a1c8fd3cf6fe6789fac2a4530a566bdb20d04982bc36fac659f7b394f87e525f3d88dd3170525845c17fd6fbe2ba403886424a5bfffa640")
	require.NoError(t, err)
	got, ok := newSecrets(key(1)).Open(sealed, "ada", "01", token.Digest(plaintext))
	require.True(t, ok)
	require.Equal(t, plaintext, got)
}

func TestSecrets_withoutKeys(t *testing.T) {
	t.Parallel()
	require.Nil(t, newSecrets().Seal("x", "ada", "01"))
}

func TestSecrets_tampered(t *testing.T) {
	t.Parallel()
	s := newSecrets(key(1))
	sealed := s.Seal("x", "ada", "01")
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		_, ok := s.Open(altered, "ada", "01", token.Digest("x"))
		require.False(t, ok, "byte %d", i)
		_, ok = s.Open(sealed[:i], "ada", "01", token.Digest("x"))
		require.False(t, ok, "the first %d bytes", i)
	}
}

// A sealed secret opens for its own record, and not if anything about it was changed.
func FuzzSecrets(f *testing.F) {
	f.Add("wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", "ada", "01", 0)
	f.Add("", "", "", 1)
	f.Add("x\x00y", "世界", "\xff", 1<<20)
	s := newSecrets(key(1), key(2))
	f.Fuzz(func(t *testing.T, plaintext, userID, id string, i int) {
		digest := token.Digest(plaintext)
		sealed := s.Seal(plaintext, userID, id)
		got, ok := newSecrets(key(3), key(1)).Open(sealed, userID, id, digest)
		require.True(t, ok)
		require.Equal(t, plaintext, got)
		for _, other := range [][2]string{{userID + "x", id}, {userID, id + "x"}, {"x" + userID, id}} {
			_, ok = s.Open(sealed, other[0], other[1], digest)
			require.False(t, ok, "%q", other)
		}
		sealed[uint(i)%uint(len(sealed))] ^= byte(1 + uint(i)%255)
		_, ok = s.Open(sealed, userID, id, digest)
		require.False(t, ok)
	})
}
