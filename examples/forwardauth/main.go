// Forwardauth is a service that a reverse proxy asks whether requests for another program may pass.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

func routes(proxy endpoint.Proxy, m auth.Middleware, authenticators ...auth.Authenticator) (http.Handler, error) {
	forwardAuth, err := endpoint.NewForwardAuth(endpoint.ForwardAuthConfig{
		Proxy:          proxy,
		Authenticators: authenticators,
		Middleware:     m,
		ClientAddr:     clientAddr,
		Metadata:       map[string]string{"X-Auth-Tenant": "tenant"},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/forward-auth", forwardAuth)
	return mux, nil
}

// clientAddr is the address that the proxy has seen. The proxy replaces what the client has sent.
func clientAddr(r *http.Request) netip.Addr {
	addr, _ := netip.ParseAddr(r.Header.Get("X-Forwarded-For"))
	return addr
}

func main() {
	proxy := flag.String("proxy", "nginx", "nginx, caddy, traefik or envoy")
	flag.Parse()
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		log.Fatal(err)
	}
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{key}})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := routes(endpoint.Proxy(*proxy), auth.Middleware{Observe: auth.LogTo(nil)}, bearer, cookie)
	if err != nil {
		log.Fatal(err)
	}
	token, _, err := bearer.Issue(context.Background(), "alice", auth.TokenOptions{
		Name: "ci", Scopes: []string{"notes:read"}, Lifetime: time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Authorization: Bearer %s\n", token)
	log.Fatal(http.ListenAndServe("127.0.0.1:9000", handler))
}
