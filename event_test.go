package auth_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
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
	const remote = "192.0.2.1:1234"
	refusal := func(scheme auth.Scheme, user string, reason auth.Reason) auth.Event {
		return auth.Event{Type: auth.EventRefused, Scheme: scheme, UserID: user, Reason: reason, Remote: remote}
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
		{"accepted", required, authorization("Bearer " + token), 200, auth.Event{Type: auth.EventAccepted, Scheme: "Bearer", UserID: "ada", CredentialID: c.ID, Remote: remote}},
		{"anonymous", optional, authorization(), 200, auth.Event{Type: auth.EventAnonymous, Remote: remote}},
		{"anonymous with a stale cookie", optional, field("Cookie", "__Host-session=x"), 200, auth.Event{Type: auth.EventAnonymous, Scheme: "Cookie", Reason: auth.ReasonForged, Remote: remote}},
		{"anonymous with a disabled owner's cookie", optional, withCookie(disabledCookie), 200, auth.Event{Type: auth.EventAnonymous, Scheme: "Cookie", UserID: "disabled", Reason: auth.ReasonDisabled, Remote: remote}},
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
	require.Equal(t, "192.0.2.1:1234", events[7].Remote)
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
		require.Equal(t, "192.0.2.1:1234", e.Remote)
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
		}, auth.Event{Operation: "sign_in", Scheme: "Cookie", UserID: "ada", Reason: auth.ReasonRepeated, Remote: "192.0.2.1:1234"}},
		{"session options", func() error {
			_, err := f.cookie.SignIn(newRecorder(), request("POST"), "ada", auth.SessionOptions{Lifetime: -1})
			return err
		}, auth.Event{Operation: "sign_in", Scheme: "Cookie", UserID: "ada", Reason: auth.ReasonInvalidArgument, Remote: "192.0.2.1:1234"}},
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

// All events of a sign-in or sign-out have the request's address, though it is not behind
// Require, and a cross-origin one is reported once.
func TestSignIn_eventsHaveTheAddress(t *testing.T) {
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
		{"over the limit", func() error { return signIn("ada") }, []string{"revoked limit", "signed_in "}},
		{"cross-origin", func() error { return signIn("ada", crossSite) }, []string{"refused cross_origin"}},
	} {
		f.events.take()
		err := test.call()
		require.Equal(t, test.name == "cross-origin", err != nil)
		var got []string
		for _, e := range f.events.take() {
			got = append(got, string(e.Type)+" "+string(e.Reason))
			require.Equal(t, "192.0.2.1:1234", e.Remote, test.name)
			require.Equal(t, "sign_in", e.Operation, test.name)
		}
		require.Equal(t, test.want, got, test.name)
	}
	require.Error(t, f.cookie.SignOut(newRecorder(), request("POST", crossSite)))
	require.Equal(t, []auth.Event{{
		Type: auth.EventRefused, Operation: "sign_out", Scheme: "Cookie", Reason: auth.ReasonCrossOrigin, Remote: "192.0.2.1:1234",
	}}, f.events.take())
}

func TestLogTo_levels(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		e    auth.Event
		want string
	}{
		{auth.Event{Type: auth.EventAccepted, Scheme: "Bearer", UserID: "ada", CredentialID: "1", Remote: "a:1"},
			"level=DEBUG msg=auth event.type=accepted event.scheme=Bearer event.user_id=ada event.credential_id=1 event.remote=a:1"},
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
		{"outage", during(get(f.all(), token)), 503, refused + `event.reason=unavailable event.remote=192.0.2.1:1234 event.error="connection refused"`},
		{"outage, Authenticate", during(func(ctx context.Context) int {
			_, err := new(auth.Middleware).Authenticate(request("GET", token, in(ctx)), f.bearer)
			var e *auth.Error
			require.ErrorAs(t, err, &e)
			return e.StatusCode()
		}), 503, refused + `event.reason=unavailable`},
		{"Resolve is unavailable", get(behind(resolve(nil, down).Require(f.bearer)), token), 503, refused + `event.reason=unavailable`},
		{"Resolve returns a nil pointer", get(behind(resolve((*int)(nil), nil).Require(f.bearer)), token), 500, refused + `event.reason=internal`},
		{"panic", get(fake(fakeAuthenticator{panics: "canary"}), token), 500, refused + `event.reason=internal event.remote=192.0.2.1:1234 event.error="auth: authentication by Bearer panicked`},
		{"a client that goes away", during(func(ctx context.Context) int {
			return f.all().get(token, in(ctx), canceled).Code
		}), 503, ""},
		{"accepted", get(f.all(), token), 200, ""},
		{"invalid", get(f.all(), authorization("Bearer x")), 401, ""},
		{"malformed", get(f.all(), authorization("Bearer")), 400, ""},
		{"disabled", get(behind(resolve(nil, auth.ErrInvalidCredential).Require(f.bearer)), token), 401, ""},
		{"scope", get(behind(func(h http.Handler) http.Handler { return auth.Require(f.bearer)(auth.RequireScope("write")(h)) }), token), 403, ""},
		{"RequireScope outside of Require", get(behind(auth.RequireScope("read"))), 500, "level=ERROR msg=auth event.type=refused event.reason=internal event.remote=192.0.2.1:1234"},
		{"CheckScope outside of Require", get(&target{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			auth.WriteError(w, r, auth.CheckScope(r.Context(), "read"))
		})}), 500, "level=ERROR msg=auth event.type=refused event.reason=internal"},
		{"WriteError without an error", get(&target{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			auth.WriteError(w, r, nil)
		})}), 500, `level=ERROR msg=auth event.type=refused event.reason=internal event.remote=192.0.2.1:1234 event.error="auth: WriteError without an error"`},
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
	require.Equal(t, "192.0.2.1:1234", got[0].Remote)
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

// A change that a handler makes has the address of the handler's request, so that a service
// can tell its users where the change came from.
func TestObserver_addressOfTheRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	signedIn := withCookie(f.signIn("ada"))
	h := auth.Require(f.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := auth.NewUserContext(r.Context(), "any user")
		_, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("deploy"))
		require.NoError(t, err)
		require.NoError(t, f.bearer.Revoke(auth.NewContext(ctx, nil), "ada", c.ID))
	}))
	f.events.take()
	(&target{Handler: h}).get(signedIn)
	events := f.events.take()
	require.Len(t, events, 2)
	for _, e := range events {
		require.Equal(t, "192.0.2.1:1234", e.Remote, e.Type)
	}

	f.token("ada")
	require.Empty(t, f.events.take()[0].Remote, "there is no request")
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
