package pgnotify

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

var payloads = []struct {
	name, payload string
	kind          auth.Kind
	userID        string
	ok            bool
}{
	{"a token", "1 alice", auth.KindToken, "alice", true},
	{"a session", "2 alice", auth.KindSession, "alice", true},
	{"a secret", "3 alice", auth.KindSecret, "alice", true},
	{"a user ID with spaces", "1  al ice ", auth.KindToken, " al ice ", true},
	{"a user ID that is not ASCII", "1 é\U0001F600", auth.KindToken, "é\U0001F600", true},
	{"nobody knows which", "0 ", 0, "", false},
	{"no kind", " alice", 0, "", false},
	{"a kind that there is not", "4 alice", 0, "", false},
	{"two digits", "11 alice", 0, "", false},
	{"no user ID", "1 ", 0, "", false},
	{"no space", "1alice", 0, "", false},
	{"nothing", "", 0, "", false},
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range payloads {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kind, userID, ok := parse(tt.payload)
			require.Equal(t, tt.ok, ok)
			require.Equal(t, tt.kind, kind)
			require.Equal(t, tt.userID, userID)
		})
	}
}

// Anybody who may connect to the database may notify.
func FuzzParse(f *testing.F) {
	for _, tt := range payloads {
		f.Add(tt.payload)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		kind, userID, ok := parse(payload)
		if !ok {
			require.Zero(t, kind)
			require.Empty(t, userID)
			return
		}
		require.True(t, strings.HasSuffix(payload, " "+userID))
		require.Contains(t, []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret}, kind)
	})
}
