package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestHandle(t *testing.T) {
	t.Parallel()
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{})
	require.NoError(t, err)
	issue := func(scope string) string {
		token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "x", Scopes: []string{scope}, Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		return token
	}
	for _, test := range []struct{ name, token, want, err string }{
		{"the scope", issue("notes:write"), `alice notes "buy milk"`, ""},
		{"another scope", issue("notes:read"), "", "The credential lacks a required scope."},
		{"unknown", "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", "", "auth: invalid credential (Bearer)"},
		{"none", "", "", "auth: no credential"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := handle(t.Context(), &auth.Middleware{}, bearer, message{test.token, "buy milk"})
			require.Equal(t, test.want, got)
			if test.err != "" {
				require.EqualError(t, err, test.err)
			}
		})
	}
}
