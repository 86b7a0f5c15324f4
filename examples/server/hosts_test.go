package main

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

	"github.com/seed-31c5bcb2/auth"
)

type fakeListener struct {
	net.Listener
	addr net.TCPAddr
}

func (l fakeListener) Addr() net.Addr { return &l.addr }

// frontAt returns a front that listens nowhere.
func frontAt(ip, addr, proxy string) *front {
	f := &front{Listener: fakeListener{addr: net.TCPAddr{IP: net.ParseIP(ip), Port: 8080}}, config: config{addr: addr}}
	if proxy != "" {
		f.proxy, _ = url.Parse(proxy)
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
		f    *front
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
		h := row.f.onlyOwnNames(http.HandlerFunc(healthy))
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

// The check is in front of all routes of a process.
func TestRun_otherHost(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), nil, "-store", "memory:").listening(t)
	for path, status := range map[string]int{"/": 200, "/healthz": 200, "/api/v1/me": 401} {
		require.Equal(t, status, requestWithHost(t, p.demo().url+path, ""), path)
		require.Equal(t, http.StatusMisdirectedRequest, requestWithHost(t, p.demo().url+path, "evil.example:80"), path)
	}
	p.stop(t)
}

func requestWithHost(t *testing.T, url, host string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	require.NoError(t, err)
	r.Host = host
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}

// A client can send a list of any length.
func TestServer_clientOfLongList(t *testing.T) {
	s := &server{proxied: true}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/signin", nil)
	r.Header.Set("X-Forwarded-For", strings.Repeat(",", 1<<20)+"192.0.2.1")
	require.Equal(t, "192.0.2.1/32", s.client(r).String())
	require.Zero(t, testing.AllocsPerRun(10, func() { s.client(r) }), "the list is not copied")
}

func TestServer_client(t *testing.T) {
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
		s := &server{proxied: row.proxied}
		require.Equal(t, row.want, s.client(r).String(), "%+v", row)
	}
}

func TestFront_warn(t *testing.T) {
	t.Parallel()
	for ip, warns := range map[string]bool{"127.0.0.1": false, "::1": false, "127.1.2.3": false, "192.0.2.1": true, "0.0.0.0": true, "::": true} {
		var log bytes.Buffer
		f := frontAt(ip, "", "")
		f.warn(slog.New(slog.NewTextHandler(&log, nil)))
		require.Equal(t, warns, strings.Contains(log.String(), "plain HTTP beyond this machine"), ip)
		log.Reset()
		f.tls = true
		f.warn(slog.New(slog.NewTextHandler(&log, nil)))
		require.Empty(t, log.String())
	}
}

func TestFront_address(t *testing.T) {
	t.Parallel()
	a := frontAt("::", ":8080", "").address()
	require.Equal(t, "http://[::]:8080", a.URL)
	require.Equal(t, "http://localhost:8080", a.Browser)
	require.Contains(t, a.Notes, "This is plain HTTP")
	a = frontAt("127.0.0.1", "127.0.0.1:8080", "https://notes.example.com").address()
	require.Equal(t, "http://127.0.0.1:8080", a.URL)
	require.Equal(t, "https://notes.example.com", a.Browser)
	require.Empty(t, a.Notes)
	a = frontAt("127.0.0.1", "localhost:8080", "").address()
	require.Equal(t, "http://localhost:8080", a.URL)
}

// A certificate of the operator is valid for the name in -addr, and not for the address
// that the name resolves to.
func TestFront_addressWithCertificate(t *testing.T) {
	t.Parallel()
	local, err := makeCertificate([]string{"localhost"}, nil)
	require.NoError(t, err)
	both, err := makeCertificate([]string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
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
		f.tls, f.certFile, f.certificate = true, "cert.pem", row.certificate
		require.Equal(t, row.want, f.address().URL)
		require.Equal(t, row.want, f.address().Browser)
		require.Empty(t, f.address().Notes)
	}
}

// Browsers connect to the proxy, so its scheme decides whether the cookie is Secure.
func TestFront_schemeOfProxy(t *testing.T) {
	t.Parallel()
	certificate, err := makeCertificate([]string{"localhost"}, nil)
	require.NoError(t, err)
	for _, withTLS := range []bool{false, true} {
		f := frontAt("127.0.0.1", "127.0.0.1:8080", "http://notes.example.com")
		f.tls, f.certificate = withTLS, certificate
		require.False(t, f.secure())
		require.Contains(t, f.address().Notes, "let the proxy serve HTTPS")
		require.NotContains(t, f.address().Notes, "-tls")
		f.proxy.Scheme = "https"
		require.True(t, f.secure())
		require.Empty(t, f.address().Notes)
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
		var cfg config
		require.NoError(t, cfg.setProxy(text))
		require.Equal(t, want, cfg.proxy.String())
		_, err := newServer(slog.New(slog.DiscardHandler), openStorage(t, "memory:"), auth.Keys{newKey()}, cfg)
		require.NoError(t, err)
	}
}

// By default nginx changes Host to the name of this server.
func TestSignIn_proxyChangesHost(t *testing.T) {
	t.Parallel()
	var cfg config
	require.NoError(t, cfg.setProxy("https://notes.example.com"))
	storage, keys := openStorage(t, "memory:"), auth.Keys{newKey()}
	s, err := newServer(slog.New(slog.DiscardHandler), storage, keys, cfg)
	require.NoError(t, err)
	seeded, err := storage.Seed(t.Context(), s.seedOptions(keys, false))
	require.NoError(t, err)
	for origin, status := range map[string]int{"https://notes.example.com": http.StatusSeeOther, "https://evil.example": http.StatusForbidden} {
		form := url.Values{"username": {"ada"}, "password": {seeded.Passwords["ada"]}}.Encode()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/signin", strings.NewReader(form))
		r.Host = "127.0.0.1:8080"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, r)
		require.Equal(t, status, w.Code, origin)
	}
}

// Cookies do not differ by port: those of another program at this host are not ours.
func TestSignIn_cookieOfOtherProgram(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	c := d.client(t)
	planted := []string{"Cookie", "session=junk"}
	require.Equal(t, http.StatusSeeOther, c.post("/signin", d.form("ada", ""), planted...).status)
	require.Equal(t, http.StatusOK, c.get("/profile", planted...).status)
}
