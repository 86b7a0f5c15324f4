package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
	"github.com/seed-31c5bcb2/auth/settings"
)

// acmeScopes are the scopes of a larger service than the demo.
var acmeScopes = []settings.ScopeGroup{
	acmeGroup("Projects", "projects", "your projects and their settings"),
	acmeGroup("Deployments", "deployments", "builds, deployments and their logs"),
	acmeGroup("Billing", "billing", "invoices and payment methods"),
	acmeGroup("Webhooks", "webhooks", "endpoints and their deliveries"),
	{Title: "Organization", Scopes: []settings.Scope{
		{Name: "members:read", Description: "see who is a member"},
		{Name: "members:administration", Description: "invite and remove members"},
		{Name: "audit_log:read", Description: "read the audit log"},
		{Name: "secrets:rotate", Description: "rotate the secrets of deployments"},
		{Name: "organization.settings:administration", Description: "change the settings of the organization"},
	}},
}

func acmeGroup(title, resource, what string) settings.ScopeGroup {
	read, write := resource+":read", resource+":write"
	return settings.ScopeGroup{
		Title:   title,
		Scopes:  []settings.Scope{{Name: read, Description: "read " + what}, {Name: write, Description: "change " + what}},
		Presets: []settings.ScopePreset{{Title: "Read", Scopes: []string{read}}, {Title: "Read and write", Scopes: []string{read, write}}},
	}
}

func acmeScopeNames() (names []string) {
	for _, group := range acmeScopes {
		for _, s := range group.Scopes {
			names = append(names, s.Name)
		}
	}
	return names
}

// acmeConfig configures settings for that service, with the users and the store of the demo.
func (b *browser) acmeConfig(t *testing.T) settings.Config {
	t.Helper()
	cfg := b.settingsConfig()
	bearer, err := auth.NewBearer(b.storage.Credentials, auth.BearerConfig{Prefix: "acme_pat", Scopes: acmeScopeNames(), MaxPerUser: 50})
	require.NoError(t, err)
	cfg.Bearer, cfg.Scopes, cfg.Title = bearer, acmeScopes, "Acme"
	cfg.Links = []settings.Link{{Text: "Dashboard", URL: "/profile"}, {Text: "API reference", URL: "/profile"}}
	return cfg
}

// An acmeToken is a token as users of that service have them. Times are in hours.
type acmeToken struct {
	name                string
	scopes              int // how many; 0 is full access
	created, left, used int // since, until and since; no left is no expiry, no used is never
	from, networks      string
	rotated             bool // has replaced the next one, which is in its grace period
	superseded          bool
}

const anHour, aDay = 1, 24

var acmeTokens = []acmeToken{
	{name: "Nightly backup", scopes: 2, created: 3 * anHour, left: 30*aDay - 3},
	{name: "GitHub Actions: acme/storefront", scopes: 13, created: 2 * aDay, left: 88 * aDay, used: 1, from: "140.82.112.17", rotated: true},
	{name: "GitHub Actions: acme/storefront", scopes: 13, created: 88 * aDay, left: 2 * aDay, used: 5, from: "140.82.113.4", superseded: true},
	{name: "Terraform Cloud (production)", scopes: 9, created: 12 * aDay, left: 78 * aDay, used: 7, from: "2001:db8:85a3:1234:5678:8a2e:370:7334", networks: "198.51.100.0/24 2001:db8::/32"},
	{name: "Grafana dashboards", scopes: 1, created: 85 * aDay, left: 5 * aDay, used: 26, from: "203.0.113.9"},
	{name: "Zapier → HubSpot contacts sync", scopes: 4, created: 40 * aDay, left: 325 * aDay, used: 9 * aDay, from: "54.86.9.50"},
	{name: "Emergency access for the on-call engineer", scopes: 0, created: 201 * aDay, used: 61 * aDay, from: "198.51.100.23", networks: "198.51.100.23/32"},
	{name: "Data export for the finance team, every first Monday of the month", scopes: 5, created: 100 * aDay, left: 265 * aDay},
	{name: "Staging smoke tests", scopes: 3, created: 120 * aDay, left: -30 * aDay, used: 33 * aDay, from: "203.0.113.77"},
	{name: "Laptop (Amélie)", scopes: 6, created: 400 * aDay, left: -35 * aDay, used: 90 * aDay, from: "192.0.2.44"},
}

// fillAcme gives grace n tokens of that service, the newest first.
func (b *browser) fillAcme(t *testing.T, n int) {
	t.Helper()
	_, err := b.bearer.RevokeAll(t.Context(), b.idOf(t, "grace"))
	require.NoError(t, err)
	now, run, scopes := time.Now().UTC().Truncate(time.Microsecond), "00"+rand.Text()[:12], acmeScopeNames()
	id := func(i int) string { return fmt.Sprintf("%s%06d", run, n-i) }
	for i := range n {
		token, round := acmeTokens[i%len(acmeTokens)], i/len(acmeTokens)
		ago := func(hours int) time.Time { return now.Add(-time.Duration(hours)*time.Hour - 17*time.Minute) }
		c := auth.Credential{
			ID: id(i), Kind: auth.KindToken, UserID: b.idOf(t, "grace"), Name: token.name,
			Hint:   fmt.Sprintf("acme_pat_…%04x", uint16(0x9ac1+7919*i)),
			Scopes: auth.Scopes(strings.Join(scopes[:token.scopes], " ")), Digest: sha256.Sum256([]byte(id(i))),
			CreatedAt: ago(token.created + round*420*aDay), Superseded: token.superseded, CreatedFrom: netip.MustParseAddr("192.0.2.44"),
			Networks: auth.Networks(token.networks),
		}
		if token.scopes == 0 {
			c.Scopes = auth.FullAccess
		}
		if token.left != 0 {
			c.ExpiresAt = ago(-token.left)
		}
		if token.used != 0 {
			c.LastUsedAt, c.LastUsedFrom = ago(token.used), netip.MustParseAddr(token.from)
		}
		if token.rotated {
			c.Previous = id(i + 1)
		}
		require.NoError(t, b.storage.Credentials.Create(t.Context(), c, 0))
	}
}

// The pictures of the README are of a larger service.
func TestBrowserSettingsLook_acme(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	b.signedIn(t, "grace")
	b.replaceSettings(t, b.acmeConfig(t))
	b.fillAcme(t, len(acmeTokens))
	terraform := b.tokenID(t, b.idOf(t, "grace"), "Terraform Cloud (production)")
	for state, path := range map[string]string{
		"acme-tokens": "", "acme-token": "tokens/" + terraform, "acme-token-edit": "tokens/" + terraform + "/edit",
		"acme-token-new": "tokens/new?name=Nightly+backup&expires_in=30&scopes=projects:read+deployments:read+deployments:write",
	} {
		b.openState(t, state, path, func(state string) { b.requireFits(t, state) })
	}
	b.open(t, developer)
	b.requireRows(t, "acme-tokens", len(acmeTokens))
}
