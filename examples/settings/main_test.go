package main

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

// A user signs in, creates a token, and gets a mail.
func TestSettings_mailAboutNewToken(t *testing.T) {
	t.Parallel()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys(), exampletest.Keys())
	require.NoError(t, err)
	routes, err := s.routes()
	require.NoError(t, err)
	srv := httptest.NewTLSServer(routes)
	t.Cleanup(srv.Close)
	c := srv.Client()
	c.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)

	open, err := http.NewRequest("GET", srv.URL+"/settings/tokens/new", nil)
	require.NoError(t, err)
	open.Header.Set("Accept", "text/html") // as a browser that opens a page
	res, err := c.Do(open)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "/sign-in", res.Request.URL.Path)
	res, body := post(t, c, srv.URL+res.Request.URL.RequestURI(), nil)
	require.Equal(t, "/settings/tokens/new", res.Request.URL.Path, "redirected back after the sign-in")
	require.Contains(t, body, "write and remove notes")

	_, body = post(t, c, srv.URL+"/settings/tokens", url.Values{"name": {"Deploy"}, "expires": {"720h0m0s"}, "access": {"scopes"}, "scope": {"notes:read"}})
	require.Contains(t, body, "Token “Deploy” created")
	tokens, err := s.bearer.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Len(t, tokens, 1)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sent := make(chan mail)
	go s.send(ctx, func(m mail) { sent <- m })
	got := <-sent
	require.Equal(t, "alice", got.to)
	require.True(t, strings.HasPrefix(got.text, "Credentials of your account: Bearer "+tokens[0].ID+" was created, from 127.0.0.1:"), got.text)

	// Changes by the service itself cause no mail.
	_, err = s.bearer.RevokeAll(t.Context(), "alice")
	require.NoError(t, err)
	require.Empty(t, s.mails)
}

// post submits a form, follows redirects, and returns the last response and its body.
func post(t *testing.T, c *http.Client, target string, form url.Values) (*http.Response, string) {
	t.Helper()
	res, err := c.PostForm(target, form)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}
