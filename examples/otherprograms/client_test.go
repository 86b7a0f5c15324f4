package main

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
	"google.golang.org/grpc/test/bufconn"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

// gateway has characters that a client must encode before it sends them by HTTP Basic (RFC 6749 section 2.3.1).
const gateway = "gateway:1 ä+%"

// A clientFixture is a server, and what its clients need.
type clientFixture struct {
	bearer *auth.Bearer
	secret string // of the gateway
	http   *http.Client
}

// newClientFixture starts a server whose connections are in memory, so that it can be part of a synctest bubble.
func newClientFixture(t *testing.T) *clientFixture {
	t.Helper()
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	require.NoError(t, err)
	secrets, err := auth.NewSecret(store, auth.SecretConfig{Prefix: "acme_cs"})
	require.NoError(t, err)
	introspect, err := endpoint.NewIntrospection(endpoint.IntrospectionConfig{
		Bearer: bearer, Secret: secrets,
		Allow: func(_ context.Context, caller, _ *auth.Identity) (bool, error) { return caller.UserID == gateway, nil },
	})
	require.NoError(t, err)
	revoke, err := revocation(bearer, secrets)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/oauth/introspect", introspect)
	mux.Handle("/oauth/revoke", revoke)
	secret, _, err := secrets.Issue(t.Context(), gateway, auth.SecretOptions{Scopes: []string{"introspect"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)

	listener, srv := bufconn.Listen(64<<10), &http.Server{Handler: mux}
	go func() { _ = srv.Serve(listener) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.DialContext(ctx) }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = srv.Close()
	})
	return &clientFixture{bearer, secret, &http.Client{Transport: transport}}
}

func (f *clientFixture) issue(t *testing.T, lifetime time.Duration) (plaintext string, c auth.Credential) {
	t.Helper()
	plaintext, c, err := f.bearer.Issue(t.Context(), "alice", auth.TokenOptions{
		Name: "ci", Scopes: []string{"reports:read", "reports:write"}, Lifetime: lifetime,
	})
	require.NoError(t, err)
	return plaintext, c
}

// introspect asks as a resource server that has the ID and the secret of a client.
func (f *clientFixture) introspect(t *testing.T, secret, token string) (*oidc.IntrospectionResponse, error) {
	t.Helper()
	server, err := rs.NewResourceServerClientCredentials(t.Context(), "", gateway, secret,
		rs.WithClient(f.http), rs.WithStaticEndpoints("http://app.example/oauth/token", "http://app.example/oauth/introspect"))
	require.NoError(t, err)
	return rs.Introspect[*oidc.IntrospectionResponse](t.Context(), server, token)
}

// A revoker is a relying party without discovery, which would tell it where tokens are revoked.
type revoker struct{ rp.RelyingParty }

func (revoker) GetRevokeEndpoint() string { return "http://app.example/oauth/revoke" }

// revoke revokes a token as a client does that sends its own credential in the given style, if it has one.
func (f *clientFixture) revoke(t *testing.T, style oauth2.AuthStyle, secret, token string) error {
	t.Helper()
	party, err := rp.NewRelyingPartyOAuth(&oauth2.Config{ClientID: gateway, ClientSecret: secret}, rp.WithHTTPClient(f.http), rp.WithAuthStyle(style))
	require.NoError(t, err)
	return rp.RevokeToken(t.Context(), revoker{party}, token, "access_token")
}

// A standard client reads all members of the response, until the token expires.
func TestIntrospection_standardClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newClientFixture(t)
		token, c := f.issue(t, time.Hour)
		got, err := f.introspect(t, f.secret, token)
		require.NoError(t, err)
		require.True(t, got.Active)
		require.Equal(t, oidc.SpaceDelimitedArray{"reports:read", "reports:write"}, got.Scope)
		require.Equal(t, "alice", got.Subject)
		require.Equal(t, "alice", got.ClientID)
		require.Equal(t, "Bearer", got.TokenType)
		require.Equal(t, c.ID, got.JWTID)
		require.True(t, got.Expiration.AsTime().Equal(c.ExpiresAt.Truncate(time.Second)))
		require.True(t, got.IssuedAt.AsTime().Equal(c.CreatedAt.Truncate(time.Second)))

		forever, _ := f.issue(t, auth.NoExpiry)
		got, err = f.introspect(t, f.secret, forever)
		require.NoError(t, err)
		require.True(t, got.Active)
		require.Zero(t, got.Expiration)

		time.Sleep(time.Hour)
		expired, err := f.introspect(t, f.secret, token)
		require.NoError(t, err)
		unknown, err := f.introspect(t, f.secret, "acme_pat_0123456789abcdefghijklmnopqrstuv123456")
		require.NoError(t, err)
		for _, got := range []*oidc.IntrospectionResponse{expired, unknown} {
			require.False(t, got.Active)
			require.Equal(t, map[string]any{"active": false}, got.Claims)
		}

		_, err = f.introspect(t, f.secret+"x", forever)
		var rejected *oidc.Error
		require.ErrorAs(t, err, &rejected)
		require.Equal(t, oidc.InvalidClient, rejected.ErrorType)
	})
}

// A standard client revokes its token, whether it sends a credential of its own or not.
func TestRevocation_standardClient(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		style  oauth2.AuthStyle
		secret bool
	}{
		"public":        {oauth2.AuthStyleInParams, false},
		"in the form":   {oauth2.AuthStyleInParams, true},
		"by HTTP Basic": {oauth2.AuthStyleInHeader, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newClientFixture(t)
			token, _ := f.issue(t, time.Hour)
			other, _ := f.issue(t, time.Hour)
			secret := ""
			if test.secret {
				secret = f.secret
			}
			require.NoError(t, f.revoke(t, test.style, secret, token))
			require.NoError(t, f.revoke(t, test.style, secret, token), "an invalid token is no error (RFC 7009 section 2.2)")
			got, err := f.introspect(t, f.secret, token)
			require.NoError(t, err)
			require.Equal(t, map[string]any{"active": false}, got.Claims)
			got, err = f.introspect(t, f.secret, other)
			require.NoError(t, err)
			require.True(t, got.Active)
		})
	}
}
