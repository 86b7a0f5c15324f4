package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

// A standard client encodes its ID and secret before it sends them by HTTP Basic.
func TestIntrospection_standardClient(t *testing.T) {
	t.Parallel()
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{})
	require.NoError(t, err)
	secret, err := auth.NewSecret(store, auth.SecretConfig{})
	require.NoError(t, err)
	const user = "gateway:1 ä+%"
	h, err := endpoint.NewIntrospection(endpoint.IntrospectionConfig{
		Bearer: bearer, Secret: secret,
		Allow: func(_ context.Context, caller, _ *auth.Identity) (bool, error) { return caller.UserID == user, nil },
	})
	require.NoError(t, err)
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "ci", Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	plaintext, _, err := secret.Issue(t.Context(), user, auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)

	client := &clientcredentials.Config{
		ClientID: user, ClientSecret: plaintext, TokenURL: srv.URL, EndpointParams: url.Values{"token": {token}}, AuthStyle: oauth2.AuthStyleInHeader,
	}
	_, err = client.Token(t.Context())
	require.ErrorContains(t, err, "missing access_token", "the response is that of an introspection")
	client.ClientSecret += "x"
	_, err = client.Token(t.Context())
	var rejected *oauth2.RetrieveError
	require.True(t, errors.As(err, &rejected))
	require.Equal(t, "invalid_client", rejected.ErrorCode)
}
