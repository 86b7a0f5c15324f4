package requestinfo_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/requestinfo"
)

const canary = "acme_pat_Rq7XkD2mZ4tV9sLw3uBn8YcPfGh1JeAo5TxK6Q"

// origins maps each value of an Origin header to whether an event has it.
var origins = map[string]bool{
	"null":                                                true,
	"https://app.example.com":                             true,
	"https://app.example.com:8443":                        true,
	"http://localhost:3000":                               true,
	"http://127.0.0.1:8080":                               true,
	"https://[2001:db8::1]":                               true,
	"https://[2001:db8::1]:8443":                          true,
	"https://[2001:DB8::1]":                               false,
	"https://xn--bcher-kva.example":                       true,
	"https://under_score.example":                         true,
	"moz-extension://0d1f2e3c-aa11-4b22":                  true,
	"chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb": true,
	"capacitor://localhost":                               true,
	"https://" + strings.Repeat("a", 248):                 true,

	// Credentials.
	canary:                             false,
	"https://" + canary:                false, // browsers write hosts in lower case
	"https://" + canary + "@a":         false,
	"https://u:" + canary + "@a":       false,
	"https://a/" + canary:              false,
	"https://a?token=" + canary:        false,
	"https://a#" + canary:              false,
	"https://a:" + canary:              false,
	canary + "://a":                    false,
	"Bearer " + canary:                 false,
	"https://[fe80::1%" + canary:       false,
	"https://[fe80::1%25x]":            false,
	"https://[fe80::1%" + canary + "]": false,

	// Control characters, and what could be a second line or field of a log.
	"https://a\r\nlevel=INFO":               false,
	"https://a\x00":                         false,
	"https://a\x1b[2J":                      false,
	"https://a b":                           false,
	"https://a\" event.type=x":              false,
	"https://a,https://b":                   false,
	"https://a https://b":                   false,
	"https://\u202ea":                       false,
	"https://b\u00fccher.example":           false,
	"https://\xff":                          false,
	"https://" + strings.Repeat("a", 249):   false,
	"https://" + strings.Repeat("a", 10000): false,

	// Values that no browser sends.
	"": false, "NULL": false, "null ": false, " null": false,
	"https://": false, "://a": false, "a": false, "//a": false, "https:a": false, "https:/a": false,
	"https://a/": false, "https://a:": false, "https://:443": false, "https://a:443": false, "http://a:80": false,
	"https://a:0": false, "https://a:080": false, "https://a:65536": false, "https://a:+1": false, "https://a:1:2": false,
	"HTTPS://a": false, "https://A": false, "1http://a": false, "ht tp://a": false, "ht_tp://a": false,
	"https://[": false, "https://[]": false, "https://[::1": false, "https://::1": false, "https://[::1]x": false,
	"https://[1.2.3.4]": false, "https://[::1]:": false, "https://[::1]]": false,
}

func withOrigin(values ...string) *http.Request {
	return &http.Request{Method: "GET", Header: http.Header{"Origin": values}}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for value, valid := range origins {
		want := ""
		if valid {
			want = value
		}
		require.Equal(t, want, requestinfo.Origin(withOrigin(value)), "%q", value)
	}
	require.Empty(t, requestinfo.Origin(withOrigin()))
	require.Empty(t, requestinfo.Origin(&http.Request{}))
	require.Empty(t, requestinfo.Origin(withOrigin("https://a.example", "https://a.example")), "two headers")
}

func FuzzOrigin(f *testing.F) {
	for value := range origins {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := requestinfo.Origin(withOrigin(value))
		if got == "" || got == "null" {
			return
		}
		require.Equal(t, value, got)
		require.LessOrEqual(t, len(got), 256)
		require.Equal(t, strings.ToLower(got), got)
		require.NotContains(t, got, "@")
		require.False(t, strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }), got)
		u, err := url.Parse(got)
		require.NoError(t, err)
		require.Equal(t, u.Scheme+"://"+u.Host, got, "no path, query or user")
	})
}

func TestMethod(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]string{
		"GET": "GET", "UPDATEREDIRECTREF": "UPDATEREDIRECTREF", "M-SEARCH": "M-SEARCH",
		"": "", canary: "", "GET\n": "", "G T": "", strings.Repeat("A", 21): "", strings.Repeat("A", 10000): "",
	} {
		require.Equal(t, want, requestinfo.Method(&http.Request{Method: method}), "%q", method)
	}
}

// The path of a request may contain a credential. http.ServeMux puts it into the Pattern of a
// CONNECT that it redirects.
func TestPattern_neverThePath(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/reset/{token}/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("CONNECT /stream/{token}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("CONNECT example.com/chat/{token}", func(http.ResponseWriter, *http.Request) {})
	for _, test := range []struct{ method, path, want string }{
		{"GET", "/reset/" + canary + "/", "/reset/{token}/"},
		{"GET", "/reset/" + canary, "/reset/{token}/"}, // redirected
		{"GET", "//reset/./" + canary, "/reset/{token}/"},
		{"GET", "/" + canary, ""},
		{"CONNECT", "/reset/" + canary, ""},
		{"CONNECT", "/reset/" + canary + "/", ""}, // not told from the one above
		{"CONNECT", "/stream/" + canary, "CONNECT /stream/{token}"},
		{"CONNECT", "/chat/" + canary, "CONNECT example.com/chat/{token}"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://example.com/", nil)
		r.Method, r.URL.Path = test.method, test.path
		mux.ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, test.want, requestinfo.Pattern(r), test.method+" "+test.path)
	}
}

// A server that reuses the memory of a request changes what strings of that request contain.
func TestMethod_reusedMemory(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "PROPFIND"} {
		memory := []byte(method + "https://app.example.com")
		shared := unsafe.String(&memory[0], len(memory))
		r := &http.Request{Method: shared[:len(method)], Header: http.Header{"Origin": {shared[len(method):]}}}
		gotMethod, gotOrigin := requestinfo.Method(r), requestinfo.Origin(r)
		clear(memory)
		require.Equal(t, method, gotMethod)
		require.Equal(t, "https://app.example.com", gotOrigin)
	}
}
