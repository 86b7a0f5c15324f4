package main

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

// start returns a running service and a client that keeps cookies.
func start(t *testing.T) (*service, *httptest.Server, *http.Client) {
	t.Helper()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys(), exampletest.Keys())
	require.NoError(t, err)
	routes, err := s.routes()
	require.NoError(t, err)
	srv := httptest.NewTLSServer(routes)
	t.Cleanup(srv.Close)
	c := srv.Client()
	c.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	return s, srv, c
}

// A user signs in, creates a token, and gets a mail.
func TestSettings_mailAboutNewToken(t *testing.T) {
	t.Parallel()
	s, srv, c := start(t)

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

	form := exampletest.FillIn(body, url.Values{"name": {"Deploy"}, "expires": {"720h0m0s"}, "access": {"scopes"}, "scope": {"notes:read"}})
	_, body = post(t, c, srv.URL+"/settings/tokens", form)
	require.Contains(t, body, "Token “Deploy” created")
	requireCurl(t, c, body)
	tokens, err := s.bearer.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Len(t, tokens, 1)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sent := make(chan mail)
	go s.send(ctx, func(m mail) { sent <- m })
	got := <-sent
	require.Equal(t, "alice", got.to)
	require.True(t, strings.HasPrefix(got.text, "Credentials of your account: Bearer "+tokens[0].ID+" was created, from 127.0.0.1."), got.text)

	// Changes by the service itself cause no mail.
	_, err = s.bearer.RevokeAll(t.Context(), "alice")
	require.NoError(t, err)
	require.Empty(t, s.mails)
}

// The command for a new client secret works too.
func TestSettings_curlWithSecret(t *testing.T) {
	t.Parallel()
	_, srv, c := start(t)
	post(t, c, srv.URL+"/sign-in", nil)
	_, page := exampletest.Send(t, c, "GET", srv.URL+"/settings/secret")
	_, body := post(t, c, srv.URL+"/settings/secret/create", exampletest.FillIn(page, url.Values{}))
	require.Contains(t, body, "Client secret created")
	requireCurl(t, c, body)
}

var curl = regexp.MustCompile(`curl -H 'Authorization: ([^']+)' '([^']+)'`)

// requireCurl sends the request of the command on a page.
func requireCurl(t *testing.T, c *http.Client, body string) {
	t.Helper()
	command := curl.FindStringSubmatch(html.UnescapeString(body))
	require.NotNil(t, command, body)
	client := *c
	client.Jar = nil
	res, text := exampletest.Send(t, &client, "GET", command[2], "Authorization", command[1])
	require.Equal(t, http.StatusOK, res.StatusCode, text)
	require.Equal(t, "alice\n", text)
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
