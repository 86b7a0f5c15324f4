package auth_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestHeaderCredential(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		fields []string
		want   string
		err    error
	}{
		{"none", nil, "", auth.ErrNoCredential},
		{"another scheme", []string{"Basic YTpi"}, "", auth.ErrNoCredential},
		{"ours", []string{"legacy abc"}, "abc", nil},
		{"a JSON Web Token", []string{"Legacy " + repeated("a", 900) + "." + repeated("b", 900) + "._-"}, repeated("a", 900) + "." + repeated("b", 900) + "._-", nil},
		{"two fields", []string{"Legacy a", "Legacy a"}, "", auth.ErrMalformed},
		{"nothing behind it", []string{"Legacy"}, "", auth.ErrMalformed},
		{"any other visible character", []string{"Legacy 12|a:b"}, "12|a:b", nil},
		{"a space", []string{"Legacy a b"}, "", auth.ErrMalformed},
		{"a list", []string{"Legacy a,b"}, "", auth.ErrMalformed},
		{"too long", []string{"Legacy " + repeated("a", 64<<10)}, "", auth.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := auth.HeaderCredential(request("GET", authorization(test.fields...)), "Legacy")
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.want, got)
		})
	}
}

// The JSON form is part of the API.
func TestIdentity_json(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 1, 12, 9, 30, 0, 0, time.UTC)
	for want, v := range map[string]any{
		`{"user_id":"ada","scheme":"Bearer","credential_id":"01","scopes":"read write","authenticated_at":"2027-01-12T09:30:00Z"}`: auth.Identity{
			UserID: "ada", Scheme: auth.SchemeBearer, CredentialID: "01", Scopes: "read write", AuthenticatedAt: at,
		},
		`{"id":"01","kind":"token","user_id":"ada","name":"deploy","hint":"acme_…Pcx3","scopes":"*","created_at":"2027-01-12T09:30:00Z","expires_at":"2027-01-12T09:30:00Z"}`: auth.Credential{
			ID: "01", Kind: auth.KindToken, UserID: "ada", Name: "deploy", Hint: "acme_…Pcx3", Scopes: auth.FullAccess,
			Digest: auth.Digest{1}, Sealed: []byte("sealed"), CreatedAt: at, ExpiresAt: at,
		},
		`{"id":"01","kind":"secret","user_id":"ada","scopes":"","last_used_at":"2027-01-12T09:30:00Z","superseded":true,"previous":"00"}`: auth.Credential{
			ID: "01", Kind: auth.KindSecret, UserID: "ada", LastUsedAt: at, Superseded: true, Previous: "00",
		},
	} {
		got, err := json.Marshal(v)
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}
	for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
		text, err := kind.MarshalText()
		require.NoError(t, err)
		var back auth.Kind
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, kind, back)
	}
	for _, unknown := range []string{"", "none", "Token", "tokens"} {
		require.Error(t, new(auth.Kind).UnmarshalText([]byte(unknown)))
	}
}

func TestKeys_equal(t *testing.T) {
	t.Parallel()
	_, err := auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: auth.Keys{testKey(1), testKey(2), testKey(2)}})
	require.ErrorContains(t, err, "keys 1 and 2 are equal")
}
