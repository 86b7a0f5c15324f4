package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestClientAddr(t *testing.T) {
	t.Parallel()
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{})
	require.NoError(t, err)
	token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{
		Name: "office", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry,
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	require.NoError(t, err)
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	const inside, outside, proxy = "192.0.2.7", "198.51.100.7", "10.0.0.1"
	for _, test := range []struct {
		name      string
		proxies   bool
		remote    string
		forwarded []string
		want      int
	}{
		{"direct", false, inside, nil, 200},
		{"direct, from elsewhere", false, outside, nil, 401},
		{"direct, with a header by the client", false, outside, []string{inside}, 401},
		{"one proxy", true, proxy, []string{inside}, 200},
		{"one proxy, from elsewhere", true, proxy, []string{outside}, 401},
		{"one proxy, which has appended to a header by the client", true, proxy, []string{inside + ", " + outside}, 401},
		{"two proxies", true, proxy, []string{inside + ", 10.9.9.9"}, 200},
		{"two proxies and a header by the client", true, proxy, []string{inside + "," + outside + ", 10.9.9.9"}, 401},
		{"two fields", true, proxy, []string{inside, "fd00::1"}, 200},
		{"two fields, the first by the client", true, proxy, []string{inside, outside}, 401},
		{"past the proxies", true, outside, []string{inside}, 401},
		{"past the proxies, from inside", true, inside, []string{outside}, 200},
		{"no header", true, proxy, nil, 401},
		{"no address", true, proxy, []string{inside + ", unknown"}, 401},
		{"with a port", true, proxy, []string{inside + ":1234"}, 401},
		{"IPv4-mapped", true, "::ffff:10.0.0.1", []string{"::ffff:192.0.2.7"}, 200},
		{"commas alone", true, proxy, []string{",,,"}, 401},
		{"IPv4-mapped with a zone", true, proxy, []string{"::ffff:192.0.2.7%eth0"}, 401},
		{"brackets", true, proxy, []string{"[::ffff:192.0.2.7]"}, 401},
		{"an empty element at the end", true, proxy, []string{inside + ","}, 401},
		{"two proxies, IPv4-mapped", true, proxy, []string{inside + ", ::ffff:10.9.9.9"}, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			handler := direct(routes(bearer))
			if test.proxies {
				handler = behind(proxies, routes(bearer))
			}
			r := httptest.NewRequest("GET", "/notes", nil)
			r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(test.remote), 1234).String()
			r.Header["X-Forwarded-For"] = test.forwarded
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			require.Equal(t, test.want, w.Code)
			if test.want == http.StatusOK {
				require.Equal(t, "notes of alice, who is at "+inside+"\n", w.Body.String())
			}
		})
	}
}

// A proxy can lose the header that it has set: a client may name it in Connection, as one of
// the headers that end at the next hop (CVE-2022-31813). The proxy's own address must not pass
// as a client's address in the same network.
func TestClientAddr_proxiesAlone(t *testing.T) {
	t.Parallel()
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{})
	require.NoError(t, err)
	token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{
		Name: "cluster", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry,
		Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	require.NoError(t, err)
	handler := behind([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, routes(bearer))
	for _, test := range []struct {
		name      string
		remote    string
		forwarded []string
		want      int
	}{
		{"a client in the same network", "10.0.0.1", []string{"10.7.7.7"}, 200},
		{"past the proxies", "10.7.7.7", nil, 200},
		{"no header", "10.0.0.1", nil, 401},
		{"an empty header", "10.0.0.1", []string{""}, 401},
		{"another proxy alone", "10.0.0.1", []string{"10.0.0.2"}, 401},
		{"proxies alone, in two headers", "10.0.0.1", []string{"10.0.0.3, 10.0.0.2", "10.0.0.2"}, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/notes", nil)
			r.RemoteAddr = test.remote + ":1234"
			r.Header["X-Forwarded-For"] = test.forwarded
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			require.Equal(t, test.want, w.Code)
		})
	}
}
