package auth_test

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// from sets the client's address, as a middleware outside of Require does. An empty one is a
// request of which the service says nothing.
func from(addr string) edit {
	return func(r *http.Request) {
		if addr != "" {
			*r = *r.WithContext(auth.WithClientAddr(r.Context(), netip.MustParseAddr(addr)))
		}
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestRequire_networks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, prefixed)
	h := f.all()
	o := tokenOptions("office")
	o.Networks = prefixes("192.0.2.0/24", "2001:db8::/32", "::ffff:198.51.100.0/120", "fe80::/10")
	token, c, err := f.bearer.Issue(t.Context(), "ada", o)
	require.NoError(t, err)
	require.Equal(t, auth.Networks("192.0.2.0/24 198.51.100.0/24 2001:db8::/32 fe80::/10"), c.Networks)
	require.Equal(t, prefixes("192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32", "fe80::/10"), c.Networks.Prefixes())
	so := fullSecret
	so.Networks = o.Networks
	secret, _, err := f.secret.Issue(t.Context(), "ada", so)
	require.NoError(t, err)
	rotated, _, err := f.bearer.Rotate(t.Context(), "ada", c.ID, time.Hour)
	require.NoError(t, err)
	for _, test := range []struct {
		addr string
		want int
	}{
		{"192.0.2.0", 200},
		{"192.0.2.255", 200},
		{"::ffff:192.0.2.7", 200},
		{"198.51.100.9", 200},
		{"2001:db8:1::1", 200},
		{"fe80::1", 200},
		{"192.0.3.0", 401},
		{"10.0.0.1", 401},
		{"127.0.0.1", 401},
		{"::1", 401},
		{"2001:db9::1", 401},
		{"::192.0.2.7", 401}, // IPv4-compatible, which is not IPv4-mapped
		{"fe80::1%eth0", 401},
		{"::ffff:192.0.2.7%eth0", 401},
		{"", 401},
	} {
		for _, header := range []string{"Bearer " + token, "Bearer " + rotated, "Secret " + secret} {
			require.Equal(t, test.want, h.get(authorization(header), from(test.addr)).Code, "%s from %q", header[:6], test.addr)
		}
	}
}

// RemoteAddr is never used by itself: behind a proxy it is the proxy's. Nor is a header field,
// which a client can send.
func TestRequire_networksWithoutClientAddr(t *testing.T) {
	t.Parallel()
	f := newFixture(t, prefixed)
	events := new(recorder)
	m := auth.Middleware{Observe: events.observe}
	h := behind(m.Require(f.bearer))
	unknown := h.get(authorization("Bearer " + newFixture(t, prefixed).token("x")))
	o := tokenOptions("x")
	o.Networks = prefixes("0.0.0.0/0", "::/0")
	token, c, err := f.bearer.Issue(t.Context(), "ada", o)
	require.NoError(t, err)
	for name, edits := range map[string][]edit{
		"nothing said":      nil,
		"of the connection": {func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1234" }},
		"by the client":     {field("X-Forwarded-For", "192.0.2.7"), field("Forwarded", "for=192.0.2.7"), field("X-Real-Ip", "192.0.2.7")},
		"unknown after it was known": {from("192.0.2.7"), func(r *http.Request) {
			*r = *r.WithContext(auth.WithClientAddr(r.Context(), netip.Addr{}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			events.take()
			got := h.get(append(edits, authorization("Bearer "+token))...)
			require.Equal(t, unknown.Code, got.Code)
			require.Equal(t, unknown.Header(), got.Header())
			require.Equal(t, unknown.Body.String(), got.Body.String())
			seen := events.take()
			require.Len(t, seen, 1)
			require.Equal(t, auth.ReasonNetwork, seen[0].Reason)
			require.Equal(t, "ada", seen[0].UserID)
			require.Equal(t, c.ID, seen[0].CredentialID)
		})
	}
	require.Zero(t, h.served.Load())
	require.Equal(t, 200, h.get(authorization("Bearer "+token), from("203.0.113.1")).Code)
}

// A store that returns what this package never wrote must not make a network wider.
func TestRequire_corruptNetworks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, networks := range []auth.Networks{" ", "x", "192.0.2.7", "192.0.2.0/33", "0.0.0.0/0,", "*", "10.0.0.0/8\n0.0.0.0/0"} {
		token, _ := f.boundToken("ada", networks)
		require.Equal(t, 401, f.all().get(authorization("Bearer "+token), from("192.0.2.7")).Code, "%q", networks)
	}
	token, _ := f.boundToken("ada", "x 192.0.2.0/24")
	require.Equal(t, 200, f.all().get(authorization("Bearer "+token), from("192.0.2.7")).Code)
}

func TestIssue_networks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	many := make([]netip.Prefix, 17)
	for i := range many {
		many[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)
	}
	for _, test := range []struct {
		name     string
		networks []netip.Prefix
		want     auth.Networks
		fault    string
	}{
		{"none given", nil, "", ""},
		{"empty", []netip.Prefix{}, "", "must be 1 to 16 networks, or nil for anywhere"},
		{"16", many[:16], "10.0.0.0/16 10.1.0.0/16 10.10.0.0/16 10.11.0.0/16 10.12.0.0/16 10.13.0.0/16 10.14.0.0/16 10.15.0.0/16 " +
			"10.2.0.0/16 10.3.0.0/16 10.4.0.0/16 10.5.0.0/16 10.6.0.0/16 10.7.0.0/16 10.8.0.0/16 10.9.0.0/16", ""},
		{"17", many, "", "must be 1 to 16 networks, or nil for anywhere"},
		{"one twice", prefixes("10.0.0.0/8", "10.0.0.0/8"), "10.0.0.0/8", ""},
		{"one twice, once IPv4-mapped", prefixes("10.0.0.0/8", "::ffff:10.0.0.0/104"), "10.0.0.0/8", ""},
		{"all of IPv4, mapped", prefixes("::ffff:0:0/96"), "0.0.0.0/0", ""},
		{"more than the mapped addresses", prefixes("::ffff:0:0/95"), "", "::fffe:0:0/95"},
		{"a host", prefixes("192.0.2.7/32", "::1/128"), "192.0.2.7/32 ::1/128", ""},
		{"bits after the length", prefixes("10.1.2.3/8"), "", "10.1.2.3/8 has bits after its length: use 10.0.0.0/8, or the length 32"},
		{"the zero prefix", []netip.Prefix{{}}, "", "must not have an invalid network"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := tokenOptions("x")
			o.Networks = test.networks
			_, c, err := f.bearer.Issue(t.Context(), "ada", o)
			so := auth.SecretOptions{Scopes: o.Scopes, Lifetime: o.Lifetime, Networks: o.Networks}
			_, sc, secretErr := f.secret.Issue(t.Context(), "user of "+test.name, so)
			if test.fault == "" {
				require.NoError(t, err)
				require.NoError(t, secretErr)
				require.Equal(t, test.want, c.Networks)
				require.Equal(t, test.want, sc.Networks)
				return
			}
			var argument *auth.ArgumentError
			require.ErrorAs(t, err, &argument)
			require.Equal(t, "Networks", argument.Argument)
			require.Contains(t, argument.Fault, test.fault)
			require.ErrorIs(t, secretErr, auth.ErrInvalidArgument)
		})
	}
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	_, ok := auth.ClientAddr(t.Context())
	require.False(t, ok)
	ctx := auth.WithClientAddr(t.Context(), netip.MustParseAddr("::ffff:192.0.2.7"))
	addr, ok := auth.ClientAddr(ctx)
	require.True(t, ok)
	require.Equal(t, netip.MustParseAddr("192.0.2.7"), addr)
	_, ok = auth.ClientAddr(auth.WithClientAddr(ctx, netip.Addr{}))
	require.False(t, ok, "the inner one hides the outer one")
	_, ok = auth.ClientAddr(auth.WithClientAddr(ctx, netip.MustParseAddr("::ffff:192.0.2.7%eth0")))
	require.False(t, ok, "IPv4 has no zones")
}

func TestRemoteAddr(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]netip.Addr{
		"192.0.2.7:1234":               netip.MustParseAddr("192.0.2.7"),
		"[2001:db8::1]:1234":           netip.MustParseAddr("2001:db8::1"),
		"[::ffff:192.0.2.7]:1234":      netip.MustParseAddr("192.0.2.7"),
		"[fe80::1%eth0]:1234":          netip.MustParseAddr("fe80::1%eth0"),
		"[::ffff:192.0.2.7%eth0]:1234": {},
		"@":                            {},
		"":                             {},
		"192.0.2.7":                    {},
		"localhost:1234":               {},
	} {
		require.Equal(t, want, auth.RemoteAddr(&http.Request{RemoteAddr: remote}), remote)
	}
}

// The addresses of clients are in the records, written with what is written anyway.
func TestCredential_addresses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	at := func(addr string) context.Context { return auth.WithClientAddr(t.Context(), netip.MustParseAddr(addr)) }
	token, c, err := f.bearer.Issue(at("::ffff:192.0.2.1"), "ada", tokenOptions("x"))
	require.NoError(t, err)
	require.Equal(t, netip.MustParseAddr("192.0.2.1"), c.CreatedFrom)
	_, next, err := f.bearer.Rotate(at("192.0.2.2"), "ada", c.ID, time.Hour)
	require.NoError(t, err)
	require.Equal(t, netip.MustParseAddr("192.0.2.2"), next.CreatedFrom)
	_, sc, err := f.secret.Issue(t.Context(), "ada", fullSecret)
	require.NoError(t, err)
	require.Zero(t, sc.CreatedFrom, "unknown")

	require.Equal(t, 200, h.get(authorization("Bearer "+token), from("fe80::1%eth0")).Code)
	require.NoError(t, f.bearer.Close(t.Context()))
	c, err = f.bearer.Get(t.Context(), "ada", c.ID)
	require.NoError(t, err)
	require.Equal(t, netip.MustParseAddr("fe80::1"), c.LastUsedFrom)
	next, err = f.bearer.Get(t.Context(), "ada", next.ID)
	require.NoError(t, err)
	require.Zero(t, next.LastUsedFrom)

	cookie, session := f.session("ada")
	require.Zero(t, session.CreatedFrom)
	require.Equal(t, 200, h.get(withCookie(cookie), from("192.0.2.3")).Code)
	session, err = f.cookie.Get(t.Context(), "ada", session.ID)
	require.NoError(t, err)
	require.Equal(t, netip.MustParseAddr("192.0.2.3"), session.LastUsedFrom, "also before it is written")
}
