package main

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

// A front is where the server listens.
type front struct {
	net.Listener
	certificate *tls.Certificate // nil for plain HTTP
	config
}

// listen returns an error for files of a certificate that cannot be used, too.
func listen(cfg config) (*front, error) {
	f := &front{config: cfg}
	var err error
	if f.Listener, err = net.Listen("tcp", cfg.addr); err != nil {
		return nil, err
	}
	switch {
	case cfg.certFile != "":
		var certificate tls.Certificate
		certificate, err = tls.LoadX509KeyPair(cfg.certFile, cfg.keyFile)
		f.certificate = &certificate
	case cfg.tls:
		f.certificate, err = makeCertificate(f.names(), f.ips())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// makeCertificate signs a certificate with its own key, which is never stored.
func makeCertificate(names []string, ips []net.IP) (*tls.Certificate, error) {
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

// address says how to reach the server, and what to know about that.
func (f *front) address() demodata.Address {
	scheme := "http://"
	if f.tls {
		scheme = "https://"
	}
	_, port, _ := net.SplitHostPort(f.Addr().String())
	a := demodata.Address{URL: scheme + net.JoinHostPort(f.host(), port)}
	a.Browser = a.URL
	if f.ip().IsUnspecified() && net.ParseIP(f.host()) != nil { // not an address to connect to
		a.Browser = scheme + net.JoinHostPort("localhost", port)
	}
	if f.proxy != nil {
		a.Browser = f.proxy.String()
	}
	if f.tls && f.certFile == "" {
		pin := sha256.Sum256(f.certificate.Leaf.RawSubjectPublicKeyInfo)
		a.Curl = "-k --pinnedpubkey 'sha256//" + base64.StdEncoding.EncodeToString(pin[:]) + "' "
	}
	a.Notes = f.notes()
	return a
}

// notes are about what browsers connect to: the proxy, if there is one.
func (f *front) notes() string {
	switch {
	case f.proxy != nil && !f.secure():
		return "The proxy serves plain HTTP, so the session cookie is neither Secure nor named __Host-session: for that, let the proxy serve HTTPS.\n"
	case f.proxy != nil:
		return ""
	case !f.tls:
		return "This is plain HTTP, so the session cookie is neither Secure nor named __Host-session: use -tls for that.\n"
	case f.certFile == "":
		return "The certificate is made for this process, so the browser warns of it: continue to the page.\n"
	}
	return ""
}

// host returns the name in -addr, for which a certificate may be valid, or else the IP
// address. If the certificate in -tls-cert is not valid for a loopback address, its name
// is probably localhost.
func (f *front) host() string {
	host, _, _ := net.SplitHostPort(f.addr)
	if host != "" && net.ParseIP(host) == nil && !strings.Contains(host, "%") {
		return host
	}
	host, _, _ = net.SplitHostPort(f.Addr().String())
	if f.certFile != "" && f.ip().IsLoopback() && f.certificate.Leaf.VerifyHostname(host) != nil {
		return "localhost"
	}
	return host
}

// warn logs if anyone on the network can read passwords and cookies.
func (f *front) warn(log *slog.Logger) {
	if !f.tls && !f.ip().IsLoopback() {
		log.Warn("plain HTTP beyond this machine: anyone on the network path can read passwords, cookies and tokens; use -tls, or listen on 127.0.0.1",
			"address", f.Addr().String())
	}
}
