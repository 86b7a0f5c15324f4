// Package publicnet connects to public addresses only. It is for URLs that come from users of a service,
// who must not reach the network behind it through the service (server-side request forgery). All
// functions are safe for concurrent use.
package publicnet

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Client returns a client that connects directly, and to public addresses only.
func Client(dialTimeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: control}
	return &http.Client{Transport: &http.Transport{
		Proxy:       nil, // it would connect to addresses that control does not see
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 10, IdleConnTimeout: time.Minute,
	}}
}

// control sees the address that is connected to, after the name was resolved. If the name were checked
// before, it could be resolved differently the second time.
func control(_, address string, _ syscall.RawConn) error {
	ip, err := netip.ParseAddrPort(address)
	if err != nil || !Contains(ip.Addr()) {
		return fmt.Errorf("%s is not a public address", address)
	}
	return nil
}

// global has all public IPv6 addresses (RFC 4291 section 2.4, and the IANA registry of global unicast
// addresses). Outside of it are forms that embed an IPv4 address, which could be private.
var global = netip.MustParsePrefix("2000::/3")

// reserved are ranges of unicast addresses that are not public: those of the IANA registries of
// special-purpose addresses, and those that embed an IPv4 address.
var reserved = func() (list []netip.Prefix) {
	for text := range strings.FieldsSeq(`0.0.0.0/8 100.64.0.0/10 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24
		203.0.113.0/24 240.0.0.0/4 2001::/23 2001:db8::/32 2002::/16 3fff::/20`) {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}()

// Contains reports whether an address is one of the public Internet.
func Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Is6() && !global.Contains(addr) {
		return false
	}
	for _, p := range reserved {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
