// Clientaddr is a service whose tokens can be bound to networks.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

// direct is for a service with no proxy in front.
func direct(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), auth.RemoteAddr(r))))
	})
}

// behind is for a service behind one proxy or several, whose addresses are in the networks.
// No client may be in them: it could send any address.
func behind(proxies []netip.Prefix, next http.Handler) http.Handler {
	isProxy := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := auth.RemoteAddr(r)
		hops := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
		for isProxy(addr) && hops != "" {
			comma := strings.LastIndexByte(hops, ',')
			addr, _ = netip.ParseAddr(strings.TrimSpace(hops[comma+1:]))
			hops = hops[:max(comma, 0)]
		}
		if isProxy(addr) {
			addr = netip.Addr{} // no proxy has said who the client is
		}
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), addr)))
	})
}

func routes(bearer *auth.Bearer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/notes", auth.Require(bearer)(http.HandlerFunc(notes)))
	return mux
}

func notes(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	addr, _ := auth.ClientAddr(r.Context())
	fmt.Fprintf(w, "notes of %s, who is at %v\n", id.UserID, addr)
}

func main() {
	proxy := flag.String("proxy", "", "the network of the proxies in front, and of nothing else, for example 10.0.0.5/32")
	flag.Parse()
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	handler := direct(routes(bearer))
	if *proxy != "" {
		network, err := netip.ParsePrefix(*proxy)
		if err != nil {
			log.Fatal(err)
		}
		handler = behind([]netip.Prefix{network}, routes(bearer))
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", handler))
}
