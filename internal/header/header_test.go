package header_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

func TestParseAuthorization(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		fields []string
		want   header.Authorization
	}{
		{"none", nil, header.Authorization{}},
		{"blank", []string{" \t"}, header.Authorization{}},
		{"one", []string{"Bearer abc"}, header.Authorization{Scheme: "Bearer", Credential: "abc"}},
		{"several spaces", []string{"  Bearer   abc  "}, header.Authorization{Scheme: "Bearer", Credential: "abc"}},
		{"params", []string{`Digest a="b", c=d`}, header.Authorization{Scheme: "Digest", Credential: `a="b", c=d`}},
		{"no credential", []string{"Bearer"}, header.Authorization{Scheme: "Bearer", Malformed: true}},
		{"no scheme", []string{"=abc"}, header.Authorization{Credential: "=abc", Malformed: true}},
		{"two", []string{"a b", "c d"}, header.Authorization{Malformed: true, Unreadable: true}},
		{"a long scheme is cut", []string{strings.Repeat("a", 100) + " b"}, header.Authorization{Scheme: strings.Repeat("a", 64), Credential: strings.Repeat("a", 36) + " b", Malformed: true}},
		{"64 spaces around", []string{strings.Repeat(" ", 64) + "Bearer abc" + strings.Repeat(" ", 64)}, header.Authorization{Scheme: "Bearer", Credential: "abc"}},
		{"65 spaces before", []string{strings.Repeat(" ", 65) + "Bearer abc"}, header.Authorization{Malformed: true, Unreadable: true}},
		{"65 spaces after", []string{"Bearer abc" + strings.Repeat(" ", 65)}, header.Authorization{Malformed: true, Unreadable: true}},
		{"a scheme and many spaces", []string{"Bearer" + strings.Repeat(" ", 200)}, header.Authorization{Malformed: true, Unreadable: true}},
		{"many tabs", []string{strings.Repeat("\t", 200)}, header.Authorization{Malformed: true, Unreadable: true}},
		{"64 KiB", []string{"a " + strings.Repeat("b", 64<<10)}, header.Authorization{Scheme: "a", Malformed: true, Unreadable: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, header.ParseAuthorization(http.Header{"Authorization": test.fields}))
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"Bearer": true, "a!#$%&'*+-.^_`|~9": true, "": false, "a b": false, "a/b": false, "é": false, strings.Repeat("a", 63): true, strings.Repeat("a", 64): false} {
		require.Equal(t, want, header.IsToken(s), s)
	}
	for s, want := range map[string]bool{"abc": true, "a-._~+/Z9==": true, "": false, "=": false, "a=b": false, "a b": false, "a|": false, "é": false, "a\x00": false, "[": false, "`": false, "@": false, ":": false} {
		require.Equal(t, want, header.IsToken68(s), s)
	}
	require.True(t, header.IsScheme("bEARER", "Bearer"))
	for _, s := range []string{"", "Beare", "Bearers", "Be\u00e4rer", "Bea[er", "\u212aearer"} {
		require.False(t, header.IsScheme(s, "Bearer"), s)
	}
	require.False(t, header.IsScheme("[", "{"), "not letters")
}

func FuzzParseAuthorization(f *testing.F) {
	for _, seed := range []string{"Bearer abc", " Bearer  abc ", "Bearer", "", "Digest a=b, c=d", "a\tb", "\x80", "Bearer\u00a0a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		a := header.ParseAuthorization(http.Header{"Authorization": {field}})
		if a.Malformed || a.Scheme == "" && a.Credential == "" {
			return
		}
		if !header.IsToken(a.Scheme) && len(a.Scheme) < 64 {
			t.Fatalf("%q: scheme %q", field, a.Scheme)
		}
		if strings.HasPrefix(a.Credential, " ") && len(field) < 64 || strings.HasSuffix(a.Credential, " ") || strings.HasSuffix(a.Credential, "\t") {
			t.Fatalf("%q: credential %q", field, a.Credential)
		}
		if !strings.HasPrefix(strings.TrimLeft(field, " \t"), a.Scheme+" ") || !strings.HasSuffix(strings.TrimRight(field, " \t"), a.Credential) {
			t.Fatalf("%q: %+v", field, a)
		}
	})
}

// The scan finds what net/http finds, but where we read names and values as they
// stand: without quotes taken off, or space around the name.
func FuzzCookie(f *testing.F) {
	for _, seed := range []string{"s=a", "a=b; s=c", "s=a; s=b", "s =a", "s", "=s=a", ";;s=a;", "s=", `s="a"`, "S=a", "ss=a", "a=s=b", "s=a=b", "\ts=a\t", "s=\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") {
			return // net/http, which trims them, lets none of them in
		}
		value, n := header.Cookie(http.Header{"Cookie": {line}}, "s")
		want, first := 0, ""
		for _, pair := range strings.Split(line, ";") {
			if v, ok := strings.CutPrefix(strings.Trim(pair, " \t"), "s="); ok {
				if want++; want == 1 {
					first = v
				}
			}
		}
		if n != want || value != first {
			t.Fatalf("%q: %q %d, want %q %d", line, value, n, first, want)
		}
		for _, c := range (&http.Request{Header: http.Header{"Cookie": {line}}}).CookiesNamed("s") {
			if n == 0 && c.Value != "" && !strings.Contains(line, "s ") && !strings.Contains(line, "s\t") {
				t.Fatalf("%q: net/http finds %q", line, c.Value)
			}
		}
	})
}
