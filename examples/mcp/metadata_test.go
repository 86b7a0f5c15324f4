package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

// The SDK's client follows the challenge to the document, and accepts it.
func TestMetadata(t *testing.T) {
	t.Parallel()
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{})
	require.NoError(t, err)
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	resource := srv.URL + "/mcp"
	document, err := endpoint.NewMetadata(endpoint.MetadataConfig{
		Resource: resource, AuthorizationServers: []string{"https://login.example"}, Scopes: []string{"notes:write"},
	})
	require.NoError(t, err)
	location, err := endpoint.MetadataURL(resource)
	require.NoError(t, err)
	mux.Handle("/.well-known/oauth-protected-resource/", document)
	mux.Handle("/mcp", (&auth.Middleware{ResourceMetadata: location}).Require(bearer)(http.NotFoundHandler()))

	resp, err := http.Get(resource)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	challenges, err := oauthex.ParseWWWAuthenticate(resp.Header.Values("WWW-Authenticate"))
	require.NoError(t, err)
	require.Len(t, challenges, 1)
	got, err := oauthex.GetProtectedResourceMetadata(t.Context(), challenges[0].Params["resource_metadata"], resource, http.DefaultClient)
	require.NoError(t, err)
	require.Equal(t, []string{"https://login.example"}, got.AuthorizationServers)
	require.Equal(t, []string{"notes:write"}, got.ScopesSupported)
}
