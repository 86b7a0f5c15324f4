package settings_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPI_malformedBodies(t *testing.T) {
	t.Parallel()
	ada := newPopulatedUser(t, newService(t), "ada")
	long := `{"name": "` + strings.Repeat("x", 1<<20) + `"}`
	for _, e := range ada.api {
		if e.method != "POST" && e.method != "PATCH" {
			continue
		}
		body, _ := filled(e, ada.secretID)
		for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", "multipart/form-data; boundary=x", "application/json;;"} {
			ada.do(e.method, e.path, body, field("Content-Type", contentType)).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		}
		ada.json(e.method, e.path, long).problem(http.StatusRequestEntityTooLarge, "too_large")
		for name, malformed := range map[string]string{
			"an array": "[]", "a string": `"x"`, "null": "null", "cut off": body[:len(body)-1], "data after it": body + "{}", "two commas": `{"name": "x",,}`,
			"not UTF-8": "{\"name\": \"\xff\"}", "a comment": "/* */" + body, "blank": " ", "a byte order mark": "\ufeff" + body, "NaN": `{"overlap": NaN}`,
		} {
			got := ada.json(e.method, e.path, malformed)
			require.Equal(t, http.StatusBadRequest, got.Code, "%s to %s: %s", name, e.path, got.Body)
		}
	}
	ada.json("POST", "/api/tokens", "{\"name\": \"a\xff\", \"scopes\": [\"*\"], \"expires_in\": null}").problem(http.StatusBadRequest, "malformed_request")
	ada.untouched()
	ada.do("POST", "/api/tokens", `{"name": "x", "scopes": ["*"], "expires_in": null}`, field("Content-Type", "Application/JSON; charset=utf-8")).status(http.StatusCreated)
}

// Half of a surrogate pair is no character: other parsers read another name, or none.
func TestAPI_escapedSurrogates(t *testing.T) {
	t.Parallel()
	ada := newService(t, withTeams).signIn("ada")
	for name, want := range map[string]string{
		`\ud83d\ude00`: "😀", `\uD83D\uDE00\uD83D\uDE00`: "😀😀", `\\ud83d`: `\ud83d`, `\\\\\ud83d\ude00`: `\\😀`, `\ufffd`: "\ufffd", "\ufffd": "\ufffd",
		`\ud83d`: "", `\ude00`: "", `\ud83d\\ude00`: "", `\ude00\ud83d`: "", `\ud83d\ud83d\ude00`: "", `\ud83dx\ude00`: "", `\ud83d\u0041`: "", `\\\ud83d`: "",
	} {
		got := ada.json("POST", "/api/tokens", `{"name": "`+name+`", "scopes": ["*"], "expires_in": null, "metadata": {"team": "`+name+`"}}`)
		if want == "" {
			got.problem(http.StatusBadRequest, "malformed_request")
			continue
		}
		made := got.status(http.StatusCreated).object()
		require.Equal(t, []any{want, map[string]any{"team": want}}, []any{made["name"], made["metadata"]}, name)
	}
	ada.json("POST", "/api/tokens", `{"name": "\ud8`).problem(http.StatusBadRequest, "malformed_request")
}

// A chunked body has no Content-Length.
func TestAPI_bodyWithoutLength(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	srv := httptest.NewServer(s)
	defer srv.Close()
	send := func(body string) int {
		r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+mount+"/api/secret", strings.NewReader(body))
		require.NoError(t, err)
		r.ContentLength = -1
		r.AddCookie(ada.cookie)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		res, err := srv.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	require.Equal(t, http.StatusBadRequest, send(`{"force": true}`))
	require.Equal(t, http.StatusRequestEntityTooLarge, send(`{"x": "`+strings.Repeat("x", 1<<20)+`"}`))
	require.Equal(t, http.StatusCreated, send(`{}`))
}

// Two media types are ambiguous: a proxy may have read the body as the other one.
func TestBody_repeatedMediaType(t *testing.T) {
	t.Parallel()
	ada := newPopulatedUser(t, newService(t), "ada")
	ada.each(t, func(t *testing.T, e endpoint, body, contentType string) {
		if contentType == "" {
			return
		}
		for _, other := range []string{"text/plain", contentType} {
			got := ada.do(e.method, e.path, body, func(r *http.Request) { r.Header["Content-Type"] = []string{contentType, other} })
			require.Equal(t, http.StatusUnsupportedMediaType, got.Code)
		}
	})
}

func TestPage_malformedForms(t *testing.T) {
	t.Parallel()
	ada := newPopulatedUser(t, newService(t), "ada")
	for _, e := range ada.pages {
		if e.method != "POST" {
			continue
		}
		for _, contentType := range []string{"", "text/plain", "application/json", "multipart/form-data; boundary=x"} {
			ada.do("POST", e.path, "name=x", field("Content-Type", contentType)).page(http.StatusUnsupportedMediaType)
		}
		ada.post(e.path, url.Values{"name": {strings.Repeat("x", 40<<10)}}).page(http.StatusRequestEntityTooLarge)
		ada.do("POST", e.path, "name=%zz", field("Content-Type", "application/x-www-form-urlencoded")).page(http.StatusBadRequest)
		ada.post(e.path, url.Values{"overlap": {"0s", "1h0m0s"}}).page(http.StatusBadRequest)
	}
	ada.untouched()
}
