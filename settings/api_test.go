package settings_test

import (
	"fmt"
	"math"
	"net/http"
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

// createToken creates a token with the API, and returns its ID and its JSON.
func (u *user) createToken(body string) (id string, made map[string]any) {
	u.t.Helper()
	made = u.json("POST", "/api/tokens", body).status(http.StatusCreated).object()
	return made["id"].(string), made
}

func TestAPI_createToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		require.JSONEq(t, `{"tokens": [], "next": null, "total": null}`, ada.get("/api/tokens").status(http.StatusOK).Body.String())

		got := ada.json("POST", "/api/tokens", `{"name": "deploy", "scopes": ["notes:read", "notes:write"], "expires_in": 86400}`).status(http.StatusCreated)
		require.Equal(t, "no-store", got.Header().Get("Cache-Control"))
		made := got.object()
		token := made["token"].(string)
		id := made["id"].(string)
		require.Equal(t, "tokens/"+id, got.Header().Get("Location"))
		require.Equal(t, map[string]any{
			"networks": nil, "metadata": map[string]any{}, "created_from": nil, "last_used_from": nil, "previous_id": nil,
			"id": id, "name": "deploy", "hint": "acme_pat_…" + token[len(token)-4:], "state": "active",
			"scopes":     []any{"notes:read", "notes:write"},
			"created_at": ada.tokens()[0].CreatedAt.Format(time.RFC3339Nano), "last_used_at": nil,
			"expires_at": ada.tokens()[0].CreatedAt.Add(24 * time.Hour).Format(time.RFC3339Nano), "token": token,
		}, made)

		delete(made, "token")
		require.Equal(t, made, ada.get("/api/tokens/"+id).status(http.StatusOK).object())
		require.Equal(t, []any{made}, ada.get("/api/tokens").object()["tokens"])
		require.True(t, s.works(auth.SchemeBearer, token))

		_, full := ada.createToken(`{"name": "full", "scopes": ["*"], "expires_in": null}`)
		require.Equal(t, []any{"*"}, full["scopes"])
		require.Nil(t, full["expires_at"])
		require.NoError(t, s.bearer.Close(t.Context()))
	})
}

func TestAPI_rotateAndRevokeTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		fullID, full := ada.createToken(`{"name": "full", "scopes": ["*"], "expires_in": null}`)
		id, made := ada.createToken(`{"name": "deploy", "scopes": ["notes:read"], "expires_in": 86400}`)
		token := made["token"].(string)

		path := "/api/tokens/" + id + "/rotate"
		next := ada.json("POST", path, `{"overlap": 3600}`).status(http.StatusOK).object()
		require.True(t, s.works(auth.SchemeBearer, next["token"].(string)))
		require.True(t, s.works(auth.SchemeBearer, token))
		require.Equal(t, "superseded", ada.get("/api/tokens/" + id).object()["state"])
		ada.json("POST", path, `{"overlap": 3600}`).problem(http.StatusConflict, "conflict")
		time.Sleep(time.Hour)
		require.False(t, s.works(auth.SchemeBearer, token))
		require.Equal(t, "expired", ada.get("/api/tokens/" + id).object()["state"])

		ada.do("DELETE", "/api/tokens/"+fullID, "").status(http.StatusNoContent)
		require.False(t, s.works(auth.SchemeBearer, full["token"].(string)))
		ada.do("DELETE", "/api/tokens/"+fullID, "").problem(http.StatusNotFound, "not_found")
		require.EqualValues(t, 2, ada.do("DELETE", "/api/tokens", "").status(http.StatusOK).object()["revoked"])
		require.False(t, s.works(auth.SchemeBearer, next["token"].(string)))
		require.EqualValues(t, 0, ada.do("DELETE", "/api/tokens", "").object()["revoked"])
		require.NoError(t, s.bearer.Close(t.Context()))
	})
}

func TestAPI_listPages(t *testing.T) {
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
			ada.get(path+"?limit="+odd).problem(http.StatusBadRequest, "invalid_argument").fields("limit")
		}
		ada.get(path+"?after=%00").problem(http.StatusBadRequest, "invalid_argument").fields("after")
		require.Len(t, ada.get(path + "?limit=7").object()[name], 7)
	}
}

// secretJSON is a body that names a secret.
func secretJSON(id any) string { return fmt.Sprintf(`{"id": %q}`, id) }

func TestAPI_noSecret(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	require.JSONEq(t, `{"current": null, "previous": null}`, ada.get("/api/secret").status(http.StatusOK).Body.String())
	ada.json("POST", "/api/secret/reveal", secretJSON("absent")).problem(http.StatusNotFound, "not_found")
	ada.json("POST", "/api/secret/rotate", `{"id": "absent", "overlap": 0}`).problem(http.StatusNotFound, "not_found")
	ada.do("DELETE", "/api/secret?id=absent", "").problem(http.StatusNotFound, "not_found")
}

func TestAPI_createAndRevealSecret(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	made := ada.do("POST", "/api/secret", "").status(http.StatusCreated).object()
	require.True(t, s.works(auth.SchemeSecret, made["secret"].(string)))
	require.Nil(t, made["expires_at"])
	require.EqualValues(t, auth.FullAccess, ada.secrets()[0].Scopes)
	ada.json("POST", "/api/secret", "{}").problem(http.StatusConflict, "conflict")
	require.Equal(t, map[string]any{"secret": made["secret"]}, ada.json("POST", "/api/secret/reveal", secretJSON(made["id"])).status(http.StatusOK).object())
	require.NotContains(t, ada.get("/api/secret").Body.String(), made["secret"])

	once := newService(t, func(c *configs) { c.secret.RevealKeys = nil }).signIn("ada")
	id := once.do("POST", "/api/secret", "").status(http.StatusCreated).object()["id"]
	once.json("POST", "/api/secret/reveal", secretJSON(id)).problem(http.StatusConflict, "not_revealable")
}

func TestAPI_rotateAndRevokeSecret(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	first, old := ada.createSecret()
	rotate := func(id string) *answer {
		return ada.json("POST", "/api/secret/rotate", fmt.Sprintf(`{"overlap": 3600, "id": %q}`, id))
	}
	second := rotate(old.ID).status(http.StatusOK).object()
	id := second["id"].(string)
	rotate(old.ID).problem(http.StatusConflict, "conflict")
	require.True(t, s.works(auth.SchemeSecret, first), "the repeated request changed nothing")
	both := ada.get("/api/secret").object()
	require.Equal(t, id, both["current"].(map[string]any)["id"])
	require.Equal(t, old.ID, both["previous"].(map[string]any)["id"])

	ada.do("DELETE", "/api/secret/previous/"+id, "").problem(http.StatusConflict, "conflict")
	ada.do("DELETE", "/api/secret/previous/"+old.ID, "").status(http.StatusNoContent)
	require.False(t, s.works(auth.SchemeSecret, first))
	ada.do("DELETE", "/api/secret/previous/"+old.ID, "").problem(http.StatusNotFound, "not_found")
	ada.do("DELETE", "/api/secret?id="+id, "").status(http.StatusNoContent)
	require.False(t, s.works(auth.SchemeSecret, second["secret"].(string)))
	ada.do("DELETE", "/api/secret?id="+id, "").problem(http.StatusNotFound, "not_found")
}

// A request that names an older secret changes and reveals nothing.
func TestAPI_olderSecret(t *testing.T) {
	t.Parallel()
	h := newPopulatedUser(t, newService(t), "ada")
	gone := newPopulatedUser(t, newService(t), "bob").secretID
	for _, id := range []string{h.previousID, gone} {
		h.json("POST", "/api/secret/rotate", fmt.Sprintf(`{"id": %q, "overlap": 0}`, id)).problem(http.StatusConflict, "conflict")
		got := h.json("POST", "/api/secret/reveal", secretJSON(id)).problem(http.StatusConflict, "conflict")
		require.NotContains(t, got.Body.String(), h.secret)
		h.do("DELETE", "/api/secret?id="+id, "").problem(http.StatusConflict, "conflict")
		h.untouched()
	}
}

// Requests that name no secret are invalid, even if there is only one.
func TestAPI_missingSecretID(t *testing.T) {
	t.Parallel()
	h := newPopulatedUser(t, newService(t), "ada")
	for path, body := range map[string]string{"/api/secret/reveal": "", "/api/secret/rotate": `, "overlap": 0`} {
		for _, id := range []string{`"other": 1`, `"id": ""`, `"id": null`, `"id": 1`} {
			h.json("POST", path, "{"+id+body+"}").problem(http.StatusBadRequest, "invalid_argument")
		}
	}
	h.json("POST", "/api/secret/reveal", "{}").problem(http.StatusBadRequest, "invalid_argument").fields("id")
	h.json("POST", "/api/secret/rotate", `{"overlap": 0}`).problem(http.StatusBadRequest, "invalid_argument").fields("id")
	h.json("POST", "/api/secret/rotate", `{"id": "", "overlap": 0}`).problem(http.StatusBadRequest, "invalid_argument").fields("id")
	h.do("DELETE", "/api/secret", "").problem(http.StatusBadRequest, "invalid_argument").fields("id")
	h.do("DELETE", "/api/secret?id=", "").problem(http.StatusBadRequest, "invalid_argument").fields("id")
	h.untouched()
}

// An expired secret counts as none, and can be replaced.
func TestAPI_expiredSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		_, c, err := s.secret.Issue(t.Context(), "ada", auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: time.Minute})
		require.NoError(t, err)
		require.NotNil(t, ada.get("/api/secret").object()["current"])
		time.Sleep(time.Minute)
		require.Equal(t, map[string]any{"current": nil, "previous": nil}, ada.get("/api/secret").status(http.StatusOK).object())
		ada.json("POST", "/api/secret/reveal", secretJSON(c.ID)).problem(http.StatusNotFound, "not_found")
		ada.json("POST", "/api/secret/rotate", fmt.Sprintf(`{"id": %q, "overlap": 0}`, c.ID)).problem(http.StatusNotFound, "not_found")
		ada.do("DELETE", "/api/secret?id="+c.ID, "").problem(http.StatusNotFound, "not_found")
		made := ada.json("POST", "/api/secret", "").status(http.StatusCreated).object()
		require.True(t, s.works(auth.SchemeSecret, made["secret"].(string)))
		require.NoError(t, s.secret.Close(t.Context()))
	})
}

func TestAPI_sessions(t *testing.T) {
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

// Expired sessions are left out of a page, and do not end the list.
func TestAPI_sessionsPages(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	now := time.Now().UTC().Truncate(time.Microsecond)
	for i := range 5 {
		c := auth.Credential{
			ID: fmt.Sprintf("%026d", i), Kind: auth.KindSession, UserID: "ada", Scopes: auth.FullAccess,
			Digest: auth.Digest{byte(i + 1)}, CreatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(time.Hour),
		}
		if i == 3 {
			c.ExpiresAt = now.Add(-time.Minute)
		}
		require.NoError(t, s.store.Create(t.Context(), c, 0))
	}
	var ids []any
	for after, page := "", 0; ; page++ {
		require.Less(t, page, 3, "the list does not end")
		got := ada.get("/api/sessions?limit=2&after=" + after).status(http.StatusOK).object()
		for _, session := range got["sessions"].([]any) {
			ids = append(ids, session.(map[string]any)["id"])
		}
		next, more := got["next"].(string)
		if !more {
			break
		}
		after = next
	}
	require.Equal(t, []any{ada.session.ID, fmt.Sprintf("%026d", 4), fmt.Sprintf("%026d", 2), fmt.Sprintf("%026d", 1), fmt.Sprintf("%026d", 0)}, ids)
}

func TestAPI_policy(t *testing.T) {
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
		"token":  map[string]any{"max_lifetime": 3600.0, "max_overlap": 604800.0, "max_per_user": 3.0, "networks": false, "metadata": []any{}, "updatable": []any{"name", "scopes"}},
		"secret": map[string]any{"max_overlap": 604800.0, "revealable": true},
		"authentication": map[string]any{
			"actor": nil, "max_age": 600.0, "scopes": []any{"*"}, "authenticated_at": ada.session.CreatedAt.Format(time.RFC3339Nano),
		},
	}, ada.get("/api/policy").status(http.StatusOK).object())
}

// tokenBody returns the body of a request for a token.
func tokenBody(name, scopes, expires string) string {
	return fmt.Sprintf(`{"name": %s, "scopes": %s, "expires_in": %s}`, name, scopes, expires)
}

const validName, validScopes, validExpiry = `"deploy"`, `["notes:read"]`, "3600"

// invalidTokens are bodies for a service with a MaxLifetime of 365 days.
var invalidTokens = []struct {
	name, body string
	fields     []string
}{
	{"empty name", tokenBody(`""`, validScopes, validExpiry), []string{"name"}},
	{"long name", tokenBody(`"`+strings.Repeat("x", 10<<10)+`"`, validScopes, validExpiry), []string{"name"}},
	{"NUL in the name", tokenBody(`"a\u0000b"`, validScopes, validExpiry), []string{"name"}},
	{"line break in the name", tokenBody(`"a\nb"`, validScopes, validExpiry), []string{"name"}},
	{"escape in the name", tokenBody(`"a\u001bb"`, validScopes, validExpiry), []string{"name"}},
	{"line separator in the name", tokenBody(`"a\u2028b"`, validScopes, validExpiry), []string{"name"}},
	{"direction override in the name", tokenBody(`"a\u202eb"`, validScopes, validExpiry), []string{"name"}},
	{"no name", `{"scopes": ["*"], "expires_in": 3600}`, []string{"name"}},
	{"null name", tokenBody("null", validScopes, validExpiry), []string{"name"}},
	{"name of the wrong type", tokenBody("1", validScopes, validExpiry), []string{"name"}},
	{"null scopes", tokenBody(validName, "null", validExpiry), []string{"scopes"}},
	{"no scopes", tokenBody(validName, "[]", validExpiry), []string{"scopes"}},
	{"a null scope", tokenBody(validName, "[null]", validExpiry), []string{"scopes"}},
	{"unknown scope", tokenBody(validName, `["notes:admin"]`, validExpiry), []string{"scopes"}},
	{"scope with a space", tokenBody(validName, `["notes:read notes:write"]`, validExpiry), []string{"scopes"}},
	{"full access among others", tokenBody(validName, `["*", "notes:read"]`, validExpiry), []string{"scopes"}},
	{"many scopes", tokenBody(validName, `["notes:read"`+strings.Repeat(`,"notes:x"`, 1000)+`]`, validExpiry), []string{"scopes"}},
	{"scopes in one string", tokenBody(validName, `"*"`, validExpiry), []string{"scopes"}},
	{"missing scopes", `{"name": "deploy", "expires_in": 3600}`, []string{"scopes"}},
	{"missing expires_in", `{"name": "deploy", "scopes": ["notes:read"]}`, []string{"expires_in"}},
	{"less than a minute", tokenBody(validName, validScopes, "59"), []string{"expires_in"}},
	{"no fields", `{}`, []string{"name", "scopes", "expires_in"}},
	{"never, despite a MaxLifetime", tokenBody(validName, validScopes, "null"), []string{"expires_in"}},
	{"zero", tokenBody(validName, validScopes, "0"), []string{"expires_in"}},
	{"negative", tokenBody(validName, validScopes, "-1"), []string{"expires_in"}},
	{"over MaxLifetime", tokenBody(validName, validScopes, "31536001"), []string{"expires_in"}},
	{"overflow of a duration", tokenBody(validName, validScopes, "9223372037"), []string{"expires_in"}},
	{"overflow to a positive number", tokenBody(validName, validScopes, fmt.Sprint(math.MaxInt64/1000000000*2+3)), []string{"expires_in"}},
	{"overflow of a number", tokenBody(validName, validScopes, "9223372036854775808"), []string{"expires_in"}},
	{"a fraction", tokenBody(validName, validScopes, "1.5"), []string{"expires_in"}},
	{"a number in a string", tokenBody(validName, validScopes, `"3600"`), []string{"expires_in"}},
	{"all invalid", tokenBody(`""`, "[]", "31536001"), []string{"name", "scopes", "expires_in"}},
	{"unknown field", `{"name": "x", "admin": true}`, []string{"scopes", "expires_in", "admin"}},
	{"field in another case", `{"Name": "x"}`, []string{"name", "scopes", "expires_in", "Name"}},
	{"a repeated field", `{"name": "x", "name": "y"}`, []string{"name", "scopes", "expires_in"}},
}

// Errors name the invalid field, and nothing is created.
func TestAPI_invalidToken(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) { c.bearer.MaxLifetime, c.bearer.MaxPerUser = 365*24*time.Hour, 1 }).signIn("ada")
	for _, test := range invalidTokens {
		t.Run(test.name, func(t *testing.T) {
			ada.json("POST", "/api/tokens", test.body).problem(http.StatusBadRequest, "invalid_argument").fields(test.fields...)
			require.Empty(t, ada.tokens())
		})
	}
	id, _ := ada.createToken(tokenBody(validName, validScopes, "31536000"))
	ada.json("POST", "/api/tokens", tokenBody(validName, validScopes, validExpiry)).problem(http.StatusConflict, "limit_reached")
	for _, overlap := range []string{"-1", "604801", "null", `"1"`, "9223372037"} {
		ada.json("POST", "/api/tokens/"+id+"/rotate", `{"overlap": `+overlap+`}`).problem(http.StatusBadRequest, "invalid_argument").fields("overlap")
	}
	require.Len(t, ada.tokens(), 1)
}

// Full access and tokens that never expire have to be asked for.
func TestAPI_mostAccessIsExplicit(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	for body, field := range map[string]string{
		`{"name": "x", "expires_in": 3600}`:                    "scopes",
		`{"name": "x", "scopes": null, "expires_in": 3600}`:    "scopes",
		`{"name": "x", "scopes": [], "expires_in": 3600}`:      "scopes",
		`{"name": "x", "scopes": ["*"]}`:                       "expires_in",
		`{"name": "x", "scopes": ["*"], "expires_in": 0}`:      "expires_in",
		`{"name": "x", "scopes": ["*"], "expires_in": 59}`:     "expires_in",
		`{"name": "x", "scopes": ["*"], "expires_in": -1}`:     "expires_in",
		`{"name": "x", "scopes": ["*"], "expires_in": "null"}`: "expires_in",
	} {
		ada.json("POST", "/api/tokens", body).problem(http.StatusBadRequest, "invalid_argument").fields(field)
	}
	require.Empty(t, ada.tokens())
	_, made := ada.createToken(`{"name": "x", "scopes": ["*"], "expires_in": null}`)
	require.Equal(t, []any{"*"}, made["scopes"])
	require.Nil(t, made["expires_at"])
}

func TestAPI_concurrentCreatesAtTheLimit(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) { c.bearer.MaxPerUser = 7 }).signIn("ada")
	var made, rejected atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			switch got := ada.json("POST", "/api/tokens", `{"name": "x", "scopes": ["*"], "expires_in": 60}`); got.Code {
			case http.StatusCreated:
				made.Add(1)
			case http.StatusConflict:
				rejected.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 7, made.Load())
	require.EqualValues(t, 93, rejected.Load())
	require.Len(t, ada.tokens(), 7)
}
