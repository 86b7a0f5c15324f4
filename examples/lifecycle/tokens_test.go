package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A client that holds its form open while its session is revoked gets no token.
func TestRecheck_formHeldOpen(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	alice := newClient(t, srv)
	alice.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	alice.send("POST", "/sign-in", "", "user", "alice", "password", "first")

	body, form := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/tokens", body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Expect", "100-continue") // the client sends the body once the server reads it
	statuses := make(chan int, 1)
	go func() {
		resp, err := alice.Do(r)
		if err != nil {
			statuses <- 0
			return
		}
		resp.Body.Close()
		statuses <- resp.StatusCode
	}()
	fields := "name=stolen&scope=*&days=365"
	_, err = io.WriteString(form, fields[:len(fields)-1])
	require.NoError(t, err)
	require.NoError(t, s.revokeAll(t.Context(), "alice"))
	_, err = io.Copy(form, strings.NewReader(fields[len(fields)-1:]))
	require.NoError(t, err)
	require.NoError(t, form.Close())
	require.Equal(t, http.StatusUnauthorized, <-statuses)
	s.requireNoTokens(t)
}

// If the session ends while the token is created, the token is revoked.
func TestRecheck_sessionEndsMeanwhile(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	alice := newClient(t, srv)
	alice.send("POST", "/sign-in", "", "user", "alice", "password", "first")
	store := &createHook{Store: auth.NewMemoryStore(), created: func() {
		_, err := s.cookie.RevokeAll(context.Background(), "alice")
		assert.NoError(t, err)
	}}
	var err error
	s.bearer, err = auth.NewBearer(store, auth.BearerConfig{})
	require.NoError(t, err)
	resp := alice.send("POST", "/tokens", "", "name", "late", "scope", "*", "days", "1")
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	s.requireNoTokens(t)
}

type createHook struct {
	auth.Store
	created func()
}

func (s *createHook) Create(ctx context.Context, c auth.Credential, limit int) error {
	defer s.created()
	return s.Store.Create(ctx, c, limit)
}

func (s *service) requireNoTokens(t *testing.T) {
	t.Helper()
	tokens, err := s.bearer.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Empty(t, tokens)
}
