package auth_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestIssueListRevoke(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFixture(t, prefixed)
	h := f.all()
	plaintext, c, err := f.bearer.Issue(ctx, "ada", auth.TokenOptions{Name: "deploy", Scopes: []string{"read", "write", "read"}, Lifetime: time.Hour})
	require.NoError(t, err)
	require.Equal(t, "deploy", c.Name)
	require.Equal(t, auth.Scopes("read write"), c.Scopes)
	require.Equal(t, "acme_pat_…"+plaintext[len(plaintext)-4:], c.Hint)
	require.Equal(t, time.Hour, c.ExpiresAt.Sub(c.CreatedAt))
	require.Equal(t, time.UTC, c.CreatedAt.Location())
	require.Len(t, c.ID, 26)
	list, err := f.bearer.List(ctx, "ada", auth.Page{})
	require.NoError(t, err)
	require.Equal(t, []auth.Credential{c}, list)
	require.NotContains(t, fmt.Sprintf("%#v %+v", list, list), plaintext)

	for _, wrong := range []struct{ user, id string }{{"grace", c.ID}, {"ada", "absent"}, {"ada", ""}} {
		require.ErrorIs(t, f.bearer.Revoke(ctx, wrong.user, wrong.id), auth.ErrNotFound)
		_, _, err := f.bearer.Rotate(ctx, wrong.user, wrong.id, 0)
		require.ErrorIs(t, err, auth.ErrNotFound)
	}
	accepted(t, h.get(authorization("Bearer "+plaintext)), "ada", auth.SchemeBearer)
	require.NoError(t, f.bearer.Revoke(ctx, "ada", c.ID))
	require.Equal(t, 401, h.get(authorization("Bearer "+plaintext)).Code)
	require.ErrorIs(t, f.bearer.Revoke(ctx, "ada", c.ID), auth.ErrNotFound)
}

// An ID comes out of a URL: what is none is not there, and no error of a store.
func TestIDsOutOfURLs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.store.fail = func(method string) error { return errors.New(method + ": invalid byte sequence") }
	for _, id := range []string{"", "\x00", "a\x00", "\xff", "a\nb", repeated("x", 65), repeated("x", 1<<20)} {
		require.ErrorIs(t, f.bearer.Revoke(t.Context(), "ada", id), auth.ErrNotFound)
		require.ErrorIs(t, f.cookie.Revoke(t.Context(), "ada", id), auth.ErrNotFound)
		_, _, err := f.bearer.Rotate(t.Context(), "ada", id, 0)
		require.ErrorIs(t, err, auth.ErrNotFound)
		if id != "" {
			_, err = f.bearer.List(t.Context(), "ada", auth.Page{After: id})
			require.ErrorIs(t, err, auth.ErrInvalidArgument)
		}
	}
}

func TestIDsSortByCreation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		last := ""
		for range 100 {
			_, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
			require.NoError(t, err)
			require.Greater(t, c.ID, last)
			require.Regexp(t, "^[0-9A-HJKMNP-TV-Z]{26}$", c.ID)
			last = c.ID
			time.Sleep(time.Millisecond)
		}
	})
}

func TestTokenRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := newFixture(t)
		h := f.all()
		works := func(token string) bool { return h.get(authorization("Bearer "+token)).Code == 200 }
		first, c, err := f.bearer.Issue(ctx, "ada", auth.TokenOptions{Name: "deploy", Scopes: []string{"read"}, Lifetime: 24 * time.Hour})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		second, next, err := f.bearer.Rotate(ctx, "ada", c.ID, time.Hour)
		require.NoError(t, err)
		require.Equal(t, c.Name, next.Name)
		require.Equal(t, c.Scopes, next.Scopes)
		require.Equal(t, 24*time.Hour, next.ExpiresAt.Sub(next.CreatedAt), "the original lifetime, from now")
		require.Equal(t, c.ID, next.Previous)
		require.True(t, works(first))
		require.True(t, works(second))
		_, _, err = f.bearer.Rotate(ctx, "ada", c.ID, time.Hour)
		require.ErrorIs(t, err, auth.ErrConflict)
		time.Sleep(time.Hour)
		require.False(t, works(first))
		require.True(t, works(second))

		time.Sleep(22*time.Hour + 30*time.Minute)
		third, _, err := f.bearer.Rotate(ctx, "ada", next.ID, time.Hour)
		require.NoError(t, err)
		time.Sleep(30 * time.Minute)
		require.False(t, works(second), "an overlap does not outlive the old one's own expiry")
		require.True(t, works(third))

		_, expired, err := f.bearer.Issue(ctx, "ada", auth.TokenOptions{Name: "x", Lifetime: time.Minute, Scopes: []string{auth.FullAccess}})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, _, err = f.bearer.Rotate(ctx, "ada", expired.ID, 0)
		require.ErrorIs(t, err, auth.ErrNotFound)

		for _, overlap := range []time.Duration{-1, 7*24*time.Hour + 1, math.MaxInt64} {
			_, _, err = f.bearer.Rotate(ctx, "ada", next.ID, overlap)
			require.ErrorIs(t, err, auth.ErrInvalidArgument)
		}
		require.NoError(t, f.bearer.Close(ctx))
	})
}

func TestRotationUnderAStricterPolicy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	strict, err := auth.NewBearer(f.store, auth.BearerConfig{MaxLifetime: time.Hour})
	require.NoError(t, err)
	for _, lifetime := range []time.Duration{auth.NoExpiry, 48 * time.Hour, time.Minute} {
		_, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Lifetime: lifetime, Scopes: []string{auth.FullAccess}})
		require.NoError(t, err)
		_, next, err := strict.Rotate(t.Context(), "ada", c.ID, 0)
		require.NoError(t, err)
		want := time.Hour
		if lifetime == time.Minute {
			want = time.Minute
		}
		require.Equal(t, want, next.ExpiresAt.Sub(next.CreatedAt))
	}
}

func TestConcurrentRotations(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		overlap time.Duration
		lost    error
		live    int
	}{{time.Hour, auth.ErrConflict, 2}, {0, auth.ErrNotFound, 1}} {
		f := newFixture(t)
		first, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
		require.NoError(t, err)
		tokens, errs := make(chan string, 51), make(chan error, 50)
		tokens <- first
		for range 50 {
			go func() {
				token, _, err := f.bearer.Rotate(t.Context(), "ada", c.ID, test.overlap)
				if err == nil {
					tokens <- token
				}
				errs <- err
			}()
		}
		won := 0
		for range 50 {
			if err := <-errs; err == nil {
				won++
			} else {
				require.ErrorIs(t, err, test.lost)
			}
		}
		require.Equal(t, 1, won)
		close(tokens)
		live := 0
		for token := range tokens {
			if f.all().get(authorization("Bearer "+token)).Code == 200 {
				live++
			}
		}
		require.Equal(t, test.live, live)
	}
}

func TestConcurrentLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.bearer.MaxPerUser = 7 })
	var wg sync.WaitGroup
	errs := make(chan error, 100)
	for range 100 {
		wg.Go(func() {
			_, _, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	issued := 0
	for err := range errs {
		if err == nil {
			issued++
		} else {
			require.ErrorIs(t, err, auth.ErrLimit)
		}
	}
	require.Equal(t, 7, issued)
	_, _, err := f.bearer.Issue(t.Context(), "grace", tokenOptions("x"))
	require.NoError(t, err)
}

// A revoked token stays revoked, whatever is called.
func TestNoResurrection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := newFixture(t)
		h := f.all()
		token, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
		require.NoError(t, err)
		require.Equal(t, 200, h.get(authorization("Bearer "+token)).Code)
		require.NoError(t, f.bearer.Revoke(ctx, "ada", c.ID))
		synctest.Wait()
		again := importOptions("again")
		_, err = f.bearer.Import(ctx, "ada", token, again)
		require.ErrorIs(t, err, auth.ErrConflict)
		_, err = f.bearer.Import(ctx, "grace", token, again)
		require.ErrorIs(t, err, auth.ErrConflict)
		_, err = f.bearer.ImportDigest(ctx, "ada", sha256.Sum256([]byte(token)), again)
		require.ErrorIs(t, err, auth.ErrConflict)
		_, err = f.secret.Import(ctx, "ada", token, fullSecret)
		require.ErrorIs(t, err, auth.ErrConflict)
		_, _, err = f.bearer.Rotate(ctx, "ada", c.ID, time.Hour)
		require.ErrorIs(t, err, auth.ErrNotFound)
		_, err = f.bearer.RevokePlaintext(ctx, token)
		require.ErrorIs(t, err, auth.ErrNotFound)
		require.NoError(t, f.bearer.Close(ctx))
		require.Equal(t, 401, h.get(authorization("Bearer "+token)).Code)

		time.Sleep(time.Hour)
		_, err = f.store.Purge(ctx, time.Now())
		require.NoError(t, err)
		_, err = f.bearer.Import(ctx, "ada", token, again)
		require.NoError(t, err, "once it is purged, nothing is known of it")
	})
}

func TestLeakedToken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFixture(t, prefixed)
	token, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
	require.NoError(t, err)
	other := f.token("ada")
	f.events.take()
	ended, err := f.bearer.RevokePlaintext(ctx, token)
	require.NoError(t, err)
	require.Equal(t, c, ended)
	require.Equal(t, []auth.Event{{Type: auth.EventRevoked, Scheme: "Bearer", UserID: "ada", CredentialID: c.ID, Reason: auth.ReasonLeaked}}, f.events.take())
	for _, junk := range []string{token, "", "x", f.issueSecret("ada"), repeated("é", 1000)} {
		_, err := f.bearer.RevokePlaintext(ctx, junk)
		require.ErrorIs(t, err, auth.ErrNotFound)
	}
	accepted(t, f.all().get(authorization("Bearer "+other)), "ada", auth.SchemeBearer)
}

func TestRevokeAllOfAnAccount(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFixture(t)
	h := f.all()
	tokens := []string{f.token("ada"), f.token("ada")}
	here, session := f.session("ada")
	there, secret, grace := f.signIn("ada"), f.issueSecret("ada"), f.token("grace")
	n, err := f.bearer.RevokeAll(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = f.cookie.RevokeAll(ctx, "ada", session.ID)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = f.secret.RevokeAll(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for _, token := range tokens {
		require.Equal(t, 401, h.get(authorization("Bearer "+token)).Code)
	}
	require.Equal(t, 401, h.get(authorization("Secret "+secret)).Code)
	require.Equal(t, 401, h.get(withCookie(there)).Code)
	accepted(t, h.get(withCookie(here)), "ada", auth.SchemeCookie)
	accepted(t, h.get(authorization("Bearer "+grace)), "grace", auth.SchemeBearer)
	n, err = f.bearer.RevokeAll(ctx, "ada")
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, f.cookie.Revoke(ctx, "ada", session.ID))
	require.Equal(t, 401, h.get(withCookie(here)).Code)
	require.ErrorIs(t, f.cookie.Revoke(ctx, "ada", session.ID), auth.ErrNotFound)
}

func TestNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, test := range map[string]struct {
		value string
		ok    bool
	}{
		"one letter":                    {"x", true},
		"umlauts":                       {"Größe", true},
		"Arabic":                        {"مفتاح", true},
		"emoji joined by ZWJ":           {"👩\u200d💻", true},
		"a flag of tags":                {"🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", true},
		"markup":                        {"<script>alert(1)</script>", true},
		"255 bytes":                     {repeated("x", 255), true},
		"empty":                         {"", false},
		"spaces":                        {"  ", false},
		"no-break spaces":               {"\u00a0", false},
		"invisible only":                {"\u200b\u200d", false},
		"a Hangul filler":               {"\u3164", false},
		"half a Hangul filler":          {"\uffa0", false},
		"a choseong filler":             {"\u115f\u1160", false},
		"a blank of Braille":            {"\u2800", false},
		"256 bytes":                     {repeated("x", 256), false},
		"10 KiB":                        {repeated("x", 10<<10), false},
		"NUL":                           {"a\x00b", false},
		"newline":                       {"a\nb", false},
		"tab":                           {"a\tb", false},
		"ESC":                           {"a\x1b[31mb", false},
		"DEL":                           {"a\x7f", false},
		"C1 control":                    {"a\u0085b", false},
		"line separator":                {"a\u2028b", false},
		"paragraph separator":           {"a\u2029b", false},
		"right-to-left override":        {"a\u202eb", false},
		"isolate":                       {"a\u2066b", false},
		"Arabic letter mark":            {"a\u061cb", false},
		"left-to-right mark":            {"a\u200eb", false},
		"bad UTF-8":                     {"a\xffb", false},
		"half of a surrogate, as UTF-8": {"a\xed\xa0\x80b", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions(test.value))
			if test.ok {
				require.NoError(t, err)
				require.Equal(t, test.value, c.Name)
				return
			}
			require.ErrorIs(t, err, auth.ErrInvalidArgument)
			require.ErrorContains(t, err, "Name")
		})
	}
}

// A session is named by what a browser says of itself: it is tamed, not refused.
func TestSessionNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for sent, want := range map[string]string{
		"Mozilla/5.0 (X11)":    "Mozilla/5.0 (X11)",
		"":                     "",
		"a\x1b[31mb\u202ec":    "a[31mbc",
		"a\xffb":               "ab",
		repeated("x", 1<<20):   repeated("x", 255),
		repeated("é", 10_000):  repeated("é", 127),
		repeated("\x00", 5000): "",
	} {
		w := newRecorder()
		c, err := f.cookie.SignIn(w, request("POST", field("User-Agent", sent)), "ada", auth.SessionOptions{})
		require.NoError(t, err)
		require.Equal(t, want, c.Name)
	}
}

func TestUserIDs(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFixture(t)
	for name, test := range map[string]struct {
		id string
		ok bool
	}{
		"a number": {"42", true}, "a UUID": {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", true}, "an address": {"ada@example.com", true},
		"spaces": {" a ", true}, "any script": {"世界", true}, "255 bytes": {repeated("x", 255), true},
		"empty": {"", false}, "256 bytes": {repeated("x", 256), false}, "NUL": {"a\x00", false}, "newline": {"a\n", false},
		"C1 control": {"a\u0085", false}, "bad UTF-8": {"\xff", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, issue := f.bearer.Issue(ctx, test.id, tokenOptions("x"))
			_, imported := f.bearer.Import(ctx, test.id, repeated("a", 24)+strings.ReplaceAll(name, " ", ""), importOptions("x"))
			_, digest := f.bearer.ImportDigest(ctx, test.id, sha256.Sum256([]byte(name)), importOptions("x"))
			_, sc, issueSecret := f.secret.Issue(ctx, test.id, fullSecret)
			_, signIn := f.cookie.SignIn(newRecorder(), request("POST"), test.id, auth.SessionOptions{})
			_, list := f.bearer.List(ctx, test.id, auth.Page{})
			_, sessions := f.cookie.List(ctx, test.id, auth.Page{})
			_, secrets := f.secret.List(ctx, test.id, auth.Page{})
			_, all := f.bearer.RevokeAll(ctx, test.id)
			_, sc, rotate := f.secret.Rotate(ctx, test.id, sc.ID, 0)
			for call, err := range map[string]error{
				"Issue": issue, "Import": imported, "ImportDigest": digest, "Secret.Issue": issueSecret, "SignIn": signIn, "List": list,
				"Cookie.List": sessions, "Secret.List": secrets, "RevokeAll": all, "Secret.Rotate": rotate,
				"Secret.Revoke": f.secret.Revoke(ctx, test.id, sc.ID),
			} {
				if test.ok {
					require.NoError(t, err, call)
				} else {
					require.ErrorIs(t, err, auth.ErrInvalidArgument, call)
				}
			}
			if !test.ok {
				require.ErrorIs(t, f.bearer.Revoke(ctx, test.id, "x"), auth.ErrInvalidArgument)
				_, _, err := f.bearer.Rotate(ctx, test.id, "x", 0)
				require.ErrorIs(t, err, auth.ErrInvalidArgument)
				require.ErrorIs(t, f.secret.Revoke(ctx, test.id, "x"), auth.ErrInvalidArgument)
				_, err = f.secret.Import(ctx, test.id, repeated("z", 32), fullSecret)
				require.ErrorIs(t, err, auth.ErrInvalidArgument)
			}
		})
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		max      time.Duration
		lifetime time.Duration
		ok       bool
	}{
		{"none", 0, 0, false},
		{"none under a policy", time.Hour, 0, false},
		{"never", 0, auth.NoExpiry, true},
		{"never under a policy", time.Hour, auth.NoExpiry, false},
		{"the shortest", 0, time.Minute, true},
		{"under a minute", 0, time.Minute - 1, false},
		{"under a minute under a policy", time.Hour, time.Minute - 1, false},
		{"negative", 0, -1, false},
		{"negative under a policy", time.Hour, -time.Hour, false},
		{"as the policy allows", time.Hour, time.Hour, true},
		{"over the policy", time.Hour, time.Hour + 1, false},
		{"the longest", 0, math.MaxInt64 - 1, true},
		{"the most negative", 0, math.MinInt64, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(c *configs) { c.bearer.MaxLifetime = test.max })
			token, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Lifetime: test.lifetime, Scopes: []string{auth.FullAccess}})
			if !test.ok {
				require.ErrorIs(t, err, auth.ErrInvalidArgument)
				require.ErrorContains(t, err, "Lifetime")
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.lifetime == auth.NoExpiry, c.ExpiresAt.IsZero())
			require.Equal(t, 200, f.all().get(authorization("Bearer "+token)).Code)
			if test.lifetime == math.MaxInt64-1 {
				require.Greater(t, c.ExpiresAt.Year(), 2250)
			}
		})
	}
	f := newFixture(t, func(c *configs) { c.cookie.Lifetime = time.Hour })
	for lifetime, ok := range map[time.Duration]bool{-1: false, 0: true, 1: true, time.Minute: true, time.Hour: true, time.Hour + 1: false} {
		w := newRecorder()
		c, err := f.cookie.SignIn(w, request("POST"), "ada", auth.SessionOptions{Lifetime: lifetime})
		if !ok {
			require.ErrorIs(t, err, auth.ErrInvalidArgument)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.ExpiresAt.Sub(c.CreatedAt), time.Duration(w.Result().Cookies()[0].MaxAge)*time.Second)
	}
}

func TestScopesOfNewTokens(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		known  []string
		scopes []string
		want   auth.Scopes
		ok     bool
	}{
		{"none", nil, nil, "", false},
		{"the wildcard", nil, []string{"*"}, "*", true},
		{"empty", nil, []string{}, "", false},
		{"any", nil, []string{"read:user", "x"}, "read:user x", true},
		{"twice", nil, []string{"a", "b", "a"}, "a b", true},
		{"known", []string{"read", "write"}, []string{"write"}, "write", true},
		{"full access where some are known", []string{"read"}, []string{auth.FullAccess}, "*", true},
		{"unknown", []string{"read"}, []string{"write"}, "", false},
		{"in other case", []string{"read"}, []string{"READ"}, "", false},
		{"the wildcard beside another", nil, []string{"*", "read"}, "", false},
		{"the wildcard behind another", nil, []string{"read", "*"}, "", false},
		{"empty name", nil, []string{""}, "", false},
		{"a space", nil, []string{"a b"}, "", false},
		{"a quote", nil, []string{`a"`}, "", false},
		{"a backslash", nil, []string{`a\`}, "", false},
		{"a line break", nil, []string{"a\n"}, "", false},
		{"outside ASCII", nil, []string{"é"}, "", false},
		{"2,048 bytes", nil, []string{repeated("a", 1023), repeated("b", 1024)}, auth.Scopes(repeated("a", 1023) + " " + repeated("b", 1024)), true},
		{"2,048 bytes of one", nil, []string{repeated("a", 2048)}, auth.Scopes(repeated("a", 2048)), true},
		{"2,049 bytes", nil, []string{repeated("a", 1024), repeated("b", 1024)}, "", false},
		{"2,049 bytes of one", nil, []string{repeated("a", 2049)}, "", false},
		{"10,000", nil, numbered(10_000), "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(c *configs) { c.bearer.Scopes = test.known })
			_, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: test.scopes, Lifetime: auth.NoExpiry})
			if !test.ok {
				require.ErrorIs(t, err, auth.ErrInvalidArgument)
				require.ErrorContains(t, err, "Scopes")
			} else {
				require.NoError(t, err)
				require.Equal(t, test.want, c.Scopes)
			}
			if test.known == nil {
				_, err = f.cookie.SignIn(newRecorder(), request("POST"), "ada", auth.SessionOptions{Scopes: test.scopes})
				require.Equal(t, test.ok || test.scopes == nil, err == nil)
				parsed, err := auth.ParseScopes(test.scopes)
				require.Equal(t, test.ok, err == nil)
				require.Equal(t, test.want, parsed)
			}
		})
	}
}

func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("s", i)
	}
	return names
}

// Whatever the store does, a lifecycle call fails with an error that says so, and
// no plaintext comes with it.
func TestLifecycleWhileTheStoreIsOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := context.Background()
	token, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
	require.NoError(t, err)
	_, sc := f.newSecret("ada")
	down := errors.New("connection refused")
	calls := map[string]func() (string, error){
		"Issue": func() (string, error) {
			p, _, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
			return p, err
		},
		"Import": func() (string, error) {
			_, err := f.bearer.Import(ctx, "ada", repeated("i", 32), importOptions("x"))
			return "", err
		},
		"List":            func() (string, error) { _, err := f.bearer.List(ctx, "ada", auth.Page{}); return "", err },
		"Rotate":          func() (string, error) { p, _, err := f.bearer.Rotate(ctx, "ada", c.ID, 0); return p, err },
		"Revoke":          func() (string, error) { return "", f.bearer.Revoke(ctx, "ada", c.ID) },
		"RevokeAll":       func() (string, error) { _, err := f.bearer.RevokeAll(ctx, "ada"); return "", err },
		"RevokePlaintext": func() (string, error) { _, err := f.bearer.RevokePlaintext(ctx, token); return "", err },
		"Secret.Issue":    func() (string, error) { p, _, err := f.secret.Issue(ctx, "eve", fullSecret); return p, err },
		"Secret.Import": func() (string, error) {
			_, err := f.secret.Import(ctx, "eve", repeated("i", 32), fullSecret)
			return "", err
		},
		"Secret.List":      func() (string, error) { _, err := f.secret.List(ctx, "ada", auth.Page{}); return "", err },
		"Secret.Get":       func() (string, error) { _, err := f.secret.Get(ctx, "ada", sc.ID); return "", err },
		"Reveal":           func() (string, error) { return f.secret.Reveal(ctx, "ada", sc.ID) },
		"Secret.Rotate":    func() (string, error) { p, _, err := f.secret.Rotate(ctx, "ada", sc.ID, 0); return p, err },
		"Secret.Revoke":    func() (string, error) { return "", f.secret.Revoke(ctx, "ada", sc.ID) },
		"Secret.RevokeAll": func() (string, error) { _, err := f.secret.RevokeAll(ctx, "ada"); return "", err },
		"Cookie.List":      func() (string, error) { _, err := f.cookie.List(ctx, "ada", auth.Page{}); return "", err },
	}
	// The Nth call of the store fails, for every N that there is.
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				f.events.take()
				made := 0
				f.store.fail = func(string) error {
					if made++; made == n {
						return down
					}
					return nil
				}
				plaintext, err := call()
				f.store.fail = nil
				if made < n {
					require.Greater(t, n, 1, "the store was not asked")
					return
				}
				require.ErrorIs(t, err, auth.ErrUnavailable)
				require.ErrorIs(t, err, down)
				require.Empty(t, plaintext)
				require.Empty(t, f.events.take(), "an event of what did not happen")
				if n > 10 {
					t.Fatal("no end")
				}
			}
		})
	}
}

// "Not found" would tell whoever answers to a leak that it is over.
func TestRevokePlaintextOverALookupFunc(t *testing.T) {
	t.Parallel()
	b, err := auth.NewBearer(auth.LookupStore(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) {
		return &auth.Credential{UserID: "ada", Scopes: "*"}, nil // all that the doc asks for
	}), auth.BearerConfig{})
	require.NoError(t, err)
	_, err = b.RevokePlaintext(t.Context(), repeated("a", 32))
	require.ErrorIs(t, err, errors.ErrUnsupported, "ErrNotFound says that it is no live token: it is")
}

func TestTimesAreWholeMicroseconds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Lifetime: time.Hour + 1, Scopes: []string{auth.FullAccess}})
	require.NoError(t, err)
	require.Equal(t, c.ExpiresAt.Truncate(time.Microsecond), c.ExpiresAt)
	_, _, err = f.bearer.Rotate(t.Context(), "ada", c.ID, time.Minute+1)
	require.NoError(t, err)
	list, err := f.bearer.List(t.Context(), "ada", auth.Page{})
	require.NoError(t, err)
	for _, c := range list {
		require.Equal(t, c.ExpiresAt.Truncate(time.Microsecond), c.ExpiresAt)
	}
}

func TestAllOfAPlaintextCounts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, n := range []int{63, 64, 65, 66} {
		c, err := f.bearer.Import(t.Context(), "ada", repeated("a", n), importOptions("x"))
		require.NoError(t, err)
		require.EqualValues(t, sha256.Sum256([]byte(repeated("a", n))), c.Digest)
	}
}
