package endpoint

import (
	"io"
	"mime"
	"net/http"
	"net/url"
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
	form, ok := parseForm(w, r)
	if !ok {
		writeOAuthError(w, http.StatusBadRequest, "invalid_request")
		return nil, false
	}
	r = r.WithContext(r.Context())
	r.Form, r.PostForm, r.Body = form, form, http.NoBody
	return r, true
}

func parseForm(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" || len(r.Header["Content-Type"]) != 1 {
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, false
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("token") == "" {
		return nil, false
	}
	for _, values := range form {
		if len(values) != 1 {
			return nil, false
		}
	}
	return form, true
}

// writeOAuthError sends an error of RFC 6749 section 5.2. Its text says no more than the code.
func writeOAuthError(w http.ResponseWriter, status int, code string) {
	writeJSON(w, status, "application/json", struct {
		Error string `json:"error"`
	}{code})
}
