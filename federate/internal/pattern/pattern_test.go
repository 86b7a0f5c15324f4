package pattern_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/federate/internal/pattern"
)

var matches = []struct {
	pattern, value string
	want           bool
}{
	{"refs/heads/main", "refs/heads/main", true},
	{"refs/heads/main", "refs/heads/main2", false},
	{"refs/heads/main", "xrefs/heads/main", false},
	{"refs/heads/main", "refs/heads/Main", false},
	{"refs/heads/main", "", false},
	{"refs/tags/v*", "refs/tags/v1.2.3", true},
	{"refs/tags/v*", "refs/tags/v", true},
	{"refs/tags/v*", "refs/tags/v1/x", false},
	{"refs/heads/*", "refs/heads/feature/x", false},
	{"refs/heads/**", "refs/heads/feature/x", true},
	{"refs/heads/*/*", "refs/heads/feature/x", true},
	{"repo:acme/*", "repo:acme/notes", true},
	{"repo:acme/*", "repo:acme/notes:pull_request", false},
	{"repo:acme/**", "repo:acme/notes:pull_request", true},
	{"repo:*", "repo:acme/notes:ref:refs/heads/main", false},
	{"a*b*c", "abbbc", true},
	{"a*b*c", "acb", false},
	{"*a", "aaaa", true},
	{"a.c", "abc", false},
	{"a+", "aa", false},
	{"[a]", "a", false},
	{"a?", "ab", false},
	{`a\*`, "a*", false},
	{"a*", "a*", true},
	{"a***b", "a/b", true},
	{"a*", "a\nb", true},
	{"a*", "a\xff", true},
	{"*/*/.github/workflows/deploy.yml@refs/**", "acme/notes/.github/workflows/deploy.yml@refs/heads/main", true},
	{"*/*/.github/workflows/deploy.yml@refs/**", "acme/notes/.github/workflows/deploy.yml@evil.yml@refs/heads/main", false},
	{"*/*/.github/workflows/deploy.yml@refs/**", "acme/notes/x/.github/workflows/deploy.yml@refs/heads/main", false},
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, test := range matches {
		require.Equal(t, test.want, pattern.Match(test.pattern, test.value), "%q %q", test.pattern, test.value)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"refs/heads/main", "v*", "*.example", "a********", strings.Repeat("a", 256)} {
		require.Empty(t, pattern.Check(p), p)
	}
	for p, fault := range map[string]string{
		"":                       "is not 1 to 256 bytes",
		strings.Repeat("a", 257): "is not 1 to 256 bytes",
		"*":                      "is too wide: it requires nothing",
		"**":                     "is too wide: it requires nothing",
		"*/*":                    "is too wide: it requires nothing",
		"*:*:*":                  "is too wide: it requires nothing",
		"a*********":             "has more than 8 asterisks",
	} {
		require.Equal(t, fault, pattern.Check(p), p)
	}
}

// A matcher that tries one way after the other takes years for this.
func TestMatch_isNotSlow(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	require.False(t, pattern.Match("a**a**a**a**a**a**a**a**b", strings.Repeat("a", 16<<10)))
	require.Less(t, time.Since(begin), 5*time.Second)
}

func FuzzMatch(f *testing.F) {
	for _, test := range matches {
		f.Add(test.pattern, test.value)
	}
	f.Fuzz(func(t *testing.T, p, value string) {
		if len(p) > 256 || len(value) > 1000 {
			return
		}
		require.Equal(t, reference(t, p).MatchString(latin1(value)), pattern.Match(p, value), "%q %q", p, value)
	})
}

// reference returns a regular expression that matches what p does.
func reference(t *testing.T, p string) *regexp.Regexp {
	t.Helper()
	var b strings.Builder
	for rest := p; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "**"):
			b.WriteString("(?s:.*)")
			rest = rest[2:]
		case rest[0] == '*':
			b.WriteString("[^/:]*")
			rest = rest[1:]
		default:
			b.WriteString(regexp.QuoteMeta(latin1(rest[:1])))
			rest = rest[1:]
		}
	}
	r, err := regexp.Compile(`\A` + b.String() + `\z`)
	require.NoError(t, err)
	return r
}

// latin1 makes each byte a character, since regular expressions compare characters.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
