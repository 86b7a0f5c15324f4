package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

// A Proxy is a reverse proxy whose way to describe a request [NewForwardAuth] knows. It is one of the
// constants below. The header fields are those that the proxy must set itself, in place of those
// that the client may have sent.
type Proxy string

const (
	// ProxyNGINX is nginx with auth_request, or ingress-nginx with auth-url: X-Original-Method is
	// $request_method, and X-Original-URL is $scheme://$http_host$request_uri. nginx sets neither by
	// itself.
	ProxyNGINX Proxy = "nginx"
	// ProxyCaddy is Caddy with forward_auth, which sets X-Forwarded-Method, X-Forwarded-Proto,
	// X-Forwarded-Host and X-Forwarded-Uri.
	ProxyCaddy Proxy = "caddy"
	// ProxyTraefik is Traefik with ForwardAuth, which sets the same fields as Caddy.
	// trustForwardHeader must be false, unless another proxy in front removes the client's fields.
	ProxyTraefik Proxy = "traefik"
	// ProxyEnvoy is Envoy with ext_authz over HTTP, which repeats the method, the host and the path
	// of the request. X-Forwarded-Proto must be among allowed_headers. If there is a path_prefix,
	// wrap the handler in http.StripPrefix. The required scopes cannot be in the query, which is
	// the client's. failure_mode_allow must be false: with it, Envoy lets requests pass during an
	// outage.
	ProxyEnvoy Proxy = "envoy"
)

func (p Proxy) known() bool {
	switch p {
	case ProxyNGINX, ProxyCaddy, ProxyTraefik, ProxyEnvoy:
		return true
	}
	return false
}

// A target is what the client has requested of the proxy.
type target struct {
	method, host, uri string
	url               *url.URL
	secure            bool
}

// target reads what the proxy says about the request of its client. If anything is missing, is
// there twice or cannot be part of a request, it is an error: the proxy may have passed on a field
// of the client, next to its own.
func (p Proxy) target(r *http.Request) (t target, err error) {
	var scheme string
	switch p {
	case ProxyNGINX:
		var original string
		original, err = single(r.Header, "X-Original-Url")
		var rest string
		var found bool
		scheme, rest, found = strings.Cut(original, "://")
		if err == nil && !found {
			err = errors.New("X-Original-Url is not $scheme://$http_host$request_uri")
		}
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			slash = len(rest) // parse rejects a URI without a path
		}
		t.host, t.uri = rest[:slash], rest[slash:]
		err = errors.Join(err, set(r.Header, "X-Original-Method", &t.method))
	case ProxyEnvoy:
		t.method, t.host, t.uri = r.Method, r.Host, r.URL.RequestURI()
		err = set(r.Header, "X-Forwarded-Proto", &scheme)
	default:
		err = errors.Join(set(r.Header, "X-Forwarded-Method", &t.method), set(r.Header, "X-Forwarded-Proto", &scheme),
			set(r.Header, "X-Forwarded-Uri", &t.uri))
		if t.host = r.Header.Get("X-Forwarded-Host"); len(r.Header["X-Forwarded-Host"]) != 1 { // a client of HTTP/1.0 need not send one
			err = errors.Join(err, errors.New("the request must have one field X-Forwarded-Host: the proxy must set it"))
		}
	}
	if err == nil {
		err = t.parse(scheme)
	}
	return t, err
}

// set sets v to the value of a field that must be there once.
func set(h http.Header, name string, v *string) (err error) {
	*v, err = single(h, name)
	return err
}

// A clientError is what a client can cause at any time, although the proxy is configured as it should
// be: it is not an internal error, which would wake an operator.
type clientError string

func (e clientError) Error() string { return string(e) }

// single returns the value of a field that must be there once. Values of clients are not in its
// errors, which are logged.
func single(h http.Header, name string) (string, error) {
	lines := h[name]
	if len(lines) != 1 || lines[0] == "" {
		return "", fmt.Errorf("the request has %d fields %s that are not empty, and must have one: the proxy must set it", count(lines), name)
	}
	return lines[0], nil
}

func count(lines []string) (n int) {
	for _, line := range lines {
		if line != "" {
			n++
		}
	}
	return n
}

// parse checks all parts. Two fields that were joined by a comma are no scheme, no host and no method,
// and the space after the comma is in no path.
func (t *target) parse(scheme string) (err error) {
	switch scheme {
	case "https", "wss": // Traefik's name for a WebSocket
		t.secure = true
	case "http", "ws":
	default:
		return errors.New("the scheme is neither http nor https")
	}
	switch {
	case !header.IsToken(t.method):
		return clientError("the method is not one of RFC 9110 section 9.1")
	case !isHost(t.host):
		return clientError("the host is not host or host:port")
	case !strings.HasPrefix(t.uri, "/") && t.uri != "*", strings.ContainsFunc(t.uri, notInURI):
		return clientError("the URI is not a path with an optional query")
	}
	if t.url, err = url.ParseRequestURI(t.uri); err != nil {
		return clientError("the URI cannot be parsed")
	}
	return nil
}

func notInURI(r rune) bool { return r <= ' ' || r == 0x7F || r == '#' }

// isHost reports whether s has only characters of a host name, an address and a port.
func isHost(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("-._:[]", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= 300
}
