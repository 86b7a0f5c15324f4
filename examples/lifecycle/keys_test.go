package main

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestParseKeys(t *testing.T) {
	t.Parallel()
	older, newer := key(), key()
	text := base64.StdEncoding.EncodeToString
	keys, err := parseKeys(text(newer) + ", " + text(older) + "\n")
	require.NoError(t, err)
	require.EqualValues(t, auth.Keys{newer, older}, keys)

	_, err = parseKeys(text(newer) + ",secret?")
	require.EqualError(t, err, "key 2 is not base64", "without the text")

	for _, list := range []string{"", text(newer) + ",", text(newer[:31])} {
		keys, err := parseKeys(list)
		require.NoError(t, err)
		_, err = auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: keys})
		require.Error(t, err, "%q", list)
	}
}
