package auth_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Whatever is logged, printed or marshalled, no credential and no key is in it.
func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	key := []byte("canary-key-0123456789-0123456789")
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug - 8}))
	observe := auth.LogTo(logger)
	f := newFixture(t, func(c *configs) {
		c.bearer.Observe, c.cookie.Observe, c.secret.Observe = observe, observe, observe
		c.cookie.Keys, c.secret.RevealKeys = auth.Keys{key}, auth.Keys{key}
	})
	const imported = "canary-imported-0123456789"
	_, err := f.bearer.Import(ctx, "ada", imported, importOptions("x"))
	require.NoError(t, err)
	token, cookie := f.token("ada", "read"), f.signIn("ada")
	secret, sc := f.newSecret("ada")
	m := auth.Middleware{Observe: observe, OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		fmt.Fprintf(&out, "%v %+v %#v %s\n", err, err, err, err)
		logger.Error("refused", "error", err)
		auth.WriteError(w, r, err)
	}}
	h := behind(func(next http.Handler) http.Handler {
		return m.Require(f.bearer, f.cookie, f.secret)(m.RequireScope("write")(next))
	})
	panicking := behind(m.Require(fakeAuthenticator{scheme: "Bearer", panics: "canary-panic"}))
	quoting := behind(m.Require(fakeAuthenticator{scheme: "Bearer", err: &auth.Error{Reason: "canary-reason", Err: auth.ErrInvalidCredential}}))
	outage := behind((&auth.Middleware{Observe: observe}).Require(fakeAuthenticator{scheme: "Bearer", err: errors.New("canary-error: bad token " + token)}))
	headers := []string{
		"Bearer " + token, "Secret " + secret, "Bearer " + imported, "Bearer canary token", "Bearer canary-unknown-0123456789",
		"Secret canary-unknown-0123456789", "Basic canary", "Bearer " + repeated("canary", 1000), "Bearer\tcanary",
	}
	for _, header := range headers {
		for _, h := range []*target{h, panicking, quoting, outage} {
			w := h.get(authorization(header))
			io.Copy(&out, w.Body)
			require.NoError(t, w.Header().Write(&out))
		}
	}
	for _, value := range []string{cookie.Value, "canary", cookie.Value + "canary"} {
		io.Copy(&out, h.get(field("Cookie", cookie.Name+"="+value)).Body)
		io.Copy(&out, h.do("POST", field("Cookie", cookie.Name+"="+value), field("Sec-Fetch-Site", "cross-site")).Body)
	}
	for _, junk := range []string{"canary", "canary-\x00-0123456789-0123456789", repeated("canary", 100), imported} {
		_, err1 := f.bearer.Import(ctx, "ada", junk, importOptions("x"))
		_, err2 := f.secret.Import(ctx, "ada", junk, fullSecret)
		_, err3 := f.bearer.RevokePlaintext(ctx, junk+"x")
		fmt.Fprintln(&out, err1, err2, err3)
	}
	_, err = f.secret.Reveal(ctx, "ada", sc.ID)
	require.NoError(t, err)
	rotated, _, err := f.secret.Rotate(ctx, "ada", sc.ID, 0)
	require.NoError(t, err)

	type service struct {
		B *auth.Bearer
		C *auth.Cookie
		S *auth.Secret
		K auth.Keys
	}
	config := auth.CookieConfig{Keys: auth.Keys{key}}
	records, err := f.secret.List(ctx, "ada", auth.Page{})
	require.NoError(t, err)
	for _, v := range []any{
		f.bearer, f.cookie, f.secret, service{f.bearer, f.cookie, f.secret, auth.Keys{key}}, auth.Keys{key}, config, &config,
		auth.SecretConfig{RevealKeys: auth.Keys{key}}, records,
	} {
		fmt.Fprintf(&out, "%v %+v %#v %s %x %q %d\n", v, v, v, v, v, v, v)
		json.NewEncoder(&out).Encode(v)
		if text, ok := v.(encoding.TextMarshaler); ok {
			b, err := text.MarshalText()
			require.NoError(t, err)
			out.Write(b)
		}
		logger.Info("value", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("value", "v", v)
	}
	text := strings.ToLower(out.String())
	for name, canary := range map[string]string{
		"a canary": "canary", "a token": token, "a secret": secret, "a rotated secret": rotated, "a cookie": cookie.Value,
		"a key": string(key), "a key in hex": fmt.Sprintf("%x", key), "a key in decimal": strings.Trim(fmt.Sprint(key), "[]"),
		"a key in Go syntax": strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", key), "[]byte{"), "}"),
		"a key in base64":    "y2fuyxj5lwtles0",
	} {
		require.NotContains(t, text, strings.ToLower(canary), name)
	}
	require.Contains(t, text, "auth.keys(1)")
}

// What reaches a store, and so its database, its log and its dumps, holds no
// plaintext of anything.
func TestStoresSeeNoPlaintext(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var seen bytes.Buffer
	f := newFixture(t)
	f.store.saw = func(args ...any) {
		fmt.Fprintf(&seen, "%+v %q %x\n", args, args, args)
		for _, arg := range args {
			if c, ok := arg.(auth.Credential); ok {
				seen.Write(c.Sealed)
				seen.Write(c.Digest[:])
			}
		}
	}
	const imported = "imported-0123456789-0123456789"
	_, err := f.bearer.Import(ctx, "eve", imported, importOptions("x"))
	require.NoError(t, err)
	token, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
	require.NoError(t, err)
	rotated, _, err := f.bearer.Rotate(ctx, "ada", c.ID, time.Hour)
	require.NoError(t, err)
	cookie := f.signIn("ada")
	secret, sc := f.newSecret("ada")
	fresh, sc, err := f.secret.Rotate(ctx, "ada", sc.ID, time.Hour)
	require.NoError(t, err)
	_, err = f.secret.Reveal(ctx, "ada", sc.ID)
	require.NoError(t, err)
	h := f.all()
	for _, e := range []edit{authorization("Bearer " + token), authorization("Bearer " + rotated), authorization("Secret " + secret), authorization("Secret " + fresh), withCookie(cookie)} {
		require.Equal(t, 200, h.get(e).Code)
	}
	_, err = f.bearer.RevokePlaintext(ctx, token)
	require.NoError(t, err)
	for _, a := range []interface{ Close(context.Context) error }{f.bearer, f.cookie, f.secret} {
		require.NoError(t, a.Close(ctx))
	}
	require.Contains(t, seen.String(), c.ID, "the test sees what stores see")
	for _, plaintext := range []string{imported, token, rotated, secret, fresh, cookie.Value} {
		require.NotContains(t, seen.String(), plaintext)
		require.NotContains(t, seen.String(), fmt.Sprintf("%x", plaintext))
	}
}

func TestEventsOfDecisions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, prefixed)
	m := auth.Middleware{Observe: f.events.observe, Resolve: func(_ context.Context, id *auth.Identity) (any, error) {
		switch id.UserID {
		case "disabled":
			return nil, auth.ErrInvalidCredential
		case "unlucky":
			return nil, errors.New("user table is out")
		}
		return nil, nil
	}}
	required, optional := behind(m.Require(f.bearer, f.cookie)), behind(m.Optional(f.bearer, f.cookie))
	token, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	revoked, gone, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	require.NoError(t, f.bearer.Revoke(t.Context(), "ada", gone.ID))
	disabled, unlucky := f.token("disabled"), f.token("unlucky")
	disabledCookie := f.signIn("disabled")
	const remote = "192.0.2.1:1234"
	refusal := func(scheme auth.Scheme, user string, reason auth.Reason) auth.Event {
		return auth.Event{Type: auth.EventRefused, Scheme: scheme, UserID: user, Reason: reason, Remote: remote}
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
		{"revoked", required, authorization("Bearer " + revoked), 401, refusal("Bearer", "", auth.ReasonRevoked)},
		{"disabled", required, authorization("Bearer " + disabled), 401, refusal("Bearer", "disabled", auth.ReasonDisabled)},
		{"disabled behind optional", optional, authorization("Bearer " + disabled), 401, refusal("Bearer", "disabled", auth.ReasonDisabled)},
		{"resolve is out", required, authorization("Bearer " + unlucky), 503, refusal("Bearer", "", auth.ReasonUnavailable)},
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

func TestEventsOfLives(t *testing.T) {
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
	require.Equal(t, auth.Event{Type: auth.EventRotated, Scheme: "Bearer", UserID: "ada", CredentialID: next.ID}, events[1])
	require.Equal(t, "192.0.2.1:1234", events[7].Remote)
	for _, e := range events {
		require.Equal(t, "ada", e.UserID)
		require.NotEmpty(t, e.Scheme)
	}
}

func TestLogLevels(t *testing.T) {
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
		{auth.Event{Type: auth.EventIssued}, "level=INFO msg=auth event.type=issued"},
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

// A nil logger is the default one, as it is when the event happens.
func TestLogToTheDefault(t *testing.T) {
	var out bytes.Buffer
	observe := auth.LogTo(nil)
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	observe(t.Context(), auth.Event{Type: auth.EventIssued})
	require.Contains(t, out.String(), "event.type=issued")
}

func TestNoWordInARecordIsItsPlaintext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.store.saw = func(args ...any) {
		for _, arg := range args {
			if c, ok := arg.(auth.Credential); ok {
				d := c.Digest
				c.Digest = auth.Digest{}
				for _, word := range regexp.MustCompile(`[A-Za-z0-9_]{20,}`).FindAllString(fmt.Sprintf("%+v %s", c, c.Sealed), -1) {
					require.NotEqual(t, d, auth.Digest(sha256.Sum256([]byte(word))), "a plaintext in a record of kind %v", c.Kind)
				}
			}
		}
	}
	f.signIn("ada")
	f.token("ada")
	f.issueSecret("ada")
}

func TestEventsNameTheOwner(t *testing.T) {
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

func TestNothingRevokedIsNoEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.bearer.RevokeAll(t.Context(), "ada")
	require.NoError(t, err)
	require.Empty(t, f.events.take())
}

func TestEventNamesTheDisabledOwnersCredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{Observe: f.events.observe, Resolve: func(context.Context, *auth.Identity) (any, error) { return nil, auth.ErrInvalidCredential }}
	cookie, s := f.session("ada")
	f.events.take()
	behind(m.Require(f.cookie)).get(withCookie(cookie))
	require.Equal(t, s.ID, f.events.take()[0].CredentialID)
}

// Whoever logs a context logs neither the request in it nor the service's user.
func TestContextsPrintNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	type user struct{ PasswordHash string }
	m := auth.Middleware{Resolve: func(context.Context, *auth.Identity) (any, error) { return user{"canary"}, nil }}
	reached := false
	m.Require(f.bearer)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached = true
		ctx := r.Context()
		derived, cancel := context.WithCancel(context.WithValue(ctx, user{}, 1))
		defer cancel()
		for _, c := range []context.Context{ctx, derived, auth.NewContext(ctx, nil), auth.NewUserContext(ctx, user{"canary"})} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
				text := fmt.Sprintf(verb, c)
				require.NotContains(t, text, token, verb)
				require.NotContains(t, text, "canary", verb)
				require.NotContains(t, text, fmt.Sprintf("%x", token), verb)
			}
		}
	})).ServeHTTP(httptest.NewRecorder(), request("GET", authorization("Bearer "+token)))
	require.True(t, reached)
}
