package settings_test

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// withTeams lets users set one entry of the metadata.
func withTeams(c *configs) {
	c.settings.MetadataKeys = []settings.MetadataKey{{Key: "team", Label: "Team"}}
}

// patch changes a token with the API.
func (u *user) patch(id, body string, edits ...edit) *answer {
	u.t.Helper()
	return u.json("PATCH", "/api/tokens/"+id, body, append([]edit{fromAddr}, edits...)...)
}

func TestAPI_updateToken(t *testing.T) {
	t.Parallel()
	s := newService(t, withTeams)
	ada := s.signIn("ada")
	plaintext, c, err := s.bearer.Issue(t.Context(), "ada", auth.TokenOptions{
		Name: "deploy", Scopes: []string{"notes:read"}, Lifetime: time.Hour, Metadata: map[string]string{"tenant": "acme"},
	})
	require.NoError(t, err)
	before := ada.get("/api/tokens/" + c.ID).object()
	require.Empty(t, before["metadata"], "the tenant is the service's own")

	for _, step := range []struct {
		body   string
		change map[string]any
	}{
		{`{}`, nil},
		{`{"name": "release"}`, map[string]any{"name": "release"}},
		{`{"scopes": ["notes:read", "notes:write"]}`, map[string]any{"scopes": []any{"notes:read", "notes:write"}}},
		{`{"networks": ["198.51.100.0/24", "2001:db8::1"]}`, map[string]any{"networks": []any{"198.51.100.0/24", "2001:db8::1/128"}}},
		{`{"metadata": {"team": "web"}}`, map[string]any{"metadata": map[string]any{"team": "web"}}},
		{`{"metadata": {}}`, nil},
		{`{"metadata": {"team": null}, "networks": null, "scopes": ["*"], "name": "all"}`,
			map[string]any{"metadata": map[string]any{}, "networks": nil, "scopes": []any{"*"}, "name": "all"}},
	} {
		for member, value := range step.change {
			before[member] = value
		}
		got := ada.patch(c.ID, step.body).status(http.StatusOK)
		require.Equal(t, before, got.object(), step.body)
		require.Equal(t, "no-store", got.Header().Get("Cache-Control"))
		require.Equal(t, before, ada.get("/api/tokens/"+c.ID).object(), step.body)
		require.Equal(t, "acme", ada.tokens()[0].Metadata.Get("tenant"), step.body)
	}
	require.True(t, s.works(auth.SchemeBearer, plaintext))
}

func TestAPI_invalidUpdate(t *testing.T) {
	t.Parallel()
	s := newService(t, withTeams)
	ada := s.signIn("ada")
	_, c := ada.issue("deploy", time.Hour, "notes:read")
	for body, fields := range map[string]string{
		`{"name": null}`: "name", `{"name": ""}`: "name", `{"name": 1}`: "name", `{"name": "a", "name": "b"}`: "name",
		`{"scopes": null}`: "scopes", `{"scopes": []}`: "scopes", `{"scopes": ["*", "notes:read"]}`: "scopes", `{"scopes": ["notes:admin"]}`: "scopes",
		`{"networks": []}`: "networks", `{"networks": [null]}`: "networks", `{"networks": ["x"]}`: "networks", `{"networks": ["192.0.2.1/24"]}`: "networks",
		`{"networks": ["fe80::1%eth0"]}`: "networks", `{"networks": "192.0.2.1"}`: "networks",
		`{"networks": [` + strings.Repeat(`"192.0.2.1",`, 16) + `"192.0.2.2"]}`: "networks",
		`{"metadata": null}`: "metadata", `{"metadata": {"tenant": "evil"}}`: "metadata", `{"metadata": {"tenant": null}}`: "metadata",
		`{"metadata": {"team": 1}}`: "metadata", `{"metadata": {"team": "a", "team": "b"}}`: "metadata", `{"metadata": {"team": "a\nb"}}`: "metadata",
		`{"metadata": {"team": "a\u2028b"}}`: "metadata", `{"metadata": {"team": "a\u202eb"}}`: "metadata", `{"metadata": {"team": "\u0000"}}`: "metadata",
		`{"metadata": {"team": "` + strings.Repeat("x", 257) + `"}}`: "metadata", `{"metadata": []}`: "metadata",
		`{"expires_in": 60}`: "expires_in", `{"Name": "x"}`: "Name", `{"id": "x"}`: "id",
		`{"name": "", "scopes": "x", "networks": ["x"], "metadata": {"x": ""}, "expires_in": null, "state": "active"}`: "name scopes networks metadata expires_in state",
	} {
		ada.patch(c.ID, body).problem(http.StatusBadRequest, "invalid_argument").fields(strings.Fields(fields)...)
	}
	// All other faults are found too if the JSON has one.
	require.Contains(t, ada.patch(c.ID, `{"networks": []}`).Body.String(), `"must be 1 to 16 networks, or null for anywhere"`)
	ada.json("POST", "/api/tokens", `{"name": "", "scopes": 1, "expires_in": 59, "networks": ["192.0.2.1"], "metadata": {"x": "y"}, "n": 1}`).
		problem(http.StatusBadRequest, "invalid_argument").fields("name", "scopes", "expires_in", "networks", "metadata", "n")
	require.Equal(t, []auth.Credential{c}, ada.tokens())

	ada.patch("absent", `{"name": "x"}`).problem(http.StatusNotFound, "not_found")
	_, _, err := s.bearer.Rotate(t.Context(), "ada", c.ID, time.Minute)
	require.NoError(t, err)
	ada.patch(c.ID, `{"name": "x"}`).problem(http.StatusConflict, "conflict")
}

// A token with networks would be rejected everywhere if the service does not know addresses.
func TestAPI_networksNeedAddresses(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	_, c := ada.token("deploy")
	ada.json("PATCH", "/api/tokens/"+c.ID, `{"networks": ["192.0.2.1"]}`).problem(http.StatusBadRequest, "invalid_argument").fields("networks")
	ada.json("PATCH", "/api/tokens/"+c.ID, `{"networks": null}`).status(http.StatusOK)
	body := `{"name": "x", "scopes": ["*"], "expires_in": 60, "networks": ["192.0.2.1"]}`
	ada.json("POST", "/api/tokens", body).problem(http.StatusBadRequest, "invalid_argument").fields("networks")
	made := ada.json("POST", "/api/tokens", body, fromAddr).status(http.StatusCreated).object()
	require.Equal(t, []any{"192.0.2.1/32"}, made["networks"])
	require.Equal(t, clientAddr.String(), made["created_from"])
	require.Equal(t, true, ada.get("/api/policy", fromAddr).object()["token"].(map[string]any)["networks"])
}

func TestAPI_createWithMetadata(t *testing.T) {
	t.Parallel()
	ada := newService(t, withTeams).signIn("ada")
	_, made := ada.createToken(`{"name": "x", "scopes": ["*"], "expires_in": 60, "networks": null, "metadata": {"team": "web"}}`)
	require.Equal(t, map[string]any{"team": "web"}, made["metadata"])
	id, made := ada.createToken(`{"name": "x", "scopes": ["*"], "expires_in": 60, "metadata": {"team": null}}`)
	require.Empty(t, made["metadata"])
	c, err := ada.bearer.Get(t.Context(), "ada", id)
	require.NoError(t, err)
	require.Empty(t, c.Metadata)
	require.Equal(t, []any{map[string]any{"key": "team", "label": "Team"}}, ada.get("/api/policy").object()["token"].(map[string]any)["metadata"])
}

// restricted are the networks of a token in the tests of what an update grants.
var restricted = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}

// updates are changes of a token with the scope notes:read and the networks restricted, by
// whether they give it more access.
var updates = map[bool][]string{
	false: {
		`{"name": "x"}`, `{"scopes": ["notes:read"]}`, `{"metadata": {}}`, `{"metadata": {"team": "web"}}`, `{"networks": ["198.51.100.0/24"]}`, `{"networks": ["198.51.100.7", "2001:db8:1::/48"]}`,
		`{"networks": ["198.51.100.0/24", "2001:db8::/32"], "scopes": ["notes:read"], "name": "x"}`,
	},
	true: {
		`{"scopes": ["*"]}`, `{"scopes": ["notes:write"]}`, `{"scopes": ["notes:read", "notes:write"]}`, `{"name": "x", "scopes": ["*"]}`,
		`{"networks": null}`, `{"networks": ["198.51.100.0/23"]}`, `{"networks": ["192.0.2.1"]}`, `{"networks": ["198.51.100.7", "0.0.0.0/0"]}`,
		`{"networks": ["::/0"]}`, `{"networks": ["2001:db8::/31"]}`, `{"metadata": {"team": "x"}}`, `{"metadata": {"team": null}}`,
	},
}

func (u *user) restrictedToken(name string) auth.Credential {
	u.t.Helper()
	_, c, err := u.bearer.Issue(context.Background(), u.userID, auth.TokenOptions{
		Name: name, Scopes: []string{"notes:read"}, Lifetime: auth.NoExpiry, Networks: restricted,
		Metadata: map[string]string{"team": "web"},
	})
	require.NoError(u.t, err)
	return c
}

// An attacker with an old session cannot give more access to a token that they know.
func TestAPI_updateNeedsRecentSignIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, withTeams)
		ada := s.signIn("ada")
		time.Sleep(10*time.Minute + time.Nanosecond)
		for grants, bodies := range updates {
			for _, body := range bodies {
				c := ada.restrictedToken("deploy")
				s.events.take()
				got := ada.patch(c.ID, body)
				if !grants {
					got.status(http.StatusOK)
					continue
				}
				problem := got.problem(http.StatusUnauthorized, "insufficient_user_authentication").object()
				require.EqualValues(t, 600, problem["max_age"])
				require.NotEmpty(t, got.Header()["Www-Authenticate"])
				require.Equal(t, auth.ReasonAge, s.events.refusal(t).Reason)
				now, err := s.bearer.Get(t.Context(), "ada", c.ID)
				require.NoError(t, err)
				require.Equal(t, c, now)
				s.signIn("ada").patch(c.ID, body).status(http.StatusOK)
			}
		}
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

// A session cannot give a token access that it does not have itself.
func TestAPI_limitedSessionUpdates(t *testing.T) {
	t.Parallel()
	s := newService(t, withTeams)
	ada := s.signIn("ada")
	limited := s.signIn("ada", "notes:read")
	for _, bodies := range updates {
		for _, body := range bodies {
			c := ada.restrictedToken("deploy")
			if !strings.Contains(body, `"*"`) && !strings.Contains(body, "notes:write") {
				limited.patch(c.ID, body).status(http.StatusOK)
				continue
			}
			limited.refusedPatch(c, body)
		}
	}
}

// A session changes no token that has more access than the session, as in the form of the page:
// it cannot swap the names of two tokens, so that the user revokes the wrong one.
func TestAPI_limitedSessionUpdatesStrongerToken(t *testing.T) {
	t.Parallel()
	s := newService(t, withTeams)
	ada := s.signIn("ada")
	limited := s.signIn("ada", "notes:write")
	for _, bodies := range updates {
		for _, body := range bodies {
			c := ada.restrictedToken("deploy")
			if body == `{"metadata": {}}` || body == `{"metadata": {"team": "web"}}` || body == `{"scopes": ["notes:read"]}` {
				limited.patch(c.ID, body).status(http.StatusOK) // nothing changes
				continue
			}
			limited.refusedPatch(c, body)
		}
	}
	_, full := ada.token("full")
	limited.refusedPatch(full, `{"scopes": ["notes:write"]}`)
	limited.json("DELETE", "/api/tokens/"+full.ID, "").status(http.StatusNoContent)
}

// refusedPatch asserts that the session has too little access for a change, which is not made.
func (u *user) refusedPatch(c auth.Credential, body string) {
	u.t.Helper()
	u.events.take()
	problem := u.patch(c.ID, body).problem(http.StatusForbidden, "insufficient_scope").object()
	require.NotEmpty(u.t, problem["scopes"])
	require.Equal(u.t, auth.ReasonScope, u.events.refusal(u.t).Reason)
	now, err := u.bearer.Get(u.t.Context(), u.userID, c.ID)
	require.NoError(u.t, err)
	require.Equal(u.t, c, now)
}

// An IPv4-mapped network becomes IPv4, and is then no part of an IPv6 network that has its text.
// That is so for the networks of a user, and for those that BeforeUpdate sets.
func TestAPI_mappedNetworksAreIPv4(t *testing.T) {
	t.Parallel()
	const mapped = "::ffff:0.0.0.0/96" // which becomes 0.0.0.0/0
	for name, set := range map[string]func(u *auth.TokenUpdate){
		"by the user":       func(*auth.TokenUpdate) {},
		"by the service":    func(u *auth.TokenUpdate) { u.Networks = &[]netip.Prefix{netip.MustParsePrefix(mapped)} },
		"by a wrong update": func(u *auth.TokenUpdate) { u.Networks = &[]netip.Prefix{{}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked []netip.Prefix
				s := newService(t, func(c *configs) {
					c.settings.BeforeUpdate = func(_ context.Context, _ *auth.Identity, _ auth.Credential, u *auth.TokenUpdate) error {
						asked = *u.Networks
						set(u)
						return nil
					}
				})
				ada := s.signIn("ada")
				_, c, err := s.bearer.Issue(t.Context(), "ada", auth.TokenOptions{
					Name: "deploy", Scopes: []string{"notes:read"}, Lifetime: auth.NoExpiry, Networks: []netip.Prefix{netip.MustParsePrefix("::/0")},
				})
				require.NoError(t, err)
				time.Sleep(11 * time.Minute) // the sign-in is too old to give a token more networks
				ada.patch(c.ID, `{"networks": ["`+mapped+`"]}`).problem(http.StatusUnauthorized, "insufficient_user_authentication")
				require.Equal(t, []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, asked, "the service decides about what the token will have")
				require.Equal(t, []auth.Credential{c}, ada.tokens())
				require.NoError(t, s.cookie.Close(t.Context()))
			})
		})
	}
}

// What another request takes away from a token while one that was allowed before is on its way
// does not come back. Both forms of a change decide by what they have read.
func TestUpdateToken_changedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(u *user, id string, form url.Values) *answer{
		"form": func(u *user, id string, form url.Values) *answer {
			form.Set("networks", "198.51.100.0/24")
			return u.post("/tokens/"+id+"/edit", form, fromAddr)
		},
		"API": func(u *user, id string, _ url.Values) *answer {
			return u.patch(id, `{"networks": ["198.51.100.0/24"]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newService(t)
				ada := s.signIn("ada")
				c := ada.restrictedToken("deploy")
				form := ada.editForm(c.ID)
				narrowed := c
				narrowed.Networks = "198.51.100.7/32"
				reads := 0
				s.after(func(method string) error {
					if method == "Get token" {
						if reads++; reads == 1 {
							return s.store.Store.Update(context.Background(), c, narrowed)
						}
					}
					return nil
				})
				time.Sleep(11 * time.Minute) // the sign-in is too old to give a token more networks
				require.Equal(t, http.StatusConflict, change(ada, c.ID, form).Code)
				require.Greater(t, reads, 1)
				require.Equal(t, []auth.Credential{narrowed}, ada.tokens())
			})
		})
	}
}
