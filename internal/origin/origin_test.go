package origin_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/origin"
)

const (
	host    = "api.example.com"
	trusted = "https://ok.example"
)

type edit func(*http.Request)

func field(name string, values ...string) edit {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func site(values ...string) edit { return field("Sec-Fetch-Site", values...) }

func from(values ...string) edit { return field("Origin", values...) }

func to(host string) edit { return func(r *http.Request) { r.Host = host } }

func webSocket(r *http.Request) {
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "WebSocket")
}

func noHost(r *http.Request) { r.Host, r.Proto, r.ProtoMinor = "", "HTTP/1.0", 0 }

func plain(r *http.Request) { r.TLS = nil }

type request struct {
	name     string
	method   string
	edits    []edit
	allowed  bool
	insecure bool // of the Checker
}

var requests = []request{
	{"cross-site", "POST", []edit{site("cross-site")}, false, false},
	{"same-site", "POST", []edit{site("same-site")}, false, false},
	{"same-origin", "POST", []edit{site("same-origin")}, true, false},
	{"typed in", "POST", []edit{site("none")}, true, false},
	{"no browser", "POST", nil, true, false},
	{"unknown value", "POST", []edit{site("other")}, false, false},
	{"two values", "POST", []edit{site("same-origin", "cross-site")}, false, false},
	{"two values, the other way round", "POST", []edit{site("cross-site", "same-origin")}, false, false},
	{"cross-site GET", "GET", []edit{site("cross-site")}, true, false},
	{"cross-site HEAD", "HEAD", []edit{site("cross-site")}, true, false},
	{"cross-site OPTIONS", "OPTIONS", []edit{site("cross-site")}, true, false},
	{"cross-site PUT", "PUT", []edit{site("cross-site")}, false, false},
	{"cross-site DELETE", "DELETE", []edit{site("cross-site")}, false, false},
	{"cross-site TRACE", "TRACE", []edit{site("cross-site")}, false, false},
	{"cross-site CONNECT", "CONNECT", []edit{site("cross-site")}, false, false},
	{"a method in lower case", "get", []edit{site("cross-site")}, false, false},
	{"an unknown method", "FROBNICATE", []edit{site("cross-site")}, false, false},
	{"an overridden method", "GET", []edit{site("cross-site"), field("X-HTTP-Method-Override", "DELETE")}, true, false},

	{"null", "POST", []edit{from("null")}, false, false},
	{"null, same-origin under a referrer policy", "POST", []edit{from("null"), site("same-origin")}, true, false},
	{"null without a host", "POST", []edit{from("null"), noHost}, false, false},
	{"empty origin", "POST", []edit{from("")}, false, false},
	{"null and an empty site", "POST", []edit{from("null"), site(""), noHost}, false, false},
	{"own origin", "POST", []edit{from("https://" + host)}, true, false},
	{"own origin, the proxy adds the port", "POST", []edit{from("https://" + host), to(host + ":443")}, true, false},
	{"own origin, the proxy writes capitals", "POST", []edit{from("https://" + host), to("API.Example.COM:443")}, true, false},
	{"own origin with the port of http", "POST", []edit{from("https://" + host), to(host + ":80")}, false, false},
	{"own origin on another port", "POST", []edit{from("https://" + host + ":8443"), to(host + ":8443")}, true, false},
	{"own origin, the Host of another port", "POST", []edit{from("https://" + host), to(host + ":8443")}, false, false},
	{"another port that ends in the default one", "POST", []edit{from("https://" + host), to(host + ":1443")}, false, false},
	{"a host that is not ASCII", "POST", []edit{from("https://k.example"), to("\u212a.example")}, false, false},
	{"hosts that are not UTF-8", "POST", []edit{from("https://a\xff"), to("a\xfe")}, false, false},
	{"only a port", "POST", []edit{from("https://:443"), to(":443")}, false, false},
	{"an IPv6 address", "POST", []edit{from("https://[2001:db8::1]"), to("[2001:DB8::1]:443")}, true, false},
	{"development: own origin, the proxy adds the port", "POST", []edit{from("http://" + host), to(host + ":80"), plain}, true, true},
	{"development: own origin with the port of https", "POST", []edit{from("http://" + host), to(host + ":443"), plain}, false, true},
	{"own host over http", "POST", []edit{from("http://" + host)}, false, false},
	{"own host over http, with a plain connection behind a proxy", "POST", []edit{from("http://" + host), plain}, false, false},
	{"own host over http, empty site", "POST", []edit{from("http://" + host), site("")}, false, false},
	{"userinfo", "POST", []edit{from("https://evil@" + host)}, false, false},
	{"another host", "POST", []edit{from("https://evil.example")}, false, false},
	{"a longer host", "POST", []edit{from("https://" + host + ".evil.example")}, false, false},
	{"another port", "POST", []edit{from("https://" + host + ":8443")}, false, false},
	{"a path", "POST", []edit{from("https://" + host + "/")}, false, false},
	{"two origins", "POST", []edit{from("https://"+host, "https://evil.example")}, false, false},
	{"two origins in one header", "POST", []edit{from("https://" + host + ", https://evil.example")}, false, false},
	{"junk", "POST", []edit{from("://\x00")}, false, false},

	{"trusted", "POST", []edit{from(trusted)}, true, false},
	{"trusted, cross-site", "POST", []edit{from(trusted), site("cross-site")}, true, false},
	{"trusted over http", "POST", []edit{from("http://ok.example"), site("cross-site")}, false, false},
	{"trusted on another port", "POST", []edit{from(trusted + ":8443"), site("cross-site")}, false, false},
	{"trusted with a suffix", "POST", []edit{from(trusted + ".evil.example"), site("cross-site")}, false, false},
	{"trusted with a prefix", "POST", []edit{from("https://notok.example"), site("cross-site")}, false, false},
	{"trusted and another", "POST", []edit{from(trusted, "https://evil.example"), site("cross-site")}, false, false},
	{"null, cross-site", "POST", []edit{from("null"), site("cross-site")}, false, false},

	{"WebSocket, own origin", "GET", []edit{webSocket, from("https://" + host)}, true, false},
	{"WebSocket, no browser", "GET", []edit{webSocket}, true, false},
	{"WebSocket, another origin", "GET", []edit{webSocket, from("https://evil.example")}, false, false},
	{"WebSocket, cross-site", "GET", []edit{webSocket, site("cross-site")}, false, false},
	{"WebSocket, trusted", "GET", []edit{webSocket, from(trusted)}, true, false},
	{"WebSocket by its key alone", "GET", []edit{field("Sec-WebSocket-Key", "x"), from("https://evil.example")}, false, false},

	{"development: own origin", "POST", []edit{from("http://" + host), plain}, true, true},
	{"development: another", "POST", []edit{from("http://evil.example"), plain}, false, true},
	{"development over TLS: plain origin", "POST", []edit{from("http://" + host)}, false, true},
}

func newRequest(method string, edits ...edit) *http.Request {
	r := httptest.NewRequest(method, "https://"+host+"/notes?a=b", nil)
	r.TLS = &tls.ConnectionState{}
	for _, e := range edits {
		e(r)
	}
	return r
}

func TestAllows(t *testing.T) {
	t.Parallel()
	for _, test := range requests {
		t.Run(test.name, func(t *testing.T) {
			c := origin.New([]string{trusted}, test.insecure)
			require.Equal(t, test.allowed, c.Allows(newRequest(test.method, test.edits...)))
		})
	}
}

func TestNew_invalidOrigin(t *testing.T) {
	t.Parallel()
	require.Panics(t, func() { origin.New([]string{"https://a.example/"}, false) })
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const malformed = "must be scheme://host or scheme://host:port and nothing else"
	for _, test := range []struct {
		name     string
		origin   string
		insecure bool
		want     string // in the error; empty if there is none
	}{
		{"a host", "https://a.example", false, ""},
		{"a port", "https://a.example:8443", false, ""},
		{"localhost", "http://localhost:3000", false, ""},
		{"a subdomain of localhost", "http://a.localhost:3000", false, ""},
		{"a loopback address", "http://127.0.0.1:3000", false, ""},
		{"a loopback address of IPv6", "http://[::1]:3000", false, ""},
		{"Punycode", "https://xn--bcher-kva.example", false, ""},
		{"plain http in development", "http://a.example", true, ""},
		{"a wildcard", "https://*.example.com", false, "wildcard"},
		{"every origin", "*", false, "wildcard"},
		{"the null origin", "null", false, malformed},
		{"an empty origin", "", false, malformed},
		{"no scheme", "a.example", false, malformed},
		{"another scheme", "ftp://a.example", false, "must be an https origin"},
		{"plain http", "http://a.example", false, "must be an https origin"},
		{"an address that is not loopback", "http://192.0.2.1", false, "must be an https origin"},
		{"a trailing slash", "https://a.example/", false, malformed},
		{"a query", "https://a.example?", false, malformed},
		{"a fragment", "https://a.example#", false, malformed},
		{"userinfo", "https://u@a.example", false, malformed},
		{"capitals", "https://A.example", false, "lower case"},
		{"not Punycode", "https://bücher.example", false, "Punycode"},
		{"the default port", "https://a.example:443", false, "default port"},
		{"the default port of http", "http://localhost:80", false, "default port"},
		{"an empty port", "https://a.example:", false, "default port"},
		{"capitals in the scheme", "HTTPS://a.example", false, "lower case"},
		{"a port with a zero in front", "https://a.example:0443", false, "leading zeros"},
		{"another port with a zero in front", "https://a.example:08443", false, "leading zeros"},
		{"a port that does not exist", "https://a.example:99999", false, "1 to 65535"},
		{"port 0", "https://a.example:0", false, "1 to 65535"},
		{"the last port", "https://a.example:65535", false, ""},
		{"an IPv6 address", "https://[2001:db8::1]:8443", false, ""},
		{"an IPv6 address that is not compressed", "https://[2001:db8:0:0:0:0:0:1]", false, "must have the host [2001:db8::1]"},
		{"an IPv6 address with zeros in front", "https://[2001:0db8::1]", false, "must have the host [2001:db8::1]"},
		{"an IPv6 address in capitals", "https://[2001:DB8::1]", false, "lower case"},
		{"an IPv6 address with a zone", "https://[fe80::1%25eth0]", false, malformed},
		{"an IPv4 address in IPv6", "https://[::ffff:192.0.2.1]", false, "must have the host [::ffff:c000:201]"},
		{"an IPv4 address in IPv6 as browsers write it", "https://[::ffff:c000:201]", false, ""},
		{"an IPv4 address", "https://192.0.2.1", false, ""},
		{"a short IPv4 address", "https://127.1", false, "IPv4"},
		{"an IPv4 address with zeros in front", "https://127.0.0.01", false, "IPv4"},
		{"a hexadecimal IPv4 address", "https://0x7f.1", false, "IPv4"},
		{"a hexadecimal last label", "https://127.0.0.0x1", false, "IPv4"},
		{"a number", "https://2130706433", false, "IPv4"},
		{"digits in the last label", "https://a.example1", false, ""},
		{"an underscore", "https://a_b.example", false, ""},
		{"a character of no host", "https://a<b.example", false, "letters, digits"},
		{"an escaped host", "https://a%62.example", false, malformed},
		{"two in one", "https://a.example https://b.example", false, malformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := origin.Validate(test.origin, test.insecure)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}

// A request that can change something is never allowed if its Origin is foreign, unless
// the browser itself says that it comes from the same origin.
func FuzzAllows(f *testing.F) {
	for _, test := range requests {
		r := newRequest(test.method, test.edits...)
		f.Add(r.Method, r.Host, r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Upgrade"), r.TLS != nil, test.insecure)
	}
	f.Fuzz(func(t *testing.T, method, host, from, site, upgrade string, secure, insecure bool) {
		r := newRequest("POST", func(r *http.Request) {
			r.Method, r.Host = method, host
			for name, value := range map[string]string{"Origin": from, "Sec-Fetch-Site": site, "Upgrade": upgrade} {
				if value != "" {
					r.Header[name] = []string{value}
				}
			}
			if !secure {
				r.TLS = nil
			}
		})
		allowed := origin.New([]string{trusted}, insecure).Allows(r)
		if upgrade == "" && (method == "GET" || method == "HEAD" || method == "OPTIONS") {
			require.True(t, allowed, "a safe request")
			return
		}
		own := same(from, "https://", host, ":443") || insecure && !secure && same(from, "http://", host, ":80")
		switch {
		case site == "same-origin" || site == "none":
			require.True(t, allowed, "the browser vouches for it")
		case site != "":
			require.Equal(t, from == trusted, allowed, "%q from %q", site, from)
		case from != "":
			require.Equal(t, from == trusted || own && host != "", allowed, "from %q to %q", from, host)
		}
	})
}

// same reports whether an origin and a host are equal except for capitals and the default port.
func same(origin, scheme, host, port string) bool {
	rest, found := strings.CutPrefix(ascii.Replace(origin), scheme)
	return found && rest != port && strings.TrimSuffix(rest, port) == strings.TrimSuffix(ascii.Replace(host), port)
}

// ascii changes capitals of ASCII to lower case.
var ascii = strings.NewReplacer("A", "a", "B", "b", "C", "c", "D", "d", "E", "e", "F", "f", "G", "g", "H", "h", "I", "i", "J", "j", "K", "k", "L", "l", "M", "m",
	"N", "n", "O", "o", "P", "p", "Q", "q", "R", "r", "S", "s", "T", "t", "U", "u", "V", "v", "W", "w", "X", "x", "Y", "y", "Z", "z")

// Validate accepts only what New can trust, and a page of which Allows then allows.
func FuzzValidate(f *testing.F) {
	for _, seed := range []string{"https://a.example", "http://localhost:3000", "http://[::1]:1", "https://a.example:8443", "https://A.example", "null", "https://a.example:443", "https://a b", "https://a%41", "https://[2001:db8::1]:1", "https://[::ffff:1.2.3.4]", "https://1.2.3.4", "https://0x7f.1", "https://a:0443"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if origin.Validate(s, false) != nil {
			return
		}
		c := origin.New([]string{s}, false)
		require.True(t, c.Allows(newRequest("POST", from(s), site("cross-site"))))
		require.False(t, c.Allows(newRequest("POST", from(s+".evil.example"), site("cross-site"))))
	})
}
