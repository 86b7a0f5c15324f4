// Queue is a worker whose messages carry the token of the user who sent them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/seed-31c5bcb2/auth"
)

type message struct{ token, text string }

// handle does the work of a message if its token permits that. Its error may be sent to the
// client.
func handle(ctx context.Context, m *auth.Middleware, bearer *auth.Bearer, msg message) (string, error) {
	ctx, err := m.AuthenticateToken(ctx, msg.token, bearer)
	if err != nil {
		return "", err
	}
	if err := auth.CheckScope(ctx, "notes:write"); err != nil {
		var rejected *auth.Error
		if errors.As(err, &rejected) {
			return "", errors.New(rejected.Detail())
		}
		return "", err
	}
	id, _ := auth.FromContext(ctx)
	return fmt.Sprintf("%s notes %q", id.UserID, msg.text), nil
}

func main() {
	ctx := context.Background()
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	token, _, err := bearer.Issue(ctx, "alice", auth.TokenOptions{Name: "worker", Scopes: []string{"notes:write"}, Lifetime: auth.NoExpiry})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(handle(ctx, &auth.Middleware{}, bearer, message{token, "buy milk"}))
	fmt.Println(handle(ctx, &auth.Middleware{}, bearer, message{"wrong", "buy milk"}))
}
