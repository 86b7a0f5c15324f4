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
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Nothing that is logged, printed or marshaled contains a credential or a key.
func TestPlaintext_isNeverPrinted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	key := []byte("canary-key-0123456789-0123456789")
	var out bytes.Buffer
	var events logBuffer // of uses that are written in the background, too
	logger := slog.New(slog.NewJSONHandler(&events, &slog.HandlerOptions{Level: slog.LevelDebug - 8}))
	observe := auth.LogTo(logger)
	f := newFixture(t, func(c *configs) {
		c.bearer.Observe, c.cookie.Observe, c.secret.Observe = observe, observe, observe
		c.cookie.Keys, c.secret.RevealKeys = auth.Keys{key}, auth.Keys{key}
	})
	var down atomic.Bool
	f.store.fail = func(string) error {
		if down.Load() {
			return errors.New("connection refused")
		}
		return nil
	}
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
	// Without an Observer, the same faults go to the default logger.
	logCtx, logged := withDefaultLog(ctx)
	unobserved, err := auth.NewBearer(f.store, auth.BearerConfig{})
	require.NoError(t, err)
	for _, a := range []auth.Authenticator{
		unobserved, fakeAuthenticator{scheme: "Bearer", panics: "canary-panic"},
		fakeAuthenticator{scheme: "Bearer", err: errors.New("canary-error: bad token " + token)},
	} {
		down.Store(true)
		for _, header := range headers {
			behind(auth.Require(a)).get(authorization(header), in(logCtx))
		}
		_, err = unobserved.Import(logCtx, "ada", imported, importOptions("x"))
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.ErrorIs(t, unobserved.Revoke(logCtx, "ada", token), auth.ErrUnavailable)
		down.Store(false)
	}
	for _, want := range []string{"panicked with a string", "type=refused event.scheme=Bearer event.reason=unavailable", "operation=import", "operation=revoke"} {
		require.Contains(t, logged.String(), want)
	}
	out.WriteString(logged.String())
	for _, value := range []string{cookie.Value, "canary", cookie.Value + "canary"} {
		io.Copy(&out, h.get(field("Cookie", cookie.Name+"="+value)).Body)
		io.Copy(&out, h.do("POST", field("Cookie", cookie.Name+"="+value), field("Sec-Fetch-Site", "cross-site")).Body)
	}
	for _, junk := range []string{"canary", "canary-\x00-0123456789-0123456789", repeated("canary", 100), imported} {
		for _, unavailable := range []bool{false, true} {
			down.Store(unavailable)
			_, err1 := f.bearer.Import(ctx, "ada", junk, importOptions("x"))
			_, err2 := f.secret.Import(ctx, "ada", junk, fullSecret)
			_, err3 := f.bearer.RevokePlaintext(ctx, junk+"x")
			fmt.Fprintln(&out, err1, err2, err3)
		}
	}
	// A program may pass on what a client sent in place of an ID.
	for _, pasted := range []string{token, secret, cookie.Value, imported, "canary"} {
		for _, unavailable := range []bool{false, true} {
			down.Store(unavailable)
			_, err1 := f.bearer.Get(ctx, "ada", pasted)
			_, _, err2 := f.bearer.Rotate(ctx, "ada", pasted, 0)
			_, err3 := f.secret.Reveal(ctx, "ada", pasted)
			_, err4 := f.cookie.List(ctx, "ada", auth.Page{After: pasted})
			fmt.Fprintln(&out, err1, err2, err3, err4, f.bearer.Revoke(ctx, "ada", pasted), f.secret.Revoke(ctx, "ada", pasted))
		}
	}
	down.Store(false)
	require.Contains(t, events.String(), `"type":"failed","operation":"import"`)
	require.Contains(t, events.String(), "connection refused")
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
	text := strings.ToLower(out.String() + events.String())
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

// No plaintext reaches a store, and thereby its database, logs and dumps.
func TestPlaintext_neverReachesAStore(t *testing.T) {
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

func TestPlaintext_isInNoRecord(t *testing.T) {
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

// A context that is logged shows neither its request nor the service's user.
func TestPlaintext_isNotPrintedByContexts(t *testing.T) {
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
