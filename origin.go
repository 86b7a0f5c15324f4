package auth

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// origins tells requests of our own pages from those that another site makes a
// browser send. It is http.CrossOriginProtection with these gaps closed, which
// that leaves open for old browsers or by design:
//
//   - Origin "null" with an empty Host (HTTP/1.0), or userinfo before the host:
//     both compare equal to Host there.
//   - An http origin on an https site: whoever can forge plain HTTP pages of our
//     host could then post to it.
//   - Two Origin or Sec-Fetch-Site fields, of which it sees the first.
//   - A WebSocket upgrade: a GET, and so safe, yet a way to send anything.
type origins struct {
	protection *http.CrossOriginProtection
	trusted    map[string]bool
	insecure   bool // http origins are as good as https
}

// newOrigins takes what checkOrigin has accepted.
func newOrigins(trusted []string, insecure bool) origins {
	o := origins{http.NewCrossOriginProtection(), make(map[string]bool, len(trusted)), insecure}
	for _, origin := range trusted {
		if err := o.protection.AddTrustedOrigin(origin); err != nil {
			panic(err)
		}
		o.trusted[origin] = true
	}
	return o
}

var errOrigin = &Error{Reason: ReasonCrossOrigin, Err: ErrCrossOrigin}

func (o *origins) check(r *http.Request) error {
	method := r.Method
	if upgrades(r.Header) {
		method = http.MethodPost // for one that changes things
	}
	if method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions {
		return nil
	}
	origin := r.Header["Origin"]
	if len(origin) > 1 || len(r.Header["Sec-Fetch-Site"]) > 1 {
		return errOrigin
	}
	old := r.Header.Get("Sec-Fetch-Site") == ""
	if old && len(origin) == 1 && !o.trusted[origin[0]] && !o.same(origin[0], r) {
		return errOrigin
	}
	if o.protection.Check(&http.Request{Method: method, Header: r.Header, Host: r.Host, URL: r.URL}) != nil {
		return errOrigin
	}
	return nil
}

// same is for browsers without Sec-Fetch-Site, and for http, where none sends it.
func (o *origins) same(origin string, r *http.Request) bool {
	host, secure := strings.CutPrefix(origin, "https://")
	if !secure {
		var plain bool
		host, plain = strings.CutPrefix(origin, "http://")
		if !plain || !o.insecure || r.TLS != nil {
			return false
		}
	}
	return host != "" && host == r.Host
}

// upgrades reports whether a request wants to leave HTTP: by Upgrade in
// HTTP/1.1. In HTTP/2 it is a CONNECT (RFC 8441), unsafe by its method.
func upgrades(h http.Header) bool {
	return len(h["Upgrade"]) > 0 || len(h["Sec-Websocket-Key"]) > 0
}

// checkOrigin says what is wrong with an entry of TrustedOrigins: anything but
// an origin as browsers write it (RFC 6454 section 6.2) would never match.
func checkOrigin(origin string, insecure bool) error {
	u, err := url.Parse(origin)
	switch {
	case strings.Contains(origin, "*"):
		return errors.New("has a wildcard: name each origin")
	case err != nil || u.Host == "" || u.User != nil || u.Scheme+"://"+u.Host != origin:
		return errors.New("must be scheme://host or scheme://host:port and nothing else")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must be an https origin")
	case strings.ToLower(origin) != origin:
		return errors.New("must be in lower case, as browsers send it")
	case strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("must be ASCII: write the host in Punycode")
	case u.Port() == "443" && u.Scheme == "https", u.Port() == "80" && u.Scheme == "http", strings.HasSuffix(origin, ":"):
		return errors.New("must leave out the default port, as browsers do")
	case u.Scheme == "http" && !insecure && !loopback(u.Hostname()):
		return errors.New("must be an https origin: anybody on the way could speak for it")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
