//go:build !race

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A described is a client that checks each request and response against the document.
type described struct {
	*client
	validator validator.Validator
	seen      map[string]bool // "GET /notes 200"
}

// Every response that the document has is seen, except those that concern a malformed header. The
// file is left out with the race detector, with which the validator takes long to compile.
func TestDocument(t *testing.T) {
	t.Parallel()
	d := &described{client: newClient(t, deployment{}), seen: make(map[string]bool)}
	_, text := d.client.send(t, "GET", "/api/openapi.json", "")
	document, err := libopenapi.NewDocument([]byte(text))
	require.NoError(t, err)
	var errs []error
	d.validator, errs = validator.NewValidator(document)
	require.Empty(t, errs)
	valid, faults := d.validator.ValidateDocument()
	require.True(t, valid, "%v", faults)

	d.notes(t)
	d.session(t)
	d.requireSeen(t, text)
}

func (d *described) notes(t *testing.T) {
	d.call(t, 201, "POST", "/notes", `{"text": "Buy milk"}`)
	d.call(t, 400, "POST", "/notes", `{"text": " "}`)
	d.call(t, 400, "POST", "/notes", `{`)
	d.call(t, 415, "POST", "/notes", `{}`, "Content-Type", "text/plain")
	id := d.call(t, 200, "GET", "/notes", "")["notes"].([]any)[0].(map[string]any)["id"].(string)
	d.call(t, 204, "DELETE", "/notes/"+id, "")
	d.call(t, 404, "DELETE", "/notes/"+id, "")
	for range maxNotes {
		d.client.notes.add("ada", note{"id", "text"})
	}
	d.call(t, 409, "POST", "/notes", `{"text": "one more"}`)

	token, _, err := d.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "reader", Scopes: []string{readNotes}, Lifetime: time.Hour})
	require.NoError(t, err)
	d.call(t, 200, "GET", "/me", "", "Authorization", "Bearer "+token)
	for _, authorization := range []string{"Bearer a b", "Bearer unknown"} {
		status := map[string]int{"Bearer a b": 400, "Bearer unknown": 401}[authorization]
		for _, path := range []string{"GET /me", "GET /notes", "POST /notes", "DELETE /notes/id"} {
			method, path, _ := strings.Cut(path, " ")
			d.call(t, status, method, path, "", "Authorization", authorization)
		}
	}
	other, _, err := d.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "writer", Scopes: []string{writeNotes}, Lifetime: time.Hour})
	require.NoError(t, err)
	d.call(t, 403, "GET", "/notes", "", "Authorization", "Bearer "+other)
	d.call(t, 403, "POST", "/notes", `{"text": "x"}`, "Authorization", "Bearer "+token)
	d.call(t, 403, "DELETE", "/notes/id", "", "Authorization", "Bearer "+token)
}

func (d *described) session(t *testing.T) {
	d.store.Down.Store(true)
	for _, path := range []string{"GET /session", "GET /me", "GET /notes", "POST /notes", "DELETE /notes/id", "DELETE /session"} {
		method, path, _ := strings.Cut(path, " ")
		d.call(t, 503, method, path, "")
	}
	d.store.Down.Store(false)
	d.call(t, 200, "GET", "/session", "") // {"user": null}: signing out has cleared the cookie
	signIn := `{"name": "ada", "password": "` + password + `"}`
	d.call(t, 200, "POST", "/session", signIn)
	d.store.Down.Store(true)
	d.call(t, 503, "POST", "/session", signIn)
	d.store.Down.Store(false)
	d.call(t, 403, "POST", "/session", `{"name": "ada", "password": "wrong"}`)
	d.call(t, 400, "POST", "/session", `[]`)
	d.call(t, 415, "POST", "/session", signIn, "Content-Type", "text/plain")
	d.call(t, 200, "GET", "/session", "")
	d.call(t, 200, "GET", "/me", "")
	d.call(t, 403, "DELETE", "/session", "", "Sec-Fetch-Site", "cross-site")
	d.call(t, 204, "DELETE", "/session", "")
}

// call sends a request, and returns the object of the response.
func (d *described) call(t *testing.T, want int, method, path, body string, header ...string) (object map[string]any) {
	t.Helper()
	res, text := d.client.send(t, method, "/api"+path, body, header...)
	require.Equal(t, want, res.StatusCode, "%s %s: %s", method, path, text)
	sent := httptest.NewRequest(method, path, strings.NewReader(body)) // the paths of the document are relative
	sent.Header = res.Request.Header
	if cookies := d.Jar.Cookies(res.Request.URL); len(cookies) > 0 && sent.Header.Get("Cookie") == "" {
		sent.AddCookie(cookies[0])
	}
	if want < 300 {
		valid, faults := d.validator.ValidateHttpRequestSync(sent)
		require.True(t, valid, "%s %s: %v", method, path, faults)
	}
	res.Body = io.NopCloser(bytes.NewReader([]byte(text)))
	valid, faults := d.validator.ValidateHttpResponse(sent, res)
	require.True(t, valid, "%s %s: %v\n%s", method, path, faults, text)
	if id, found := strings.CutPrefix(path, "/notes/"); found {
		path = strings.Replace(path, id, "{id}", 1)
	}
	d.seen[fmt.Sprintf("%s %s %d", method, path, want)] = true
	if text != "" {
		require.NoError(t, json.Unmarshal([]byte(text), &object))
	}
	return object
}

// requireSeen checks that each response of the document was seen, except 401 of sign-ins and
// sign-outs, which needs a request with dozens of session cookies.
func (d *described) requireSeen(t *testing.T, text string) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal([]byte(text), &document))
	for path, operations := range document.Paths {
		for method, operation := range operations {
			var described struct{ Responses map[string]any }
			if method == "parameters" {
				continue
			}
			require.NoError(t, json.Unmarshal(operation, &described))
			for status := range described.Responses {
				name := strings.ToUpper(method) + " " + path + " " + status
				rare := strings.HasSuffix(name, "/session 401") && method != "get"
				require.True(t, d.seen[name] || rare, "%s was not seen", name)
			}
		}
	}
	require.NotEmpty(t, document.Paths)
}
