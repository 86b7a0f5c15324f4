package navigation_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/navigation"
)

const (
	chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
	image    = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
)

func TestIs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		method string
		fields map[string]string
		want   bool
	}{
		{"a page", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": chromium}, true},
		{"a page, from another site", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}, true},
		{"a page, HEAD", "HEAD", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, true},
		{"a page, upgraded to https", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Upgrade-Insecure-Requests": "1"}, true},
		{"a page in Chromium 79", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Accept": chromium}, true},
		{"a frame in Chromium 79", "GET", map[string]string{"Sec-Fetch-Mode": "nested-navigate", "Accept": chromium}, false},
		{"a proxy drops the mode", "GET", map[string]string{"Sec-Fetch-Dest": "document"}, true},
		{"a form", "POST", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": chromium}, false},
		{"a method in lower case", "get", map[string]string{"Accept": chromium}, false},
		{"fetch", "GET", map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "*/*"}, false},
		{"fetch of HTML", "GET", map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "text/html"}, false},
		{"an image", "GET", map[string]string{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Accept": image}, false},
		{"a script", "GET", map[string]string{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, false},
		{"a download by a worker", "GET", map[string]string{"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "worker", "Accept": chromium}, false},
		{"a frame", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Accept": chromium}, false},
		{"an embed", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "embed", "Accept": chromium}, false},
		{"an object", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "object", "Accept": chromium}, false},
		{"an empty mode", "GET", map[string]string{"Sec-Fetch-Mode": "", "Accept": chromium}, false},
		{"an event stream", "GET", map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "text/event-stream"}, false},
		{"a WebSocket", "GET", map[string]string{"Sec-Fetch-Mode": "websocket", "Sec-Fetch-Dest": "empty", "Upgrade": "websocket"}, false},
		{"a prefetch", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Purpose": "prefetch", "Accept": chromium}, false},
		{"a prerendered page", "GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Purpose": "prefetch;prerender"}, false},
		{"a preview in Safari", "GET", map[string]string{"Purpose": "prefetch", "Accept": chromium}, false},
		{"a prefetch in old Firefox", "GET", map[string]string{"X-Moz": "prefetch", "Accept": chromium}, false},

		// Without Sec-Fetch headers.
		{"a page in an old browser", "GET", map[string]string{"Accept": chromium}, true},
		{"a page in Internet Explorer", "GET", map[string]string{"Accept": "text/html, application/xhtml+xml, */*"}, true},
		{"a page in lynx", "GET", map[string]string{"Accept": "text/html, text/plain, text/sgml, */*;q=0.01"}, true},
		{"capitals and a weight", "GET", map[string]string{"Accept": "application/json, Text/HTML ; q=0.5"}, true},
		{"a weight of 0", "GET", map[string]string{"Accept": "application/json, text/html;q=0.000"}, false},
		{"a weight of nothing", "GET", map[string]string{"Accept": "text/html;q="}, true},
		{"another type", "GET", map[string]string{"Accept": "text/html5, application/text/html"}, false},
		{"curl", "GET", map[string]string{"Accept": "*/*"}, false},
		{"no Accept", "GET", nil, false},
		{"jQuery", "GET", map[string]string{"Accept": "text/html, */*; q=0.01", "X-Requested-With": "XMLHttpRequest"}, false},
		{"an event stream in an old browser", "GET", map[string]string{"Accept": "text/event-stream, text/html"}, false},
		{"a WebSocket in an old browser", "GET", map[string]string{"Accept": chromium, "Upgrade": "websocket"}, false},
		{"a WebSocket by its key alone", "GET", map[string]string{"Accept": chromium, "Sec-WebSocket-Key": "x"}, false},
		{"a token", "GET", map[string]string{"Accept": chromium, "Authorization": "Bearer x"}, false},
		{"an image in an old browser", "GET", map[string]string{"Accept": image}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, "/", nil)
			for name, value := range test.fields {
				r.Header.Set(name, value)
			}
			require.Equal(t, test.want, navigation.Is(r))
		})
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Sec-Fetch-Mode": {"navigate", "cors"}, "Sec-Fetch-Dest": {"document"}}
	require.False(t, navigation.Is(r), "two modes")
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	require.Equal(t, "/signin?next=%2Fa%3Fb%3Dc", navigation.SignIn("/signin", "/a?b=c", false))
	require.Equal(t, "/signin?lang=en&next=%2F&prompt=login", navigation.SignIn("/signin?lang=en", "/", true))
}

func TestRequested(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/settings/a%2fb?c=d", nil)
	r.URL.Path, r.URL.RawPath = "/a/b", "/a%2fb" // as http.StripPrefix does
	require.Equal(t, "/settings/a%2fb?c=d", navigation.Requested(r).RequestURI())
	for _, unknown := range []string{"", "x", "%"} {
		r.RequestURI = unknown
		require.Equal(t, "/a%2fb?c=d", navigation.Requested(r).RequestURI())
	}
}
