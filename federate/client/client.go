// Package client gets tokens for programs that run where an identity is at hand: in a job of GitHub
// Actions or GitLab CI, or in a pod of Kubernetes. It exchanges that identity, a JWT, for a token
// of a service that has the exchange endpoint of package federate. The program stores no secret.
//
//	tokens, err := client.New(client.Config{
//		Endpoint: "https://notes.example/federate", Rule: "publish", Audience: "https://notes.example",
//		Sources: []client.Source{client.GitHubActions(), client.Variable("NOTES_ID_TOKEN")},
//	})
//	notes := &http.Client{Transport: tokens.Transport(nil)}
//
// # Lifetime
//
// A token lives for minutes. [Client.Token] keeps it, and exchanges another JWT when four fifths of
// its lifetime have passed: callers get the token that they have meanwhile, and keep it if the
// exchange fails, until shortly before it expires. There is one exchange at a time, however many
// callers wait. An endpoint that is unavailable, or does not answer, is asked up to five times
// within a minute. One that rejects the JWT is not asked again for ten seconds.
//
// A JWT can be exchanged once. GitHub Actions issues another whenever it is asked. GitLab CI issues
// one for each entry of id_tokens, so that a token must last until the job ends. The kubelet replaces
// the JWT of a pod when four fifths of its lifetime have passed; a program that restarts in the same
// pod waits for that. Two Clients need two variables, or two files.
//
// # Secrecy
//
// The JWT is sent to Endpoint only, and only if it is for Audience alone. The token is sent to the origin
// of Service only. Redirects of the endpoint are not followed, and none by which a request leaves
// Service takes the token along. Neither the JWT nor the token is in an error, or printed by fmt.
//
// The package uses the standard library only.
package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	exchangeTimeout = time.Minute
	failedPause     = 10 * time.Second
	maxFailedPause  = 5 * time.Minute // of a Retry-After
)

// A Config configures a [Client]. All fields are required, except Service and HTTPClient.
type Config struct {
	// Endpoint is the URL of the exchange endpoint. It must be https: http is for loopback
	// addresses.
	Endpoint string
	// Rule is the name that the service has given to the rule.
	Rule string
	// Audience is that of the rule. A JWT that is for another audience, or for others too, is not
	// sent, since it may be of use at another service.
	Audience string
	// Sources are where the JWT may be. They are asked in this order until one has a JWT that was not
	// exchanged before: a long job of GitLab CI may have several variables.
	Sources []Source
	// Service is a URL of the API. [Client.Transport] sends the token to its origin, whatever the
	// path. If empty, it is Endpoint.
	Service string
	// HTTPClient sends the exchanges, without following redirects. If nil, it is one with
	// [http.DefaultTransport]. Each attempt takes at most 15 seconds in any case.
	HTTPClient *http.Client
}

// A Client has a token of one rule at one service. It is safe for concurrent use. Use [New].
type Client struct {
	endpoint       string
	rule, audience string
	service        origin
	sources        []Source
	http           *http.Client
	spent          [][sha256.Size]byte // by Source, of the JWT that was exchanged last; belongs to the exchange under way

	mu      sync.Mutex
	token   issued    // the last one
	next    time.Time // no exchange begins before
	err     error     // of the last exchange
	pending *exchange // under way; nil if there is none
}

// An issued token is usable until end, and replaced from refresh on.
type issued struct {
	plaintext    string
	refresh, end time.Time
}

// An exchange is what callers wait for. Its other fields are set before done is closed.
type exchange struct {
	done  chan struct{}
	token string
	err   error
}

// New returns a Client, or an error that lists everything that is wrong with cfg. It sends nothing
// yet, and does not look for the JWT.
func New(cfg Config) (*Client, error) {
	c := &Client{
		endpoint: cfg.Endpoint, rule: cfg.Rule, audience: cfg.Audience,
		sources: slices.Clone(cfg.Sources), spent: make([][sha256.Size]byte, len(cfg.Sources)), http: withoutRedirects(cfg.HTTPClient),
	}
	var faults []error
	add := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf("federate/client: Config.%s: "+format, append([]any{field}, args...)...))
	}
	if _, err := parseURL(cfg.Endpoint); err != nil {
		add("Endpoint", "%w", err)
	}
	service, err := parseURL(cmp.Or(cfg.Service, cfg.Endpoint))
	switch {
	case err == nil:
		c.service = originOf(service)
	case cfg.Service != "":
		add("Service", "%w", err)
	}
	if cfg.Rule == "" {
		add("Rule", "is empty: use the name of a rule of the service")
	}
	if cfg.Audience == "" {
		add("Audience", "is empty: use the audience of the rule, such as https://notes.example")
	}
	if len(cfg.Sources) == 0 {
		add("Sources", "is empty: use GitHubActions, for example")
	}
	for i, s := range cfg.Sources {
		if err := checkSource(s); err != nil {
			add(fmt.Sprintf("Sources[%d]", i), "%w", err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("must be an https URL, such as https://notes.example/federate")
	case u.Fragment != "" || strings.HasSuffix(s, "#"):
		return nil, errors.New("must not have a fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, errors.New("must be an https URL: http is for loopback addresses")
	}
	return u, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// An origin is a scheme and an authority, with the port.
type origin struct{ scheme, address string }

func originOf(u *url.URL) origin {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return origin{u.Scheme, net.JoinHostPort(strings.ToLower(u.Hostname()), port)}
}

// withoutRedirects returns a copy of c. A redirect with the status 307 or 308 would send the JWT to
// wherever it leads.
func withoutRedirects(c *http.Client) *http.Client {
	own := new(http.Client)
	if c != nil {
		*own = *c
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return own
}

// Format implements [fmt.Formatter]. It prints the type name for every verb, so that printing a
// Client neither exposes its token nor races with its use.
func (c *Client) Format(f fmt.State, _ rune) { fmt.Fprint(f, "*client.Client") }

// Token returns a token that is valid for at least a few more seconds. It waits for an exchange if
// there is none, until ctx is done: the exchange continues for other callers, and for the next call,
// since its JWT cannot be used again.
//
// It returns an [Error] if the endpoint rejects the exchange, an error that wraps [ErrNoIdentity] if
// no Source has a JWT, and one that wraps [ErrSpent] if each that has one still has the JWT that was
// exchanged last. It returns the same error for ten seconds, without asking again.
func (c *Client) Token(ctx context.Context) (string, error) {
	token, pending, err := c.current()
	if pending == nil {
		return token, err
	}
	select {
	case <-pending.done:
		return pending.token, pending.err
	case <-ctx.Done():
		return "", fmt.Errorf("federate/client: waiting for a token: %w", ctx.Err())
	}
}

// current returns the token, or the exchange to wait for, or the error of the last one. It starts an
// exchange if one is due.
func (c *Client) current() (token string, pending *exchange, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.pending == nil && !now.Before(c.next) {
		c.pending = &exchange{done: make(chan struct{})}
		go c.run(c.pending)
	}
	switch {
	case now.Before(c.token.end):
		return c.token.plaintext, nil, nil
	case c.pending != nil:
		return "", c.pending, nil
	}
	return "", nil, c.err
}

// run recovers a panic of a Source or of the HTTPClient's Transport. On this goroutine it would end
// the process. Its value may be anything and is left out.
func (c *Client) run(e *exchange) {
	token, err := issued{}, errors.New("federate/client: a Source or the HTTPClient ended its goroutine")
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("federate/client: a Source or the HTTPClient panicked with a %T\n%s", v, debug.Stack())
		}
		c.finish(e, token, err)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), exchangeTimeout)
	defer cancel()
	token, err = c.exchange(ctx)
}

func (c *Client) finish(e *exchange, token issued, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending, c.err = nil, err; err == nil {
		c.token, c.next = token, token.refresh
	} else {
		c.next = time.Now().Add(pauseAfter(err))
	}
	e.token, e.err = token.plaintext, err
	close(e.done)
}

// pauseAfter returns how long callers get err before the endpoint is asked again.
func pauseAfter(err error) time.Duration {
	var temporary *temporaryError
	if errors.As(err, &temporary) {
		return min(max(failedPause, temporary.after), maxFailedPause)
	}
	return failedPause
}
