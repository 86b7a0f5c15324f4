package endpoint

import (
	"net/http"

	"github.com/seed-31c5bcb2/auth/internal/wire"
)

const maxForm = 16 << 10

// readForm returns a copy of r whose PostForm has one token, or answers the request. A parameter that
// is there twice is an error (RFC 6749 section 3.2). The query is ignored, since URLs are logged.
func readForm(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeOAuthError(w, http.StatusMethodNotAllowed, "invalid_request")
		return nil, false
	}
	form, ok := wire.Form(w, r, maxForm)
	if !ok || form.Get("token") == "" {
		writeOAuthError(w, http.StatusBadRequest, "invalid_request")
		return nil, false
	}
	r = r.WithContext(r.Context())
	r.Form, r.PostForm, r.Body = form, form, http.NoBody
	return r, true
}

// writeOAuthError sends an error of RFC 6749 section 5.2. Its text says no more than the code.
func writeOAuthError(w http.ResponseWriter, status int, code string) {
	wire.JSON(w, status, "application/json", struct {
		Error string `json:"error"`
	}{code})
}
