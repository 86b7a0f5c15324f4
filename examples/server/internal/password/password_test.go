package password_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

func TestNew(t *testing.T) {
	t.Parallel()
	h, other := password.New("right"), password.New("right")
	require.True(t, h.Matches("right"))
	require.False(t, h.Matches("Right"))
	require.False(t, h.Matches(""))
	long := strings.Repeat("x", 10_000)
	require.False(t, h.Matches("right"+long))
	require.True(t, password.New(long).Matches(long))
	require.False(t, password.New(long).Matches(long+"x"), "every byte counts")
	require.NotEqual(t, h, other, "each has its own salt")
}

func TestParse(t *testing.T) {
	t.Parallel()
	const phc = "$argon2id$v=19$m=19456,t=2,p=1$"
	h := password.New("right")
	text := h.String()
	require.True(t, strings.HasPrefix(text, phc), text)
	parsed, err := password.Parse(text)
	require.NoError(t, err)
	require.Equal(t, h, parsed)
	require.True(t, parsed.Matches("right"))
	for _, invalid := range []string{"", phc, text + "A", text[1:], text[:len(text)-1], phc + "$", strings.Replace(text, "t=2", "t=1", 1)} {
		_, err := password.Parse(invalid)
		require.Error(t, err, invalid)
	}
}
