package federate_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/federate"
)

func TestExchange_issuesAToken(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]url.Values{
		"RFC 8693":               {"grant_type": {grantToken}, "subject_token_type": {typeJWT}},
		"RFC 8693, ID token":     {"grant_type": {grantToken}, "subject_token_type": {typeIDToken}},
		"RFC 8693, all optional": {"grant_type": {grantToken}, "subject_token_type": {typeJWT}, "requested_token_type": {typeAccess}, "audience": {"x"}, "resource": {"y"}},
		"RFC 7523":               {"grant_type": {grantJWT}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.change(func(r *federate.Rule) {
					r.Metadata = map[string]string{"tenant": "acme"}
					r.Record = []string{"environment", "run_id", "sha"}
				})
				form := maps.Clone(form)
				form.Set("rule", "deploy")
				parameter := map[string]string{grantToken: "subject_token", grantJWT: "assertion"}[form.Get("grant_type")]
				form.Set(parameter, jwt(object{"run_id": 17, "sha": nil}))
				w := f.post(form)
				got := requireToken(t, w)
				require.Equal(t, answer{got.Token, typeAccess, "Bearer", 599, "notes:read notes:write"}, got)
				require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				require.Equal(t, "application/json", w.Header().Get("Content-Type"))
				require.True(t, strings.HasPrefix(got.Token, "acme_pat_"))

				id := f.identity(got.Token)
				require.Equal(t, "acme", id.UserID)
				require.Equal(t, auth.Scopes("notes:read notes:write"), id.Scopes)
				require.Equal(t, map[string]string{
					"tenant": "acme", "workload.iss": issuerURL, "workload.sub": "repo:acme/notes:ref:refs/heads/main",
					"workload.repository_id": repositoryID, "workload.ref": "refs/heads/main", "workload.run_id": "17",
				}, maps.Collect(id.Metadata.All()))
				list := f.tokens()
				require.Len(t, list, 1)
				require.Equal(t, "workload deploy", list[0].Name)
				require.Equal(t, id.CredentialID, list[0].ID)

				events := f.takeEvents()
				require.Len(t, events, 1)
				require.Equal(t, auth.EventIssued, events[0].Type)
				require.NoError(t, f.bearer.Revoke(t.Context(), "acme", id.CredentialID))
				_, err := new(auth.Middleware).AuthenticateToken(t.Context(), got.Token, f.bearer)
				require.ErrorIs(t, err, auth.ErrInvalidCredential)
			})
		})
	}
}

// Every algorithm and kind of key works.
func TestExchange_algorithms(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, test := range []struct {
		alg, id string
		key     any
	}{
		{"RS256", "rsa", rsaKey()}, {"PS256", "rsa", pss{rsaKey()}}, {"PS256", "pss only", pss{otherRSAKey()}},
		{"ES256", "ec", ecKey()}, {"ES384", "ec384", ec384Key()}, {"EdDSA", "ed", edKey()},
	} {
		requireToken(t, f.exchange(sign(test.key, object{"alg": test.alg, "kid": test.id}, claims())))
	}
}

// A token never outlives its JWT, its rule, the policy of the Bearer, or 15 minutes.
func TestExchange_lifetime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		jwt, rule, policy time.Duration
		want              time.Duration // zero: the JWT has expired
	}{
		{time.Hour, 0, 0, 15 * time.Minute},
		{time.Hour, time.Minute, 0, time.Minute},
		{time.Hour, 0, 3 * time.Minute, 3 * time.Minute},
		{10 * time.Minute, 0, 0, 10*time.Minute - time.Second},
		{10 * time.Minute, 5 * time.Minute, 0, 5 * time.Minute},
		{61 * time.Second, 0, 0, time.Minute},
		{60 * time.Second, 0, 0, 0},
		{time.Second, 0, 0, 0},
		{0, 0, 0, 0},
		{-time.Hour, 0, 0, 0},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, func(cfg *federate.Config) {
					bearer, err := auth.NewBearer(cfg.Store, auth.BearerConfig{MaxLifetime: test.policy})
					require.NoError(t, err)
					cfg.Bearer = bearer
				})
				f.change(func(r *federate.Rule) { r.Lifetime = test.rule })
				expires := time.Now().Add(test.jwt)
				w := f.exchange(jwt(object{"exp": expires.Unix()}))
				if test.want == 0 {
					requireError(t, w, 400, "invalid_grant", expiredSoon)
					require.Equal(t, auth.ReasonExpired, f.takeEvents()[0].Reason)
					return
				}
				require.Equal(t, int64(test.want.Seconds()), requireToken(t, w).ExpiresIn)
				list := f.tokens()
				require.Equal(t, test.want, list[0].ExpiresAt.Sub(list[0].CreatedAt))
				require.True(t, list[0].ExpiresAt.Before(expires) || test.jwt == time.Hour)
			})
		})
	}
}

// A store that takes long does not make the token outlive the JWT.
func TestExchange_slowStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		slow := &scriptedStore{Store: f.store, create: func(int) error { time.Sleep(20 * time.Second); return nil }}
		f = newFixture(t, func(cfg *federate.Config) { cfg.Store = slow })
		got := requireToken(t, f.exchange(jwt(nil)))
		require.Equal(t, int64(579), got.ExpiresIn)
		requireError(t, f.exchange(jwt(object{"exp": time.Now().Add(80 * time.Second).Unix()})), 400, "invalid_grant", expiredSoon)
		require.Len(t, f.tokens(), 1)
	})
}

// scriptedStore calls a function before each Create, with its number.
type scriptedStore struct {
	auth.Store
	create func(n int) error
	revoke error
	n      atomic.Int32
}

func (s *scriptedStore) Create(ctx context.Context, c auth.Credential, limit int) error {
	if err := s.create(int(s.n.Add(1))); err != nil {
		return err
	}
	return s.Store.Create(ctx, c, limit)
}

func (s *scriptedStore) Revoke(ctx context.Context, ref auth.Ref) error {
	if s.revoke != nil {
		return s.revoke
	}
	return s.Store.Revoke(ctx, ref)
}

func TestExchange_malformedRequests(t *testing.T) {
	t.Parallel()
	const badForm = "The body must be a form of at most 32 KiB, with no parameter twice."
	good := url.Values{"grant_type": {grantToken}, "subject_token": {"x"}, "subject_token_type": {typeJWT}, "rule": {"deploy"}}
	with := func(name, value string) string {
		form := maps.Clone(good)
		form.Set(name, value)
		return form.Encode()
	}
	const contentType = "application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		contentType, body string
		code, description string
	}{
		"JSON":                      {"application/json", `{"grant_type":"x"}`, "invalid_request", badForm},
		"no content type":           {"", good.Encode(), "invalid_request", badForm},
		"multipart":                 {"multipart/form-data; boundary=x", "--x--", "invalid_request", badForm},
		"empty":                     {contentType, "", "invalid_request", "grant_type is missing."},
		"a bad escape":              {contentType, good.Encode() + "&x=%zz", "invalid_request", badForm},
		"a semicolon":               {contentType, good.Encode() + "&x;y", "invalid_request", badForm},
		"a parameter twice":         {contentType, good.Encode() + "&rule=other", "invalid_request", badForm},
		"an unknown one twice":      {contentType, good.Encode() + "&x=1&x=2", "invalid_request", badForm},
		"a body that is too long":   {contentType, with("x", strings.Repeat("x", 33<<10)), "invalid_request", badForm},
		"another grant":             {contentType, with("grant_type", "password"), "unsupported_grant_type", "grant_type must name a token exchange or a JWT bearer grant."},
		"no token":                  {contentType, with("subject_token", ""), "invalid_request", "subject_token is missing."},
		"the other grant's token":   {contentType, with("grant_type", grantJWT), "invalid_request", "assertion is missing."},
		"another token type":        {contentType, with("subject_token_type", typeAccess), "invalid_request", "subject_token_type must name a JWT or an ID token."},
		"an actor":                  {contentType, with("actor_token", "x"), "invalid_request", "actor_token is not supported."},
		"a refresh token":           {contentType, with("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), "invalid_request", "requested_token_type must name an access token."},
		"no rule":                   {contentType, with("rule", ""), "invalid_request", "rule must be the name of a rule."},
		"a rule with a newline":     {contentType, with("rule", "a\nb"), "invalid_request", "rule must be the name of a rule."},
		"a rule beyond ASCII":       {contentType, with("rule", "ä"), "invalid_request", "rule must be the name of a rule."},
		"a rule that is too long":   {contentType, with("rule", strings.Repeat("r", 101)), "invalid_request", "rule must be the name of a rule."},
		"a JWT that is no JWT":      {contentType, good.Encode(), "invalid_request", noMatch},
		"the same, the other grant": {contentType, url.Values{"grant_type": {grantJWT}, "assertion": {"x"}, "rule": {"deploy"}}.Encode(), "invalid_grant", noMatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			r := httptest.NewRequest("POST", "/oauth/token?"+good.Encode(), strings.NewReader(test.body))
			if test.contentType != "" {
				r.Header.Set("Content-Type", test.contentType)
			}
			w := httptest.NewRecorder()
			f.handler.ServeHTTP(w, r)
			requireError(t, w, 400, test.code, test.description)
			events := f.takeEvents()
			require.Len(t, events, 1)
			require.Equal(t, auth.EventRefused, events[0].Type)
			require.Equal(t, auth.ReasonMalformed, events[0].Reason)
		})
	}
}

func TestExchange_method(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, method := range []string{"GET", "HEAD", "PUT", "OPTIONS"} {
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, httptest.NewRequest(method, "/oauth/token", nil))
		require.Equal(t, "POST", w.Header().Get("Allow"))
		requireError(t, w, 405, "invalid_request", "Use POST.")
	}
}

// The event has what operators know a request by, and the user whose rule was tried.
func TestExchange_event(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	form := url.Values{"grant_type": {grantJWT}, "assertion": {jwt(object{"ref": "refs/heads/evil"})}, "rule": {"deploy"}}
	r := httptest.NewRequest("POST", "/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r = r.WithContext(auth.WithClientAddr(r.Context(), netip.MustParseAddr("192.0.2.7")))
	mux := http.NewServeMux()
	mux.Handle("POST /oauth/token", f.handler)
	mux.ServeHTTP(httptest.NewRecorder(), r)
	events := f.takeEvents()
	require.Len(t, events, 1)
	var wrong *federate.MismatchError
	require.ErrorAs(t, events[0].Err, &wrong)
	require.Equal(t, federate.MismatchError{Rule: "deploy", Claim: "ref", Value: "refs/heads/evil"}, *wrong)
	require.Equal(t, auth.Event{
		Type: auth.EventRefused, Reason: auth.ReasonForbidden, UserID: "acme", Err: wrong, Method: "POST", Pattern: "POST /oauth/token",
		ClientAddr: netip.MustParseAddr("192.0.2.7"),
	}, events[0])
}

func TestExchange_scope(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule  []string
		asked string
		want  string // empty: invalid_scope
	}{
		{[]string{"notes:read", "notes:write"}, "notes:read", "notes:read"},
		{[]string{"notes:read", "notes:write"}, "notes:write notes:read", "notes:write notes:read"},
		{[]string{"notes:read"}, "notes:write", ""},
		{[]string{"notes:read"}, "notes:read notes:write", ""},
		{[]string{"notes:read"}, "*", ""},
		{[]string{"notes:read"}, "notes:read  notes:read", ""},
		{[]string{"notes:read"}, " ", ""},
		{[]string{"*"}, "notes:write", "notes:write"},
		{[]string{"*"}, "*", "*"},
		{[]string{"*"}, "* notes:write", ""},
	} {
		f := newFixture(t)
		f.change(func(r *federate.Rule) { r.Scopes = test.rule })
		w := f.post(url.Values{"grant_type": {grantJWT}, "assertion": {jwt(nil)}, "rule": {"deploy"}, "scope": {test.asked}})
		if test.want == "" {
			requireError(t, w, 400, "invalid_scope", "The rule does not have all of these scopes.")
			require.Equal(t, auth.ReasonScope, f.takeEvents()[0].Reason)
			continue
		}
		got := requireToken(t, w)
		require.Equal(t, test.want, got.Scope)
		require.Equal(t, auth.Scopes(test.want), f.identity(got.Token).Scopes)
	}
}

// A scope that does not exist is the client's mistake, even if the rule has all that do: the event is no internal
// error, of which a client could cause any number.
func TestExchange_scopeThatDoesNotExist(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(cfg *federate.Config) {
		cfg.Bearer = must(auth.NewBearer(cfg.Store, auth.BearerConfig{Scopes: []string{"notes:read"}}))
	})
	f.change(func(r *federate.Rule) { r.Scopes = []string{"*"} })
	post := func(scope string) *httptest.ResponseRecorder {
		return f.post(url.Values{"grant_type": {grantJWT}, "assertion": {jwt(nil)}, "rule": {"deploy"}, "scope": {scope}})
	}
	requireError(t, post("notes:read notes:delete"), 400, "invalid_scope", "The rule does not have all of these scopes.")
	require.Equal(t, auth.ReasonScope, f.takeEvents()[0].Reason)
	require.Equal(t, "*", requireToken(t, post("*")).Scope)
	require.Equal(t, "notes:read", requireToken(t, post("notes:read")).Scope)
}

// A stranger writes a rule for the same repository. The job names its own, so that it does not
// write into the stranger's account.
func TestExchange_rulesOfStrangers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	theirs := f.rules["deploy"]
	theirs.UserID = "mallory"
	f.rules["a-first-rule"] = theirs
	require.Equal(t, "acme", f.identity(requireToken(t, f.exchange(jwt(nil))).Token).UserID)
	list, err := f.bearer.List(t.Context(), "mallory", auth.Page{})
	require.NoError(t, err)
	require.Empty(t, list)
}

// The response for a rule that does not exist is the one for a JWT that does not match, byte for byte.
func TestExchange_unknownRule(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	wrong := f.exchange(jwt(object{"repository_id": "1"}))
	require.Equal(t, auth.ReasonForbidden, f.takeEvents()[0].Reason)
	unknown := f.post(url.Values{"grant_type": {grantJWT}, "assertion": {jwt(nil)}, "rule": {"other"}})
	events := f.takeEvents()
	require.Equal(t, auth.ReasonUnknown, events[0].Reason)
	require.EqualError(t, events[0].Err, `federate: there is no rule "other"`)
	require.Equal(t, wrong.Code, unknown.Code)
	require.Equal(t, wrong.Header(), unknown.Header())
	require.Equal(t, wrong.Body, unknown.Body)
}

func TestExchange_ruleErrors(t *testing.T) {
	t.Parallel()
	var answer error
	f := newFixture(t, func(cfg *federate.Config) {
		rule := cfg.Rule
		cfg.Rule = func(ctx context.Context, name string) (federate.Rule, error) {
			if answer != nil {
				return federate.Rule{}, answer
			}
			return rule(ctx, name)
		}
	})
	for _, answer = range []error{errors.New("down"), fmt.Errorf("%w: %w", auth.ErrUnavailable, auth.ErrNotFound)} {
		w := f.exchange(jwt(nil))
		require.Equal(t, "15", w.Header().Get("Retry-After"))
		requireError(t, w, 503, "temporarily_unavailable", "Please try again.")
		events := f.takeEvents()
		require.Equal(t, auth.ReasonUnavailable, events[0].Reason)
		require.ErrorIs(t, events[0].Err, answer)
	}
	answer = nil
	f.change(func(r *federate.Rule) { r.Issuer = "http://issuer.example" })
	requireError(t, f.exchange(jwt(nil)), 500, "server_error", "The rule is misconfigured.")
	events := f.takeEvents()
	require.Equal(t, auth.ReasonInternal, events[0].Reason)
	require.ErrorContains(t, events[0].Err, "Rule.Issuer is not an https URL")
	require.Zero(t, f.issuer.count())
}

// What only the Bearer finds is a mistake of the service too, and the JWT can be used once it is mended.
func TestExchange_misconfiguredUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.change(func(r *federate.Rule) { r.Metadata = map[string]string{"Tenant": "acme"} })
	token := jwt(nil)
	requireError(t, f.exchange(token), 500, "server_error", "The rule is misconfigured.")
	f.change(func(r *federate.Rule) { r.Metadata = nil })
	requireToken(t, f.exchange(token))
}

// A JWT is used once, also for another rule and in another spelling.
func TestExchange_replay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.rules["other"] = f.rules["deploy"]
	once := claims()
	token := sign(rsaKey(), rsaHeader, once)
	requireToken(t, f.exchange(token))
	f.takeEvents()
	requireError(t, f.exchange(token), 400, "invalid_grant", usedBefore)
	events := f.takeEvents()
	require.Equal(t, auth.ReasonRepeated, events[0].Reason)
	require.Equal(t, "acme", events[0].UserID)
	requireError(t, f.post(url.Values{"grant_type": {grantToken}, "subject_token": {token}, "subject_token_type": {typeJWT}, "rule": {"other"}}),
		400, "invalid_request", usedBefore)
	requireError(t, f.exchange(sign(ecKey(), object{"alg": "ES256", "kid": "ec"}, once)), 400, "invalid_grant", usedBefore)
	require.Len(t, f.tokens(), 1)
}

// Of two issuers, both may use the same jti.
func TestExchange_replayOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	const url = "https://other.example"
	f := newFixture(t, func(cfg *federate.Config) { cfg.Clients[url] = newIssuer(url).client() })
	requireToken(t, f.exchange(jwt(object{"jti": "1"})))
	f.change(func(r *federate.Rule) { r.Issuer = url })
	requireToken(t, f.exchange(jwt(object{"jti": "1", "iss": url})))
}

// Without a jti, the JWT itself is used once. An ECDSA signature has a second form, which anyone can compute: it
// is no second JWT.
func TestExchange_replayWithoutID(t *testing.T) {
	t.Parallel()
	for _, id := range []any{deleted, "", 17, nil} {
		f := newFixture(t)
		token := sign(ecKey(), object{"alg": "ES256", "kid": "ec"}, claims().with(object{"jti": id}))
		requireToken(t, f.exchange(token))
		requireError(t, f.exchange(token), 400, "invalid_grant", usedBefore)
		requireError(t, f.exchange(otherSignature(t, token)), 400, "invalid_grant", usedBefore)
		requireToken(t, f.exchange(sign(ecKey(), object{"alg": "ES256", "kid": "ec"}, claims().with(object{"jti": id, "run": 2}))))
	}
}

// Each of 5,000 JWTs is sent twice at once. Each gives one token.
func TestExchange_concurrently(t *testing.T) {
	t.Parallel()
	const jwts, workers = 5000, 8
	f := newFixture(t)
	var issued, repeated atomic.Int32
	work := make(chan string)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for token := range work {
				switch w := f.exchange(token); {
				case w.Code == 200:
					issued.Add(1)
				case strings.Contains(w.Body.String(), usedBefore):
					repeated.Add(1)
				}
			}
		})
	}
	for range jwts {
		token := sign(ecKey(), object{"alg": "ES256", "kid": "ec"}, claims())
		work <- token
		work <- token
	}
	close(work)
	group.Wait()
	require.Equal(t, int32(jwts), issued.Load())
	require.Equal(t, int32(jwts), repeated.Load())
	require.Equal(t, 2, f.issuer.count(), "the keys are fetched once")
}

// The record of a used JWT is no user's: it is in no list, counts against no limit, is not a credential, and
// signing out everywhere does not remove it. It is kept until the JWT has expired.
func TestExchange_marker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		secrets := must(auth.NewSecret(f.store, auth.SecretConfig{}))
		cookies := must(auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{[]byte(rand.Text() + rand.Text())}}))
		token := jwt(object{"exp": time.Now().Add(time.Hour).Unix()})
		requireToken(t, f.exchange(token))

		scan, err := f.store.(auth.Scanner).Scan(t.Context(), auth.ScanQuery{Kind: auth.KindSession})
		require.NoError(t, err)
		require.Len(t, scan.Credentials, 1)
		used := scan.Credentials[0]
		require.Empty(t, used.Scopes)
		require.True(t, strings.HasPrefix(used.UserID, "\x01"))
		for _, user := range []string{"acme", used.UserID, strings.TrimPrefix(used.UserID, "\x01")} {
			_, tokensErr := f.bearer.RevokeAll(t.Context(), user)
			_, secretsErr := secrets.RevokeAll(t.Context(), user)
			_, sessionsErr := cookies.RevokeAll(t.Context(), user)
			require.Equal(t, user == used.UserID, errors.Is(tokensErr, auth.ErrInvalidArgument))
			require.Equal(t, user == used.UserID, errors.Is(secretsErr, auth.ErrInvalidArgument))
			require.Equal(t, user == used.UserID, errors.Is(sessionsErr, auth.ErrInvalidArgument))
			require.ErrorIs(t, cookies.Revoke(t.Context(), strings.TrimPrefix(user, "\x01"), used.ID), auth.ErrNotFound)
		}
		for _, kind := range []auth.Kind{auth.KindToken, auth.KindSecret} {
			_, err := f.store.Lookup(t.Context(), kind, used.Digest)
			require.ErrorIs(t, err, auth.ErrNotFound)
		}

		// A clock that is an hour behind, and Purge at any time before, let nothing pass.
		time.Sleep(58 * time.Minute)
		_, err = f.store.Purge(t.Context(), time.Now())
		require.NoError(t, err)
		requireError(t, f.exchange(token), 400, "invalid_grant", usedBefore)
		time.Sleep(time.Hour)
		_, err = f.store.Purge(t.Context(), time.Now())
		require.NoError(t, err)
		requireError(t, f.exchange(token), 400, "invalid_grant", expiredSoon)
		_, err = f.store.Lookup(t.Context(), auth.KindSession, used.Digest)
		require.NoError(t, err)
		time.Sleep(3 * time.Minute)
		_, err = f.store.Purge(t.Context(), time.Now())
		require.NoError(t, err)
		_, err = f.store.Lookup(t.Context(), auth.KindSession, used.Digest)
		require.ErrorIs(t, err, auth.ErrNotFound)
	})
}

// If no token could be issued, the client may try again with the same JWT. If even that is not
// certain, the JWT stays used.
func TestExchange_release(t *testing.T) {
	t.Parallel()
	down := fmt.Errorf("%w: %w", auth.ErrUnavailable, auth.ErrConflict) // an outage, whatever it wraps
	for name, test := range map[string]struct {
		failing int // number of the Create that fails: the first is that of the marker
		revoke  error
		again   bool
	}{
		"the marker fails":         {1, nil, true},
		"the token fails":          {2, nil, true},
		"and so does the release":  {2, down, false},
		"the marker and a release": {1, down, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &scriptedStore{Store: auth.NewMemoryStore(), revoke: test.revoke, create: func(n int) error {
				if n == test.failing {
					return down
				}
				return nil
			}}
			f := newFixture(t, func(cfg *federate.Config) {
				cfg.Store, cfg.Bearer = store, must(auth.NewBearer(store, auth.BearerConfig{Observe: func(context.Context, auth.Event) {}}))
			})
			token := jwt(nil)
			w := f.exchange(token)
			requireError(t, w, 503, "temporarily_unavailable", "Please try again.")
			require.Equal(t, "15", w.Header().Get("Retry-After"))
			events := f.takeEvents()
			require.Equal(t, auth.ReasonUnavailable, events[0].Reason)
			require.ErrorIs(t, events[0].Err, down)
			if test.again {
				requireToken(t, f.exchange(token))
				requireError(t, f.exchange(token), 400, "invalid_grant", usedBefore)
			} else {
				requireError(t, f.exchange(token), 400, "invalid_grant", usedBefore)
			}
		})
	}
}

// A ghostStore stores the first record, and loses the response.
type ghostStore struct {
	auth.Store
	calls int
	err   error
}

func (s *ghostStore) Create(ctx context.Context, c auth.Credential, limit int) error {
	err := s.Store.Create(ctx, c, limit)
	if s.calls++; s.calls == 1 {
		return s.err
	}
	return err
}

// A revokeRecorder remembers what was revoked.
type revokeRecorder struct {
	auth.Store
	refs []auth.Ref
}

func (s *revokeRecorder) Revoke(ctx context.Context, ref auth.Ref) error {
	s.refs = append(s.refs, ref)
	return s.Store.Revoke(ctx, ref)
}

// A JWT that was recorded as used in spite of an error of the store can be used again: the response says so.
func TestExchange_markerInSpiteOfError(t *testing.T) {
	t.Parallel()
	store := &ghostStore{Store: auth.NewMemoryStore(), err: errors.New("timeout")}
	f := newFixture(t, func(cfg *federate.Config) { cfg.Store = store })
	token := jwt(nil)
	requireError(t, f.exchange(token), 503, "temporarily_unavailable", "Please try again.")
	requireToken(t, f.exchange(token))
	requireError(t, f.exchange(token), 400, "invalid_grant", usedBefore)
}

// The record of another exchange is never removed: neither by an exchange that got no answer to its own, nor
// by a release that arrives late, or twice, as clients of databases may repeat it.
func TestExchange_releaseOfAnother(t *testing.T) {
	t.Parallel()
	inner := auth.NewMemoryStore()
	token := jwt(nil)
	winner := newFixture(t, func(cfg *federate.Config) { cfg.Store = inner })
	requireToken(t, winner.exchange(token))
	loser := newFixture(t, func(cfg *federate.Config) { cfg.Store = &ghostStore{Store: inner, err: errors.New("timeout")} })
	requireError(t, loser.exchange(token), 503, "temporarily_unavailable", "Please try again.")
	requireError(t, winner.exchange(token), 400, "invalid_grant", usedBefore)

	scripted := &scriptedStore{Store: auth.NewMemoryStore(), create: func(n int) error {
		if n == 2 {
			return errors.New("down")
		}
		return nil
	}}
	store := &revokeRecorder{Store: scripted}
	f := newFixture(t, func(cfg *federate.Config) {
		cfg.Store, cfg.Bearer = store, must(auth.NewBearer(store, auth.BearerConfig{Observe: func(context.Context, auth.Event) {}}))
	})
	token = jwt(nil)
	requireError(t, f.exchange(token), 503, "temporarily_unavailable", "Please try again.")
	requireToken(t, f.exchange(token))
	require.Len(t, store.refs, 1)
	require.ErrorIs(t, scripted.Revoke(t.Context(), store.refs[0]), auth.ErrNotFound)
	requireError(t, f.exchange(token), 400, "invalid_grant", usedBefore)
}

// A client that goes away while its token is issued may come back.
func TestExchange_canceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	store := &scriptedStore{Store: auth.NewMemoryStore(), create: func(n int) error {
		if n == 2 {
			cancel()
		}
		return nil
	}}
	f := newFixture(t, func(cfg *federate.Config) {
		cfg.Store, cfg.Bearer = store, must(auth.NewBearer(store, auth.BearerConfig{Observe: func(context.Context, auth.Event) {}}))
	})
	token := jwt(nil)
	form := url.Values{"grant_type": {grantJWT}, "assertion": {token}, "rule": {"deploy"}}
	r := httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	require.Equal(t, 503, w.Code)
	require.Equal(t, auth.ReasonCanceled, f.takeEvents()[0].Reason)
	requireToken(t, f.exchange(token))
}

// The tokens of workloads count against MaxPerUser. A JWT that came too early is not used up.
func TestExchange_limit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(cfg *federate.Config) {
		cfg.Bearer = must(auth.NewBearer(cfg.Store, auth.BearerConfig{MaxPerUser: 1}))
	})
	requireToken(t, f.exchange(jwt(nil)))
	f.takeEvents()
	token := jwt(nil)
	requireError(t, f.exchange(token), 400, "invalid_grant", "The user has too many tokens.")
	require.Equal(t, auth.ReasonLimit, f.takeEvents()[0].Reason)
	require.NoError(t, f.bearer.Revoke(t.Context(), "acme", f.tokens()[0].ID))
	requireToken(t, f.exchange(token))
}

// Anything may be in the body.
func FuzzExchange(f *testing.F) {
	valid := url.Values{"grant_type": {grantJWT}, "assertion": {"e30.e30.AA"}, "rule": {"deploy"}}
	f.Add(valid.Encode())
	f.Add(url.Values{"grant_type": {grantToken}, "subject_token": {sign(ecKey(), object{"alg": "ES256", "kid": "ec"}, claims())}, "subject_token_type": {typeJWT}, "rule": {"deploy"}, "scope": {"notes:read"}}.Encode())
	f.Add(url.Values{"grant_type": {grantJWT}, "assertion": {sign(secret("x"), object{"alg": "none", "kid": "rsa"}, claims())}, "rule": {"deploy"}}.Encode())
	f.Add("grant_type=&assertion&rule=%00")
	f.Add("rule=a&rule=b")
	fix := newFixture(f)
	fix.issuer.keys = []jose.JSONWebKey{{Key: ecKey().Public(), KeyID: "ec"}} // RSA keys take long to generate
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/oauth/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		fix.handler.ServeHTTP(w, r)
		for _, e := range fix.takeEvents() {
			require.NotEqual(t, auth.ReasonInternal, e.Reason)
		}
		if w.Code == 200 { // the second seed, the first time, and others with its JWT
			form, err := url.ParseQuery(body)
			require.NoError(t, err)
			require.Equal(t, "deploy", form.Get("rule"))
			return
		}
		require.Equal(t, 400, w.Code, w.Body)
		require.Contains(t, w.Body.String(), `"error":`)
	})
}
