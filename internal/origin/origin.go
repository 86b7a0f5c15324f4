// Package origin tells requests of a service's own pages from those that another site
// makes a browser send (cross-site request forgery). If in doubt, a request is not
// allowed.
package origin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A Checker is [http.CrossOriginProtection] without the gaps that it leaves for old
// browsers or by design. It is immutable and safe for concurrent use. It also rejects:
//
//   - An Origin of "null" with an empty Host (HTTP/1.0), and userinfo before the host:
//     CrossOriginProtection takes both for the same origin.
//   - An http origin on an https site: anyone who can forge plain HTTP pages of the host
//     could post to it.
//   - Two Origin or Sec-Fetch-Site headers, of which it reads only the first.
//   - A WebSocket upgrade, which is a GET and so a safe method, but can send anything.
type Checker struct {
	protection *http.CrossOriginProtection
	trusted    map[string]bool
	insecure   bool // http origins are allowed
}

// New returns a Checker that trusts some other origins, all of which [Validate] accepts.
// If insecure is set, http origins are allowed like https origins.
func New(trusted []string, insecure bool) *Checker {
	c := &Checker{http.NewCrossOriginProtection(), make(map[string]bool, len(trusted)), insecure}
	for _, origin := range trusted {
		if err := c.protection.AddTrustedOrigin(origin); err != nil {
			panic(err)
		}
		c.trusted[origin] = true
	}
	return c
}

// Allows reports whether r is a GET, HEAD or OPTIONS, which are safe methods (RFC 9110
// section 9.2.1), and is not an upgrade, or comes from the same or a trusted origin. A request without Origin and
// Sec-Fetch-Site is not from a browser, and allowed.
func (c *Checker) Allows(r *http.Request) bool {
	method := r.Method
	if isUpgrade(r.Header) {
		method = http.MethodPost // treat it as unsafe
	}
	if method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions {
		return true
	}
	origin := r.Header["Origin"]
	if len(origin) > 1 || len(r.Header["Sec-Fetch-Site"]) > 1 {
		return false
	}
	legacyBrowser := r.Header.Get("Sec-Fetch-Site") == ""
	if legacyBrowser && len(origin) == 1 {
		return c.trusted[origin[0]] || c.sameOrigin(origin[0], r)
	}
	return c.protection.Check(&http.Request{Method: method, Header: r.Header, Host: r.Host, URL: r.URL}) == nil
}

// sameOrigin is used when Sec-Fetch-Site is absent: in old browsers, and over plain http.
// Browsers write an origin in lower case and without the default port, but a proxy may send
// the host in another form.
func (c *Checker) sameOrigin(origin string, r *http.Request) bool {
	host, secure := cutPrefixFold(origin, "https://")
	port := ":443"
	if !secure {
		var plain bool
		host, plain = cutPrefixFold(origin, "http://")
		if !plain || !c.insecure || r.TLS != nil {
			return false
		}
		port = ":80"
	}
	host = normal(host, port)
	return host != "" && host == normal(r.Host, port)
}

// normal returns a host and port in lower case, without the default port of a scheme.
func normal(host, port string) string {
	return lower(strings.TrimSuffix(host, port))
}

// lower changes the bytes of ASCII only: strings.ToLower would take the Kelvin sign for a k,
// and all bytes that are not UTF-8 for one another.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || lower(s[:len(prefix)]) != prefix {
		return s, false
	}
	return s[len(prefix):], true
}

// isUpgrade reports whether a request asks to leave HTTP/1.1. In HTTP/2 that is a CONNECT
// (RFC 8441), which is not a safe method.
func isUpgrade(h http.Header) bool {
	return len(h["Upgrade"]) > 0 || len(h["Sec-Websocket-Key"]) > 0
}

// Validate returns an error that says what is wrong with a trusted origin, to be put
// after its name. Only origins as browsers write them (RFC 6454 section 6.2, and the host
// serializer of the URL standard) can match. http origins are allowed if insecure is set, or
// for loopback hosts.
func Validate(origin string, insecure bool) error {
	u, err := url.Parse(lower(origin))
	switch {
	case strings.Contains(origin, "*"):
		return errors.New("has a wildcard: name each origin")
	case err != nil || u.Host == "" || u.User != nil || u.Scheme+"://"+u.Host != lower(origin):
		return errors.New("must be scheme://host or scheme://host:port and nothing else")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must be an https origin")
	case lower(origin) != origin:
		return errors.New("must be in lower case, as browsers send it")
	case strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("must be ASCII: write the host in Punycode")
	case u.Port() == "443" && u.Scheme == "https", u.Port() == "80" && u.Scheme == "http", strings.HasSuffix(origin, ":"):
		return errors.New("must leave out the default port, as browsers do")
	case u.Port() != "" && !validPort(u.Port()):
		return errors.New("must have a port of 1 to 65535 without leading zeros")
	case u.Scheme == "http" && !insecure && !Loopback(u.Hostname()):
		return errors.New("must be an https origin: over http, anyone on the network path can forge its requests")
	}
	return checkHost(u)
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == port
}

// checkHost rejects hosts that browsers write in another way.
func checkHost(u *url.URL) error {
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		ip, err := netip.ParseAddr(host)
		switch {
		case err != nil || !ip.Is6() || ip.Zone() != "":
			return errors.New("must have an IPv6 address in the brackets, without a zone")
		case written(ip) != host:
			return fmt.Errorf("must have the host [%s], as browsers send it", written(ip))
		}
		return nil
	}
	if strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	}) {
		return errors.New("must have a host of letters, digits, hyphens and dots")
	}
	if endsInNumber(host) {
		if ip, err := netip.ParseAddr(host); err != nil || ip.String() != host {
			return errors.New("must have an IPv4 address of four decimal numbers, or a host whose last label is not a number")
		}
	}
	return nil
}

// written returns an IPv6 address as browsers write it. The netip package differs for those
// that embed an IPv4 address.
func written(ip netip.Addr) string {
	if b := ip.As16(); ip.Is4In6() {
		return fmt.Sprintf("::ffff:%x:%x", binary.BigEndian.Uint16(b[12:]), binary.BigEndian.Uint16(b[14:]))
	}
	return ip.String()
}

// endsInNumber reports whether browsers read a host as an IPv4 address: 127.1 and 0x7f.1 are
// ways to write 127.0.0.1.
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	digits, hex := strings.CutPrefix(last, "0x")
	notDigit := func(r rune) bool { return (r < '0' || r > '9') && (!hex || r < 'a' || r > 'f') }
	return last != "" && !strings.ContainsFunc(digits, notDigit)
}

// Loopback reports whether a host, without its port, is this machine in any network.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
