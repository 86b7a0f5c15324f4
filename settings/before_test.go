package settings_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// tenantTokens sets the tenant and the networks of each token.
func tenantTokens(c *configs) {
	withTeams(c)
	c.settings.BeforeIssue = func(_ context.Context, id *auth.Identity, o *auth.TokenOptions) error {
		id.Scopes, o.Idempotency = auth.FullAccess, "" // neither has an effect
		if o.Metadata == nil {
			o.Metadata = make(map[string]string)
		}
		o.Metadata["tenant"] = "acme"
		o.Networks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		return nil
	}
}

func TestBeforeIssue_fillsTokens(t *testing.T) {
	t.Parallel()
	ada := newService(t, tenantTokens).signIn("ada")
	id, made := ada.createToken(`{"name": "x", "scopes": ["*"], "expires_in": null, "metadata": {"team": "web"}}`)
	require.Equal(t, map[string]any{"team": "web"}, made["metadata"])
	require.Equal(t, []any{"198.51.100.0/24"}, made["networks"])
	c, err := ada.bearer.Get(t.Context(), "ada", id)
	require.NoError(t, err)
	require.Equal(t, "acme", c.Metadata.Get("tenant"))

	// A form too, and it still creates one token only.
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	ada.post("/tokens", form).page(http.StatusOK)
	ada.post("/tokens", form).page(http.StatusConflict)
	require.Len(t, ada.tokens(), 2)
	for _, c := range ada.tokens() {
		require.Equal(t, "acme", c.Metadata.Get("tenant"))
	}
}

// A user who sets no metadata leaves a map to add to, as one who sets some does.
func TestBeforeIssue_addsToMetadata(t *testing.T) {
	t.Parallel()
	ada := newService(t, withTeams, func(c *configs) {
		c.settings.BeforeIssue = func(_ context.Context, _ *auth.Identity, o *auth.TokenOptions) error {
			o.Metadata["tenant"] = "acme"
			return nil
		}
		c.settings.BeforeUpdate = func(_ context.Context, _ *auth.Identity, _ auth.Credential, u *auth.TokenUpdate) error {
			by := "user"
			u.Metadata["changed_by"] = &by
			return nil
		}
	}).signIn("ada")
	id, _ := ada.createToken(tokenBody(validName, validScopes, validExpiry))
	ada.patch(id, `{"name": "renamed"}`).status(http.StatusOK)
	ada.post("/tokens", newToken(ada.get("/tokens/new").page(http.StatusOK))).page(http.StatusOK)
	for _, c := range ada.tokens() {
		require.Equal(t, "acme", c.Metadata.Get("tenant"))
		require.Equal(t, c.ID == id, c.Metadata.Get("changed_by") == "user")
	}
}

// A note of the service in the metadata is no change of the user: after an old sign-in, a token can
// still be renamed and lose access, as the form says.
func TestBeforeUpdate_addsToMetadata(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, withTeams, func(c *configs) {
			c.settings.BeforeUpdate = func(_ context.Context, id *auth.Identity, _ auth.Credential, u *auth.TokenUpdate) error {
				u.Metadata["changed_by"] = &id.UserID
				if u.Name != nil && *u.Name == "greedy" {
					u.Scopes = &[]string{auth.FullAccess}
				}
				return nil
			}
		})
		ada := s.signIn("ada")
		_, c := ada.issue("deploy", time.Hour, "notes:read", "notes:write")
		form := ada.editForm(c.ID)
		time.Sleep(11 * time.Minute)
		form.Set("name", "renamed")
		ada.post("/tokens/"+c.ID+"/edit", form).status(http.StatusSeeOther)
		ada.patch(c.ID, `{"scopes": ["notes:read"], "networks": ["192.0.2.1"]}`).status(http.StatusOK)
		for _, body := range []string{`{"metadata": {"team": "web"}}`, `{"name": "x", "metadata": {"team": "web"}}`, `{"name": "greedy"}`, `{"networks": null}`} {
			ada.patch(c.ID, body).problem(http.StatusUnauthorized, "insufficient_user_authentication")
		}
		now := ada.tokens()[0]
		require.Equal(t, []any{"renamed", auth.Scopes("notes:read"), "ada"}, []any{now.Name, now.Scopes, now.Metadata.Get("changed_by")})
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

// What BeforeIssue adds is limited by the session, and what it has set cannot be undone.
func TestBeforeIssue_limits(t *testing.T) {
	t.Parallel()
	s := newService(t, tenantTokens, func(c *configs) {
		fill := c.settings.BeforeIssue
		c.settings.BeforeIssue = func(ctx context.Context, id *auth.Identity, o *auth.TokenOptions) error {
			if o.Name == "greedy" {
				o.Scopes = append(o.Scopes, "notes:write")
			}
			return fill(ctx, id, o)
		}
	})
	limited := s.signIn("ada", "notes:read")
	limited.json("POST", "/api/tokens", tokenBody(`"greedy"`, validScopes, validExpiry)).problem(http.StatusForbidden, "insufficient_scope")
	require.Empty(t, limited.tokens())

	ada := s.signIn("ada")
	id, made := ada.createToken(tokenBody(validName, validScopes, validExpiry))
	require.Equal(t, []any{"name", "metadata"}, ada.get("/api/policy", fromAddr).object()["token"].(map[string]any)["updatable"])
	for _, body := range []string{`{"networks": null}`, `{"networks": ["198.51.100.7"]}`, `{"scopes": ["*"]}`, `{"name": "x", "scopes": ["notes:write"]}`} {
		s.events.take()
		ada.patch(id, body).problem(http.StatusForbidden, "forbidden")
		require.Equal(t, auth.ReasonForbidden, s.events.refusal(t).Reason)
	}
	// What stays as it is, and the rest, can be sent.
	got := ada.patch(id, `{"networks": ["198.51.100.0/24"], "scopes": ["notes:read"], "name": "x", "metadata": {"team": "web"}}`).status(http.StatusOK).object()
	require.Equal(t, "x", got["name"])
	require.Equal(t, made["networks"], got["networks"])
	require.Equal(t, map[string]any{"team": "web"}, got["metadata"])
}

func TestBeforeUpdate(t *testing.T) {
	t.Parallel()
	s := newService(t, tenantTokens, func(c *configs) {
		c.settings.BeforeUpdate = func(_ context.Context, id *auth.Identity, token auth.Credential, u *auth.TokenUpdate) error {
			if u.Networks != nil {
				return fmt.Errorf("%w: %s", auth.ErrForbidden, token.ID)
			}
			by := id.UserID
			u.Metadata["changed_by"] = &by
			return nil
		}
	})
	ada := s.signIn("ada")
	id, _ := ada.createToken(tokenBody(validName, validScopes, validExpiry))
	require.Equal(t, []any{"name", "scopes", "networks", "metadata"}, ada.get("/api/policy", fromAddr).object()["token"].(map[string]any)["updatable"])
	ada.patch(id, `{"scopes": ["*"]}`).status(http.StatusOK)
	c, err := s.bearer.Get(t.Context(), "ada", id)
	require.NoError(t, err)
	require.Equal(t, "ada", c.Metadata.Get("changed_by"))
	require.Equal(t, "acme", c.Metadata.Get("tenant"))
	ada.patch(id, `{"networks": null}`).problem(http.StatusForbidden, "forbidden")
}

// The service can refuse a token. Whatever else it returns is an outage, with an event.
func TestBeforeIssue_errors(t *testing.T) {
	t.Parallel()
	var fails func() error
	s := newService(t, func(c *configs) {
		c.settings.BeforeIssue = func(context.Context, *auth.Identity, *auth.TokenOptions) error { return fails() }
		c.settings.BeforeUpdate = func(context.Context, *auth.Identity, auth.Credential, *auth.TokenUpdate) error { return fails() }
	})
	ada := s.signIn("ada")
	_, c := ada.issue("deploy", time.Hour, "notes:read")
	fault := func(argument, text string) error { return &auth.ArgumentError{Argument: argument, Fault: text} }
	for _, test := range []struct {
		name   string
		fails  func() error
		status int
		code   string
		fields []string
		reason auth.Reason
	}{
		{"forbidden", func() error { return fmt.Errorf("%w: no", auth.ErrForbidden) }, 403, "forbidden", nil, auth.ReasonForbidden},
		{"limit", func() error { return auth.ErrLimit }, 409, "limit_reached", nil, ""},
		{"invalid", func() error {
			return errors.Join(fault("Name", "must begin with <acme>."), fault("Team", "has no seats left."))
		}, 400, "invalid_argument", []string{"name", "Team"}, ""},
		{"invalid without a fault", func() error { return fault("Name", "") }, 400, "invalid_argument", []string{"name"}, ""},
		{"invalid without an argument", func() error { return fault("", "no seats left") }, 400, "invalid_argument", []string{""}, ""},
		{"no argument error", func() error { return fmt.Errorf("seats: %w", auth.ErrInvalidArgument) }, 503, "unavailable", nil, auth.ReasonUnavailable},
		{"outage", func() error { return errDirectory }, 503, "unavailable", nil, auth.ReasonUnavailable},
		{"an outage that wraps others", func() error { return fmt.Errorf("%w: %w", auth.ErrUnavailable, auth.ErrForbidden) }, 503, "unavailable", nil, auth.ReasonUnavailable},
		{"another condition", func() error { return auth.ErrNotFound }, 503, "unavailable", nil, auth.ReasonUnavailable},
		{"panic", func() error { panic("secret") }, 503, "unavailable", nil, auth.ReasonUnavailable},
	} {
		fails = test.fails
		form := newToken(ada.get("/tokens/new").page(http.StatusOK))
		for name, do := range map[string]func() *answer{
			"create": func() *answer { return ada.json("POST", "/api/tokens", tokenBody(validName, validScopes, validExpiry)) },
			"update": func() *answer { return ada.patch(c.ID, `{"name": "x"}`) },
		} {
			s.events.take()
			got := do().problem(test.status, test.code)
			got.fields(test.fields...)
			require.NotContains(t, got.Body.String(), "directory", name)
			require.NotContains(t, got.Body.String(), "secret", name)
			if test.reason != "" {
				require.Equal(t, test.reason, s.events.refusal(t).Reason, "%s %s", test.name, name)
			} else {
				require.Empty(t, s.events.take())
			}
		}
		change := ada.editForm(c.ID)
		change.Set("name", "x")
		for _, got := range []*answer{ada.post("/tokens", form), ada.post("/tokens/"+c.ID+"/edit", change)} {
			text := got.page(test.status)
			require.Contains(t, text, `role="alert"`, "the page says what is wrong")
			if test.name == "limit" {
				require.Contains(t, text, "Limit reached. Revoke", "the number is that of the service")
			}
			if test.name == "invalid" {
				require.Contains(t, text, `<p>has no seats left.</p>`, "the form has no such field")
				require.Contains(t, text, `id="name-error">must begin with &lt;acme&gt;.</p>`)
			}
		}
		require.Equal(t, []auth.Credential{c}, ada.tokens(), test.name)
	}
}
