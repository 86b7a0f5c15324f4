package settings_test

import (
	"context"
	"crypto/rand"
	"log"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// Mount the settings in a service that has a sign-in page.
func Example() {
	key := make([]byte, 32) // in production, load a persistent key
	rand.Read(key)
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat", Scopes: []string{"notes:read"}})
	if err != nil {
		log.Fatal(err)
	}
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{key}})
	if err != nil {
		log.Fatal(err)
	}

	developer, err := settings.New(settings.Config{
		Bearer: bearer, Cookie: cookie, SignInPath: "/signin",
		Scopes: []settings.ScopeGroup{{Title: "Notes", Scopes: []settings.Scope{
			{Name: "notes:read", Description: "read your notes"},
		}}},
		Title: "Acme", Accent: "#7a1fa2", Links: []settings.Link{{Text: "Dashboard", URL: "/"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/settings/", http.StripPrefix("/settings", developer))
}

// Bind each token to the tenant of its user, and limit its lifetime.
func ExampleConfig_beforeIssue() {
	type account struct{ Tenant string } // what Config.Middleware's Resolve returns
	_ = settings.Config{
		BeforeIssue: func(ctx context.Context, id *auth.Identity, o *auth.TokenOptions) error {
			if o.Lifetime > 90*24*time.Hour {
				return &auth.ArgumentError{Argument: "Lifetime", Fault: "must be at most 90 days in your organization"}
			}
			o.Metadata = map[string]string{"tenant": auth.MustUser[*account](ctx).Tenant}
			return nil
		},
	}
}
