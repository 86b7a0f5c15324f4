package client

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Transport returns a RoundTripper that sends the token with requests to the origin of
// [Config].Service, in place of any Authorization that they have, and passes all others on as they
// are. A request that was redirected through another origin counts as one of that origin, even if
// it comes back. base sends the requests. If nil, it is [http.DefaultTransport].
//
// If there is no token, the request is not sent, and the error is that of [Client.Token]. A token
// that the service rejects is not replaced before it would be otherwise.
func (c *Client) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{c, base}
}

type transport struct {
	client *Client
	base   http.RoundTripper
}

// Format prints the type name for every verb, as that of [Client] does.
func (t *transport) Format(f fmt.State, _ rune) { fmt.Fprint(f, "*client.transport") }

// RoundTrip sends a copy of the request, and returns a response that refers to r: a caller who prints
// the request of a response must not print the token.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.client.serves(r) {
		return t.base.RoundTrip(r)
	}
	token, err := t.client.Token(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // as RoundTripper requires
		}
		return nil, err
	}
	authorized := r.Clone(r.Context())
	if authorized.Header == nil {
		authorized.Header = make(http.Header)
	}
	authorized.Header.Set("Authorization", "Bearer "+token)
	resp, err := t.base.RoundTrip(authorized)
	if err != nil {
		return nil, without(err, token)
	}
	resp.Request = r
	return resp, nil
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// serves reports whether a request, and all those that were redirected to it, go to the service.
func (c *Client) serves(r *http.Request) bool {
	for {
		if !c.owns(r) {
			return false
		}
		if r.Response == nil {
			return true
		}
		if r = r.Response.Request; r == nil {
			return false // another RoundTripper does not say where the redirect is from
		}
	}
}

// owns reports whether r goes to the service. A Host other than that of the URL may lead to another
// service behind the same proxy.
func (c *Client) owns(r *http.Request) bool {
	if r.URL == nil || originOf(r.URL) != c.service {
		return false
	}
	return r.Host == "" || strings.EqualFold(r.Host, r.URL.Host) || originOf(&url.URL{Scheme: r.URL.Scheme, Host: r.Host}) == c.service
}
