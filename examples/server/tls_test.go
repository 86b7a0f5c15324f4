package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/server/internal/front"
)

// With -tls, clients use HTTP/2, and the cookie is what the library uses in production.
func TestRun_tls(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), nil, "-store", "memory:", "-tls").listening(t)
	require.Regexp(t, `^https://127\.0\.0\.1:\d+$`, p.demo().url)
	require.Equal(t, "Open "+p.demo().url+" in a browser and sign in as ada with the password "+p.demo().Passwords["ada"], p.intro[0])
	require.Equal(t, "The certificate is made for this process, so the browser warns of it: continue to the page.", p.intro[1])
	t.Run("printed commands", func(t *testing.T) { runPrinted(t, p.lines[5:8]) })

	pin := regexp.MustCompile(`--pinnedpubkey 'sha256//(\S+)'`).FindStringSubmatch(p.lines[5])
	require.NotNil(t, pin, p.lines[5])
	requireSecure(t, p, &tls.Config{
		InsecureSkipVerify: true, // the key is checked instead
		VerifyConnection: func(state tls.ConnectionState) error {
			sum := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if base64.StdEncoding.EncodeToString(sum[:]) != pin[1] {
				return errors.New("another key")
			}
			for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
				if err := state.PeerCertificates[0].VerifyHostname(host); err != nil {
					return err
				}
			}
			return nil
		},
	})
	p.stop(t)
}

func TestRun_tlsFiles(t *testing.T) {
	t.Parallel()
	certFile, keyFile, roots := writeCertificate(t)
	p := startProcess(t, t.TempDir(), nil, "-store", "memory:", "-tls-cert", certFile, "-tls-key", keyFile).listening(t)
	require.NotContains(t, p.lines[5], "-k")
	require.Len(t, p.intro, 1)
	requireSecure(t, p, &tls.Config{RootCAs: roots})
	p.stop(t)
}

// Behind a proxy with TLS, the cookie is Secure even if the proxy uses plain HTTP here.
func TestRun_proxy(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), nil, "-store", "memory:", "-proxy", "https://notes.example.com").listening(t)
	require.Equal(t, "Open https://notes.example.com in a browser and sign in as ada with the password "+p.demo().Passwords["ada"], p.intro[0])
	require.Equal(t, http.StatusOK, requestWithHost(t, p.demo().url, "notes.example.com"))
	res := p.demo().client(t).post("/signin", p.demo().form("ada", ""), "X-Forwarded-For", "203.0.113.1")
	require.Regexp(t, `^__Host-session=.*; Secure`, res.header.Get("Set-Cookie"))
	p.stop(t)
}

// requireSecure signs in over HTTP/2.
func requireSecure(t *testing.T, p *process, cfg *tls.Config) {
	t.Helper()
	c := p.demo().client(t)
	transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	c.http.Transport = transport
	res, err := c.http.PostForm(c.base+"/signin", p.demo().form("ada", ""))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	require.Equal(t, "HTTP/2.0", res.Proto)
	require.Len(t, res.Cookies(), 2)
	cookie, offer := res.Cookies()[0], res.Cookies()[1]
	require.Equal(t, "__Host-session", cookie.Name)
	require.Equal(t, "__Secure-session-offer", offer.Name, "to bind the session")
	require.True(t, offer.Secure && offer.HttpOnly)
	require.True(t, cookie.Secure)
	require.True(t, cookie.HttpOnly)
	require.Equal(t, "/", cookie.Path)
	require.Empty(t, cookie.Domain)
	require.Equal(t, http.StatusOK, c.get("/profile").status)
	require.Equal(t, http.StatusOK, c.get("/api/v1/me", "Authorization", "Bearer "+p.demo().Token).status)
}

// writeCertificate returns files with a certificate for 127.0.0.1, and who trusts it.
func writeCertificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	certificate, err := front.MakeCertificate([]string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		var text bytes.Buffer
		require.NoError(t, pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}))
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, text.Bytes(), 0o600))
		return file
	}
	roots = x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	return write("cert.pem", "CERTIFICATE", certificate.Certificate[0]), write("key.pem", "PRIVATE KEY", key), roots
}
