// Tripwire plants a token that is not in use, and raises an alarm when an intruder tries it.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

// planted begins the user IDs that own the planted tokens, before the place of each. No user of
// the service has such an ID.
const planted = "tripwire/"

// plant returns the plaintext of a token that never works: it is revoked before anyone has it.
func plant(ctx context.Context, bearer *auth.Bearer, place string) (plaintext string, err error) {
	plaintext, c, err := bearer.Issue(ctx, planted+place, auth.TokenOptions{
		Name: place, Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry,
	})
	if err != nil {
		return "", err
	}
	if err := bearer.Revoke(ctx, c.UserID, c.ID); err != nil {
		return "", err
	}
	return plaintext, nil
}

// tripped calls alarm for each use of a planted token. alarm must not block.
func tripped(alarm func(auth.Event)) auth.Observer {
	return func(_ context.Context, e auth.Event) {
		if e.Type == auth.EventRefused && e.Reason == auth.ReasonRevoked && strings.HasPrefix(e.UserID, planted) {
			alarm(e)
		}
	}
}

// withClientAddr is for a service with no proxy in front.
func withClientAddr(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), auth.RemoteAddr(r))))
	})
}

func routes(bearer *auth.Bearer, observe auth.Observer) http.Handler {
	m := &auth.Middleware{Observe: observe}
	mux := http.NewServeMux()
	mux.Handle("GET /notes", m.Require(bearer)(http.HandlerFunc(notes)))
	return withClientAddr(mux)
}

func notes(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintf(w, "notes of %s\n", id.UserID)
}

func main() {
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		log.Fatal(err)
	}
	plaintext, err := plant(context.Background(), bearer, "wiki")
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("try: curl -H 'Authorization: Bearer %s' http://127.0.0.1:8080/notes", plaintext)
	alarm := func(e auth.Event) {
		log.Printf("ALARM: the token planted in %s was used from %s", strings.TrimPrefix(e.UserID, planted), e.ClientAddr)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", routes(bearer, tripped(alarm))))
}
