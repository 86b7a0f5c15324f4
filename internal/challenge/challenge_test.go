package challenge_test

import (
	"slices"
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

func TestCheck(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"": "", "api": "", `a"b\c`: "", "Grüße, 世界": "",
		"a\r\nSet-Cookie: x=y": "control character", "a\nb": "control character", "a\x00": "control character", "a\x7f": "control character",
		"a\xff": "not UTF-8",
	} {
		err := challenge.Check(s)
		if want == "" {
			require.NoError(t, err, "%q", s)
			continue
		}
		require.ErrorContains(t, err, want, "%q", s)
	}
}

// A client that parses the challenge by RFC 9110 gets the parameters that were written.
func FuzzFormat(f *testing.F) {
	for _, seed := range []string{"api", `a"b`, `a\`, `\"`, "a, b=c", "Grüße", "\r\n", "a\x00", "\xff", `", error="x`, ""} {
		f.Add(seed, "invalid_token")
		f.Add("api", seed)
	}
	f.Fuzz(func(t *testing.T, realm, code string) {
		if challenge.Check(realm) != nil || challenge.Check(code) != nil {
			return
		}
		written := []challenge.Param{{Name: "realm", Value: realm}, {Name: "error", Value: code}}
		line := challenge.Format("Bearer", written...)
		if strings.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("%q breaks the field", line)
		}
		written = slices.DeleteFunc(written, func(p challenge.Param) bool { return p.Value == "" })
		if got := parse(t, line); !slices.Equal(got, written) {
			t.Fatalf("%q reads as %q", line, got)
		}
	})
}

// parse reads the parameters of a Bearer challenge by RFC 9110 sections 11.2 and 5.6.4.
func parse(t *testing.T, line string) (params []challenge.Param) {
	t.Helper()
	rest, ok := strings.CutPrefix(line, "Bearer")
	separator := " "
	for ok && rest != "" {
		var p challenge.Param
		if rest, ok = strings.CutPrefix(rest, separator); ok {
			p.Name, rest, ok = strings.Cut(rest, `="`)
			p.Value, rest = unquote(rest)
			params = append(params, p)
		}
		separator = ", "
	}
	if !ok {
		t.Fatalf("%q", line)
	}
	return params
}

// unquote reads a quoted-string to its closing quote.
func unquote(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), "no closing quote"
}
