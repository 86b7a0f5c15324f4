package settings_test

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

func TestAPITokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		require.JSONEq(t, `{"tokens": [], "next": null}`, ada.get("/api/tokens").status(http.StatusOK).Body.String())

		got := ada.json("POST", "/api/tokens", `{"name": "deploy", "scopes": ["notes:read", "notes:write"], "expires_in": 86400}`).status(http.StatusCreated)
		require.Equal(t, "no-store", got.Header().Get("Cache-Control"))
		made := got.object()
		token := made["token"].(string)
		id := made["id"].(string)
		require.Equal(t, "tokens/"+id, got.Header().Get("Location"))
		require.Equal(t, map[string]any{
			"id": id, "name": "deploy", "hint": "acme_pat_…" + token[len(token)-4:], "state": "active",
			"scopes":     []any{"notes:read", "notes:write"},
			"created_at": ada.tokens()[0].CreatedAt.Format(time.RFC3339Nano), "last_used_at": nil,
			"expires_at": ada.tokens()[0].CreatedAt.Add(24 * time.Hour).Format(time.RFC3339Nano), "token": token,
		}, made)

		delete(made, "token")
		require.Equal(t, made, ada.get("/api/tokens/"+id).status(http.StatusOK).object())
		require.Equal(t, []any{made}, ada.get("/api/tokens").object()["tokens"])
		require.True(t, s.works(auth.SchemeBearer, token))

		full := ada.json("POST", "/api/tokens", `{"name": "full", "scopes": ["*"], "expires_in": null}`).status(http.StatusCreated).object()
		require.Equal(t, []any{"*"}, full["scopes"])
		require.Nil(t, full["expires_at"])

		path := "/api/tokens/" + id + "/rotate"
		next := ada.json("POST", path, `{"overlap": 3600}`).status(http.StatusOK).object()
		require.True(t, s.works(auth.SchemeBearer, next["token"].(string)))
		require.True(t, s.works(auth.SchemeBearer, token))
		require.Equal(t, "superseded", ada.get("/api/tokens/" + id).object()["state"])
		ada.json("POST", path, `{"overlap": 3600}`).problem(http.StatusConflict, "conflict")
		time.Sleep(time.Hour)
		require.False(t, s.works(auth.SchemeBearer, token))
		require.Equal(t, "expired", ada.get("/api/tokens/" + id).object()["state"])

		ada.do("DELETE", "/api/tokens/"+full["id"].(string), "").status(http.StatusNoContent)
		require.False(t, s.works(auth.SchemeBearer, full["token"].(string)))
		ada.do("DELETE", "/api/tokens/"+full["id"].(string), "").problem(http.StatusNotFound, "not_found")
		require.EqualValues(t, 2, ada.do("DELETE", "/api/tokens", "").status(http.StatusOK).object()["revoked"])
		require.False(t, s.works(auth.SchemeBearer, next["token"].(string)))
		require.EqualValues(t, 0, ada.do("DELETE", "/api/tokens", "").object()["revoked"])
		require.NoError(t, s.bearer.Close(t.Context()))
	})
}

func TestAPIPages(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	for range 7 {
		ada.token("deploy")
		s.signIn("ada")
	}
	for path, want := range map[string]int{"/api/tokens": 7, "/api/sessions": 8} {
		name := path[len("/api/"):]
		seen := make(map[string]bool)
		pages := 0
		for after := ""; ; pages++ {
			got := ada.get(path + "?limit=3&after=" + after).status(http.StatusOK).object()
			for _, c := range got[name].([]any) {
				seen[c.(map[string]any)["id"].(string)] = true
			}
			if got["next"] == nil {
				break
			}
			after = got["next"].(string)
		}
		require.Len(t, seen, want)
		require.Equal(t, 2, pages)
		for _, odd := range []string{"0", "-1", "101", "x", "9999999999999999999999"} {
			ada.get(path+"?limit="+odd).problem(http.StatusBadRequest, "invalid_argument").blames("limit")
		}
		ada.get(path+"?after=%00").problem(http.StatusBadRequest, "invalid_argument").blames("after")
		require.Len(t, ada.get(path + "?limit=7").object()[name], 7)
	}
}

func TestAPISecret(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	require.JSONEq(t, `{"current": null, "previous": null}`, ada.get("/api/secret").status(http.StatusOK).Body.String())
	ada.json("POST", "/api/secret/reveal", "").problem(http.StatusNotFound, "not_found")
	ada.do("DELETE", "/api/secret", "").problem(http.StatusNotFound, "not_found")

	first := ada.do("POST", "/api/secret", "").status(http.StatusCreated).object()
	require.True(t, s.works(auth.SchemeSecret, first["secret"].(string)))
	ada.json("POST", "/api/secret", "{}").problem(http.StatusConflict, "conflict")
	require.Equal(t, map[string]any{"secret": first["secret"]}, ada.do("POST", "/api/secret/reveal", "").status(http.StatusOK).object())
	require.NotContains(t, ada.get("/api/secret").Body.String(), first["secret"])

	rotate := func(id any) *answer {
		return ada.json("POST", "/api/secret/rotate", fmt.Sprintf(`{"overlap": 3600, "id": %q}`, id))
	}
	second := rotate(first["id"]).status(http.StatusOK).object()
	rotate(first["id"]).problem(http.StatusConflict, "conflict")
	require.True(t, s.works(auth.SchemeSecret, first["secret"].(string)), "what was sent again ended nothing")
	both := ada.get("/api/secret").object()
	require.Equal(t, second["id"], both["current"].(map[string]any)["id"])
	require.Equal(t, first["id"], both["previous"].(map[string]any)["id"])

	ada.do("DELETE", "/api/secret/previous/"+second["id"].(string), "").problem(http.StatusConflict, "conflict")
	ada.do("DELETE", "/api/secret/previous/"+first["id"].(string), "").status(http.StatusNoContent)
	require.False(t, s.works(auth.SchemeSecret, first["secret"].(string)))
	ada.do("DELETE", "/api/secret/previous/"+first["id"].(string), "").problem(http.StatusNotFound, "not_found")
	ada.do("DELETE", "/api/secret", "").status(http.StatusNoContent)
	require.False(t, s.works(auth.SchemeSecret, second["secret"].(string)))

	once := newService(t, func(c *configs) { c.secret.RevealKeys = nil }).signIn("ada")
	once.do("POST", "/api/secret", "").status(http.StatusCreated)
	once.do("POST", "/api/secret/reveal", "").problem(http.StatusConflict, "not_revealable")
}

func TestAPISessions(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada, phone, laptop := s.signIn("ada"), s.signIn("ada"), s.signIn("ada")
	list := ada.get("/api/sessions").status(http.StatusOK).object()["sessions"].([]any)
	require.Len(t, list, 3)
	for _, v := range list {
		session := v.(map[string]any)
		require.Equal(t, session["id"] == ada.session.ID, session["current"])
		require.Contains(t, session["user_agent"], "Firefox")
		require.NotContains(t, fmt.Sprint(session), ada.cookie.Value)
	}
	ada.do("DELETE", "/api/sessions/"+phone.session.ID, "").status(http.StatusNoContent)
	phone.get("/api/sessions").problem(http.StatusUnauthorized, "invalid_credential")
	require.EqualValues(t, 1, ada.do("DELETE", "/api/sessions", "").status(http.StatusOK).object()["revoked"])
	laptop.get("/api/sessions").problem(http.StatusUnauthorized, "invalid_credential")

	got := ada.do("DELETE", "/api/sessions/"+ada.session.ID, "").status(http.StatusNoContent)
	require.Contains(t, got.Header().Get("Set-Cookie"), "Max-Age=0")
	ada.get("/api/sessions").problem(http.StatusUnauthorized, "invalid_credential")
}

func TestAPIPolicy(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.bearer.MaxLifetime, c.bearer.MaxPerUser = time.Hour, 3
		c.settings.Scopes = []settings.ScopeGroup{{Title: "Notes", Scopes: []settings.Scope{{Name: "notes:write", Description: "change them"}}}}
	})
	ada := s.signIn("ada")
	require.Equal(t, map[string]any{
		"scopes": []any{
			map[string]any{"name": "notes:write", "group": "Notes", "description": "change them"},
			map[string]any{"name": "notes:read", "group": "", "description": ""},
		},
		"token":  map[string]any{"max_lifetime": 3600.0, "max_overlap": 604800.0, "max_per_user": 3.0},
		"secret": map[string]any{"max_overlap": 604800.0, "revealable": true},
		"authentication": map[string]any{
			"max_age": 600.0, "scopes": []any{"*"}, "authenticated_at": ada.session.CreatedAt.Format(time.RFC3339Nano),
		},
	}, ada.get("/api/policy").status(http.StatusOK).object())
}

// What the settings refuse, they refuse for the field that is to blame, and make nothing.
func TestAPIArguments(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.bearer.MaxLifetime, c.bearer.MaxPerUser = 365*24*time.Hour, 1 })
	ada := s.signIn("ada")
	token := func(name, scopes, expires string) string {
		return fmt.Sprintf(`{"name": %s, "scopes": %s, "expires_in": %s}`, name, scopes, expires)
	}
	const name, scopes, expires = `"deploy"`, `["notes:read"]`, "3600"
	many := `["notes:read"` + strings.Repeat(`,"notes:x"`, 1000) + `]`
	for _, test := range []struct {
		name, body string
		fields     []string
	}{
		{"empty name", token(`""`, scopes, expires), []string{"name"}},
		{"long name", token(`"`+strings.Repeat("x", 10<<10)+`"`, scopes, expires), []string{"name"}},
		{"NUL in the name", token(`"a\u0000b"`, scopes, expires), []string{"name"}},
		{"line break in the name", token(`"a\nb"`, scopes, expires), []string{"name"}},
		{"escape in the name", token(`"a\u001bb"`, scopes, expires), []string{"name"}},
		{"line separator in the name", token(`"a\u2028b"`, scopes, expires), []string{"name"}},
		{"text direction in the name", token(`"a\u202eb"`, scopes, expires), []string{"name"}},
		{"no name", `{"scopes": ["*"], "expires_in": 3600}`, []string{"name"}},
		{"null name", token("null", scopes, expires), []string{"name"}},
		{"name of another type", token("1", scopes, expires), []string{"name"}},
		{"null scopes", token(name, "null", expires), []string{"scopes"}},
		{"no scopes", token(name, "[]", expires), []string{"scopes"}},
		{"a null scope", token(name, "[null]", expires), []string{"scopes"}},
		{"unknown scope", token(name, `["notes:admin"]`, expires), []string{"scopes"}},
		{"scope with a space", token(name, `["notes:read notes:write"]`, expires), []string{"scopes"}},
		{"the wildcard among others", token(name, `["*", "notes:read"]`, expires), []string{"scopes"}},
		{"many scopes", token(name, many, expires), []string{"scopes"}},
		{"scopes in one string", token(name, `"*"`, expires), []string{"scopes"}},
		{"nothing at all", `{}`, []string{"name", "scopes", "expires_in"}},
		{"never under a policy", token(name, scopes, "null"), []string{"expires_in"}},
		{"zero, which would be never", token(name, scopes, "0"), []string{"expires_in"}},
		{"negative", token(name, scopes, "-1"), []string{"expires_in"}},
		{"over the policy", token(name, scopes, "31536001"), []string{"expires_in"}},
		{"overflow of a duration", token(name, scopes, "9223372037"), []string{"expires_in"}},
		{"overflow that comes out positive", token(name, scopes, fmt.Sprint(math.MaxInt64/1000000000*2+3)), []string{"expires_in"}},
		{"overflow of a number", token(name, scopes, "9223372036854775808"), []string{"expires_in"}},
		{"a fraction", token(name, scopes, "1.5"), []string{"expires_in"}},
		{"a number in a string", token(name, scopes, `"3600"`), []string{"expires_in"}},
		{"all wrong", token(`""`, "[]", "31536001"), []string{"name", "expires_in", "scopes"}},
		{"unknown field", `{"name": "x", "admin": true}`, []string{"admin"}},
		{"field in another case", `{"Name": "x"}`, []string{"Name"}},
		{"a field twice", `{"name": "x", "name": "y"}`, []string{"name"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ada.json("POST", "/api/tokens", test.body).problem(http.StatusBadRequest, "invalid_argument").blames(test.fields...)
			require.Empty(t, ada.tokens())
		})
	}
	made := ada.json("POST", "/api/tokens", token(name, scopes, "31536000")).status(http.StatusCreated).object()
	ada.json("POST", "/api/tokens", token(name, scopes, expires)).problem(http.StatusConflict, "limit_reached")
	for _, overlap := range []string{"-1", "604801", "null", `"1"`, "9223372037"} {
		ada.json("POST", "/api/tokens/"+made["id"].(string)+"/rotate", `{"overlap": `+overlap+`}`).problem(http.StatusBadRequest, "invalid_argument").blames("overlap")
	}
	ada.json("POST", "/api/secret/rotate", `{"id": "", "overlap": 0}`).problem(http.StatusBadRequest, "invalid_argument").blames("id")
	require.Len(t, ada.tokens(), 1)
}

// To Issue a lifetime of 0 is for ever. Who asks for no time at all does not get that.
func TestAPINoTimeIsNotForEver(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	ada.json("POST", "/api/tokens", `{"name": "x", "scopes": ["*"], "expires_in": 0}`).problem(http.StatusBadRequest, "invalid_argument").blames("expires_in")
	require.Empty(t, ada.tokens())
}

func TestAPIBodies(t *testing.T) {
	t.Parallel()
	ada := newHousehold(t, newService(t), "ada")
	big := `{"name": "` + strings.Repeat("x", 1<<20) + `"}`
	for _, e := range ada.api {
		if e.method != "POST" {
			continue
		}
		body, _ := filled(e, ada.secretID)
		for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", "multipart/form-data; boundary=x", "application/json;;"} {
			ada.do(e.method, e.path, body, field("Content-Type", contentType)).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		}
		ada.json(e.method, e.path, big).problem(http.StatusRequestEntityTooLarge, "too_large")
		for name, odd := range map[string]string{
			"an array": "[]", "a string": `"x"`, "null": "null", "cut off": body[:len(body)-1], "goes on": body + "{}", "two commas": `{"name": "x",,}`,
			"not UTF-8": "{\"name\": \"\xff\"}", "a comment": "/* */" + body, "blank": " ", "a byte order mark": "\ufeff" + body, "NaN": `{"overlap": NaN}`,
		} {
			got := ada.json(e.method, e.path, odd)
			require.Equal(t, http.StatusBadRequest, got.Code, "%s to %s: %s", name, e.path, got.Body)
		}
	}
	ada.json("POST", "/api/tokens", "{\"name\": \"a\xff\", \"scopes\": [\"*\"], \"expires_in\": null}").problem(http.StatusBadRequest, "malformed_request")
	ada.untouched()
	ada.do("POST", "/api/tokens", `{"name": "x", "scopes": ["*"], "expires_in": null}`, field("Content-Type", "Application/JSON; charset=utf-8")).status(http.StatusCreated)
}

// Over a real connection a body can come in pieces, with no length.
func TestAPIBodiesWithoutALength(t *testing.T) {
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

// However many ask at the same time, an account has as many tokens as it may.
func TestAPICreatorsAtALimit(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) { c.bearer.MaxPerUser = 7 }).signIn("ada")
	var made, refused atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			switch got := ada.json("POST", "/api/tokens", `{"name": "x", "scopes": ["*"], "expires_in": 60}`); got.Code {
			case http.StatusCreated:
				made.Add(1)
			case http.StatusConflict:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 7, made.Load())
	require.EqualValues(t, 93, refused.Load())
	require.Len(t, ada.tokens(), 7)
}

// What is logged of all that people do here has no credential in it, whatever the
// level, and is told to those whom it concerns.
func TestNothingLoggedIsACredential(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	observe := auth.LogTo(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	s := newService(t, func(c *configs) {
		c.bearer.Observe, c.cookie.Observe, c.secret.Observe, c.settings.Middleware.Observe = observe, observe, observe, observe
	})
	ada := s.signIn("ada")
	token := ada.json("POST", "/api/tokens", `{"name": "x", "scopes": ["*"], "expires_in": 60}`).status(http.StatusCreated).object()
	next := ada.json("POST", "/api/tokens/"+token["id"].(string)+"/rotate", `{"overlap": 60}`).status(http.StatusOK).object()
	secret := ada.json("POST", "/api/secret", "").status(http.StatusCreated).object()
	ada.json("POST", "/api/secret/reveal", "").status(http.StatusOK)
	page := plaintext(ada.post("/tokens", newToken(ada.get("/tokens/new").Body.String())).page(http.StatusOK))
	ada.do("DELETE", "/api/tokens", "", field("Authorization", "Bearer "+next["token"].(string))).problem(http.StatusForbidden, "session_required")
	ada.do("DELETE", "/api/tokens", "", field("Authorization", "Bearer "+next["token"].(string)+"x")).problem(http.StatusUnauthorized, "invalid_credential")
	ada.do("DELETE", "/api/tokens/"+next["id"].(string), "").status(http.StatusNoContent)
	s.store.setFailing("List")
	ada.get("/").page(http.StatusServiceUnavailable)
	s.store.setFailing()
	for _, e := range []endpoint{{"DELETE", "/api/tokens"}, {"DELETE", "/api/secret"}, {"DELETE", "/api/sessions/" + ada.session.ID}} {
		require.Less(t, ada.do(e.method, e.path, "").Code, 300)
	}
	text := log.String()
	require.Contains(t, text, "no space left", "operators see what was wrong")
	for _, kind := range []string{"issued", "rotated", "revealed", "revoked", "revoked_all", "signed_in", "signed_out", "refused", "accepted"} {
		require.Contains(t, text, `"kind":"`+kind+`"`)
	}
	for _, canary := range []string{token["token"].(string), next["token"].(string), secret["secret"].(string), page, ada.cookie.Value} {
		require.NotEmpty(t, canary)
		require.NotContains(t, text, canary)
	}
}
