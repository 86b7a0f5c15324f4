package endpoint

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/keycache"
	"github.com/seed-31c5bcb2/auth/internal/wire"
)

const (
	// GitHubKeysURL is where GitHub publishes the keys that its reports are signed with.
	GitHubKeysURL = "https://api.github.com/meta/public_keys/secret_scanning"

	maxReport   = 1 << 20
	maxLeaks    = 1000
	maxURL      = 2048
	maxFailures = 10 // of the store for one report
)

// A LeakReportConfig configures [NewLeakReport]. Bearer or Secret is required.
type LeakReportConfig struct {
	Bearer *auth.Bearer // tokens, if not nil
	Secret *auth.Secret // client secrets, if not nil

	// KeysURL is where the public keys are. If empty, it is [GitHubKeysURL]. http is allowed for
	// loopback addresses only.
	KeysURL string
	// Client fetches the keys. If nil, it is a client of its own. A fetch takes at most 10 seconds
	// in any case, and follows at most 3 redirects, to URLs that KeysURL may be.
	Client *http.Client

	// Observe, if not nil, receives reports that are rejected, and failures to fetch the keys. The
	// revocations are reported to that of the authenticator, in whose context [LeakFromContext] returns
	// the leak. If it is nil, outages are logged to slog.Default().
	Observe auth.Observer
}

// A Leak is where a token was found. It is what the report says, which GitHub has signed, but the
// URL may be of a page that anyone has written.
type Leak struct {
	Type   string // the type that the pattern has in the partner program
	URL    string // of the page; empty if it is unknown or not an https URL
	Source string // for example "content" or "commit"
}

type leakKey struct{}

// LeakFromContext returns the leak for which a credential is revoked. It is for the Observe of a
// Bearer or Secret: in the context of an [auth.EventRevoked] that [NewLeakReport] has caused, it says
// where the token was found, so that its owner can be told.
func LeakFromContext(ctx context.Context) (Leak, bool) {
	leak, ok := ctx.Value(leakKey{}).(Leak)
	return leak, ok
}

// NewLeakReport returns a handler for the secret scanning partner program of GitHub, which reports
// tokens that it finds in public. They are revoked at once, with [auth.ReasonLeaked]. It returns an
// error that lists everything that is wrong with cfg.
//
// A request is a POST of a JSON array, of at most 1 MiB and 1,000 tokens, with an ECDSA signature
// over the body (P-256, SHA-256) in Github-Public-Key-Signature, and the name of the key in
// Github-Public-Key-Identifier. Nothing in it is read before the signature is verified. Keys are
// fetched from KeysURL when they are needed, and kept for a day. An unknown name makes the handler
// fetch them again, at most every five minutes, or every minute if that fails, however many requests
// have one.
//
// The response has a label for each token: "true_positive" if it was revoked now, and
// "false_positive" if no valid credential has this plaintext. It names tokens by their SHA-256, in
// hexadecimal. A report is answered with 400 if it is malformed, 401 if its signature is invalid, and
// 503 if the keys or the store are unavailable: the report should be sent again. If the store fails
// for some tokens only, the others are revoked before that.
func NewLeakReport(cfg LeakReportConfig) (http.Handler, error) {
	h := &leakReport{observe: observer(cfg.Observe)}
	faults := configErrors{config: "LeakReportConfig"}
	h.revokers = faults.revokers(cfg.Bearer, cfg.Secret)
	url := cmp.Or(cfg.KeysURL, GitHubKeysURL)
	if _, err := parseURL(url); err != nil {
		faults.add("KeysURL", "%w", err)
	}
	h.keys = newKeyCache(url, cfg.Client)
	if err := faults.err(); err != nil {
		return nil, err
	}
	return h, nil
}

type leakReport struct {
	revokers []revoker
	keys     *keycache.Cache[*ecdsa.PublicKey]
	observe  auth.Observer
}

var (
	errSignature = errors.New("endpoint: leak report: the signature is invalid")
	errReport    = errors.New("endpoint: leak report: the body is not a report")
)

func (h *leakReport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeProblem(w, http.StatusMethodNotAllowed, "method_not_allowed", "Use POST.")
		return
	}
	body, err := h.verified(w, r)
	var found []foundToken
	if err == nil {
		found, err = parseReport(body)
	}
	if err != nil {
		h.reject(w, r, err)
		return
	}
	labels, err := h.revokeAll(r.Context(), found)
	if err != nil { // which the Observer of the authenticator has received
		writeProblem(w, http.StatusServiceUnavailable, "unavailable", "Please send the report again.")
		return
	}
	wire.JSON(w, http.StatusOK, "application/json", labels)
}

func (h *leakReport) reject(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errReport):
		h.observe(r.Context(), refused(r, auth.ReasonMalformed, err))
		writeProblem(w, http.StatusBadRequest, "malformed_request", "The report is malformed.")
	case errors.Is(err, errSignature):
		h.observe(r.Context(), refused(r, auth.ReasonForged, err))
		writeProblem(w, http.StatusUnauthorized, "invalid_signature", "The signature is not valid.")
	default:
		h.observe(r.Context(), refused(r, auth.ReasonUnavailable, err))
		writeProblem(w, http.StatusServiceUnavailable, "unavailable", "Please send the report again.")
	}
}

// verified returns the body if its signature is valid. It is not read if the name of the key is
// unknown.
func (h *leakReport) verified(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	id, encoded := r.Header["Github-Public-Key-Identifier"], r.Header["Github-Public-Key-Signature"]
	if len(id) != 1 || len(encoded) != 1 || len(id[0]) > maxKeyID || id[0] == "" || len(encoded[0]) > 200 {
		return nil, errSignature
	}
	signature, err := base64.StdEncoding.DecodeString(encoded[0])
	if err != nil {
		return nil, errSignature
	}
	key, found, err := h.keys.Find(context.Background(), id[0]) // a sender that goes away makes no event of its own
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, errSignature
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReport))
	if err != nil {
		return nil, errReport
	}
	digest := sha256.Sum256(body)
	if !ecdsa.VerifyASN1(key, digest[:], signature) {
		return nil, errSignature
	}
	return body, nil
}

// A foundToken is one of a report.
type foundToken struct {
	Token  string `json:"token"`
	Type   string `json:"type"`
	URL    string `json:"url"`
	Source string `json:"source"`
}

func parseReport(body []byte) ([]foundToken, error) {
	var found []foundToken
	if err := json.Unmarshal(body, &found); err != nil || len(found) == 0 || len(found) > maxLeaks {
		return nil, errReport
	}
	for _, f := range found {
		if f.Token == "" {
			return nil, errReport
		}
	}
	return found, nil
}

// leak is what the report says, without what must not get into a mail or a log.
func (f *foundToken) leak() Leak {
	l := Leak{Type: oneLine(f.Type, 100), Source: oneLine(f.Source, 100)}
	if u, err := url.Parse(f.URL); err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && !strings.Contains(f.URL, f.Token) {
		l.URL = oneLine(u.String(), maxURL)
	}
	return l
}

// oneLine returns s, or "" if it is long or has other than printable characters.
func oneLine(s string, most int) string {
	if len(s) > most || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || 0x7F <= r && r < 0xA0 || r == 0x2028 || r == 0x2029 }) {
		return ""
	}
	return s
}

// A label is an entry of the response.
type label struct {
	Hash  string `json:"token_hash"`
	Type  string `json:"token_type"`
	Label string `json:"label"`
}

// revokeAll revokes each token once, even if a report names several pages for it. It continues after
// an error, since a record that cannot be read must not keep the other tokens valid, but not
// through an outage, in which all of them would time out.
func (h *leakReport) revokeAll(ctx context.Context, found []foundToken) (labels []label, failed error) {
	known, failures := make(map[string]string), 0
	for _, f := range found {
		verdict, ok := known[f.Token]
		if !ok {
			var err error
			if verdict, err = h.revoke(ctx, f); err != nil {
				failed = err
				if failures++; failures == maxFailures {
					break
				}
			}
			known[f.Token] = verdict
		}
		digest := sha256.Sum256([]byte(f.Token))
		labels = append(labels, label{hex.EncodeToString(digest[:]), f.Type, verdict})
	}
	return labels, failed
}

// revoke asks all authenticators, since the type of a report is a name that its pattern has there.
// A token belongs to at most one of them, so the store of another may be unavailable.
func (h *leakReport) revoke(ctx context.Context, f foundToken) (verdict string, failed error) {
	ctx = context.WithValue(ctx, leakKey{}, f.leak())
	for _, a := range h.revokers {
		_, err := a.RevokePlaintext(ctx, f.Token)
		switch {
		case err == nil:
			return "true_positive", nil
		case !errors.Is(err, auth.ErrNotFound) || errors.Is(err, auth.ErrUnavailable):
			failed = fmt.Errorf("endpoint: leak report: %w", err)
		}
	}
	return "false_positive", failed
}
