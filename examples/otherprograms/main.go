// Otherprograms is a service whose tokens are checked and revoked by programs that do not use the library.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

// gateways are the users whose client secrets may ask about tokens, and the scope of the tokens that
// each may ask about.
var gateways = map[string]string{"reports-gateway": "reports:read"}

func introspection(bearer *auth.Bearer, secret *auth.Secret) (http.Handler, error) {
	return endpoint.NewIntrospection(endpoint.IntrospectionConfig{
		Bearer: bearer,
		Secret: secret,
		Allow: func(_ context.Context, caller, token *auth.Identity) (bool, error) {
			scope, ok := gateways[caller.UserID]
			return ok && token.Scopes.Has(scope), nil
		},
	})
}

func revocation(bearer *auth.Bearer, secret *auth.Secret) (http.Handler, error) {
	return endpoint.NewRevocation(endpoint.RevocationConfig{Bearer: bearer, Secret: secret})
}

const resource = "https://app.example/api"

// metadata returns the handler of the document, and the Middleware whose challenges name it.
func metadata() (http.Handler, *auth.Middleware, error) {
	location, err := endpoint.MetadataURL(resource)
	if err != nil {
		return nil, nil, err
	}
	handler, err := endpoint.NewMetadata(endpoint.MetadataConfig{
		Resource:      resource,
		Scopes:        []string{"reports:read"},
		Name:          "Acme Reports",
		Documentation: "https://app.example/docs/tokens",
	})
	return handler, &auth.Middleware{ResourceMetadata: location}, err
}

func leaks(bearer *auth.Bearer, secret *auth.Secret) (http.Handler, error) {
	return endpoint.NewLeakReport(endpoint.LeakReportConfig{Bearer: bearer, Secret: secret})
}

// observe is the Observe of Bearer and Secret.
func observe(ctx context.Context, e auth.Event) {
	if leak, ok := endpoint.LeakFromContext(ctx); ok && e.Type == auth.EventRevoked {
		slog.WarnContext(ctx, "leaked", "user", e.UserID, "credential", e.CredentialID, "url", leak.URL)
		return // a real service mails the user
	}
	auth.LogTo(nil)(ctx, e)
}

func routes(bearer *auth.Bearer, secret *auth.Secret) (http.Handler, error) {
	introspect, err := introspection(bearer, secret)
	if err != nil {
		return nil, err
	}
	revoke, err := revocation(bearer, secret)
	if err != nil {
		return nil, err
	}
	document, m, err := metadata()
	if err != nil {
		return nil, err
	}
	reports, err := leaks(bearer, secret)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/oauth/introspect", introspect)
	mux.Handle("/oauth/revoke", revoke)
	mux.Handle("/.well-known/oauth-protected-resource/", document)
	mux.Handle("/github/leaks", reports)
	mux.Handle("/api/", m.Require(bearer)(http.NotFoundHandler())) // stands for the API
	return mux, nil
}

func main() {
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat", Observe: observe})
	if err != nil {
		log.Fatal(err)
	}
	secret, err := auth.NewSecret(store, auth.SecretConfig{Prefix: "acme_cs", Observe: observe})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := routes(bearer, secret)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	token, _, err := bearer.Issue(ctx, "alice", auth.TokenOptions{Name: "ci", Scopes: []string{"reports:read"}, Lifetime: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	plaintext, _, err := secret.Issue(ctx, "reports-gateway", auth.SecretOptions{Scopes: []string{"introspect"}, Lifetime: auth.NoExpiry})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("curl -u reports-gateway:%s -d token=%s http://127.0.0.1:8080/oauth/introspect\n", plaintext, token)
	fmt.Printf("curl -d token=%s http://127.0.0.1:8080/oauth/revoke\n", token)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", handler))
}
