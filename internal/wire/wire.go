// Package wire reads and writes the bodies of endpoints for programs.
package wire

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// Form reads the whole body of a request. It returns false if that is not a form, if it is longer than
// limit bytes, or if a parameter is there twice (RFC 6749 section 3.2). The query is ignored, since URLs
// are logged.
func Form(w http.ResponseWriter, r *http.Request, limit int64) (url.Values, bool) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" || len(r.Header["Content-Type"]) != 1 {
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, false
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, false
	}
	for _, values := range form {
		if len(values) != 1 {
			return nil, false
		}
	}
	return form, true
}

// JSON sends a response that no cache keeps (RFC 6749 section 5.1). It panics if v cannot be
// marshaled, as strings and numbers always can.
func JSON(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
