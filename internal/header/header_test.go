package header_test

import (
	"net/http"
	"slices"
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

func TestParseField(t *testing.T) {
	t.Parallel()
	unreadable := header.Authorization{Malformed: true, Unreadable: true}
	for _, test := range []struct {
		name   string
		fields []string
		want   header.Authorization
	}{
		{"a credential", []string{"abc"}, header.Authorization{Credential: "abc"}},
		{"it is not checked", []string{"a, b"}, header.Authorization{Credential: "a, b"}},
		{"blank", []string{""}, header.Authorization{Malformed: true}},
		{"spaces alone", []string{" \t"}, header.Authorization{Malformed: true}},
		{"64 spaces around", []string{strings.Repeat(" ", 64) + "abc" + strings.Repeat("\t", 64)}, header.Authorization{Credential: "abc"}},
		{"65 spaces before", []string{strings.Repeat(" ", 65) + "abc"}, unreadable},
		{"65 spaces after", []string{"abc" + strings.Repeat(" ", 65)}, unreadable},
		{"a control character", []string{"abc\n"}, unreadable},
		{"two", []string{"abc", "abc"}, unreadable},
		{"64 KiB", []string{strings.Repeat("a", 64<<10)}, header.Authorization{Credential: strings.Repeat("a", 64<<10)}},
		{"over 64 KiB", []string{strings.Repeat("a", 64<<10+1)}, unreadable},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, found := header.ParseField(http.Header{"X-Api-Key": test.fields}, "X-Api-Key")
			require.True(t, found)
			require.Equal(t, test.want, got)
		})
	}
	_, found := header.ParseField(http.Header{"Authorization": {"abc"}, "X-Api-Key": {}}, "X-Api-Key")
	require.False(t, found)
}

func TestIsReserved(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"Authorization": true, "COOKIE": true, "x-forwarded-for": true, "X-Forwarded": true, "Accept": true, "Accept-Charset": true, "TE": true,
		"Sec-Fetch-Site": true, "Proxy-Anything": true, "Content-Anything": true, "X-Real-IP": true,
		"X_Forwarded_For": true, "content_length": true, "REMOTE_USER": true, // which gateways take for the names with hyphens
		"X-Amz-Cf-Id": true, "CloudFront-Viewer-Address": true, "Fly-Region": true, "X-Auth-Request-Access-Token": true,
		"X-MS-Client-Principal": true, "X-Goog-IAP-JWT-Assertion": true, "Sentry-Trace": true, "Attribution-Reporting-Eligible": true,
		"X_API_Key": false, "X-Amz-Key": false, "Flyer": false,
		"X-API-Key": false, "Acceptance": false, "Cookies": false, "Section": false, "X-Forward": false, "Api-Key": false, "": false,
	} {
		require.Equal(t, want, header.IsReserved(name), name)
	}
}

func TestIsToken(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"Bearer": true, "a!#$%&'*+-.^_`|~9": true, "": false, "a b": false, "a/b": false, "é": false, strings.Repeat("a", 63): true, strings.Repeat("a", 64): false} {
		require.Equal(t, want, header.IsToken(s), s)
	}
}

func TestIsCredential(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"abc": true, "a-._~+/Z9==": true, "=": true, "a=b": true, "12|secret": true, "name:secret": true, "!#$%&'()*": true, "[]{}<>@^`;?": true,
		"": false, "a b": false, "a,b": false, `"a"`: false, `a\b`: false, "é": false, "a\x00": false, "a\x7f": false, "a\t": false, "a\n": false,
	} {
		require.Equal(t, want, header.IsCredential(s), s)
	}
}

func TestIsScheme(t *testing.T) {
	t.Parallel()
	require.True(t, header.SameScheme("bEARER", "Bearer"))
	for _, s := range []string{"", "Beare", "Bearers", "Be\u00e4rer", "Bea[er", "\u212aearer"} {
		require.False(t, header.SameScheme(s, "Bearer"), s)
	}
	require.False(t, header.SameScheme("[", "{"), "these are not letters")
}

var cookies = map[string][]string{ // the values of the cookie s in a line
	"s=a": {"a"}, "a=b; s=c": {"c"}, "s=a; s=b": {"a", "b"}, "s =a": nil, "s": nil, "=s=a": nil, ";;s=a;": {"a"}, "s=": {""},
	`s="a"`: {`"a"`}, "S=a": nil, "ss=a": nil, "a=s=b": nil, "s=a=b": {"a=b"}, "\ts=a\t": {"a"}, "s=\x00": {"\x00"}, "": nil,
}

func TestCookie(t *testing.T) {
	t.Parallel()
	for line, want := range cookies {
		value, n := header.Cookie(http.Header{"Cookie": {line}}, "s")
		require.Len(t, want, n, "%q", line)
		require.Equal(t, append(want, "")[0], value, "%q", line)
	}
	value, n := header.Cookie(http.Header{"Cookie": {"s=a", "b=c; s=d"}}, "s")
	require.Equal(t, "a", value, "the first of two lines")
	require.Equal(t, 2, n)
}

func TestCookies(t *testing.T) {
	t.Parallel()
	for line, want := range cookies {
		require.Equal(t, want, slices.Collect(header.Cookies(http.Header{"Cookie": {line}}, "s")), "%q", line)
	}
	require.Equal(t, []string{"a", "d"}, slices.Collect(header.Cookies(http.Header{"Cookie": {"s=a", "b=c; s=d"}}, "s")))
}

// A field that is not malformed consists of space, the scheme, space and the credential.
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

// Cookie finds what net/http finds, except that it reads names and values as they are: it
// removes neither quotes around a value nor space around a name.
func FuzzCookie(f *testing.F) {
	for line := range cookies {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") {
			return // net/http lets no such field in, but trims them here
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
		if values := slices.Collect(header.Cookies(http.Header{"Cookie": {line}}, "s")); len(values) != n || n > 0 && values[0] != value {
			t.Fatalf("%q: Cookies finds %q, Cookie %q %d", line, values, value, n)
		}
		for _, c := range (&http.Request{Header: http.Header{"Cookie": {line}}}).CookiesNamed("s") {
			if n == 0 && c.Value != "" && !strings.Contains(line, "s ") && !strings.Contains(line, "s\t") {
				t.Fatalf("%q: net/http finds %q", line, c.Value)
			}
		}
	})
}
