package front

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

func (f *Front) ip() net.IP { return f.Addr().(*net.TCPAddr).IP }

// names returns the DNS names of the server.
func (f *Front) names() []string {
	names := []string{"localhost"}
	for _, host := range f.configured() {
		if host != "" && net.ParseIP(host) == nil {
			names = append(names, hostname(host))
		}
	}
	return names
}

func (f *Front) ips() []net.IP {
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, f.ip()}
	for _, host := range f.configured() {
		if ip := net.ParseIP(host); ip != nil {
			ips = append(ips, ip)
		}
	}
	return ips
}

// configured returns the hosts that the flags name.
func (f *Front) configured() []string {
	host, _, _ := net.SplitHostPort(f.HostPort)
	hosts := []string{host}
	if f.Proxy != nil {
		hosts = append(hosts, f.Proxy.Hostname())
	}
	return hosts
}

// onlyOwnNames rejects requests for other names on a loopback address. The owner of a
// web site can let its name resolve to this machine (DNS rebinding). To a visitor's
// browser, our responses are then those of that site, and its scripts can read them.
// Names decide, not ports: only the owner of a name can rebind it, and a forwarded port
// (ssh -L) may have another number.
//
// On other addresses, clients may use names that this process does not know, so all
// are accepted.
func (f *Front) onlyOwnNames(next http.Handler) http.Handler {
	if !f.ip().IsLoopback() {
		return next
	}
	own := make(map[string]bool)
	for _, name := range f.names() {
		own[name] = true
	}
	for _, ip := range f.ips() {
		own[ip.String()] = true
	}
	text := "This server does not serve the host that the request names. Open " + f.Address().Browser +
		" instead. Behind a proxy, start the server with -proxy https://NAME."
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !own[hostname(r.Host)] {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, text, http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname returns the host in lower case, without port and brackets, and without the
// dot at the end of a fully qualified name, which is the same name.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// lastEntry splits no list, because a client can send one of any length.
func lastEntry(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	last := lines[len(lines)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}

// ClientAddr returns the client's address. Behind a proxy it is in the entry of
// X-Forwarded-For that the proxy has added, the last one; the others come from the
// client, which can write anything. It is the zero Addr if it cannot be read.
func ClientAddr(r *http.Request, proxied bool) netip.Addr {
	text := r.RemoteAddr
	if proxied {
		text = lastEntry(r.Header.Values("X-Forwarded-For"))
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		withPort, _ := netip.ParseAddrPort(text)
		ip = withPort.Addr()
	}
	return ip.Unmap().WithZone("")
}

// ClientNetwork returns the network that attempts to sign in are counted for: of IPv6 a
// /64, in which a host can pick its address. Addresses that cannot be read count as one.
func ClientNetwork(ip netip.Addr) netip.Prefix {
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits)
	return prefix
}
