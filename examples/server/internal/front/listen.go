package front

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
)

// A Front is where the server listens.
type Front struct {
	net.Listener
	certificate *tls.Certificate // nil for plain HTTP
	Config
}

// Listen returns an error for files of a certificate that cannot be used, too.
func Listen(cfg Config) (*Front, error) {
	f := &Front{Config: cfg}
	var err error
	if f.Listener, err = net.Listen("tcp", cfg.HostPort); err != nil {
		return nil, err
	}
	switch {
	case cfg.CertFile != "":
		var certificate tls.Certificate
		certificate, err = tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		f.certificate = &certificate
	case cfg.TLS:
		f.certificate, err = MakeCertificate(f.names(), f.ips())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// MakeCertificate signs a certificate with its own key, which is never stored.
func MakeCertificate(names []string, ips []net.IP) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 3, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: names, IPAddresses: ips,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// Address says how to reach the server, and what to know about that.
func (f *Front) Address() demodata.Address {
	scheme := "http://"
	if f.TLS {
		scheme = "https://"
	}
	_, port, _ := net.SplitHostPort(f.Addr().String())
	a := demodata.Address{URL: scheme + net.JoinHostPort(f.host(), port)}
	a.Browser = a.URL
	if f.ip().IsUnspecified() && net.ParseIP(f.host()) != nil { // not an address to connect to
		a.Browser = scheme + net.JoinHostPort("localhost", port)
	}
	if f.Proxy != nil {
		a.Browser = f.Proxy.String()
	}
	if f.TLS && f.CertFile == "" {
		pin := sha256.Sum256(f.certificate.Leaf.RawSubjectPublicKeyInfo)
		a.Curl = "-k --pinnedpubkey 'sha256//" + base64.StdEncoding.EncodeToString(pin[:]) + "' "
	}
	a.Notes = f.notes()
	return a
}

// notes are about what browsers connect to: the proxy, if there is one.
func (f *Front) notes() string {
	switch {
	case f.Proxy != nil && !f.Secure():
		return "The proxy serves plain HTTP, so the session cookie is neither Secure nor named __Host-session: for that, let the proxy serve HTTPS.\n"
	case f.Proxy != nil:
		return ""
	case !f.TLS:
		return "This is plain HTTP, so the session cookie is neither Secure nor named __Host-session: use -tls for that.\n"
	case f.CertFile == "":
		return "The certificate is made for this process, so the browser warns of it: continue to the page.\n"
	}
	return ""
}

// host returns the name in -addr, for which a certificate may be valid, or else the IP
// address. If the certificate in -tls-cert is not valid for a loopback address, its name
// is probably localhost.
func (f *Front) host() string {
	host, _, _ := net.SplitHostPort(f.HostPort)
	if host != "" && net.ParseIP(host) == nil && !strings.Contains(host, "%") {
		return host
	}
	host, _, _ = net.SplitHostPort(f.Addr().String())
	if f.CertFile != "" && f.ip().IsLoopback() && f.certificate.Leaf.VerifyHostname(host) != nil {
		return "localhost"
	}
	return host
}

// Warn logs if anyone on the network can read passwords and cookies.
func (f *Front) Warn(log *slog.Logger) {
	if !f.TLS && !f.ip().IsLoopback() {
		log.Warn("plain HTTP beyond this machine: anyone on the network path can read passwords, cookies and tokens; use -tls, or listen on 127.0.0.1",
			"address", f.Addr().String())
	}
}
