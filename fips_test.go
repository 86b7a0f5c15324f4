package auth_test

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The package uses approved algorithms only. GODEBUG=fips140=only makes all others fail or
// panic, but has to be set when a process starts: some tests run again in another process.
// In a bubble of testing/synctest, where time stands still, it cannot gather entropy.
func TestFIPS(t *testing.T) {
	t.Parallel()
	const child = "AUTH_TEST_FIPS"
	if os.Getenv(child) != "" {
		require.True(t, fips140.Enabled())
		return
	}
	tests := []string{
		"TestFIPS", "TestFromContext", "TestBearer_format", "TestBearer_issueListRevoke", "TestBearer_import",
		"TestSignIn_replacesTheSession", "TestSignOut", "TestCookie_keyRing", "TestSecret_olderID", "TestSecret_reveal",
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.run=^("+strings.Join(tests, "|")+")$")
	cmd.Env = append(os.Environ(), child+"=1", "GODEBUG=fips140=only")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, name := range tests {
		require.Contains(t, string(out), "--- PASS: "+name+" (")
	}
}
