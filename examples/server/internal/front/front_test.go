package front

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type fakeListener struct {
	net.Listener
	addr net.TCPAddr
}

func (l fakeListener) Addr() net.Addr { return &l.addr }

// frontAt returns a front that listens nowhere.
func frontAt(ip, addr, proxy string) *Front {
	f := &Front{Listener: fakeListener{addr: net.TCPAddr{IP: net.ParseIP(ip), Port: 8080}}, Config: Config{HostPort: addr}}
	if proxy != "" {
		f.Proxy, _ = url.Parse(proxy)
	}
	return f
}

// A web site whose name resolves to this machine must not get our responses.
func TestFront_onlyOwnNames(t *testing.T) {
	t.Parallel()
	loopback, named := frontAt("127.0.0.1", "127.0.0.1:8080", ""), frontAt("127.0.0.1", "notes.test:8080", "")
	proxied := frontAt("127.0.0.1", "127.0.0.1:8080", "https://Notes.example.com")
	network := frontAt("192.0.2.1", "192.0.2.1:8080", "")
	for _, row := range []struct {
		f    *Front
		host string
		ok   bool
	}{
		{loopback, "127.0.0.1:8080", true},
		{loopback, "localhost:8080", true},
		{loopback, "LOCALHOST:8080", true},
		{loopback, "[::1]:8080", true},
		{loopback, "localhost:9090", true}, // a forwarded port
		{loopback, "localhost", true},
		{loopback, "localhost.:8080", true}, // the same name, fully qualified
		{loopback, "localhost..:8080", false},
		{loopback, "[::1]", true},
		{loopback, "evil.example:8080", false},
		{loopback, "evil.example", false},
		{loopback, "127.0.0.1.evil.example:8080", false},
		{loopback, "localhost.evil.example", false},
		{loopback, "127.0.0.2:8080", false},
		{loopback, "192.0.2.1:8080", false},
		{loopback, "notes.test:8080", false},
		{loopback, "", false},
		{loopback, ":8080", false},
		{loopback, "[::1", true}, // no browser sends it
		{named, "notes.test:8080", true},
		{named, "localhost:8080", true},
		{named, "other.test:8080", false},
		{frontAt("127.0.0.2", "127.0.0.2:8080", ""), "127.0.0.2:8080", true},
		{frontAt("::1", "[::1]:8080", ""), "[::1]:8080", true},
		{frontAt("::1", "[::1]:8080", ""), "evil.example:8080", false},
		{proxied, "notes.example.com", true},
		{proxied, "notes.example.com.", true},
		{proxied, "127.0.0.1:8080", true},
		{proxied, "evil.example", false},
		{network, "anything.example:8080", true},
	} {
		h := row.f.onlyOwnNames(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		for _, method := range []string{"GET", "POST"} {
			r := httptest.NewRequestWithContext(t.Context(), method, "/signin", nil)
			r.Host = row.host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if row.ok {
				require.Equal(t, http.StatusOK, w.Code, row.host)
				continue
			}
			require.Equal(t, http.StatusMisdirectedRequest, w.Code, row.host)
			require.Contains(t, w.Body.String(), " instead. Behind a proxy, start the server with -proxy")
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
	}
}

// A client can send a list of any length.
func TestClientAddr_longList(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/signin", nil)
	r.Header.Set("X-Forwarded-For", strings.Repeat(",", 1<<20)+"192.0.2.1")
	require.Equal(t, "192.0.2.1/32", ClientNetwork(ClientAddr(r, true)).String())
	require.Zero(t, testing.AllocsPerRun(10, func() { ClientNetwork(ClientAddr(r, true)) }), "the list is not copied")
}

func TestClientNetwork(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		proxied   bool
		remote    string
		forwarded []string
		want      string
	}{
		{false, "192.0.2.1:1234", nil, "192.0.2.1/32"},
		{false, "192.0.2.1:1234", []string{"203.0.113.1"}, "192.0.2.1/32"}, // anyone can write it
		{false, "[2001:db8::1]:1234", nil, "2001:db8::/64"},
		{false, "[2001:db8:0:0:1::]:1234", nil, "2001:db8::/64"},
		{false, "[::ffff:192.0.2.1]:1234", nil, "192.0.2.1/32"},
		{false, "[fe80::1%eth0]:1234", nil, "fe80::/64"},
		{true, "127.0.0.1:1234", []string{"203.0.113.1"}, "203.0.113.1/32"},
		{true, "127.0.0.1:1234", []string{"203.0.113.9, 203.0.113.1"}, "203.0.113.1/32"},
		{true, "127.0.0.1:1234", []string{"203.0.113.9", " 203.0.113.1 "}, "203.0.113.1/32"},
		{true, "127.0.0.1:1234", []string{"2001:db8::1"}, "2001:db8::/64"},
		{true, "127.0.0.1:1234", []string{"[2001:db8::1]:80"}, "2001:db8::/64"},
		{true, "127.0.0.1:1234", []string{"unknown"}, "invalid Prefix"},
		{true, "127.0.0.1:1234", nil, "invalid Prefix"},
		{false, "@", nil, "invalid Prefix"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/signin", nil)
		r.RemoteAddr = row.remote
		r.Header["X-Forwarded-For"] = row.forwarded
		require.Equal(t, row.want, ClientNetwork(ClientAddr(r, row.proxied)).String(), "%+v", row)
	}
}

func TestFront_warn(t *testing.T) {
	t.Parallel()
	for ip, warns := range map[string]bool{"127.0.0.1": false, "::1": false, "127.1.2.3": false, "192.0.2.1": true, "0.0.0.0": true, "::": true} {
		var log bytes.Buffer
		f := frontAt(ip, "", "")
		f.Warn(slog.New(slog.NewTextHandler(&log, nil)))
		require.Equal(t, warns, strings.Contains(log.String(), "plain HTTP beyond this machine"), ip)
		log.Reset()
		f.TLS = true
		f.Warn(slog.New(slog.NewTextHandler(&log, nil)))
		require.Empty(t, log.String())
	}
}

func TestFront_address(t *testing.T) {
	t.Parallel()
	a := frontAt("::", ":8080", "").Address()
	require.Equal(t, "http://[::]:8080", a.URL)
	require.Equal(t, "http://localhost:8080", a.Browser)
	require.Contains(t, a.Notes, "This is plain HTTP")
	a = frontAt("127.0.0.1", "127.0.0.1:8080", "https://notes.example.com").Address()
	require.Equal(t, "http://127.0.0.1:8080", a.URL)
	require.Equal(t, "https://notes.example.com", a.Browser)
	require.Empty(t, a.Notes)
	a = frontAt("127.0.0.1", "localhost:8080", "").Address()
	require.Equal(t, "http://localhost:8080", a.URL)
}

// A certificate of the operator is valid for the name in -addr, and not for the address
// that the name resolves to.
func TestFront_addressWithCertificate(t *testing.T) {
	t.Parallel()
	local, err := MakeCertificate([]string{"localhost"}, nil)
	require.NoError(t, err)
	both, err := MakeCertificate([]string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	for _, row := range []struct {
		ip, addr    string
		certificate *tls.Certificate
		want        string
	}{
		{"127.0.0.1", "notes.test:8443", local, "https://notes.test:8080"},
		{"192.0.2.1", "notes.test:8443", local, "https://notes.test:8080"},
		{"127.0.0.1", "127.0.0.1:8443", local, "https://localhost:8080"},
		{"127.0.0.1", "127.0.0.1:8443", both, "https://127.0.0.1:8080"},
		{"192.0.2.1", "192.0.2.1:8443", local, "https://192.0.2.1:8080"},
	} {
		f := frontAt(row.ip, row.addr, "")
		f.TLS, f.CertFile, f.certificate = true, "cert.pem", row.certificate
		require.Equal(t, row.want, f.Address().URL)
		require.Equal(t, row.want, f.Address().Browser)
		require.Empty(t, f.Address().Notes)
	}
}

// Browsers connect to the proxy, so its scheme decides whether the cookie is Secure.
func TestFront_schemeOfProxy(t *testing.T) {
	t.Parallel()
	certificate, err := MakeCertificate([]string{"localhost"}, nil)
	require.NoError(t, err)
	for _, withTLS := range []bool{false, true} {
		f := frontAt("127.0.0.1", "127.0.0.1:8080", "http://notes.example.com")
		f.TLS, f.certificate = withTLS, certificate
		require.False(t, f.Secure())
		require.Contains(t, f.Address().Notes, "let the proxy serve HTTPS")
		require.NotContains(t, f.Address().Notes, "-tls")
		f.Proxy.Scheme = "https"
		require.True(t, f.Secure())
		require.Empty(t, f.Address().Notes)
	}
}

// The origin is what browsers send in the Origin header.
func TestConfig_setProxy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://notes.example.com":       "https://notes.example.com",
		"https://Notes.Example.com.:443/": "https://notes.example.com",
		"http://notes.example.com:80":     "http://notes.example.com",
		"https://notes.example.com:08443": "https://notes.example.com:8443",
		"https://notes.example.com:80":    "https://notes.example.com:80",
		"https://[::1]:8443":              "https://[::1]:8443",
		"https://xn--bcher-kva.example":   "https://xn--bcher-kva.example",
	} {
		var cfg Config
		require.NoError(t, cfg.setProxy(text))
		require.Equal(t, want, cfg.Proxy.String())
	}
}
