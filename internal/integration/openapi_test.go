//go:build !race

package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// A described is the API of the settings, with a validator that checks each of its
// responses against the document that it serves.
type described struct {
	t         *testing.T
	url       string
	cookie    *http.Cookie
	validator validator.Validator
	paths     map[string]map[string]any // of the document
	seen      map[string]bool           // "GET /tokens 200"
	tag       string                    // the ETag to send
	match     string                    // the If-Match to send
	key       string                    // the Idempotency-Key to send
}

// Every operation is called, with every response that a working store allows. The file is left out
// with the race detector, with which the validator takes long to compile.
func TestOpenAPI_everyOperation(t *testing.T) {
	t.Parallel()
	store := auth.NewMemoryStore()
	d := describe(t, store, func(*settings.Config) {})
	d.tokens()
	d.secret()
	d.sessions()
	// A sign-in that is too old, and a user who may not have a client secret.
	d2 := describe(t, store, func(c *settings.Config) {
		c.MaxAge = time.Nanosecond
		c.Developer = func(context.Context, *auth.Identity) (bool, error) { return false, nil }
	})
	d2.seen = d.seen
	d2.get("/policy", 200)
	d2.get("/secret", 403)
	for _, path := range []string{"/tokens", "/tokens/x/rotate", "/secret", "/secret/reveal", "/secret/rotate"} {
		d2.post(path, "{}", 401)
	}
	d.requireSeen()
}

// requireSeen asserts that each operation has succeeded with each of its statuses.
func (d *described) requireSeen() {
	d.t.Helper()
	for path, methods := range d.paths {
		for method, operation := range methods {
			if method == "parameters" {
				continue
			}
			for status := range operation.(map[string]any)["responses"].(map[string]any) {
				if strings.HasPrefix(status, "2") || status == "304" {
					require.True(d.t, d.seen[strings.ToUpper(method)+" "+path+" "+status], "%s %s was never answered with %s", method, path, status)
				}
			}
		}
	}
}

func (d *described) tokens() {
	d.t.Helper()
	d.key = `"` + auth.NewIdempotency() + `"`
	token := d.post("/tokens", `{"name": "deploy", "scopes": ["notes:read"], "expires_in": 3600}`, 201)["id"].(string)
	repeated := d.post("/tokens", `{"name": "deploy", "scopes": ["notes:read"], "expires_in": 3600}`, 409)
	require.Equal(d.t, token, repeated["id"])
	d.key = "no key"
	d.post("/tokens", `{"name": "deploy", "scopes": ["notes:read"], "expires_in": 3600}`, 400)
	d.key = ""
	d.post("/tokens", `{"name": "full", "scopes": ["*"], "expires_in": null}`, 201)
	d.post("/tokens", `{"name": "third", "scopes": ["*"], "expires_in": null}`, 409)
	d.post("/tokens", `{"name": "deploy"}`, 400)
	d.post("/tokens", `{"name": "deploy", "scopes": ["nothing"], "expires_in": 3600}`, 400)
	d.send("POST", "/tokens", "text/plain", "{}", 415)
	d.post("/tokens", `{"name": "`+strings.Repeat("x", 40<<10)+`"}`, 413)
	d.get("/policy", 200)
	d.get("/tokens", 200)
	d.get("/tokens?limit=1", 200)
	d.get("/tokens?limit=0", 400)
	d.get("/tokens?search=DEP&state=active&state=expiring&state=expired&sort=expiring&total=true", 200)
	d.get("/tokens?page=2", 400)
	d.get("/tokens/"+token, 200)
	d.patch("/tokens/"+token, `{"name": "release", "scopes": ["*"], "networks": ["192.0.2.0/24"], "metadata": {"team": "web"}}`, 200)
	d.match = d.tag
	d.patch("/tokens/"+token, `{"networks": null, "metadata": {"team": null}}`, 200)
	d.patch("/tokens/"+token, `{"name": "late"}`, 412)
	d.delete("/tokens/"+token, 412)
	d.delete("/tokens", 400)
	d.match = ""
	d.patch("/tokens/"+token, `{"name": "", "expires_in": 60}`, 400)
	d.patch("/tokens/absent", `{"name": "x"}`, 404)
	d.send("PATCH", "/tokens/"+token, "text/plain", "{}", 415)
	d.patch("/tokens/"+token, `{"name": "`+strings.Repeat("x", 40<<10)+`"}`, 413)
	d.get("/tokens/absent", 404)
	next := d.post("/tokens/"+token+"/rotate", `{"overlap": 60}`, 200)["id"].(string)
	d.post("/tokens/"+token+"/rotate", `{"overlap": 60}`, 409)
	d.patch("/tokens/"+token, `{"name": "x"}`, 409)
	d.post("/tokens/absent/rotate", `{"overlap": 60}`, 404)
	d.post("/tokens/"+next+"/rotate", `{"overlap": -1}`, 400)
	d.delete("/tokens/"+next, 204)
	d.delete("/tokens/"+next, 404)
	d.delete("/tokens", 200)
}

func (d *described) secret() {
	d.t.Helper()
	d.get("/secret", 200)
	d.post("/secret/reveal", `{"id": "absent"}`, 404)
	d.post("/secret/rotate", `{"id": "absent", "overlap": 60}`, 404)
	d.delete("/secret?id=absent", 404)
	first := d.post("/secret", "{}", 201)["id"].(string)
	d.post("/secret", "{}", 409)
	d.post("/secret", "[]", 400)
	d.post("/secret/reveal", "{}", 400)
	d.post("/secret/reveal", fmt.Sprintf(`{"id": %q}`, first), 200)
	second := d.post("/secret/rotate", fmt.Sprintf(`{"id": %q, "overlap": 60}`, first), 200)["id"].(string)
	d.post("/secret/rotate", fmt.Sprintf(`{"id": %q, "overlap": 60}`, first), 409)
	d.post("/secret/reveal", fmt.Sprintf(`{"id": %q}`, first), 409)
	d.get("/secret", 200)
	d.delete("/secret/previous/absent", 409)
	d.delete("/secret/previous/"+first, 204)
	d.delete("/secret/previous/"+first, 404)
	d.delete("/secret", 400)
	d.delete("/secret?id="+first, 409)
	d.delete("/secret?id="+second, 204)
}

func (d *described) sessions() {
	d.t.Helper()
	d.get("/sessions", 200)
	d.delete("/sessions/absent", 404)
	d.delete("/sessions", 200)
	d.get("/sessions?search=go-http&sort=last_used&total=true", 200)
	d.get("/sessions/absent", 404)
	session := d.get("/sessions", 200)["sessions"].([]any)[0].(map[string]any)["id"].(string)
	d.get("/sessions/"+session, 200)
	d.delete("/sessions/"+session, 204)
	d.get("/tokens", 401)
}

func describe(t *testing.T, store auth.Store, change func(*settings.Config)) *described {
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat", Scopes: []string{"notes:read"}, MaxPerUser: 2})
	require.NoError(t, err)
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{[]byte("one key of 32 bytes, of which 1.0")}})
	require.NoError(t, err)
	secret, err := auth.NewSecret(store, auth.SecretConfig{RevealKeys: auth.Keys{[]byte("another key of 32 bytes and more.")}})
	require.NoError(t, err)
	cfg := settings.Config{
		Bearer: bearer, Cookie: cookie, Secret: secret, SignInPath: "/signin",
		MetadataKeys: []settings.MetadataKey{{Key: "team", Label: "Team"}},
	}
	change(&cfg)
	h, err := settings.New(cfg)
	require.NoError(t, err)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.StripPrefix("/settings", h).ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), auth.RemoteAddr(r))))
	}))
	t.Cleanup(srv.Close)
	w := httptest.NewRecorder()
	_, err = cookie.SignIn(w, httptest.NewRequest("POST", "/signin", nil), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	d := &described{t: t, url: srv.URL + "/settings/api", cookie: w.Result().Cookies()[0], seen: make(map[string]bool)}

	res, err := http.Get(d.url + "/openapi.json")
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	doc, err := libopenapi.NewDocument(text)
	require.NoError(t, err)
	var errs []error
	d.validator, errs = validator.NewValidator(doc)
	require.Empty(t, errs)
	valid, faults := d.validator.ValidateDocument()
	require.True(t, valid, "%v", faults)
	var parsed struct{ Paths map[string]map[string]any }
	require.NoError(t, json.Unmarshal(text, &parsed))
	require.NotEmpty(t, parsed.Paths)
	d.paths = parsed.Paths
	return d
}

// get also asks again with the tag of the answer.
func (d *described) get(path string, want int) map[string]any {
	d.t.Helper()
	d.tag = ""
	object := d.send("GET", path, "", "", want)
	if d.tag != "" {
		d.send("GET", path, "", "", http.StatusNotModified)
		d.tag = ""
	}
	return object
}

func (d *described) delete(path string, want int) map[string]any {
	d.t.Helper()
	return d.send("DELETE", path, "", "", want)
}

func (d *described) post(path, body string, want int) map[string]any {
	d.t.Helper()
	return d.send("POST", path, "application/json", body, want)
}

func (d *described) patch(path, body string, want int) map[string]any {
	d.t.Helper()
	return d.send("PATCH", path, "application/json", body, want)
}

// send sends a request, and checks the response against the document, and the request
// too if it was accepted.
func (d *described) send(method, path, contentType, body string, want int) (object map[string]any) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	require.NoError(d.t, err)
	r.AddCookie(d.cookie)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("If-None-Match", d.tag)
	if d.match != "" {
		r.Header.Set("If-Match", d.match)
	}
	if d.key != "" {
		r.Header.Set("Idempotency-Key", d.key)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(d.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(d.t, err)
	require.Equal(d.t, want, res.StatusCode, "%s %s: %s", method, path, text)
	if method == http.MethodGet || method == http.MethodPatch {
		d.tag = res.Header.Get("ETag")
	}

	asked := httptest.NewRequest(method, path, strings.NewReader(body)) // the paths of the document are relative
	asked.Header = r.Header
	res.Body = io.NopCloser(bytes.NewReader(text))
	if want < 300 {
		valid, faults := d.validator.ValidateHttpRequestSync(asked)
		require.True(d.t, valid, "%s %s: %v", method, path, faults)
	}
	valid, faults := d.validator.ValidateHttpResponse(asked, res)
	require.True(d.t, valid, "%s %s: %v\n%s", method, path, faults, text)
	d.seen[fmt.Sprintf("%s %s %d", method, d.template(path), want)] = true
	if len(text) > 0 {
		require.NoError(d.t, json.Unmarshal(text, &object))
	}
	return object
}

// template returns the path of the document that matches a path.
func (d *described) template(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if d.paths[path] != nil {
		return path
	}
	parts := strings.Split(path, "/")
	for i := range parts {
		part := parts[i]
		parts[i] = "{id}"
		if template := strings.Join(parts, "/"); d.paths[template] != nil {
			return template
		}
		parts[i] = part
	}
	d.t.Fatalf("%s is not in the document", path)
	return ""
}
