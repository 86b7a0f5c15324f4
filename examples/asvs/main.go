// Asvs is a service with the settings that docs/guides/asvs.md proposes for level 2 of the OWASP
// Application Security Verification Standard 5.0.0.
package main

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// The numbers are those of the requirements that ask for a documented value.
const (
	idleTimeout     = 30 * time.Minute    // 7.3.1, and AAL2 of NIST SP 800-63B (revision 3)
	sessionLifetime = 12 * time.Hour      // 7.3.2, and AAL2
	maxSessions     = 5                   // 7.1.2: a sixth sign-in ends the oldest session
	recentSignIn    = 10 * time.Minute    // 7.5.1, 7.5.2
	tokenLifetime   = 90 * 24 * time.Hour // 13.3.4: the longest; users choose less
	tokenOverlap    = 24 * time.Hour      // the longest grace period of a rotation
	maxTokens       = 20
)

type service struct {
	bearer  *auth.Bearer
	cookie  *auth.Cookie
	logger  *slog.Logger
	observe auth.Observer
	verify  verifier
}

// A verifier checks all factors of a sign-in (chapter 6), and limits failed ones (6.3.1).
type verifier func(r *http.Request) (userID string, err error)

func newService(store auth.Store, keys auth.Keys, logs io.Writer, verify verifier) (*service, error) {
	// 16.3.1 asks for successful authentication too, which LogTo logs with the level Debug.
	logger := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	observe := auth.LogTo(logger)
	bearer, errBearer := auth.NewBearer(store, auth.BearerConfig{
		Prefix:      "acme_pat",
		Scopes:      []string{"notes:read", "notes:write"},
		MaxLifetime: tokenLifetime,
		MaxOverlap:  tokenOverlap,
		MaxPerUser:  maxTokens,
		Observe:     observe,
	})
	cookie, errCookie := auth.NewCookie(store, auth.CookieConfig{
		Keys:        keys, // Name, SameSite and Path keep their defaults (3.3.1 to 3.3.3)
		Lifetime:    sessionLifetime,
		IdleTimeout: idleTimeout,
		MaxPerUser:  maxSessions,
		Observe:     observe,
	})
	return &service{bearer, cookie, logger, observe, verify}, errors.Join(errBearer, errCookie)
}

func (s *service) routes() (http.Handler, error) {
	m := &auth.Middleware{Observe: s.observe, OnError: auth.RedirectToSignIn("/sign-in")}
	developer, err := settings.New(settings.Config{
		Bearer: s.bearer, Cookie: s.cookie, SignInPath: "/sign-in",
		MaxAge: recentSignIn, RecentForRevoke: true, // 7.5.2
		Middleware: *m, // its decisions are logged too
	})
	if err != nil {
		return nil, err
	}
	recent := func(h http.Handler) http.Handler { return m.Require(s.cookie)(m.RequireRecent(recentSignIn)(h)) }

	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	mux.Handle("GET /notes", m.Require(s.bearer, s.cookie)(m.RequireScope("notes:read")(http.HandlerFunc(notes))))
	mux.Handle("POST /email", recent(http.HandlerFunc(changeEmail))) // 7.5.1
	mux.Handle("/settings/", http.StripPrefix("/settings", developer))
	return withClientAddr(withHeaders(mux)), nil
}

// withClientAddr lets events say where a request comes from (16.2.1). It is for a service with
// no proxy in front: docs/guides/proxies.md has another.
func withClientAddr(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), auth.RemoteAddr(r))))
	})
}

// withHeaders sets what section 3.4 asks for on every response. The pages of settings have a
// stricter policy of their own.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")                                          // 3.4.1
		h.Set("Content-Security-Policy", "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'") // 3.4.3, 3.4.6
		h.Set("X-Content-Type-Options", "nosniff")                                                                         // 3.4.4
		h.Set("Referrer-Policy", "same-origin")                                                                            // 3.4.5
		next.ServeHTTP(w, r)
	})
}

func (s *service) signIn(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.CheckOrigin(r); err != nil { // before a password is tried
		auth.WriteError(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	userID, err := s.verify(r)
	if err != nil { // 16.3.1: the library does not see passwords, so the service logs this
		s.logger.WarnContext(r.Context(), "sign-in failed", "client_addr", auth.RemoteAddr(r), "error", err)
		http.Error(w, "The name or the password is wrong.", http.StatusForbidden)
		return
	}
	if _, err := s.cookie.SignIn(w, r, userID, auth.SessionOptions{}); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, auth.LocalPath(r.FormValue("next"), "/"), http.StatusSeeOther) // 3.7.2
}

func (s *service) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.SignOut(w, r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func notes(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintf(w, "notes of %s\n", id.UserID)
}

func changeEmail(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// readKeys reads a file that the secrets manager mounts (13.3.1), with a base64 key per line,
// newest first. Its errors do not have the text of a line.
func readKeys(name string) (auth.Keys, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var keys auth.Keys
	for i, line := range strings.Fields(string(text)) {
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("%s: key %d is not base64", name, i+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func main() {
	file := flag.String("keys", "/run/secrets/cookie-keys", "the `file` with the keys")
	cert := flag.String("cert", "cert.pem", "the `file` with the certificate")
	certKey := flag.String("cert-key", "key.pem", "the `file` with its key")
	flag.Parse()
	keys, err := readKeys(*file)
	if err != nil {
		log.Fatal(err)
	}
	verify := func(*http.Request) (string, error) { return "", errors.New("no users yet") } // put yours here
	s, err := newService(auth.NewMemoryStore(), keys, os.Stderr, verify)
	if err != nil {
		log.Fatal(err)
	}
	routes, err := s.routes()
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServeTLS("127.0.0.1:8443", *cert, *certKey, routes))
}
