package challenge_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/challenge"
)

func TestFormat(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Bearer", challenge.Format("Bearer"))
	require.Equal(t, "Bearer", challenge.Format("Bearer", challenge.Param{Name: "error"}))
	require.Equal(t, `Bearer realm="a\"\\b", scope="c d"`, challenge.Format("Bearer",
		challenge.Param{Name: "realm", Value: `a"\b`}, challenge.Param{Name: "error"}, challenge.Param{Name: "scope", Value: "c d"}))
}

// Whatever the realm is, a reader of RFC 9110 gets it back, and nothing else.
func FuzzFormat(f *testing.F) {
	for _, seed := range []string{"api", `a"b`, `a\`, `\"`, "a, b=c", "Grüße", "\r\n", "a\x00", "\xff", `", error="x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, realm string) {
		if challenge.Check(realm) != nil || realm == "" {
			return
		}
		line := challenge.Format("Bearer", challenge.Param{Name: "realm", Value: realm}, challenge.Param{Name: "error", Value: "invalid_token"})
		if strings.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("%q breaks the field", line)
		}
		rest, ok := strings.CutPrefix(line, `Bearer realm="`)
		if !ok {
			t.Fatalf("%q", line)
		}
		var got strings.Builder
		for i := 0; ; i++ {
			if rest[i] == '"' {
				rest = rest[i:]
				break
			}
			if rest[i] == '\\' {
				i++
			}
			got.WriteByte(rest[i])
		}
		if got.String() != realm || rest != `", error="invalid_token"` {
			t.Fatalf("%q reads as %q and %q", line, got.String(), rest)
		}
	})
}
