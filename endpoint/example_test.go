package endpoint_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
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

// send sends a form as a client does, and prints the response.
func send(h http.Handler, token string, authorize func(*http.Request)) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(url.Values{"token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	authorize(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Body)))
}

// A gateway asks with its client secret, and gets answers about tokens with its scope.
func ExampleNewIntrospection() {
	bearer, token := issue()
	secret, err := auth.NewSecret(auth.NewMemoryStore(), auth.SecretConfig{})
	if err != nil {
		log.Fatal(err)
	}
	plaintext, _, err := secret.Issue(context.Background(), "gateway", auth.SecretOptions{Scopes: []string{"introspect"}, Lifetime: auth.NoExpiry})
	if err != nil {
		log.Fatal(err)
	}
	introspection, err := endpoint.NewIntrospection(endpoint.IntrospectionConfig{
		Bearer: bearer, Secret: secret,
		Allow: func(_ context.Context, caller, token *auth.Identity) (bool, error) {
			return caller.UserID == "gateway" && token.Scopes.Has("notes:read"), nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	gateway := func(r *http.Request) { r.SetBasicAuth("gateway", plaintext) }
	send(introspection, "unknown", gateway)
	send(introspection, token, func(*http.Request) {})
	// Output:
	// 200 {"active":false}
	// 401 {"error":"invalid_client"}
}

func ExampleNewRevocation() {
	bearer, token := issue()
	revocation, err := endpoint.NewRevocation(endpoint.RevocationConfig{Bearer: bearer})
	if err != nil {
		log.Fatal(err)
	}

	send(revocation, token, func(*http.Request) {})
	_, err = new(auth.Middleware).AuthenticateToken(context.Background(), token, bearer)
	fmt.Println(err)
	// Output:
	// 200
	// auth: invalid credential (Bearer)
}

// The challenge of the API names the URL of the document.
func ExampleNewMetadata() {
	const resource = "https://app.example/mcp"
	metadata, err := endpoint.NewMetadata(endpoint.MetadataConfig{Resource: resource, Scopes: []string{"notes:read"}})
	if err != nil {
		log.Fatal(err)
	}
	location, err := endpoint.MetadataURL(resource)
	if err != nil {
		log.Fatal(err)
	}
	m := auth.Middleware{ResourceMetadata: location} // for Require
	mux := http.NewServeMux()
	mux.Handle("/.well-known/oauth-protected-resource/", metadata)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", m.ResourceMetadata, nil))
	fmt.Print(w.Body)
	// Output:
	// {"resource":"https://app.example/mcp","scopes_supported":["notes:read"],"bearer_methods_supported":["header"]}
}

// A report without a signature of GitHub is rejected. The Observe of the Bearer learns where a leaked
// token was found.
func ExampleNewLeakReport() {
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{
		Observe: func(ctx context.Context, e auth.Event) {
			if leak, ok := endpoint.LeakFromContext(ctx); ok && e.Type == auth.EventRevoked {
				fmt.Println("mail to", e.UserID, "about", leak.URL)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	leaks, err := endpoint.NewLeakReport(endpoint.LeakReportConfig{Bearer: bearer})
	if err != nil {
		log.Fatal(err)
	}

	w := httptest.NewRecorder()
	leaks.ServeHTTP(w, httptest.NewRequest("POST", "/leaks", strings.NewReader(`[{"token":"x"}]`)))
	fmt.Println(w.Code)
	// Output:
	// 401
}
