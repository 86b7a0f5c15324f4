package settings_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// An outage that also wraps other errors is still an outage.
func TestOutage_isNotAbsence(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
	s.store.with = fmt.Errorf("%w: %w, %w", auth.ErrUnavailable, auth.ErrNotFound, auth.ErrConflict)
	s.store.setFailing("Get")
	h.get("/api/tokens/"+h.tokenID).problem(http.StatusServiceUnavailable, "unavailable")
	h.get("/tokens/" + h.tokenID + "/revoke").page(http.StatusServiceUnavailable)
	s.store.setFailing()

	// The token that another one has replaced is not taken for revoked.
	_, next, err := s.bearer.Rotate(t.Context(), "ada", h.tokenID, time.Hour)
	require.NoError(t, err)
	s.store.setFailing("Get " + h.tokenID)
	h.get("/tokens/" + next.ID + "/revoke").page(http.StatusServiceUnavailable)
}

// A request that the client canceled is not reported as an outage.
func TestOutage_clientDisconnects(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	ctx, cancel := context.WithCancel(t.Context())
	s.store.with = context.Canceled
	s.store.setFailing("List")
	s.events.take()
	ada.get("/", func(r *http.Request) { *r = *r.WithContext(ctx); cancel() })
	events := s.events.take()
	require.Len(t, events, 1)
	require.Equal(t, auth.ReasonCanceled, events[0].Reason)
}

// unknownChange is what the API and the pages say after the outage of a change.
const unknownChange = "not known whether|can’t tell whether"

// requireOutage asserts the answer to an outage of the store, and its event.
func (h *populatedUser) requireOutage(e endpoint, got *answer) {
	h.t.Helper()
	events := h.events.take()
	events = slices.DeleteFunc(events, func(e auth.Event) bool { return e.Err == nil })
	require.Len(h.t, events, 1, "the authenticator or Recheck reports it, and nothing reports it again")
	require.Equal(h.t, auth.ReasonUnavailable, events[0].Reason)
	if events[0].Type == auth.EventFailed {
		require.NotEmpty(h.t, events[0].Operation)
	} else {
		require.Equal(h.t, h.session.ID, events[0].CredentialID)
	}
	require.ErrorIs(h.t, events[0].Err, errDisk)
	require.Equal(h.t, "ada", events[0].UserID)
	require.Equal(h.t, e.method, events[0].Method)
	require.True(h.t, strings.HasPrefix(events[0].Pattern, e.method+" /"), events[0].Pattern)
	if isAPI(e) {
		got.problem(http.StatusServiceUnavailable, "unavailable")
	} else {
		require.Regexp(h.t, "temporarily unavailable|"+unknownChange, got.page(http.StatusServiceUnavailable))
	}
	require.NotContains(h.t, got.Body.String(), `id="plaintext"`)
	require.Empty(h.t, got.Header()["Set-Cookie"], "the cookie is kept")
}

// Without an Observer, the error of Config.Developer is logged, and rejections are not. The test
// is not parallel, as it replaces the default logger.
func TestOutage_nilObserverLogs(t *testing.T) {
	down := false
	s := newService(t, onlyDevelopers(&down), func(c *configs) { c.settings.Middleware.Observe = nil })
	ada := s.signIn("ada")
	var logged bytes.Buffer
	before := slog.Default()
	defer func() {
		slog.SetDefault(before)
		log.SetOutput(os.Stderr) // slog.SetDefault changes both
		log.SetFlags(log.LstdFlags)
	}()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	ada.get("/api/nothing").problem(http.StatusNotFound, "not_found")
	token, _, err := s.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: []string{auth.FullAccess}, Lifetime: time.Hour})
	require.NoError(t, err)
	ada.get("/api/tokens", field("Authorization", "Bearer "+token)).problem(http.StatusForbidden, "session_required")
	require.Empty(t, logged.String())
	down = true
	ada.get("/api/secret").problem(http.StatusServiceUnavailable, "unavailable")
	require.Equal(t, 1, strings.Count(logged.String(), "\n"))
	require.Contains(t, logged.String(), "level=ERROR msg=auth event.type=refused event.scheme=Cookie event.user_id=ada")
	require.Contains(t, logged.String(), errDirectory.Error())
}

// Outages change nothing, show no internal error, and no plaintext that was not stored.
func TestOutage_everyEndpoint(t *testing.T) {
	t.Parallel()
	for name, out := range map[string]struct {
		methods []string
		failing int // how many endpoints need these methods
	}{
		"reads fail":  {[]string{"Get", "List"}, 36},
		"writes fail": {[]string{"Create", "Update", "Rotate", "Revoke", "RevokeAll"}, 21},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			h := newPopulatedUser(t, s, "ada")
			failed := 0
			for _, e := range h.endpoints() {
				body, contentType := filled(e, h.secretID)
				s.store.setFailing(out.methods...)
				s.events.take()
				got := h.do(e.method, e.path, body, field("Content-Type", contentType))
				s.store.setFailing()
				require.NotContains(t, got.Body.String(), "disk")
				if got.Code == http.StatusServiceUnavailable {
					failed++
					h.requireOutage(e, got)
				}
			}
			require.Equal(t, out.failing, failed)
			if name == "writes fail" {
				h.untouched()
			}
		})
	}
}
