package endpoint_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

func TestMetadataURL(t *testing.T) {
	t.Parallel()
	for resource, want := range map[string]string{
		"https://app.example":          "https://app.example/.well-known/oauth-protected-resource",
		"https://app.example/":         "https://app.example/.well-known/oauth-protected-resource",
		"https://app.example:8443/mcp": "https://app.example:8443/.well-known/oauth-protected-resource/mcp",
		"https://app.example/a/b%20c":  "https://app.example/.well-known/oauth-protected-resource/a/b%20c",
		"http://127.0.0.1:8080/mcp":    "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp",
		"":                             "", "app.example": "", "/mcp": "", "http://app.example": "", "https://": "", "ftp://app.example": "",
		"https://a@app.example": "", "https://app.example/?a": "", "https://app.example?": "", "https://app.example/#a": "", "https://app.example/#": "",
		"https://app.example/../a": "", "https://app.example//a": "", "https://app.example/a b": "", "https://app.example/é": "",
	} {
		got, err := endpoint.MetadataURL(resource)
		require.Equal(t, want, got, resource)
		require.Equal(t, want == "", err != nil, resource)
	}
}

func TestNewMetadata(t *testing.T) {
	t.Parallel()
	h, err := endpoint.NewMetadata(endpoint.MetadataConfig{
		Resource: "https://app.example/mcp", AuthorizationServers: []string{"https://login.example"}, Scopes: []string{"notes:read"},
		Name: "Notes", Documentation: "https://app.example/docs",
	})
	require.NoError(t, err)
	const path = "/.well-known/oauth-protected-resource"
	w := do(t, h, "GET", path+"/mcp", "")
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"resource":"https://app.example/mcp","authorization_servers":["https://login.example"],"scopes_supported":["notes:read"],
		"bearer_methods_supported":["header"],"resource_name":"Notes","resource_documentation":"https://app.example/docs"}`, w.Body.String())
	require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "public, max-age=3600", w.Header().Get("Cache-Control"))
	require.Empty(t, do(t, h, "HEAD", path+"/mcp", "").Body.String())
	require.Equal(t, 405, do(t, h, "POST", path+"/mcp", "").Code)
	for _, other := range []string{"", "/", "/mcp/", "/MCP", "/other", "/mcp%2f"} {
		w := do(t, h, "GET", path+other, "")
		require.Equal(t, 404, w.Code, other)
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	}
}

// A client of MCP in a browser sends a header of its own, for which the browser asks first.
func TestNewMetadata_preflight(t *testing.T) {
	t.Parallel()
	h, err := endpoint.NewMetadata(endpoint.MetadataConfig{Resource: "https://app.example/mcp"})
	require.NoError(t, err)
	const path = "/.well-known/oauth-protected-resource/mcp"
	w := do(t, h, "OPTIONS", path, "", "Origin", "https://client.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "mcp-protocol-version")
	require.Equal(t, 204, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Headers"))
	require.Empty(t, w.Header().Get("Access-Control-Allow-Credentials"))
	require.Equal(t, 404, do(t, h, "OPTIONS", path+"/other", "").Code)
}

// The challenge names the URL at which the document is.
func TestNewMetadata_challenge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	location, err := endpoint.MetadataURL("https://app.example/mcp")
	require.NoError(t, err)
	m := &auth.Middleware{ResourceMetadata: location, Observe: f.observe}
	w := do(t, m.Require(f.bearer)(http.NotFoundHandler()), "GET", "https://app.example/mcp", "")
	require.Equal(t, 401, w.Code)
	require.Contains(t, w.Header().Get("WWW-Authenticate"), `resource_metadata="https://app.example/.well-known/oauth-protected-resource/mcp"`)
}

func TestNewMetadata_config(t *testing.T) {
	t.Parallel()
	_, err := endpoint.NewMetadata(endpoint.MetadataConfig{
		AuthorizationServers: []string{"x"}, Scopes: []string{auth.FullAccess}, Documentation: "javascript:alert(1)",
	})
	for _, field := range []string{"Resource", "AuthorizationServers", "Scopes", "Documentation"} {
		require.ErrorContains(t, err, "MetadataConfig."+field)
	}
}

func TestNewMetadata_concurrent(t *testing.T) {
	t.Parallel()
	h, err := endpoint.NewMetadata(endpoint.MetadataConfig{Resource: "https://app.example"})
	require.NoError(t, err)
	bodies := make([]string, 1000)
	atOnce(len(bodies), func(i int) { bodies[i] = do(t, h, "GET", "/.well-known/oauth-protected-resource", "").Body.String() })
	for _, body := range bodies {
		require.Equal(t, "{\"resource\":\"https://app.example\",\"bearer_methods_supported\":[\"header\"]}\n", body)
	}
}
