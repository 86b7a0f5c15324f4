package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestObserver_decisions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, prefixed)
	m := auth.Middleware{Observe: f.events.observe, Resolve: func(_ context.Context, id *auth.Identity) (any, error) {
		switch id.UserID {
		case "disabled":
			return nil, auth.ErrInvalidCredential
		case "unlucky":
			return nil, errors.New("the user table is unavailable")
		}
		return nil, nil
	}}
	required, optional := behind(m.Require(f.bearer, f.cookie)), behind(m.Optional(f.bearer, f.cookie))
	token, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	revoked, gone, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	require.NoError(t, f.bearer.Revoke(t.Context(), "ada", gone.ID))
	bound, boundRecord := f.boundToken("ada", "192.0.2.0/24")
	disabled, unlucky := f.token("disabled"), f.token("unlucky")
	disabledCookie := f.signIn("disabled")
	refusal := func(scheme auth.Scheme, user string, reason auth.Reason) auth.Event {
		return auth.Event{Type: auth.EventRefused, Scheme: scheme, UserID: user, Reason: reason, Method: "GET"}
	}
	ofRecord := func(e auth.Event, id string) auth.Event {
		e.CredentialID = id
		return e
	}
	for _, test := range []struct {
		name   string
		h      *target
		e      edit
		status int
		want   auth.Event
	}{
		{"accepted", required, authorization("Bearer " + token), 200, auth.Event{Type: auth.EventAccepted, Scheme: "Bearer", UserID: "ada", CredentialID: c.ID, Method: "GET"}},
		{"anonymous", optional, authorization(), 200, auth.Event{Type: auth.EventAnonymous, Method: "GET"}},
		{"anonymous with a stale cookie", optional, field("Cookie", "__Host-session=x"), 200, auth.Event{Type: auth.EventAnonymous, Scheme: "Cookie", Reason: auth.ReasonForged, Method: "GET"}},
		{"anonymous with a disabled owner's cookie", optional, withCookie(disabledCookie), 200, auth.Event{Type: auth.EventAnonymous, Scheme: "Cookie", UserID: "disabled", Reason: auth.ReasonDisabled, Method: "GET"}},
		{"missing", required, authorization(), 401, refusal("", "", auth.ReasonMissing)},
		{"malformed", required, authorization("Bearer"), 400, refusal("Bearer", "", auth.ReasonMalformed)},
		{"too long", required, authorization("Bearer " + repeated("a", 513)), 400, refusal("Bearer", "", auth.ReasonTooLong)},
		{"prefix", required, authorization("Bearer x"), 401, refusal("Bearer", "", auth.ReasonPrefix)},
		{"checksum", required, authorization("Bearer acme_pat_" + repeated("a", 38)), 401, refusal("Bearer", "", auth.ReasonChecksum)},
		{"unknown", required, authorization("Bearer " + newFixture(t, prefixed).token("x")), 401, refusal("Bearer", "", auth.ReasonUnknown)},
		{"revoked", required, authorization("Bearer " + revoked), 401, ofRecord(refusal("Bearer", "ada", auth.ReasonRevoked), gone.ID)},
		{"another network", required, authorization("Bearer " + bound), 401, ofRecord(refusal("Bearer", "ada", auth.ReasonNetwork), boundRecord.ID)},
		{"disabled", required, authorization("Bearer " + disabled), 401, refusal("Bearer", "disabled", auth.ReasonDisabled)},
		{"disabled, Optional", optional, authorization("Bearer " + disabled), 401, refusal("Bearer", "disabled", auth.ReasonDisabled)},
		{"Resolve is unavailable", required, authorization("Bearer " + unlucky), 503, refusal("Bearer", "", auth.ReasonUnavailable)},
		{"forged", required, field("Cookie", "__Host-session=x"), 401, refusal("Cookie", "", auth.ReasonForged)},
		{"repeated", required, field("Cookie", "__Host-session=x; __Host-session=y"), 401, refusal("Cookie", "", auth.ReasonRepeated)},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.events.take()
			require.Equal(t, test.status, test.h.get(test.e).Code)
			events := f.events.take()
			require.Len(t, events, 1)
			got := events[0]
			require.Equal(t, test.status == 503, got.Err != nil)
			if got.Err = nil; test.want.CredentialID == "" {
				got.CredentialID = ""
			}
			require.Equal(t, test.want, got)
		})
	}
}

func TestObserver_changes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFixture(t)
	_, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
	require.NoError(t, err)
	_, next, err := f.bearer.Rotate(ctx, "ada", c.ID, 0)
	require.NoError(t, err)
	require.NoError(t, f.bearer.Revoke(ctx, "ada", next.ID))
	_, err = f.bearer.Import(ctx, "ada", repeated("a", 32), importOptions("x"))
	require.NoError(t, err)
	_, err = f.bearer.RevokeAll(ctx, "ada")
	require.NoError(t, err)
	_, sc := f.newSecret("ada")
	_, err = f.secret.Reveal(ctx, "ada", sc.ID)
	require.NoError(t, err)
	cookie := f.signIn("ada")
	require.NoError(t, f.cookie.SignOut(newRecorder(), request("POST", withCookie(cookie))))
	events := f.events.take()
	require.Equal(t, []auth.EventType{
		auth.EventIssued, auth.EventRotated, auth.EventRevoked, auth.EventImported, auth.EventRevokedAll,
		auth.EventIssued, auth.EventRevealed, auth.EventSignedIn, auth.EventSignedOut,
	}, eventTypes(events))
	require.Equal(t, auth.Event{Type: auth.EventRotated, Operation: "rotate", Scheme: "Bearer", UserID: "ada", CredentialID: next.ID}, events[1])
	var operations []string
	for _, e := range events {
		operations = append(operations, e.Operation)
		require.Equal(t, "ada", e.UserID)
		require.NotEmpty(t, e.Scheme)
	}
	require.Equal(t, []string{"issue", "rotate", "revoke", "import", "revoke_all", "issue", "reveal", "sign_in", "sign_out"}, operations)
}

// requireFailed asserts that e is the failure of the call with that name, for example
// "Cookie.SignIn".
func requireFailed(t testing.TB, e auth.Event, name string, reason auth.Reason) {
	t.Helper()
	scheme, method, _ := strings.Cut(name, ".")
	operation := regexp.MustCompile("([a-z])([A-Z])").ReplaceAllString(strings.TrimSuffix(method, "Digest"), "${1}_${2}")
	require.Equal(t, auth.EventFailed, e.Type)
	require.Equal(t, auth.Scheme(scheme), e.Scheme)
	require.Equal(t, strings.ToLower(operation), e.Operation)
	require.Equal(t, reason, e.Reason)
	if scheme == "Cookie" && strings.HasPrefix(operation, "Sign") {
		require.Equal(t, "POST", e.Method)
	}
}

// If the context was canceled, nothing is known of the store. If its deadline has passed, the
// store was too slow.
func TestObserver_canceledCall(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	for name := range lifecycleCalls(t, newFixture(t)) {
		f := newFixture(t)
		call := lifecycleCalls(t, f)[name]
		for ctx, want := range map[context.Context]auth.Reason{canceled: auth.ReasonCanceled, late: auth.ReasonUnavailable} {
			f.store.fail = func(string) error { return ctx.Err() }
			f.events.take()
			_, err := call(ctx)
			require.ErrorIs(t, err, auth.ErrUnavailable)
			events := f.events.take()
			require.Len(t, events, 1)
			requireFailed(t, events[0], name, want)
		}
	}
}

func TestObserver_failedCalls(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.bearer.MaxPerUser = 2 })
	unrevealable, err := auth.NewSecret(f.store, auth.SecretConfig{Observe: f.events.observe})
	require.NoError(t, err)
	ctx := t.Context()
	_, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
	require.NoError(t, err)
	_, _, err = f.bearer.Rotate(ctx, "ada", c.ID, time.Hour)
	require.NoError(t, err)
	f.token("ada")
	_, sc := f.newSecret("ada")
	const never = "01M8HZ7W3YH1B0QNZ06K015XPB" // an ID that no record has
	var cookies []*http.Cookie
	for range 65 {
		cookies = append(cookies, f.signIn("eve"))
	}
	for _, test := range []struct {
		name string
		call func() error
		want auth.Event
	}{
		{"the limit", func() error { _, _, err := f.bearer.Issue(ctx, "ada", tokenOptions("x")); return err },
			auth.Event{Operation: "issue", Scheme: "Bearer", UserID: "ada", Reason: auth.ReasonLimit}},
		{"a second secret", func() error { _, _, err := f.secret.Issue(ctx, "ada", fullSecret); return err },
			auth.Event{Operation: "issue", Scheme: "Secret", UserID: "ada", Reason: auth.ReasonConflict}},
		{"a second rotation", func() error { _, _, err := f.bearer.Rotate(ctx, "ada", c.ID, 0); return err },
			auth.Event{Operation: "rotate", Scheme: "Bearer", UserID: "ada", CredentialID: c.ID, Reason: auth.ReasonConflict}},
		{"options", func() error { _, _, err := f.bearer.Issue(ctx, "ada", auth.TokenOptions{}); return err },
			auth.Event{Operation: "issue", Scheme: "Bearer", UserID: "ada", Reason: auth.ReasonInvalidArgument}},
		{"another user's", func() error { return f.bearer.Revoke(ctx, "eve", c.ID) },
			auth.Event{Operation: "revoke", Scheme: "Bearer", UserID: "eve", CredentialID: c.ID, Reason: auth.ReasonNotFound}},
		{"unknown", func() error { _, err := f.secret.Reveal(ctx, "ada", never); return err },
			auth.Event{Operation: "reveal", Scheme: "Secret", UserID: "ada", CredentialID: never, Reason: auth.ReasonNotFound}},
		{"unknown plaintext", func() error { _, err := f.bearer.RevokePlaintext(ctx, repeated("x", 32)); return err },
			auth.Event{Operation: "revoke_plaintext", Scheme: "Bearer", Reason: auth.ReasonNotFound}},
		{"unsupported", func() error { _, err := unrevealable.Reveal(ctx, "ada", sc.ID); return err },
			auth.Event{Operation: "reveal", Scheme: "Secret", UserID: "ada", CredentialID: sc.ID, Reason: auth.ReasonUnsupported}},
		{"too many cookies", func() error {
			_, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(cookies...)), "ada", auth.SessionOptions{})
			return err
		}, auth.Event{Operation: "sign_in", Scheme: "Cookie", UserID: "ada", Reason: auth.ReasonRepeated, Method: "POST"}},
		{"session options", func() error {
			_, err := f.cookie.SignIn(newRecorder(), request("POST"), "ada", auth.SessionOptions{Lifetime: -1})
			return err
		}, auth.Event{Operation: "sign_in", Scheme: "Cookie", UserID: "ada", Reason: auth.ReasonInvalidArgument, Method: "POST"}},
	} {
		f.events.take()
		require.Error(t, test.call(), test.name)
		test.want.Type = auth.EventFailed
		require.Equal(t, []auth.Event{test.want}, f.events.take(), test.name)
	}
}

// "Not found" is an answer to a question like any other.
func TestObserver_failedReads(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.bearer.Get(t.Context(), "ada", "01M8HZ7W3YH1B0QNZ06K015XPB")
	require.ErrorIs(t, err, auth.ErrNotFound)
	_, err = f.bearer.List(t.Context(), "", auth.Page{})
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
	require.Empty(t, f.events.take())
}

// A token that could not be revoked although it has leaked is still known to be valid, so the
// event names it.
func TestRevokePlaintext_outageNamesTheToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	failing(f, "Revoke", errors.New("connection refused"))
	f.events.take()
	_, err = f.bearer.RevokePlaintext(t.Context(), token)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	events := f.events.take()
	require.Len(t, events, 1)
	require.Equal(t, "ada", events[0].UserID)
	require.Equal(t, c.ID, events[0].CredentialID)
}

// The arguments of a call that fails may be junk from a request, or a credential that was
// sent in place of an ID.
func TestObserver_failedCallWithJunk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, plain := f.token("ada"), newFixture(t, prefixed).token("ada")
	for _, id := range []string{token, plain, "legacy-token-0123456789-abcdef", "LEGACY0123456789ABCDEFGHJK", "7ZZZZZZZZZ0123456789ABCDEF", "a\nb", repeated("x", 1<<16), ""} {
		f.events.take()
		require.Error(t, f.bearer.Revoke(t.Context(), "ada", id))
		_, _, err := f.bearer.Rotate(t.Context(), "ada", id, 0)
		require.Error(t, err)
		_, err = f.secret.Reveal(t.Context(), "ada", id)
		require.Error(t, err)
		failing(f, "Revoke", errors.New("connection refused"))
		require.Error(t, f.bearer.Revoke(t.Context(), "ada", id))
		f.store.fail = nil
		events := f.events.take()
		require.Len(t, events, 4)
		for _, e := range events {
			require.Empty(t, e.CredentialID)
			require.Equal(t, "ada", e.UserID)
		}
	}
	for _, userID := range []string{"", "a\nb", "\xff", repeated("x", 256)} {
		_, err := f.bearer.RevokeAll(t.Context(), userID)
		require.ErrorIs(t, err, auth.ErrInvalidArgument)
		events := f.events.take()
		require.Len(t, events, 1)
		require.Empty(t, events[0].UserID)
		require.Equal(t, auth.ReasonInvalidArgument, events[0].Reason)
	}
}

// All events of a sign-in or sign-out have the request's method, though it is not behind
// Require, and a cross-origin one is reported once.
func TestSignIn_eventsHaveTheRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 2 })
	cookie, other := f.signIn("ada"), f.signIn("eve")
	f.signIn("ada")
	signIn := func(user string, edits ...edit) error {
		_, err := f.cookie.SignIn(newRecorder(), request("POST", edits...), user, auth.SessionOptions{})
		return err
	}
	crossSite := field("Sec-Fetch-Site", "cross-site")
	for _, test := range []struct {
		name string
		call func() error
		want []string
	}{
		{"own and another user's session", func() error { return signIn("ada", withCookie(cookie, other)) },
			[]string{"revoked replaced", "revoked replaced", "signed_in "}},
		{"over the limit, which ends no session then", func() error { return signIn("ada") }, []string{"revoked limit", "signed_in "}},
		{"cross-origin", func() error { return signIn("ada", crossSite) }, []string{"refused cross_origin"}},
	} {
		f.events.take()
		err := test.call()
		require.Equal(t, test.name == "cross-origin", err != nil)
		var got []string
		for _, e := range f.events.take() {
			got = append(got, string(e.Type)+" "+string(e.Reason))
			require.Equal(t, "POST", e.Method, test.name)
			require.Equal(t, "sign_in", e.Operation, test.name)
		}
		require.Equal(t, test.want, got, test.name)
	}
	require.Error(t, f.cookie.SignOut(newRecorder(), request("POST", crossSite)))
	require.Equal(t, []auth.Event{{
		Type: auth.EventRefused, Operation: "sign_out", Scheme: "Cookie", Reason: auth.ReasonCrossOrigin, Method: "POST",
	}}, f.events.take())
}

func TestLogTo_levels(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		e    auth.Event
		want string
	}{
		{auth.Event{Type: auth.EventAccepted, Scheme: "Bearer", UserID: "ada", CredentialID: "1"},
			"level=DEBUG msg=auth event.type=accepted event.scheme=Bearer event.user_id=ada event.credential_id=1"},
		{auth.Event{Type: auth.EventAnonymous}, "level=DEBUG msg=auth event.type=anonymous"},
		{auth.Event{Type: auth.EventRefused, Reason: auth.ReasonMissing}, "level=INFO msg=auth event.type=refused event.reason=missing"},
		{auth.Event{Type: auth.EventRefused, Reason: auth.ReasonExpired}, "level=WARN msg=auth event.type=refused event.reason=expired"},
		{auth.Event{Type: auth.EventRefused, Reason: auth.ReasonUnavailable, Err: io.EOF}, "level=ERROR msg=auth event.type=refused event.reason=unavailable event.error=EOF"},
		{auth.Event{Type: auth.EventRefused, Reason: auth.ReasonInternal}, "level=ERROR msg=auth event.type=refused event.reason=internal"},
		{auth.Event{Type: auth.EventRefused, Reason: auth.ReasonCanceled}, "level=INFO msg=auth event.type=refused event.reason=canceled"},
		{auth.Event{Type: auth.EventUseLost, Reason: auth.ReasonUnavailable}, "level=WARN msg=auth event.type=use_lost event.reason=unavailable"},
		{auth.Event{Type: auth.EventIssued, Operation: "issue"}, "level=INFO msg=auth event.type=issued event.operation=issue"},
		{auth.Event{Type: auth.EventFailed, Operation: "issue", Reason: auth.ReasonUnavailable, Err: io.EOF}, "level=ERROR msg=auth event.type=failed event.operation=issue event.reason=unavailable event.error=EOF"},
		{auth.Event{Type: auth.EventFailed, Reason: auth.ReasonCanceled}, "level=INFO msg=auth event.type=failed event.reason=canceled"},
		{auth.Event{Type: auth.EventFailed, Reason: auth.ReasonLimit}, "level=INFO msg=auth event.type=failed event.reason=limit"},
		{auth.Event{Type: auth.EventFailed, Reason: auth.ReasonNotFound}, "level=INFO msg=auth event.type=failed event.reason=not_found"},
		{auth.Event{Type: auth.EventFailed, Reason: auth.ReasonConflict}, "level=INFO msg=auth event.type=failed event.reason=conflict"},
		{auth.Event{Type: auth.EventFailed, Reason: auth.ReasonInvalidArgument}, "level=INFO msg=auth event.type=failed event.reason=invalid_argument"},
		{auth.Event{Type: auth.EventFailed, Reason: auth.ReasonUnsupported}, "level=INFO msg=auth event.type=failed event.reason=unsupported"},
		{auth.Event{Type: auth.EventFailed, Reason: auth.ReasonRepeated}, "level=WARN msg=auth event.type=failed event.reason=repeated"},
	} {
		var out bytes.Buffer
		auth.LogTo(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
			Level:       slog.LevelDebug,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return dropTime(a) },
		})))(t.Context(), test.e)
		require.Equal(t, test.want+"\n", out.String())
	}
}

func dropTime(a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// If the logger is nil, the default at the time of the event is used: this one was made
// before TestMain set the default.
func TestLogTo_defaultLogger(t *testing.T) {
	t.Parallel()
	ctx, logged := withDefaultLog(t.Context())
	earlyLog(ctx, auth.Event{Type: auth.EventIssued})
	require.Equal(t, "level=INFO msg=auth event.type=issued\n", logged.String())
}

var earlyLog = auth.LogTo(nil)

// Without an Observer, the causes of 5xx are logged, and nothing else.
func TestObserver_nilLogsFaults(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.bearer.Observe, c.cookie.Observe, c.secret.Observe = nil, nil, nil })
	token := authorization("Bearer " + f.token("ada", "read"))
	resolve := func(user any, err error) *auth.Middleware {
		return &auth.Middleware{Resolve: func(context.Context, *auth.Identity) (any, error) { return user, err }}
	}
	down := errors.New("connection refused")
	var failingNow atomic.Bool // uses are written in the background
	f.store.fail = func(method string) error {
		if method == "Lookup" && failingNow.Load() {
			return down
		}
		return nil
	}
	during := func(outage func(ctx context.Context) int) func(ctx context.Context) int {
		return func(ctx context.Context) int {
			failingNow.Store(true)
			defer failingNow.Store(false)
			return outage(ctx)
		}
	}
	fake := func(a fakeAuthenticator) *target { a.scheme = "Bearer"; return behind(auth.Require(a)) }
	get := func(h *target, edits ...edit) func(ctx context.Context) int {
		return func(ctx context.Context) int { return h.get(append(edits, in(ctx))...).Code }
	}
	canceled := func(r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(ctx)
	}
	const refused = "level=ERROR msg=auth event.type=refused event.scheme=Bearer "
	for _, test := range []struct {
		name   string
		do     func(ctx context.Context) int
		status int
		want   string // the beginning of the line; if empty, there is none
	}{
		{"outage", during(get(f.all(), token)), 503, refused + `event.reason=unavailable event.method=GET event.error="connection refused"`},
		{"outage, Authenticate", during(func(ctx context.Context) int {
			_, err := new(auth.Middleware).Authenticate(request("GET", token, in(ctx)), f.bearer)
			var e *auth.Error
			require.ErrorAs(t, err, &e)
			return e.StatusCode()
		}), 503, refused + `event.reason=unavailable`},
		{"Resolve is unavailable", get(behind(resolve(nil, down).Require(f.bearer)), token), 503, refused + `event.reason=unavailable`},
		{"Resolve returns a nil pointer", get(behind(resolve((*int)(nil), nil).Require(f.bearer)), token), 500, refused + `event.reason=internal`},
		{"panic", get(fake(fakeAuthenticator{panics: "canary"}), token), 500, refused + `event.reason=internal event.method=GET event.error="auth: authentication by Bearer panicked`},
		{"a client that goes away", during(func(ctx context.Context) int {
			return f.all().get(token, in(ctx), canceled).Code
		}), 503, ""},
		{"accepted", get(f.all(), token), 200, ""},
		{"invalid", get(f.all(), authorization("Bearer x")), 401, ""},
		{"malformed", get(f.all(), authorization("Bearer")), 400, ""},
		{"disabled", get(behind(resolve(nil, auth.ErrInvalidCredential).Require(f.bearer)), token), 401, ""},
		{"scope", get(behind(func(h http.Handler) http.Handler { return auth.Require(f.bearer)(auth.RequireScope("write")(h)) }), token), 403, ""},
		{"RequireScope outside of Require", get(behind(auth.RequireScope("read"))), 500, "level=ERROR msg=auth event.type=refused event.reason=internal event.method=GET"},
		{"CheckScope outside of Require", get(&target{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			auth.WriteError(w, r, auth.CheckScope(r.Context(), "read"))
		})}), 500, "level=ERROR msg=auth event.type=refused event.reason=internal"},
		{"WriteError without an error", get(&target{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			auth.WriteError(w, r, nil)
		})}), 500, `level=ERROR msg=auth event.type=refused event.reason=internal event.method=GET event.error="auth: WriteError without an error"`},
	} {
		ctx, logged := withDefaultLog(t.Context())
		require.Equal(t, test.status, test.do(ctx), test.name)
		requireOneLine(t, logged.String(), test.want, test.name)
	}
}

// in puts a request into a context.
func in(ctx context.Context) edit { return func(r *http.Request) { *r = *r.WithContext(ctx) } }

// requireOneLine asserts that logged is one line that begins with want, or nothing if want
// is empty.
func requireOneLine(t testing.TB, logged, want, name string) {
	t.Helper()
	if want == "" {
		require.Empty(t, logged, name)
		return
	}
	require.Equal(t, 1, strings.Count(logged, "\n"), "%s: %s", name, logged)
	require.True(t, strings.HasPrefix(logged, want), "%s: %s", name, logged)
}

// Calls of an authenticator without an Observer log outages, and no mistakes of the caller.
func TestObserver_nilLogsFailedCalls(t *testing.T) {
	t.Parallel()
	silent := func(c *configs) { c.bearer.Observe, c.cookie.Observe, c.secret.Observe = nil, nil, nil }
	for name := range lifecycleCalls(t, newFixture(t)) {
		f := newFixture(t, silent)
		call := lifecycleCalls(t, f)[name]
		ctx, logged := withDefaultLog(t.Context())
		f.store.fail = func(string) error { return errors.New("connection refused") }
		_, err := call(ctx)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		requireOneLine(t, logged.String(), "level=ERROR msg=auth event.type=failed event.operation=", name)
		require.Contains(t, logged.String(), "connection refused")

		canceled, cancel := context.WithCancel(ctx)
		cancel()
		ctx, logged = withDefaultLog(canceled)
		_, err = call(ctx)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.Empty(t, logged.String(), name)
	}
	f := newFixture(t, silent)
	ctx, logged := withDefaultLog(t.Context())
	_, _, err := f.bearer.Issue(ctx, "ada", auth.TokenOptions{})
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
	require.ErrorIs(t, f.bearer.Revoke(ctx, "ada", "x"), auth.ErrNotFound)
	require.ErrorIs(t, f.cookie.CheckOrigin(request("POST", field("Sec-Fetch-Site", "cross-site"), in(ctx))), auth.ErrCrossOrigin)
	f.token("ada")
	require.Empty(t, logged.String())
}

// A use that is lost is logged too. It is written in the background, without a context of a
// request.
func TestObserver_nilLogsLostUses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.bearer.Observe = nil })
		down := errors.New("read-only: " + t.Name())
		f.store.fail = func(method string) error {
			if method == "Touch" {
				return down
			}
			return nil
		}
		require.Equal(t, 200, f.all().get(authorization("Bearer "+f.token("ada"))).Code)
		time.Sleep(time.Minute)
		synctest.Wait()
		lines := backgroundLog.linesWith(t.Name())
		require.NotEmpty(t, lines)
		for _, line := range lines {
			require.True(t, strings.HasPrefix(line, "level=WARN msg=auth event.type=use_lost event.scheme=Bearer event.reason=unavailable"), line)
		}
		require.ErrorIs(t, f.bearer.Close(t.Context()), down)
	})
}

// If RequireScope has an Observer, that is the one that is called.
func TestRequireScope_outsideOfRequireIsObserved(t *testing.T) {
	t.Parallel()
	events := new(recorder)
	m := auth.Middleware{Observe: events.observe}
	ctx, logged := withDefaultLog(t.Context())
	require.Equal(t, 500, behind(m.RequireScope("read")).get(in(ctx)).Code)
	got := events.take()
	require.Len(t, got, 1)
	require.Equal(t, auth.EventRefused, got[0].Type)
	require.Equal(t, auth.ReasonInternal, got[0].Reason)
	require.Equal(t, "GET", got[0].Method)
	require.ErrorContains(t, got[0].Err, "outside of Require")
	require.Empty(t, logged.String())
}

func TestObserver_namesTheUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 1 })
	_, old := f.session("ada")
	f.events.take()
	f.signIn("ada")
	events := f.events.take()
	require.Equal(t, []auth.EventType{auth.EventRevoked, auth.EventSignedIn}, eventTypes(events))
	require.Equal(t, old.ID, events[0].CredentialID)
	require.Equal(t, auth.ReasonLimit, events[0].Reason)

	require.Error(t, f.cookie.CheckOrigin(request("POST", field("Sec-Fetch-Site", "cross-site"))))
	events = f.events.take()
	require.Len(t, events, 1)
	require.Equal(t, auth.ReasonCrossOrigin, events[0].Reason)

	plaintext, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: []string{"read"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	m := auth.Middleware{Observe: f.events.observe}
	f.events.take()
	behind(func(h http.Handler) http.Handler { return m.Require(f.bearer)(m.RequireScope("write")(h)) }).get(authorization("Bearer " + plaintext))
	events = f.events.take()
	require.Equal(t, c.ID, events[1].CredentialID)
	require.Equal(t, "ada", events[1].UserID)
}

func TestObserver_nothingRevoked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.bearer.RevokeAll(t.Context(), "ada")
	require.NoError(t, err)
	require.Empty(t, f.events.take())
}

func TestObserver_credentialOfADisabledUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{Observe: f.events.observe, Resolve: func(context.Context, *auth.Identity) (any, error) { return nil, auth.ErrInvalidCredential }}
	cookie, s := f.session("ada")
	f.events.take()
	behind(m.Require(f.cookie)).get(withCookie(cookie))
	require.Equal(t, s.ID, f.events.take()[0].CredentialID)
}

const (
	clientAddr = "198.51.100.7"
	pageOrigin = "https://api.example.com"
)

// fromPage is what a page of the service sends, and the address that a middleware has set.
func fromPage(r *http.Request) {
	r.Header.Set("Origin", pageOrigin)
	*r = *r.WithContext(auth.WithClientAddr(r.Context(), netip.MustParseAddr(clientAddr)))
}

// onRoute serves a handler at the route "POST /{page}".
func onRoute(h http.Handler) *target {
	mux := http.NewServeMux()
	mux.Handle("POST /{page}", h)
	return &target{Handler: mux}
}

// requireRequest asserts that e is about a request of fromPage to onRoute.
func requireRequest(t testing.TB, e auth.Event, actor, name string) {
	t.Helper()
	about := auth.Event{Method: e.Method, Pattern: e.Pattern, Origin: e.Origin, ClientAddr: e.ClientAddr, Actor: e.Actor}
	require.Equal(t, auth.Event{
		Method: "POST", Pattern: "POST /{page}", Origin: pageOrigin, ClientAddr: netip.MustParseAddr(clientAddr), Actor: actor,
	}, about, "%s: %s", name, e.Type)
}

// Events of decisions have all that is known of the request and of who acts.
func TestEvent_fieldsOfDecisions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testFieldsOfDecisions)
}

func testFieldsOfDecisions(t *testing.T) {
	f := newFixture(t)
	defer func() { require.NoError(t, f.cookie.Close(t.Context())) }()
	m := auth.Middleware{Observe: f.events.observe, Resolve: func(_ context.Context, id *auth.Identity) (any, error) {
		if id.UserID == "disabled" {
			return nil, auth.ErrForbidden
		}
		return nil, nil
	}}
	support := auth.SessionOptions{Actor: "bob", Scopes: []string{"read"}}
	valid, disabled := withCookie(f.signIn("ada", support)), withCookie(f.signIn("disabled", support))
	ended, session := f.session("ada", support)
	require.NoError(t, f.cookie.Revoke(t.Context(), "ada", session.ID))
	expired := f.signIn("ada", auth.SessionOptions{Actor: "bob", Lifetime: time.Second})
	time.Sleep(time.Second)
	inside := func(wrap func(http.Handler) http.Handler) *target {
		return onRoute(m.Require(f.cookie)(wrap(http.NotFoundHandler())))
	}
	written := func(check func(ctx context.Context) error) *target {
		return inside(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { auth.WriteError(w, r, check(r.Context())) })
		})
	}
	required, optional := onRoute(m.Require(f.cookie)(http.NotFoundHandler())), onRoute(m.Optional(f.cookie)(http.NotFoundHandler()))
	nothing, crossSite := func(*http.Request) {}, field("Sec-Fetch-Site", "cross-site")
	forbidden := func(*http.Request, *auth.Identity) error { return auth.ErrForbidden }
	for _, test := range []struct {
		name  string
		h     *target
		e     edit
		want  string
		actor string
	}{
		{"accepted", required, valid, "accepted ", "bob"},
		{"accepted by Optional", optional, valid, "accepted ", "bob"},
		{"anonymous", optional, nothing, "anonymous ", ""},
		{"anonymous, ended", optional, withCookie(ended), "anonymous unknown", ""}, // stores forget sessions
		{"anonymous, expired", optional, withCookie(expired), "anonymous expired", "bob"},
		{"missing", required, nothing, "refused missing", ""},
		{"forged", required, field("Cookie", "__Host-session=x"), "refused forged", ""},
		{"expired", required, withCookie(expired), "refused expired", "bob"},
		{"Resolve", required, disabled, "refused forbidden", "bob"},
		{"cross-origin", required, func(r *http.Request) { valid(r); crossSite(r) }, "refused cross_origin", "bob"},
		{"RequireScope", inside(auth.RequireScope("write")), valid, "refused scope", "bob"},
		{"RequireFunc", inside(auth.RequireFunc(forbidden)), valid, "refused forbidden", "bob"},
		{"RequireRecent", inside(auth.RequireRecent(time.Hour)), valid, "refused actor", "bob"},
		{"CheckScope", written(func(ctx context.Context) error { return auth.CheckScope(ctx, "write") }), valid, "refused scope", "bob"},
		{"CheckRecent", written(func(ctx context.Context) error { return auth.CheckRecent(ctx, time.Hour) }), valid, "refused actor", "bob"},
		{"WriteError without an error", written(func(context.Context) error { return nil }), valid, "refused internal", ""},
	} {
		f.events.take()
		test.h.do("POST", fromPage, test.e)
		events := f.events.take()
		require.NotEmpty(t, events, test.name)
		last := events[len(events)-1]
		require.Equal(t, test.want, string(last.Type)+" "+string(last.Reason), test.name)
		requireRequest(t, last, test.actor, test.name)
	}
}

func TestRecheck_eventHasTheActor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{Observe: f.events.observe}
	cookie, session := f.session("ada", auth.SessionOptions{Actor: "bob"})
	h := onRoute(m.Require(f.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, f.cookie.Revoke(context.Background(), "ada", session.ID))
		f.events.take()
		auth.WriteError(w, r, auth.Recheck(r.Context()))
	})))
	require.Equal(t, 401, h.do("POST", fromPage, withCookie(cookie)).Code)
	events := f.events.take()
	require.Len(t, events, 1)
	requireRequest(t, events[0], "bob", "Recheck")
}

// If support staff changes something in the user's name, the event says who did it, even if the
// call fails.
func TestEvent_fieldsOfChanges(t *testing.T) {
	t.Parallel()
	for name := range lifecycleCalls(t, newFixture(t)) {
		for _, outage := range []bool{false, true} {
			f := newFixture(t)
			call := lifecycleCalls(t, f)[name]
			support := withCookie(f.signIn("ada", auth.SessionOptions{Actor: "bob"}))
			var failingNow atomic.Bool // uses are written in the background
			f.store.fail = func(string) error {
				if failingNow.Load() {
					return errors.New("connection refused")
				}
				return nil
			}
			h := onRoute(auth.Require(f.cookie)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				failingNow.Store(outage)
				_, err := call(auth.NewUserContext(r.Context(), "any user"))
				require.Equal(t, outage, errors.Is(err, auth.ErrUnavailable), name)
			})))
			f.events.take()
			h.do("POST", fromPage, support)
			events := slices.DeleteFunc(f.events.take(), func(e auth.Event) bool { return e.Type == auth.EventUseLost })
			if reads := regexp.MustCompile(`\.(List|Get)$`).MatchString(name); !outage && reads {
				require.Empty(t, events, name)
				continue
			}
			require.NotEmpty(t, events, name)
			for _, e := range events {
				if strings.HasPrefix(name, "Cookie.Sign") { // which have a request of their own
					require.Equal(t, "POST", e.Method, name)
					require.Equal(t, netip.MustParseAddr(clientAddr), e.ClientAddr, name)
					require.Equal(t, "bob", e.Actor, name)
					continue
				}
				requireRequest(t, e, "bob", name)
			}
		}
	}
}

// A change that no request makes has neither a request nor an actor, unless the context has.
func TestEvent_withoutARequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	take := func(ctx context.Context) auth.Event {
		_, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
		require.NoError(t, err)
		events := f.events.take()
		require.Len(t, events, 1)
		require.Equal(t, c.ID, events[0].CredentialID)
		return events[0]
	}
	want := take(t.Context())
	require.Equal(t, auth.Event{Type: auth.EventIssued, Operation: "issue", Scheme: "Bearer", UserID: "ada", CredentialID: want.CredentialID}, want)

	got := take(auth.WithClientAddr(t.Context(), netip.MustParseAddr("fe80::1%eth0")))
	require.Equal(t, netip.MustParseAddr("fe80::1"), got.ClientAddr, "without its zone")
	require.Empty(t, got.Method)

	got = take(auth.NewContext(t.Context(), &auth.Identity{UserID: "ada", Actor: "bob"}))
	require.Equal(t, "bob", got.Actor)
	require.False(t, got.ClientAddr.IsValid())
}

// AuthenticateToken has no request, but may know the address.
func TestAuthenticateToken_events(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	var seen []context.Context
	m := auth.Middleware{
		Resolve: func(context.Context, *auth.Identity) (any, error) { return "the user", nil },
		Observe: func(ctx context.Context, e auth.Event) {
			seen = append(seen, ctx)
			f.events.observe(ctx, e)
		},
	}
	f.events.take()
	ctx := auth.WithClientAddr(t.Context(), netip.MustParseAddr(clientAddr))
	_, err = m.AuthenticateToken(ctx, token, f.bearer)
	require.NoError(t, err)
	_, err = m.AuthenticateToken(ctx, "x", f.bearer)
	require.Error(t, err)
	require.Equal(t, []auth.Event{
		{Type: auth.EventAccepted, Scheme: "Bearer", UserID: "ada", CredentialID: c.ID, ClientAddr: netip.MustParseAddr(clientAddr)},
		{Type: auth.EventRefused, Scheme: "Bearer", Reason: auth.ReasonUnknown, ClientAddr: netip.MustParseAddr(clientAddr)},
	}, f.events.take())
	id, _ := auth.FromContext(seen[0])
	require.Equal(t, c.ID, id.CredentialID)
	require.Equal(t, "the user", auth.MustUser[string](seen[0]))
	_, known := auth.FromContext(seen[1])
	require.False(t, known)
}

// Each event of a sign-in as another user, and of the sign-out, names who acts.
func TestSignIn_eventsHaveTheActor(t *testing.T) {
	t.Parallel()
	asBob := auth.SessionOptions{Actor: "bob"}
	type events = []string
	for _, test := range []struct {
		name string
		do   func(f *fixture, present func(user string, o ...auth.SessionOptions) edit) error
		want events
	}{
		{"sign-in", func(f *fixture, _ func(string, ...auth.SessionOptions) edit) error {
			_, err := f.cookie.SignIn(newRecorder(), request("POST"), "ada", asBob)
			return err
		}, events{"signed_in ada bob"}},
		{"over the limit, which ends no session then", func(f *fixture, present func(string, ...auth.SessionOptions) edit) error {
			present("ada")
			_, err := f.cookie.SignIn(newRecorder(), request("POST"), "ada", asBob)
			return err
		}, events{"signed_in ada bob"}},
		{"in place of the user's session", func(f *fixture, present func(string, ...auth.SessionOptions) edit) error {
			_, err := f.cookie.SignIn(newRecorder(), request("POST", present("ada")), "ada", asBob)
			return err
		}, events{"revoked ada bob", "signed_in ada bob"}},
		{"in place of the actor's own session", func(f *fixture, present func(string, ...auth.SessionOptions) edit) error {
			_, err := f.cookie.SignIn(newRecorder(), request("POST", present("bob")), "ada", asBob)
			return err
		}, events{"revoked bob ", "signed_in ada bob"}},
		{"back to the actor's own session", func(f *fixture, present func(string, ...auth.SessionOptions) edit) error {
			_, err := f.cookie.SignIn(newRecorder(), request("POST", present("ada", asBob)), "bob", auth.SessionOptions{})
			return err
		}, events{"revoked ada bob", "signed_in bob "}},
		{"a failure", func(f *fixture, _ func(string, ...auth.SessionOptions) edit) error {
			failing(f, "Create", errors.New("connection refused"))
			_, err := f.cookie.SignIn(newRecorder(), request("POST"), "ada", asBob)
			return err
		}, events{"failed ada bob"}},
		{"an actor who is not allowed", func(f *fixture, _ func(string, ...auth.SessionOptions) edit) error {
			_, err := f.cookie.SignIn(newRecorder(), request("POST"), "ada", auth.SessionOptions{Actor: "a\nlevel=INFO"})
			return err
		}, events{"failed ada "}},
		{"sign-out", func(f *fixture, present func(string, ...auth.SessionOptions) edit) error {
			return f.cookie.SignOut(newRecorder(), request("POST", present("ada", asBob)))
		}, events{"signed_out ada bob"}},
		{"the user's sign-out", func(f *fixture, present func(string, ...auth.SessionOptions) edit) error {
			return f.cookie.SignOut(newRecorder(), request("POST", present("ada")))
		}, events{"signed_out ada "}},
	} {
		f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 1 })
		err := test.do(f, func(user string, o ...auth.SessionOptions) edit {
			cookie := f.signIn(user, o...)
			f.events.take()
			return withCookie(cookie)
		})
		var got events
		for _, e := range f.events.take() {
			got = append(got, string(e.Type)+" "+e.UserID+" "+e.Actor)
			require.Equal(t, e.Type == auth.EventFailed, err != nil, test.name)
		}
		require.Equal(t, test.want, got, test.name)
	}
}

// Attacks: a client chooses its headers, path and method, and must not get a credential,
// control characters or much text into a log, nor an address that is not its own.
func TestEvent_hostileRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	canary := f.token("eve")
	cookie := withCookie(f.signIn("ada"))
	var out bytes.Buffer
	m := auth.Middleware{Observe: func(ctx context.Context, e auth.Event) {
		auth.LogTo(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))(ctx, e)
		f.events.observe(ctx, e)
	}}
	inner := http.NewServeMux()
	inner.HandleFunc("/reset/{token}", func(_ http.ResponseWriter, r *http.Request) {
		_, _, err := f.bearer.Issue(r.Context(), "ada", tokenOptions("x"))
		require.NoError(t, err)
	})
	mux := http.NewServeMux()
	mux.Handle("/reset/{token}", m.Require(f.cookie)(inner))
	trustOrigin := field("Sec-Fetch-Site", "same-origin")
	for name, e := range map[string]edit{
		"a credential in the Origin":            field("Origin", "https://api.example.com/?token="+canary),
		"a credential in the Origin's user":     field("Origin", "https://"+canary+"@api.example.com"),
		"a credential for an Origin":            field("Origin", canary),
		"a new line in the Origin":              field("Origin", "https://api.example.com\r\nlevel=INFO "+canary),
		"a terminal's escape in the Origin":     field("Origin", "https://\x1b]0;"+canary+"\a"),
		"10 kB of Origin":                       field("Origin", "https://"+repeated("a", 10_000)),
		"a credential in the path":              func(*http.Request) {},
		"a credential for a method":             func(r *http.Request) { r.Method = canary },
		"10 kB of method":                       func(r *http.Request) { r.Method = repeated("A", 10_000) },
		"another address in X-Forwarded-For":    field("X-Forwarded-For", "203.0.113.66"),
		"another address in Forwarded":          field("Forwarded", "for=203.0.113.66"),
		"a credential in X-Forwarded-For":       field("X-Forwarded-For", canary),
		"another address in X-Real-IP":          field("X-Real-IP", "203.0.113.66"),
		"a client address in True-Client-IP":    field("True-Client-IP", "203.0.113.66"),
		"a credential in the Referer":           field("Referer", "https://api.example.com/?token="+canary),
		"a credential in the User-Agent":        field("User-Agent", canary),
		"a credential in the Host":              func(r *http.Request) { r.Host = canary },
		"a credential in the address":           func(r *http.Request) { r.RemoteAddr = canary },
		"another address of the connection too": func(r *http.Request) { r.RemoteAddr = "203.0.113.66:1" },
	} {
		for _, known := range []bool{true, false} {
			out.Reset()
			f.events.take()
			r := request("POST", trustOrigin, cookie, e)
			if known {
				r = r.WithContext(auth.WithClientAddr(r.Context(), netip.MustParseAddr(clientAddr)))
			}
			r.URL.Path = "/reset/" + canary
			mux.ServeHTTP(newRecorder(), r)
			events := f.events.take()
			require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventIssued}, eventTypes(events), name)
			for _, e := range events {
				require.Equal(t, "/reset/{token}", e.Pattern, name)
				require.Empty(t, e.Origin, name)
				require.Equal(t, known, e.ClientAddr.IsValid(), name)
				require.True(t, !known || e.ClientAddr == netip.MustParseAddr(clientAddr), name)
				text := fmt.Sprintf("%+v %v", e, e.LogValue())
				require.NotContains(t, text, canary, name)
				require.NotContains(t, text, "203.0.113.66", name)
				require.Less(t, len(text), 1000, name)
			}
			require.Equal(t, 1, strings.Count(out.String(), "\n"), name)
			require.NotContains(t, out.String(), canary, name)
		}
	}
}

// The context of an accepted request's event is the handler's.
func TestObserver_contextOfTheHandler(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	type key struct{}
	var seen []string
	m := auth.Middleware{
		Resolve: func(_ context.Context, id *auth.Identity) (any, error) { return "user " + id.UserID, nil },
		Observe: func(ctx context.Context, e auth.Event) {
			user, _ := auth.User[string](ctx)
			about := string(e.Type) + ":"
			if id, ok := auth.FromContext(ctx); ok {
				require.Equal(t, e.UserID, id.UserID)
				require.Equal(t, e.CredentialID, id.CredentialID)
				about += " " + id.UserID + ","
			}
			seen = append(seen, strings.TrimSpace(about+" "+user))
			require.Equal(t, "outside", ctx.Value(key{}))
		},
	}
	custom := fakeAuthenticator{scheme: "X", identity: &auth.Identity{UserID: "zoe"}}
	served := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	token := authorization("Bearer " + f.token("ada", "read"))
	nested := func(inner http.Handler) http.Handler { return m.Require(f.cookie)(inner) }
	cookie := withCookie(f.signIn("bob"))
	for _, test := range []struct {
		name string
		h    http.Handler
		e    []edit
		want []string
	}{
		{"Require", m.Require(f.bearer)(served), []edit{token}, []string{"accepted: ada, user ada"}},
		{"Optional", m.Optional(f.bearer)(served), []edit{token}, []string{"accepted: ada, user ada"}},
		{"a custom authenticator", m.Require(custom)(served), nil, []string{"accepted: zoe, user zoe"}},
		{"anonymous", m.Optional(f.bearer)(served), nil, []string{"anonymous:"}},
		{"refused by Require", m.Require(f.bearer)(served), nil, []string{"refused:"}},
		{"a check inside", m.Require(f.bearer)(auth.RequireScope("write")(served)), []edit{token}, []string{"accepted: ada, user ada", "refused: ada, user ada"}},
		{"WriteError", m.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			auth.WriteError(w, r, auth.CheckScope(r.Context(), "write"))
		})), []edit{token}, []string{"accepted: ada, user ada", "refused: ada, user ada"}},
		{"nested", nested(m.Require(f.bearer)(served)), []edit{cookie, token}, []string{"accepted: bob, user bob", "accepted: ada, user ada"}},
		{"anonymous inside of another identity", nested(m.Optional(f.secret)(served)), []edit{cookie}, []string{"accepted: bob, user bob", "anonymous:"}},
	} {
		seen = nil
		r := request("GET", append(test.e, in(context.WithValue(t.Context(), key{}, "outside")))...)
		test.h.ServeHTTP(newRecorder(), r)
		require.Equal(t, test.want, seen, test.name)
	}
	seen = nil
	_, err := m.Authenticate(request("GET", token, in(context.WithValue(t.Context(), key{}, "outside"))), f.bearer)
	require.NoError(t, err)
	require.Equal(t, []string{"accepted: ada, user ada"}, seen)
}

// Each event of concurrent requests is about its own request.
func TestEvent_concurrentRequests(t *testing.T) {
	t.Parallel()
	var wrong atomic.Pointer[auth.Event]
	var count atomic.Int64
	observe := func(ctx context.Context, e auth.Event) {
		id, _ := auth.FromContext(ctx)
		addr, _ := auth.ClientAddr(ctx)
		if id == nil || id.UserID != e.UserID || e.Actor != "actor of "+e.UserID || e.ClientAddr != addr ||
			e.Origin != "https://"+e.UserID+".example" || e.Pattern != "POST /{page}" {
			wrong.Store(&e)
		}
		count.Add(1)
	}
	f := newFixture(t, func(c *configs) { c.bearer.Observe = observe })
	m := auth.Middleware{Observe: observe, Resolve: func(_ context.Context, id *auth.Identity) (any, error) { return id.UserID, nil }}
	h := onRoute(m.Require(f.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, err := f.bearer.Issue(r.Context(), auth.MustUser[string](r.Context()), tokenOptions("x"))
		require.NoError(t, err)
		auth.WriteError(w, r, auth.CheckRecent(r.Context(), time.Hour))
	})))
	var all sync.WaitGroup
	for i := range 16 {
		user := fmt.Sprintf("user%d", i)
		cookie := f.signIn(user, auth.SessionOptions{Actor: "actor of " + user})
		all.Go(func() {
			for range 20 {
				r := request("POST", withCookie(cookie), field("Origin", "https://"+user+".example"), field("Sec-Fetch-Site", "same-origin"))
				r = r.WithContext(auth.WithClientAddr(r.Context(), netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})))
				h.ServeHTTP(newRecorder(), r)
			}
		})
	}
	all.Wait()
	require.Nil(t, wrong.Load(), "an event of another request")
	require.Equal(t, int64(16*20*3), count.Load())
}

// A panic of the store is reported, without its value, and reaches the caller.
func TestObserver_panicInACall(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.store.fail = func(string) error { panic("canary") }
	require.PanicsWithValue(t, "canary", func() { _, _, _ = f.bearer.Issue(t.Context(), "ada", tokenOptions("x")) })
	events := f.events.take()
	require.Equal(t, []auth.EventType{auth.EventFailed}, eventTypes(events))
	require.Equal(t, auth.ReasonInternal, events[0].Reason)
	require.Equal(t, "ada", events[0].UserID)
	require.NotContains(t, events[0].Err.Error(), "canary")
}

// Two session cookies are no alarm where the request may be anonymous.
func TestLogTo_anonymousWithTwoCookies(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, logged := withDefaultLog(t.Context())
	m := &auth.Middleware{Observe: auth.LogTo(nil)}
	r := request("GET", withCookie(f.signIn("ada"), f.signIn("ada"))).WithContext(ctx)
	m.Optional(f.cookie)(http.NotFoundHandler()).ServeHTTP(newRecorder(), r)
	require.Contains(t, logged.String(), "level=DEBUG")
	require.Contains(t, logged.String(), "event.reason=repeated")
}
