package settings_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A heldBody is a request body whose last byte arrives after something has happened.
type heldBody struct {
	rest      string
	happening func()
}

func (b *heldBody) Read(p []byte) (int, error) {
	if len(b.rest) > 1 {
		n := copy(p, b.rest[:len(b.rest)-1])
		b.rest = b.rest[n:]
		return n, nil
	}
	if b.happening != nil {
		b.happening()
		b.happening = nil
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, io.EOF
}

// releasing are the endpoints that answer with a plaintext.
func (h *populatedUser) releasing() []endpoint {
	return []endpoint{
		{"POST", "/tokens"}, {"POST", "/tokens/" + h.tokenID + "/rotate"},
		{"POST", "/secret/reveal"}, {"POST", "/secret/rotate"},
		{"POST", "/api/tokens"}, {"POST", "/api/tokens/" + h.tokenID + "/rotate"},
		{"POST", "/api/secret/reveal"}, {"POST", "/api/secret/rotate"},
	}
}

// eachReleasing runs check for each endpoint that answers with a plaintext, with a service of
// its own.
func eachReleasing(t *testing.T, check func(s *service, h *populatedUser, e endpoint)) {
	t.Helper()
	for i := range newPopulatedUser(t, newService(t), "ada").releasing() {
		s := newService(t)
		h := newPopulatedUser(t, s, "ada")
		check(s, h, h.releasing()[i])
	}
}

// submitHeld submits a filled form whose last byte arrives after something has happened.
func (h *populatedUser) submitHeld(e endpoint, happening func()) *answer {
	body, contentType := filled(e, h.secretID)
	return h.do(e.method, e.path, body, field("Content-Type", contentType), func(r *http.Request) {
		r.Body = io.NopCloser(&heldBody{rest: body, happening: happening})
	})
}

// noPlaintext asserts that an answer has none.
func (h *populatedUser) noPlaintext(got *answer) {
	h.t.Helper()
	require.NotContains(h.t, got.Body.String(), "acme_pat_")
	require.NotContains(h.t, got.Body.String(), "acme_cs_")
}

// A request that is held open over the end of its session creates and reveals nothing.
func TestHeldOpen_sessionRevoked(t *testing.T) {
	t.Parallel()
	eachReleasing(t, func(s *service, h *populatedUser, e endpoint) {
		got := h.submitHeld(e, func() {
			_, err := s.cookie.RevokeAll(t.Context(), "ada")
			require.NoError(t, err)
			_, err = s.bearer.RevokeAll(t.Context(), "ada")
			require.NoError(t, err)
		})
		require.Equal(t, http.StatusUnauthorized, got.Code, e)
		require.NotEmpty(t, got.Header()["Www-Authenticate"], e)
		require.Empty(t, h.tokens(), e)
		require.Len(t, h.secrets(), 2, e)
		require.Equal(t, h.secretID, h.secrets()[0].ID, e)
		h.noPlaintext(got)
	})
}

func TestHeldOpen_userDisabled(t *testing.T) {
	t.Parallel()
	disabled := false
	s := newService(t, func(c *configs) {
		c.settings.Middleware.Resolve = func(context.Context, *auth.Identity) (any, error) {
			if disabled {
				return nil, auth.ErrInvalidCredential
			}
			return nil, nil
		}
	})
	h := newPopulatedUser(t, s, "ada")
	for _, e := range h.releasing() {
		got := h.submitHeld(e, func() { disabled = true })
		disabled = false
		require.Equal(t, http.StatusUnauthorized, got.Code, e)
		h.noPlaintext(got)
	}
	h.untouched()
}

func TestHeldOpen_signInTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		eachReleasing(t, func(s *service, h *populatedUser, e endpoint) {
			got := h.submitHeld(e, func() { time.Sleep(10*time.Minute + time.Millisecond) })
			want := http.StatusForbidden
			if isAPI(e) {
				want = http.StatusUnauthorized
			}
			require.Equal(t, want, got.Code, e)
			h.noPlaintext(got)
			h.untouched()
			require.NoError(t, s.cookie.Close(t.Context()))
			require.NoError(t, s.bearer.Close(t.Context()))
			require.NoError(t, s.secret.Close(t.Context()))
		})
	})
}

// after calls f after each change that succeeds, and after each Get. The error replaces the
// answer of the store.
func (s *service) after(f func(method string) error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.after = f
}

// If the session ends while a credential is made, the credential is revoked and its
// plaintext is not sent. A rotated one stays, since revoking it would revoke the old one too.
func TestRelease_sessionEndsMeanwhile(t *testing.T) {
	t.Parallel()
	eachReleasing(t, func(s *service, h *populatedUser, e endpoint) {
		s.after(func(method string) error {
			if method != "Get session" {
				_, err := s.cookie.RevokeAll(t.Context(), "ada")
				require.NoError(t, err)
			}
			return nil
		})
		s.events.take()
		body, contentType := filled(e, h.secretID)
		got := h.do(e.method, e.path, body, field("Content-Type", contentType))
		require.Equal(t, http.StatusUnauthorized, got.Code, e)
		require.NotEmpty(t, got.Header()["Www-Authenticate"], e)
		h.noPlaintext(got)
		for _, c := range append(h.tokens(), h.secrets()...) {
			was := []string{h.tokenID, h.secretID, h.previousID}
			require.True(t, slices.Contains(was, c.ID) || slices.Contains(was, c.Previous), "%v: only what was there, and what replaces it", e)
		}
		// The old one keeps working in its grace period.
		require.True(t, h.works(auth.SchemeBearer, h.token), e)
		require.True(t, h.works(auth.SchemeSecret, h.secret), e)
		refusal := s.events.refusal(t)
		require.Equal(t, auth.ReasonRevoked, refusal.Reason, e)
		require.Equal(t, h.session.ID, refusal.CredentialID, e)
	})
}

// If it cannot be determined whether the session is still valid, nothing is sent, and what
// was made is revoked. A rotation is left alone: revoking the new token would also revoke
// the one that is in use.
func TestRelease_outage(t *testing.T) {
	t.Parallel()
	eachReleasing(t, func(s *service, h *populatedUser, e endpoint) {
		s.after(func(method string) error {
			if method == "Get session" {
				return errDisk
			}
			return nil
		})
		body, contentType := filled(e, h.secretID)
		got := h.do(e.method, e.path, body, field("Content-Type", contentType))
		require.Equal(t, http.StatusServiceUnavailable, got.Code, e)
		h.noPlaintext(got)
		require.True(t, h.works(auth.SchemeBearer, h.token), e)
		require.True(t, h.works(auth.SchemeSecret, h.secret), e)
		if strings.HasSuffix(e.path, "/tokens") {
			require.Len(t, h.tokens(), 1, e)
		}
		refusal := s.events.refusal(t)
		require.Equal(t, auth.ReasonUnavailable, refusal.Reason, e)
		require.ErrorIs(t, refusal.Err, errDisk)
	})
}

// A client cannot keep what was made by disconnecting.
func TestRelease_clientDisconnects(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/tokens", "/api/tokens", "/secret/create", "/api/secret"} {
		s := newService(t)
		ada := s.signIn("ada")
		e := endpoint{"POST", path}
		body, contentType := filled(e, "")
		if path == "/tokens" || path == "/secret/create" {
			body = newToken(ada.get("/tokens/new").page(http.StatusOK)).Encode()
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.after(func(method string) error {
			if method == "Create" {
				cancel()
			}
			return nil
		})
		got := ada.do("POST", path, body, field("Content-Type", contentType), func(r *http.Request) { *r = *r.WithContext(ctx) })
		require.Equal(t, http.StatusServiceUnavailable, got.Code, path)
		require.Error(t, ctx.Err(), "a credential was created")
		require.Empty(t, ada.tokens(), path)
		require.Empty(t, ada.secrets(), path)
	}
}

// If even the revocation fails, it is an outage.
func TestRelease_cannotTakeBack(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	s.after(func(method string) error {
		if method == "Create" {
			require.NoError(t, s.cookie.Revoke(t.Context(), "ada", ada.session.ID))
			s.store.setFailing("Revoke")
		}
		return nil
	})
	body, contentType := filled(endpoint{"POST", "/api/tokens"}, "")
	got := ada.do("POST", "/api/tokens", body, field("Content-Type", contentType))
	got.problem(http.StatusServiceUnavailable, "unavailable")
	require.NotContains(t, got.Body.String(), "acme_pat_")
}

// A body that cannot be read is answered with 400, and changes nothing.
func TestHeldOpen_brokenBody(t *testing.T) {
	t.Parallel()
	h := newPopulatedUser(t, newService(t), "ada")
	for _, e := range h.releasing() {
		body, contentType := filled(e, h.secretID)
		got := h.do(e.method, e.path, body, field("Content-Type", contentType), func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(body), brokenReader{}))
		})
		require.Equal(t, http.StatusBadRequest, got.Code, e)
	}
	h.untouched()
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// A session that rotates a token gets no plaintext with more access than it has, even if another
// one gives the token that access in between.
func TestRelease_moreAccessMeanwhile(t *testing.T) {
	t.Parallel()
	s := newService(t)
	limited := s.signIn("ada", "notes:read")
	_, c := limited.issue("deploy", time.Hour, "notes:read")
	widened := c
	widened.Scopes = auth.FullAccess
	reads := 0
	s.after(func(method string) error {
		if method == "Get token" {
			if reads++; reads == 1 {
				return s.store.Store.Update(context.Background(), c, widened)
			}
		}
		return nil
	})
	got := limited.json("POST", "/api/tokens/"+c.ID+"/rotate", `{"overlap": 60}`).problem(http.StatusForbidden, "insufficient_scope")
	require.NotContains(t, got.Body.String(), "acme_pat_")
	require.Greater(t, reads, 1)
}
