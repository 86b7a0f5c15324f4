package settings_test

import (
	"crypto/rand"
	"log"
	"net/http"

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
