package challenge_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/challenge"
)

const metadata = "https://api.example.com/.well-known/oauth-protected-resource"

// Only Bearer has error codes (RFC 6750 section 3.1).
func TestNewSet(t *testing.T) {
	t.Parallel()
	s := challenge.NewSet("api", "", []string{"Secret", "Bearer"})
	require.Equal(t, []string{`Secret realm="api"`, `Bearer realm="api"`}, s.Plain)
	require.Equal(t, []string{`Secret realm="api"`, `Bearer realm="api", error="invalid_token"`}, s.InvalidToken)
	require.Equal(t, []string{`Secret realm="api"`, `Bearer realm="api", error="invalid_request"`}, s.InvalidRequest)
	require.Equal(t, []string{`Secret realm="api"`, `Bearer realm="api", error="insufficient_scope", scope="read write"`}, s.InsufficientScope([]string{"read", "write"}))
	require.Equal(t, []string{`Secret realm="api"`, `Bearer realm="api", error="insufficient_scope"`}, s.InsufficientScope(nil))
}

func TestNewSet_metadata(t *testing.T) {
	t.Parallel()
	s := challenge.NewSet("api", metadata, []string{"bearer", "Secret"})
	require.Equal(t, []string{`bearer realm="api", resource_metadata="` + metadata + `"`, `Secret realm="api"`}, s.Plain)
	require.Equal(t, `bearer realm="api", error="invalid_token", resource_metadata="`+metadata+`"`, s.InvalidToken[0])
}

func TestNewSet_eachSchemeOnce(t *testing.T) {
	t.Parallel()
	s := challenge.NewSet("api", "", []string{"Bearer", "Secret", "bearer", "Bearer"})
	require.Equal(t, []string{`Bearer realm="api"`, `Secret realm="api"`}, s.Plain)
	require.Empty(t, challenge.NewSet("api", "", nil).Plain)
}

// A header has a challenge of its own, which has no error codes.
func TestNewSet_headers(t *testing.T) {
	t.Parallel()
	const key, other = `Header realm="a\"b", name="X-Api-Key"`, `Header realm="a\"b", name="X-Other-Key"`
	s := challenge.NewSet(`a"b`, metadata, nil, "X-Api-Key", "X-Other-Key", "X-Api-Key")
	for _, lines := range [][]string{s.Plain, s.InvalidToken, s.InvalidRequest, s.InsufficientScope([]string{"read"})} {
		require.Equal(t, []string{key, other}, lines)
	}
	s = challenge.NewSet(`a"b`, "", []string{"Bearer"}, "X-Api-Key")
	require.Equal(t, []string{`Bearer realm="a\"b", error="invalid_token"`, key}, s.InvalidToken)
}

func TestNewSet_panics(t *testing.T) {
	t.Parallel()
	for _, realm := range []string{"a\r\nSet-Cookie: x=y", "a\nb", "a\x00", "a\x7f", "a\xff"} {
		require.Panics(t, func() { challenge.NewSet(realm, "", []string{"Bearer"}) }, "%q", realm)
	}
	for _, url := range []string{"/relative", "https://a/\r\nb", "::", "https://a/\x7f", "https:///x"} {
		require.Panics(t, func() { challenge.NewSet("api", url, []string{"Bearer"}) }, "%q", url)
	}
}

// Of each scheme there is one line. The error is in that of the presented scheme (RFC 9470
// section 3), and a scheme that is no token cannot add a line.
func TestSet_InsufficientAuthentication(t *testing.T) {
	t.Parallel()
	const old = `error="insufficient_user_authentication"`
	for _, test := range []struct {
		name      string
		schemes   []string
		presented string
		maxAge    int64
		want      []string
	}{
		{"a cookie", []string{"Cookie"}, "Cookie", 600, []string{`Cookie realm="api", ` + old + `, max_age="600"`}},
		{"a cookie next to tokens", []string{"Bearer", "Secret"}, "Cookie", 600,
			[]string{`Bearer realm="api"`, `Secret realm="api"`, `Cookie realm="api", ` + old + `, max_age="600"`}},
		{"a token", []string{"Bearer", "Secret"}, "bearer", 1, []string{`Bearer realm="api", ` + old + `, max_age="1"`, `Secret realm="api"`}},
		{"no age", []string{"Bearer"}, "Bearer", 0, []string{`Bearer realm="api", ` + old}},
		{"an unknown scheme", []string{"Bearer", "Secret"}, "", 60,
			[]string{`Bearer realm="api", ` + old + `, max_age="60"`, `Secret realm="api", ` + old + `, max_age="60"`}},
		{"no token", []string{"Bearer"}, "X\r\nSet-Cookie: a=b", 60, []string{`Bearer realm="api"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, challenge.NewSet("api", "", test.schemes).InsufficientAuthentication(test.presented, test.maxAge))
		})
	}
	require.Equal(t, []string{`Bearer realm="api", ` + old + `, max_age="60", resource_metadata="` + metadata + `"`},
		challenge.NewSet("api", metadata, []string{"Bearer"}).InsufficientAuthentication("Bearer", 60))
}

// A line of any accepted realm, URL and scopes reads as what it was made of.
func FuzzNewSet(f *testing.F) {
	for _, realm := range []string{"api", `a"b`, `a\`, "Grüße"} {
		f.Add(realm, metadata, "read write")
		f.Add(realm, "", `a"`)
	}
	f.Fuzz(func(t *testing.T, realm, url, scopes string) {
		if realm == "" || challenge.Check(realm) != nil || scopes == "" || challenge.Check(scopes) != nil {
			return
		}
		defer func() {
			if v := recover(); v != nil && !strings.Contains(v.(string), "ResourceMetadata") {
				t.Fatal(v)
			}
		}()
		want := []challenge.Param{{Name: "realm", Value: realm}, {Name: "error", Value: "insufficient_scope"}, {Name: "scope", Value: scopes}}
		if url != "" {
			want = append(want, challenge.Param{Name: "resource_metadata", Value: url})
		}
		lines := challenge.NewSet(realm, url, []string{"Bearer"}).InsufficientScope([]string{scopes})
		require.Len(t, lines, 1)
		require.NotContains(t, lines[0], "\n")
		require.Equal(t, want, parse(t, lines[0]))
	})
}
