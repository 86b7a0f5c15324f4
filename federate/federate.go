// Package federate lets jobs and other workloads call a service without a stored token. A job of
// GitHub Actions or GitLab CI, or a pod of Kubernetes, has a JWT that says who it is, signed by
// its platform. It exchanges the JWT for an ordinary token of [auth.Bearer] that lives for minutes.
// Package registries call this trusted publishing.
//
// This package is experimental: its API may change in any version.
//
//	exchange, err := federate.New(federate.Config{Bearer: bearer, Store: store, Rule: rules})
//	mux.Handle("POST /oauth/token", exchange)
//
// The service supplies the rules, for example from a table in which its users choose which jobs
// may act for them:
//
//	func rules(ctx context.Context, name string) (federate.Rule, error) {
//		if name != "acme-deploy" {
//			return federate.Rule{}, auth.ErrNotFound
//		}
//		rule, err := federate.GitHubActions(federate.GitHubJob{
//			Audience:     "https://notes.example",
//			RepositoryID: "724381", OwnerID: "9919", // not names, which others can take over
//			Workflow:     "deploy.yml", Refs: []string{"refs/heads/main"},
//		})
//		rule.UserID, rule.Scopes = "acme", []string{"notes:write"}
//		return rule, err
//	}
//
// The workload names the rule that it wants. If the service searched for one that matches, a
// rule that a stranger has written for your repository would match too, and your job would write
// into the stranger's account.
//
// # What is checked
//
//   - Only issuers that a rule names are asked for keys: over HTTPS, with time and size limits,
//     at a bounded rate, at public addresses, and without redirects to other hosts.
//   - The signature, with an asymmetric algorithm, and a key that the issuer publishes for it.
//     Headers that bring a key of their own are rejected.
//   - iss and aud, which must be exactly those of the rule; a list of audiences is rejected.
//   - exp, nbf and iat. Clocks may differ by a minute. A JWT must be valid for another
//     minute, since tokens have no shorter lifetime, and for at most a day in all.
//   - The claims that the rule requires.
//   - That the JWT was not used before, in any process that shares the Store.
//
// Package client, next to this one, is the workload's side. docs/guides/federation.md has workflows
// for each platform, and compares the rules with those of npm and PyPI.
package federate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// MaxLifetime is the longest lifetime of a token that this package issues.
const MaxLifetime = 15 * time.Minute

// A Config configures [New]. Bearer, Store and Rule are required.
type Config struct {
	// Bearer issues the tokens.
	Bearer *auth.Bearer

	// Store remembers which JWTs were used, until an hour after they expire. It is usually the one
	// of Bearer. All processes that exchange JWTs must share it: an [auth.MemoryStore] remembers
	// only those of its own process. Purge removes the records along with expired tokens. An
	// [auth.Scanner] returns them as sessions of users whose IDs begin with U+0001: skip
	// these, since a JWT whose record is revoked could be exchanged again.
	Store auth.Store

	// Rule returns the rule with a name, which is 1 to 100 visible characters that the client has
	// chosen. It returns an error that wraps [auth.ErrNotFound] if there is none. Any other error is
	// an outage, answered with 503 and reported in Event.Err. A panic passes through, as a handler's
	// does. Rule must be safe for concurrent use. It is called before the signature is verified.
	Rule func(ctx context.Context, name string) (Rule, error)

	// Clients has HTTP clients for issuers that need one of their own, by the issuer's URL: one at a
	// private address, behind a proxy, or with a certificate of a private authority. Their
	// Transport decides which addresses it connects to. All other issuers are connected directly, at
	// public addresses only. Timeouts, size limits and the limits on redirects apply in any case.
	Clients map[string]*http.Client

	// Observe, if not nil, receives exchanges that are rejected: events of the type
	// [auth.EventRefused] with the user of the rule. Err says why, without the JWT. If a claim is not
	// what the rule requires, it is a [*MismatchError]. Tokens that are issued are reported to the Observe of
	// Bearer. If Observe is nil, outages and internal errors are logged to slog.Default().
	Observe auth.Observer
}

// New returns the exchange endpoint, a handler for token exchange (RFC 8693) and the JWT bearer
// grant (RFC 7523). It returns an error that lists everything that is wrong with cfg.
//
// A request is a POST of a form of at most 32 KiB, no parameter twice, with
//
//	grant_type          urn:ietf:params:oauth:grant-type:token-exchange
//	subject_token       the JWT
//	subject_token_type  urn:ietf:params:oauth:token-type:jwt or :id_token
//	rule                the name of the rule
//
// or with
//
//	grant_type          urn:ietf:params:oauth:grant-type:jwt-bearer
//	assertion           the JWT
//	rule                the name of the rule
//
// The parameter scope may ask for some of the rule's scopes; without it, the token has all of
// them. An actor_token, and a requested_token_type other than an access token, are rejected. Other
// parameters, the query and all credentials of the request itself are ignored.
//
// The token expires with the rule's Lifetime or just before the JWT does, whichever is first. Its
// name is "workload" with the name of the rule. Its metadata has the claims that the rule names or
// records, under "workload." and the name of the claim, along with the rule's own Metadata. From then
// on it is a token like any other of the user: it is listed, counted, reported and revoked.
//
// Each JWT is exchanged once: the endpoint stores its jti, or its digest if it has none, before it
// issues the token. If the store does not confirm that, or the token then cannot be issued, the JWT is
// released again, so that the client may retry; if that fails too, it stays used.
//
// Errors are those of RFC 6749 section 5.2. A JWT that is invalid or matches no rule is an
// invalid_grant, or in a token exchange an invalid_request, as RFC 8693 section 2.2.2 requires. The
// description says no more than that, and is the same if there is no such rule; only the client that has a
// JWT that matches learns that it has expired or was used. Names of rules are no secrets, though: the
// time of a response, or an outage of an issuer, can tell that one exists. An outage of the store, the
// rules or the issuer is answered with 503 and Retry-After: the client should try again with the
// same JWT.
func New(cfg Config) (http.Handler, error) {
	h := &handler{bearer: cfg.Bearer, store: cfg.Store, rule: cfg.Rule, observe: observer(cfg.Observe)}
	var faults []error
	add := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf("federate: Config.%s "+format, append([]any{field}, args...)...))
	}
	if cfg.Bearer == nil || cfg.Bearer.Policy().MaxOverlap == 0 { // a zero Bearer has no policy
		add("Bearer", "is required: use auth.NewBearer")
	}
	if cfg.Store == nil {
		add("Store", "is required: use that of Bearer")
	}
	if cfg.Rule == nil {
		add("Rule", "is required: without rules no JWT can be exchanged")
	}
	for issuer, client := range cfg.Clients {
		if err := checkURL(issuer); err != nil {
			add("Clients", "names the issuer %.100q, which %w", issuer, err)
		}
		if client == nil {
			add("Clients", "has no client for %.100q", issuer)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	h.keys = newKeyring(cfg.Clients)
	return h, nil
}

// A MismatchError says which claim of a JWT is not what its rule requires. It is in Event.Err, for
// operators: the client does not get it.
type MismatchError struct {
	Rule  string // its name
	Claim string // as the rule names it
	Value string // what the JWT has, shortened; empty if it has no such claim, or one that is no text
}

// Error returns the name of the rule, the claim and its value.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("federate: rule %q: the claim %s does not match: %q", e.Rule, e.Claim, e.Value)
}

// observer returns o or, if it is nil, an Observer that logs the causes of 5xx responses, as
// package auth does.
func observer(o auth.Observer) auth.Observer {
	if o != nil {
		return o
	}
	log := auth.LogTo(nil)
	return func(ctx context.Context, e auth.Event) {
		if e.Reason == auth.ReasonUnavailable || e.Reason == auth.ReasonInternal {
			log(ctx, e)
		}
	}
}
