package integration

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

// A guarded is a back end behind a real proxy, which asks a ForwardAuth. The configuration of the
// proxy is that of the guide.
type guarded struct {
	proxy   endpoint.Proxy
	url     string // of the proxy
	backend string // the address of the back end
	client  *http.Client
	asked   *httptest.Server // by the proxy
	handler atomic.Pointer[http.Handler]
	store   *breakableStore
	bearer  *auth.Bearer
	cookie  *auth.Cookie
}

// A breakableStore can become unavailable.
type breakableStore struct {
	auth.Store
	broken atomic.Bool
}

func (s *breakableStore) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if s.broken.Load() {
		return nil, errors.New("the store is down")
	}
	return s.Store.Lookup(ctx, kind, d)
}

// eachProxy runs a test with nginx and with Caddy.
func eachProxy(t *testing.T, test func(t *testing.T, g *guarded)) {
	for proxy, start := range map[endpoint.Proxy]func(*guarded, *testing.T, string){
		endpoint.ProxyNGINX: (*guarded).startNGINX, endpoint.ProxyCaddy: (*guarded).startCaddy,
	} {
		t.Run(string(proxy), func(t *testing.T) {
			t.Parallel()
			g := &guarded{proxy: proxy, store: &breakableStore{Store: auth.NewMemoryStore()}}
			g.serve(t)
			dir := shortDir(t)
			g.startBackend(t, dir)
			start(g, t, dir)
			test(t, g)
		})
	}
}

// serve starts the service that the proxy asks.
func (g *guarded) serve(t *testing.T) {
	t.Helper()
	var err error
	silent := func(context.Context, auth.Event) {}
	g.bearer, err = auth.NewBearer(g.store, auth.BearerConfig{Prefix: "acme_pat", Observe: silent})
	require.NoError(t, err)
	g.cookie, err = auth.NewCookie(g.store, auth.CookieConfig{Keys: auth.Keys{[]byte("0123456789abcdef0123456789abcdef")}, Observe: silent})
	require.NoError(t, err)
	h, err := endpoint.NewForwardAuth(endpoint.ForwardAuthConfig{
		Proxy: g.proxy, Authenticators: []auth.Authenticator{g.bearer, g.cookie}, Middleware: auth.Middleware{Observe: silent},
		Metadata: map[string]string{"X-Auth-Tenant": "tenant"},
		ClientAddr: func(r *http.Request) netip.Addr {
			addr, _ := netip.ParseAddr(r.Header.Get("X-Forwarded-For"))
			return addr
		},
	})
	require.NoError(t, err)
	g.handler.Store(&h)
	mux := http.NewServeMux()
	mux.HandleFunc("/forward-auth", func(w http.ResponseWriter, r *http.Request) { (*g.handler.Load()).ServeHTTP(w, r) })
	g.asked = httptest.NewServer(mux)
	t.Cleanup(g.asked.Close)
}

func (g *guarded) startBackend(t *testing.T, dir string) {
	t.Helper()
	python, port := program(t, "python3", "python3", "/usr/bin/"), freePort(t)
	script, err := filepath.Abs("testdata/backend.py")
	require.NoError(t, err)
	g.backend = address(port)
	p := newProcess(t, "backend", dir, func() *exec.Cmd { return exec.Command(python, script, fmt.Sprint(port)) })
	p.start(t, dials(g.backend))
}

// dials returns a check that an address accepts connections.
func dials(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
}

// read returns a file of the guide's example. Each pair replaces a text that must be there.
func (g *guarded) read(t *testing.T, name string, pairs ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../examples/forwardauth", name))
	require.NoError(t, err)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, string(text), pairs[i])
	}
	return strings.NewReplacer(pairs...).Replace(string(text))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func (g *guarded) startNGINX(t *testing.T, dir string) {
	t.Helper()
	nginx, port := program(t, "nginx", "nginx", "/usr/sbin/"), freePort(t)
	certificate, key := g.trust(t, dir, port)
	asked := strings.TrimPrefix(g.asked.URL, "http://")
	server := g.read(t, "nginx.conf", "listen 443 ssl", fmt.Sprintf("listen 127.0.0.1:%d ssl", port), "127.0.0.1:9000", asked,
		"127.0.0.1:8000", g.backend, "/etc/ssl/app.example.pem", certificate, "/etc/ssl/app.example.key", key)
	write(t, filepath.Join(dir, "auth_headers.conf"), g.read(t, "auth_headers.conf"))
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	var temporary strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s/%s;\n", name, dir, name)
	}
	config := filepath.Join(dir, "nginx.conf")
	write(t, config, fmt.Sprintf("%sdaemon off;\npid %s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n", user, dir, &temporary, server))
	newProcess(t, "nginx", dir, func() *exec.Cmd { return exec.Command(nginx, "-p", dir, "-e", "stderr", "-c", config) }).start(t, dials(address(port)))
}

func (g *guarded) startCaddy(t *testing.T, dir string) {
	t.Helper()
	caddy, port := program(t, "caddy", "caddy", "/usr/bin/"), freePort(t)
	certificate, key := g.trust(t, dir, port)
	asked := strings.TrimPrefix(g.asked.URL, "http://")
	site := g.read(t, "Caddyfile", "app.example {", fmt.Sprintf("https://app.example:%d {\n\tbind 127.0.0.1\n\ttls %s %s", port, certificate, key),
		"127.0.0.1:9000", asked, "127.0.0.1:8000", g.backend)
	config := filepath.Join(dir, "Caddyfile")
	write(t, config, "{\n\tadmin off\n\tauto_https off\n}\n"+site)
	p := newProcess(t, "caddy", dir, func() *exec.Cmd {
		cmd := exec.Command(caddy, "run", "--config", config, "--adapter", "caddyfile")
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		return cmd
	})
	p.start(t, dials(address(port)))
}

// trust creates a certificate for the site, and a client that trusts it and finds the proxy.
func (g *guarded) trust(t *testing.T, dir string, port int) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"app.example"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})))
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address(port))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	g.client = &http.Client{Transport: transport}
	g.url = fmt.Sprintf("https://app.example:%d", port)
	return certificate, key
}

func (g *guarded) token(t *testing.T, o auth.TokenOptions) string {
	t.Helper()
	o.Name, o.Lifetime = "ci", auth.NoExpiry
	if o.Scopes == nil {
		o.Scopes = []string{auth.FullAccess}
	}
	token, _, err := g.bearer.Issue(t.Context(), "alice", o)
	require.NoError(t, err)
	return "Bearer " + token
}

// session returns the Cookie header of a signed-in user.
func (g *guarded) session(t *testing.T) string {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "POST", "https://app.example/", nil)
	_, err := g.cookie.SignIn(w, r, "alice", auth.SessionOptions{})
	require.NoError(t, err)
	pair, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return pair
}

// A seen is what the back end has received.
type seen struct {
	Method, Path string
	Size         int
	Fields       map[string][]string
}

func (g *guarded) open(t *testing.T, method, path string, body io.Reader, fields ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, g.url+path, body)
	require.NoError(t, err)
	for i := 0; i < len(fields); i += 2 {
		r.Header[fields[i]] = append(r.Header[fields[i]], fields[i+1])
	}
	resp, err := g.client.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// ask sends a request through the proxy. A rejected one must not reach the back end.
func (g *guarded) ask(t *testing.T, method, path, body string, fields ...string) (int, seen, http.Header) {
	t.Helper()
	before := g.served(t)
	resp := g.open(t, method, path, strings.NewReader(body), fields...)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	var s seen
	if resp.StatusCode != http.StatusOK {
		require.Equal(t, before, g.served(t), "the back end must not get a rejected request")
		return resp.StatusCode, s, resp.Header
	}
	require.Equal(t, before+1, g.served(t))
	if method != "HEAD" {
		require.NoError(t, json.Unmarshal(text, &s), "%s", text)
	}
	return resp.StatusCode, s, resp.Header
}

// served is the number of requests that the back end has received from the proxy.
func (g *guarded) served(t *testing.T) (n int) {
	t.Helper()
	resp, err := http.Get("http://" + g.backend + "/served")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&n))
	return n
}

func TestForwardAuth_accepts(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, g *guarded) {
		token := g.token(t, auth.TokenOptions{Scopes: []string{"notes:read"}, Metadata: map[string]string{"tenant": "Süd"}})
		code, s, _ := g.ask(t, "GET", "/notes?a=b", "", "Authorization", token)
		require.Equal(t, 200, code)
		require.Equal(t, "/notes?a=b", s.Path)
		require.Equal(t, []string{"alice"}, s.Fields["x-auth-user"])
		require.Equal(t, []string{"Bearer"}, s.Fields["x-auth-scheme"])
		require.Equal(t, []string{"notes:read"}, s.Fields["x-auth-scopes"])
		require.Len(t, s.Fields["x-auth-credential"], 1)
		require.Equal(t, []string{"S%C3%BCd"}, s.Fields["x-auth-tenant"])
		require.NotContains(t, s.Fields, "authorization")
		require.NotContains(t, s.Fields, "cookie")
		require.Empty(t, strings.Join(s.Fields["x-auth-actor"], ""))
		code, s, _ = g.ask(t, "POST", "/notes", strings.Repeat("x", 900<<10), "Authorization", token)
		require.Equal(t, 200, code)
		require.Equal(t, "POST", s.Method)
		require.Equal(t, 900<<10, s.Size)
		code, _, _ = g.ask(t, "HEAD", "/notes", "", "Authorization", token)
		require.Equal(t, 200, code)
	})
}

func TestForwardAuth_rejects(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, g *guarded) {
		for name, fields := range map[string][]string{
			"none": nil, "unknown": {"Authorization", "Bearer x"}, "malformed": {"Authorization", "Bearer a b"}, "a forged cookie": {"Cookie", "__Host-session=x"},
		} {
			code, _, header := g.ask(t, "POST", "/notes", "x", fields...)
			require.Equal(t, 401, code, name)
			require.Contains(t, header.Get("Www-Authenticate"), `Bearer realm="api"`, name)
		}
	})
}

// A page of another site makes a browser send its cookie.
func TestForwardAuth_otherSites(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, g *guarded) {
		session := []string{"Cookie", g.session(t)}
		for _, test := range []struct {
			name   string
			fields []string
			want   int
		}{
			{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
			{"another site, in an old browser", []string{"Origin", "https://evil.example"}, 403},
			{"another port, in an old browser", []string{"Origin", "https://app.example"}, 403},
			{"the site", []string{"Sec-Fetch-Site", "same-origin", "Origin", g.url}, 200},
			{"the site, in an old browser", []string{"Origin", g.url}, 200},
			{"a method of its own", []string{"Sec-Fetch-Site", "cross-site", "X-Original-Method", "GET"}, 403},
			{"a forwarded method of its own", []string{"Sec-Fetch-Site", "cross-site", "X-Forwarded-Method", "GET"}, 403},
			{"a host of its own", []string{"Origin", "https://evil.example", "X-Forwarded-Host", "evil.example", "X-Original-Url", "https://evil.example/"}, 403},
			{"an overridden method", []string{"Sec-Fetch-Site", "cross-site", "X-Http-Method-Override", "GET"}, 403},
		} {
			code, _, _ := g.ask(t, "POST", "/notes", "x", append(test.fields, session...)...)
			require.Equal(t, test.want, code, test.name)
		}
		code, _, _ := g.ask(t, "GET", "/notes", "", append([]string{"Sec-Fetch-Site", "cross-site"}, session...)...)
		require.Equal(t, 200, code, "a link")
	})
}

func TestForwardAuth_requiredScope(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, g *guarded) {
		limited := g.token(t, auth.TokenOptions{Scopes: []string{"notes:read"}})
		code, _, header := g.ask(t, "GET", "/reports/1?scope=notes:read", "", "Authorization", limited)
		require.Equal(t, 403, code)
		if g.proxy == endpoint.ProxyCaddy { // nginx passes challenges on with 401 only
			require.Contains(t, header.Get("Www-Authenticate"), `scope="reports:read"`)
		}
		code, s, _ := g.ask(t, "GET", "/reports/1", "", "Authorization", g.token(t, auth.TokenOptions{Scopes: []string{"reports:read"}}))
		require.Equal(t, 200, code)
		require.Equal(t, []string{"alice"}, s.Fields["x-auth-user"])
	})
}

// A client cannot choose what the back end reads, whatever the proxy does about it.
func TestForwardAuth_forgedFields(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, g *guarded) {
		token := []string{"Authorization", g.token(t, auth.TokenOptions{Scopes: []string{"notes:read"}})}
		for _, name := range []string{"X-Auth-User", "x-auth-scopes", "X-Auth-Actor", "X-Auth-Tenant", "X_Auth_User", "X-Auth_User"} {
			code, s, _ := g.ask(t, "GET", "/notes", "", append(token, name, "forged")...)
			require.Contains(t, []int{200, 403}, code, name)
			for field, values := range s.Fields {
				require.NotContains(t, values, "forged", field)
			}
		}
		// The proxy removes them even if the service that it asks has nothing to replace them by.
		var silent http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		g.handler.Store(&silent)
		for _, name := range []string{"X-Auth-User", "X-Auth-Scopes", "X-Auth-Actor", "X-Auth-Tenant"} {
			code, s, _ := g.ask(t, "GET", "/notes", "", name, "forged")
			require.Equal(t, 200, code)
			for field, values := range s.Fields {
				require.NotContains(t, values, "forged", field)
			}
		}
	})
}

// A client can name fields in Connection, which some proxies then remove (RFC 9110 section 7.6.1): those
// that the guard needs, and those that limit what the back end does.
func TestForwardAuth_connectionFields(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, g *guarded) {
		const names = "X-Auth-User, X-Auth-Scopes, X-Auth-Scheme, X-Auth-Credential, X-Auth-Actor, X-Auth-Tenant, X-Original-Method, X-Original-Url, " +
			"X-Forwarded-Method, X-Forwarded-Uri, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto"
		token := g.token(t, auth.TokenOptions{Scopes: []string{"notes:read"}, Metadata: map[string]string{"tenant": "acme"}})
		code, s, _ := g.ask(t, "GET", "/notes", "", "Authorization", token, "Connection", names)
		require.Equal(t, 200, code)
		for name, want := range map[string]string{"user": "alice", "scopes": "notes:read", "scheme": "Bearer", "tenant": "acme"} {
			require.Equal(t, []string{want}, s.Fields["x-auth-"+name], name)
		}
		require.Len(t, s.Fields["x-auth-credential"], 1)
		code, _, _ = g.ask(t, "POST", "/notes", "", "Cookie", g.session(t), "Sec-Fetch-Site", "cross-site", "Connection", names)
		require.Equal(t, 403, code)
		elsewhere := g.token(t, auth.TokenOptions{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		code, _, _ = g.ask(t, "GET", "/notes", "", "Authorization", elsewhere, "X-Forwarded-For", "192.0.2.1", "Connection", names)
		require.Equal(t, 401, code)
	})
}

func TestForwardAuth_networks(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, g *guarded) {
		here := g.token(t, auth.TokenOptions{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
		code, _, _ := g.ask(t, "GET", "/notes", "", "Authorization", here)
		require.Equal(t, 200, code)
		elsewhere := g.token(t, auth.TokenOptions{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		code, _, _ = g.ask(t, "GET", "/notes", "", "Authorization", elsewhere, "X-Forwarded-For", "192.0.2.1", "X-Real-Ip", "192.0.2.1")
		require.Equal(t, 401, code)
	})
}

func TestForwardAuth_outage(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, g *guarded) {
		token := g.token(t, auth.TokenOptions{})
		g.store.broken.Store(true)
		code, _, _ := g.ask(t, "GET", "/notes", "", "Authorization", token)
		require.Equal(t, 503, code)
		g.asked.Close()
		code, _, _ = g.ask(t, "GET", "/notes", "", "Authorization", token)
		require.Contains(t, []int{502, 503}, code)
	})
}

func TestForwardAuth_stream(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, g *guarded) {
		token := []string{"Authorization", g.token(t, auth.TokenOptions{})}
		resp := g.open(t, "GET", "/stream", nil, token...)
		require.Equal(t, 200, resp.StatusCode)
		events := bufio.NewReader(resp.Body)
		line, err := events.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "data: one\n", line)
		require.Equal(t, 200, g.open(t, "GET", "/release", nil, token...).StatusCode)
		rest, err := io.ReadAll(events)
		require.NoError(t, err)
		require.Contains(t, string(rest), "data: two\n")
	})
}

func TestForwardAuth_webSocket(t *testing.T) {
	t.Parallel()
	eachProxy(t, func(t *testing.T, g *guarded) {
		upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
		resp := g.open(t, "GET", "/ws", nil, append(upgrade, "Authorization", g.token(t, auth.TokenOptions{}))...)
		require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
		conn := resp.Body.(io.ReadWriter)
		_, err := conn.Write([]byte("echo"))
		require.NoError(t, err)
		got := make([]byte, 4)
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, "echo", string(got))

		session := append(upgrade, "Cookie", g.session(t))
		require.Equal(t, 403, g.open(t, "GET", "/ws", nil, append(session, "Origin", "https://evil.example")...).StatusCode)
		require.Equal(t, 101, g.open(t, "GET", "/ws", nil, append(session, "Origin", g.url)...).StatusCode)
		require.Equal(t, 401, g.open(t, "GET", "/ws", nil, upgrade...).StatusCode)
	})
}

// The guide has the files that these tests use.
func TestForwardAuth_guide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/guides/forward-auth.md")
	require.NoError(t, err)
	for _, name := range []string{"nginx.conf", "auth_headers.conf", "Caddyfile"} {
		require.Contains(t, string(guide), "\n"+new(guarded).read(t, name)+"```\n", name)
	}
}
