package auth_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A token of one kind is nothing to the others.
func TestRequire_kindsAreNotConfused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	// The session's token, as its owner could read it out of memory: the store is
	// given a session whose token we know.
	session := repeated("s", 32)
	require.NoError(t, f.store.Create(t.Context(), auth.Credential{
		ID: "s", Kind: auth.KindSession, UserID: "ada", Scopes: "*", Digest: sha256.Sum256([]byte(session)), CreatedAt: time.Now(),
	}, 0))
	for name, header := range map[string]string{
		"token as secret":   "Secret " + f.token("ada"),
		"secret as token":   "Bearer " + f.issueSecret("ada"),
		"session as token":  "Bearer " + session,
		"session as secret": "Secret " + session,
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, 401, h.get(authorization(header)).Code)
			require.Zero(t, h.served.Load())
		})
	}
}
