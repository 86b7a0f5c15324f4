// Proxy is a service behind a reverse proxy that terminates TLS.
package main

import (
	"crypto/rand"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

// clientAddress reads the client's address from the last entry of X-Forwarded-For,
// which the proxy has added. It is correct only if there is one proxy, and no client
// can connect to this service directly. If the entry is no address, the client's is unknown.
func clientAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr, _ := netip.ParseAddr(lastEntry(r.Header.Values("X-Forwarded-For")))
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), addr)))
	})
}

// lastEntry splits no list, because a client can send one of any length.
func lastEntry(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	last := lines[len(lines)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}

func newCookie(store auth.Store, keys auth.Keys) (*auth.Cookie, error) {
	return auth.NewCookie(store, auth.CookieConfig{Keys: keys}) // Secure, even though the proxy uses plain HTTP
}

func routes(cookie *auth.Cookie, observe auth.Observer) http.Handler {
	m := &auth.Middleware{Observe: observe}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /session", signIn(cookie))
	mux.Handle("/notes", m.Require(cookie)(http.HandlerFunc(greet)))
	return clientAddress(mux)
}

// signIn stands for the sign-in of the service. Here, every user is alice.
func signIn(cookie *auth.Cookie) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := cookie.SignIn(w, r, "alice", auth.SessionOptions{}); err != nil {
			auth.WriteError(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func greet(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintln(w, id.UserID)
}

func main() {
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	cookie, err := newCookie(auth.NewMemoryStore(), auth.Keys{key})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", routes(cookie, auth.LogTo(slog.Default()))))
}
