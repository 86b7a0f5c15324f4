// Package notes is a handler whose tests need no sign-in.
package notes

import (
	"fmt"
	"net/http"

	"github.com/seed-31c5bcb2/auth"
)

// A User is a user of the service, as Middleware.Resolve returns it.
type User struct{ Email string }

// Handler must be behind Require, with a Resolve that returns a *User.
func Handler(w http.ResponseWriter, r *http.Request) {
	if err := auth.CheckScope(r.Context(), "notes:read"); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	id, _ := auth.FromContext(r.Context())
	user := auth.MustUser[*User](r.Context())
	fmt.Fprintf(w, "notes of %s (%s)\n", id.UserID, user.Email)
}
