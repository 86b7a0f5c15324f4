package auth_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

var tenant = map[string]string{"tenant": "acme", "role": "a=b, ü 🙂", "empty": ""}

// identityOf returns the identity that a handler gets.
func identityOf(t *testing.T, f *fixture, e edit) auth.Identity {
	t.Helper()
	var got auth.Identity
	h := auth.Require(f.bearer, f.cookie, f.secret)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		got = *id
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("GET", e))
	require.Equal(t, 200, w.Code)
	return got
}

func TestMetadata_ofEachKind(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	o, so := tokenOptions("x"), fullSecret
	o.Metadata, so.Metadata = maps.Clone(tenant), maps.Clone(tenant)
	token, c, err := f.bearer.Issue(t.Context(), "ada", o)
	require.NoError(t, err)
	secret, sc, err := f.secret.Issue(t.Context(), "ada", so)
	require.NoError(t, err)
	clear(o.Metadata)
	rotated, _, err := f.bearer.Rotate(t.Context(), "ada", c.ID, time.Hour)
	require.NoError(t, err)
	rotatedSecret, _, err := f.secret.Rotate(t.Context(), "ada", sc.ID, time.Hour)
	require.NoError(t, err)
	imported := importOptions("x")
	imported.Metadata = tenant
	_, err = f.bearer.Import(t.Context(), "ada", repeated("i", 32), imported)
	require.NoError(t, err)
	cookie := f.signIn("ada", auth.SessionOptions{Metadata: tenant})
	for _, e := range []edit{
		authorization("Bearer " + token), authorization("Bearer " + rotated), authorization("Secret " + secret),
		authorization("Secret " + rotatedSecret), authorization("Bearer " + repeated("i", 32)), withCookie(cookie),
	} {
		id := identityOf(t, f, e)
		require.Equal(t, tenant, maps.Collect(id.Metadata.All()))
		require.Equal(t, "acme", id.Metadata.Get("tenant"))
		require.Equal(t, "a=b, ü 🙂", id.Metadata.Get("role"))
		require.Empty(t, id.Metadata.Get("missing"))
		text, err := json.Marshal(id) // which may be shown to the user
		require.NoError(t, err)
		require.NotContains(t, string(text), "acme")
	}
	require.Empty(t, identityOf(t, f, authorization("Bearer "+f.token("ada"))).Metadata)
}

func TestMetadata_limits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	many := map[string]string{}
	for i := range 17 {
		many[fmt.Sprint("key", i)] = "x"
	}
	sixteen := maps.Clone(many)
	delete(sixteen, "key0")
	for _, test := range []struct {
		name    string
		entries map[string]string
		fault   string
	}{
		{"none", nil, ""},
		{"empty", map[string]string{}, ""},
		{"16 entries", sixteen, ""},
		{"17 entries", many, "must have at most 16 entries"},
		{"the longest", map[string]string{repeated("k", 64): repeated("v", 256)}, ""},
		{"every character of a key", map[string]string{"az09_.-": ""}, ""},
		{"a long key", map[string]string{repeated("k", 65): ""}, "must be 1 to 64 of [a-z0-9_.-]"},
		{"an empty key", map[string]string{"": "x"}, "must be 1 to 64 of [a-z0-9_.-]"},
		{"a capital", map[string]string{"Tenant": "x"}, "must be 1 to 64 of [a-z0-9_.-]"},
		{"an equals sign in a key", map[string]string{"a=b": "x"}, "must be 1 to 64 of [a-z0-9_.-]"},
		{"a long value", map[string]string{"k": repeated("v", 257)}, "the value of k must be at most 256 bytes"},
		{"a newline in a value", map[string]string{"role": "user\nrole=admin"}, "the value of role must be UTF-8 without control characters"},
		{"bad UTF-8", map[string]string{"k": "\xff"}, "the value of k must be UTF-8 without control characters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, so := tokenOptions("x"), fullSecret
			o.Metadata, so.Metadata = test.entries, test.entries
			_, _, tokenErr := f.bearer.Issue(t.Context(), "ada", o)
			_, _, secretErr := f.secret.Issue(t.Context(), "user of "+test.name, so)
			w := httptest.NewRecorder()
			_, sessionErr := f.cookie.SignIn(w, request("POST"), "ada", auth.SessionOptions{Metadata: test.entries})
			for _, err := range []error{tokenErr, secretErr, sessionErr} {
				if test.fault == "" {
					require.NoError(t, err)
					continue
				}
				var argument *auth.ArgumentError
				require.ErrorAs(t, err, &argument)
				require.Equal(t, "Metadata", argument.Argument)
				require.Contains(t, argument.Fault, test.fault)
				require.NotContains(t, err.Error(), "admin", "values may be confidential")
				require.Less(t, len(err.Error()), 200)
			}
			require.Equal(t, test.fault != "", strings.TrimSpace(w.Header().Get("Set-Cookie")) == "")
		})
	}
}
