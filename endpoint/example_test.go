package endpoint_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

// issue returns a new Bearer and a token of alice.
func issue() (bearer *auth.Bearer, token string) {
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		log.Fatal(err)
	}
	token, _, err = bearer.Issue(context.Background(), "alice", auth.TokenOptions{
		Name: "ci", Scopes: []string{"notes:read"}, Lifetime: time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	return bearer, token
}

// nginx asks whether a POST may pass. The configuration of nginx is in docs/guides/forward-auth.md.
func ExampleNewForwardAuth() {
	bearer, token := issue()
	forwardAuth, err := endpoint.NewForwardAuth(endpoint.ForwardAuthConfig{
		Proxy: endpoint.ProxyNGINX, Authenticators: []auth.Authenticator{bearer},
	})
	if err != nil {
		log.Fatal(err)
	}

	r := httptest.NewRequest("GET", "/forward-auth?scope=notes:read", nil)
	r.Header.Set("X-Original-Method", "POST")
	r.Header.Set("X-Original-URL", "https://app.example/notes")
	for _, authorization := range []string{"Bearer " + token, "Bearer unknown"} {
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		forwardAuth.ServeHTTP(w, r)
		fmt.Println(w.Code, http.StatusText(w.Code), w.Header().Get("X-Auth-User"))
	}
	// Output:
	// 200 OK alice
	// 401 Unauthorized
}
