package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
)

func TestNotes_createListRemove(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	byToken := []string{"Authorization", "Bearer " + d.Token}
	for name, c := range map[string]struct {
		client *client
		header []string
	}{
		"token":   {d.client(t), byToken},
		"session": {d.signedIn(t, "grace"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.JSONEq(t, `{"notes": []}`, c.client.get("/api/v1/notes", c.header...).body)

			res := c.client.note(`{"text": "Buy <milk> 🥛"}`, c.header...)
			require.Equal(t, http.StatusCreated, res.status, res.body)
			made := res.json(t)
			require.Equal(t, "Buy <milk> 🥛", made["text"])
			location := res.header.Get("Location")
			require.Equal(t, "/api/v1/notes/"+made["id"].(string), location)

			list := c.client.get("/api/v1/notes", c.header...)
			require.Equal(t, "no-store", list.header.Get("Cache-Control"))
			require.Equal(t, []any{made}, list.json(t)["notes"])

			res = c.client.do(http.MethodDelete, location, "", c.header...)
			require.Equal(t, http.StatusNoContent, res.status)
			require.Empty(t, res.body)
			requireProblem(t, c.client.do(http.MethodDelete, location, "", c.header...), http.StatusNotFound)
			require.JSONEq(t, `{"notes": []}`, c.client.get("/api/v1/notes", c.header...).body)
		})
	}
}

func TestNotes_ofAnotherUser(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada, grace := d.signedIn(t, "ada"), d.signedIn(t, "grace")
	location := ada.note(`{"text": "mine"}`).header.Get("Location")
	require.NotEmpty(t, location)

	require.JSONEq(t, `{"notes": []}`, grace.get("/api/v1/notes").body)
	theirs := grace.do(http.MethodDelete, location, "")
	absent := grace.do(http.MethodDelete, "/api/v1/notes/absent", "")
	requireProblem(t, theirs, http.StatusNotFound)
	require.Equal(t, absent.body, theirs.body)
	absent.header.Del("Date")
	theirs.header.Del("Date")
	require.Equal(t, absent.header, theirs.header)
	require.Contains(t, ada.get("/api/v1/notes").body, "mine")
}

func TestNotes_scopes(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	own := d.signedIn(t, "grace").note(`{"text": "x"}`).header.Get("Location")
	for scope, allowed := range map[string]string{readNotes: "GET", writeNotes: "POST DELETE"} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			token, _, err := d.bearer.Issue(t.Context(), "user-2", auth.TokenOptions{Name: scope, Scopes: []string{scope}, Lifetime: time.Hour})
			require.NoError(t, err)
			for _, method := range []string{"GET", "POST", "DELETE"} {
				path := "/api/v1/notes"
				if method == "DELETE" {
					path = own
				}
				res := d.client(t).do(method, path, `{"text": "x"}`,
					"Authorization", "Bearer "+token, "Content-Type", "application/json")
				if strings.Contains(allowed, method) {
					require.Less(t, res.status, 300, "%s: %s", method, res.body)
					continue
				}
				requireProblem(t, res, http.StatusForbidden)
				require.Contains(t, res.header.Get("WWW-Authenticate"), `error="insufficient_scope"`)
			}
		})
	}
}

func TestNotes_crossSiteRequest(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	c := d.signedIn(t, "ada")
	requireProblem(t, c.note(`{"text": "x"}`, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
	require.JSONEq(t, `{"notes": []}`, c.get("/api/v1/notes").body)
}

// sizedBody returns a JSON body of n bytes.
func sizedBody(n int) string {
	return `{"text": "` + strings.Repeat("x", n-len(`{"text": ""}`)) + `"}`
}

func TestNotes_validBodies(t *testing.T) {
	t.Parallel()
	c := startDemo(t).signedIn(t, "ada")
	for name, body := range map[string]string{
		"white space":  " {\n\"text\" : \"a\" } \n",
		"escapes":      `{"te\u0078t": "\u00e9"}`,
		"maximum size": sizedBody(64 << 10),
	} {
		res := c.note(body)
		require.Equal(t, http.StatusCreated, res.status, "%s: %s", name, res.body)
	}
}

func TestNotes_invalidBodies(t *testing.T) {
	t.Parallel()
	c := startDemo(t).signedIn(t, "ada")
	for name, row := range map[string]struct {
		body   string
		status int
	}{
		"too large":        {sizedBody(64<<10 + 1), http.StatusRequestEntityTooLarge},
		"a mebibyte":       {sizedBody(1 << 20), http.StatusRequestEntityTooLarge},
		"empty":            {"", http.StatusBadRequest},
		"string":           {`"text"`, http.StatusBadRequest},
		"an array":         {`["text", "a"]`, http.StatusBadRequest},
		"null":             {`null`, http.StatusBadRequest},
		"no field":         {`{}`, http.StatusBadRequest},
		"empty text":       {`{"text": ""}`, http.StatusBadRequest},
		"blank text":       {`{"text": " \t\n"}`, http.StatusBadRequest},
		"null text":        {`{"text": null}`, http.StatusBadRequest},
		"a number":         {`{"text": 1}`, http.StatusBadRequest},
		"an object":        {`{"text": {"a": "b"}}`, http.StatusBadRequest},
		"unknown field":    {`{"text": "a", "owner": "grace"}`, http.StatusBadRequest},
		"other field":      {`{"note": "a"}`, http.StatusBadRequest},
		"another case":     {`{"TEXT": "a"}`, http.StatusBadRequest},
		"duplicate":        {`{"text": "a", "text": "b"}`, http.StatusBadRequest},
		"trailing object":  {`{"text": "a"} {}`, http.StatusBadRequest},
		"trailing bracket": {`{"text": "a"}]`, http.StatusBadRequest},
		"trailing comma":   {`{"text": "a",}`, http.StatusBadRequest},
		"no colon":         {`{"text" "a"}`, http.StatusBadRequest},
		"truncated":        {`{"text": "a"`, http.StatusBadRequest},
		"not UTF-8":        {"{\"text\": \"\xff\"}", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireProblem(t, c.note(row.body), row.status)
		})
	}
}

func TestNotes_contentTypes(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for kind, status := range map[string]int{
		"application/json":                  http.StatusCreated,
		"Application/JSON; charset=utf-8":   http.StatusCreated,
		"":                                  http.StatusUnsupportedMediaType,
		"text/plain":                        http.StatusUnsupportedMediaType,
		"application/x-www-form-urlencoded": http.StatusUnsupportedMediaType,
		"application/jsonx":                 http.StatusUnsupportedMediaType,
		"application/json, text/plain":      http.StatusUnsupportedMediaType,
	} {
		res := d.client(t).do(http.MethodPost, "/api/v1/notes", `{"text": "a"}`,
			"Authorization", "Bearer "+d.Token, "Content-Type", kind)
		require.Equal(t, status, res.status, "%q: %s", kind, res.body)
	}
}

func TestNotes_limit(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	c := d.signedIn(t, "ada")
	for range demodata.MaxNotes - 1 {
		require.Equal(t, http.StatusCreated, c.note(`{"text": "a"}`).status)
	}
	last := c.note(`{"text": "a"}`)
	require.Equal(t, http.StatusCreated, last.status)
	requireProblem(t, c.note(`{"text": "a"}`), http.StatusConflict)
	require.Equal(t, http.StatusCreated, d.signedIn(t, "grace").note(`{"text": "a"}`).status)

	c.do(http.MethodDelete, last.header.Get("Location"), "")
	require.Equal(t, http.StatusCreated, c.note(`{"text": "a"}`).status)
}
