package auth_test

import (
	"crypto/sha256"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A credential of one kind is not accepted as another.
func TestRequire_kindsAreNotConfused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	// A user could extract the session's token from memory: the store gets a session
	// whose token the test knows.
	session := repeated("s", 32)
	require.NoError(t, f.store.Create(t.Context(), auth.Credential{
		ID: "s", Kind: auth.KindSession, UserID: "ada", Scopes: "*", Digest: sha256.Sum256([]byte(session)), CreatedAt: time.Now(),
	}, 0))
	for name, header := range map[string]string{
		"token as secret":   "Secret " + f.token("ada"),
		"secret as token":   "Bearer " + f.issueSecret("ada"),
		"session as token":  "Bearer " + session,
		"session as secret": "Secret " + session,
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, 401, h.get(authorization(header)).Code)
			require.Zero(t, h.served.Load())
		})
	}
}

// Rotate reads the record and then replaces it. What an Update changes in between would be
// lost in the new record: the call fails, and the old token stays as it was updated.
func TestRotate_duringUpdate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	plaintext, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
	require.NoError(t, err)
	f.store.after = func(method string) {
		if method == "Get" {
			f.store.after = nil
			f.bind(c, "192.0.2.0/24")
		}
	}
	_, _, err = f.bearer.Rotate(ctx, "ada", c.ID, time.Hour)
	require.ErrorIs(t, err, auth.ErrConflict)
	require.Equal(t, 401, f.all().get(authorization("Bearer "+plaintext), from("198.51.100.1")).Code)
	_, next, err := f.bearer.Rotate(ctx, "ada", c.ID, time.Hour)
	require.NoError(t, err)
	require.Equal(t, auth.Networks("192.0.2.0/24"), next.Networks)
}

// IDs come from URLs. An invalid one is not found, and must not cause an error of the
// database, which would look like an outage.
func TestRevoke_invalidID(t *testing.T) {
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

func TestIssue_idsSortByCreation(t *testing.T) {
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

// No call makes a revoked token valid again, until it is purged.
func TestImport_revokedToken(t *testing.T) {
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
		require.NoError(t, err, "after Purge the store does not know it")
	})
}

func TestRevokePlaintext(t *testing.T) {
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
	require.Equal(t, []auth.Event{{Type: auth.EventRevoked, Operation: "revoke_plaintext", Scheme: "Bearer", UserID: "ada", CredentialID: c.ID, Reason: auth.ReasonLeaked}}, f.events.take())
	for _, junk := range []string{token, "", "x", f.issueSecret("ada"), repeated("é", 1000)} {
		_, err := f.bearer.RevokePlaintext(ctx, junk)
		require.ErrorIs(t, err, auth.ErrNotFound)
	}
	accepted(t, f.all().get(authorization("Bearer "+other)), "ada", auth.SchemeBearer)
}

func TestRevokeAll(t *testing.T) {
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

// Package text tests the rules for names in more detail. Here is how faults are reported.
func TestIssue_names(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, fault := range map[string]string{
		"Größe":            "",
		"👩\u200d💻":         "",
		repeated("x", 255): "",
		"":                 "must not be empty",
		repeated("x", 256): "must be at most 255 bytes",
		"a\u202eb":         "must not have control characters, line separators or marks of text direction",
		"a\xffb":           "must be UTF-8",
	} {
		_, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions(name))
		if fault == "" {
			require.NoError(t, err)
			require.Equal(t, name, c.Name)
			continue
		}
		require.ErrorIs(t, err, auth.ErrInvalidArgument)
		require.ErrorContains(t, err, "Name: "+fault)
	}
}

func TestIssue_userIDs(t *testing.T) {
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

func TestIssue_lifetimes(t *testing.T) {
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

func TestIssue_wholeMicroseconds(t *testing.T) {
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

func TestImport_hashesTheWholePlaintext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, n := range []int{63, 64, 65, 66} {
		c, err := f.bearer.Import(t.Context(), "ada", repeated("a", n), importOptions("x"))
		require.NoError(t, err)
		require.EqualValues(t, sha256.Sum256([]byte(repeated("a", n))), c.Digest)
	}
}

func TestGet_otherUsers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, token, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("deploy"))
	require.NoError(t, err)
	_, session := f.session("ada")

	got, err := f.bearer.Get(t.Context(), "ada", token.ID)
	require.NoError(t, err)
	require.Equal(t, token, got)
	got, err = f.cookie.Get(t.Context(), "ada", session.ID)
	require.NoError(t, err)
	require.Equal(t, session, got)

	for name, wrong := range map[string]struct{ user, token, session string }{
		"another user":  {"grace", token.ID, session.ID},
		"another kind":  {"ada", session.ID, token.ID},
		"an absent ID":  {"ada", "absent", "absent"},
		"an invalid ID": {"ada", "\x00", "\xff"},
	} {
		_, err := f.bearer.Get(t.Context(), wrong.user, wrong.token)
		require.ErrorIs(t, err, auth.ErrNotFound, name)
		_, err = f.cookie.Get(t.Context(), wrong.user, wrong.session)
		require.ErrorIs(t, err, auth.ErrNotFound, name)
	}
	_, err = f.bearer.Get(t.Context(), "", token.ID)
	require.ErrorIs(t, err, auth.ErrInvalidArgument)

	f.store.fail = func(string) error { return errors.New("out") }
	_, err = f.bearer.Get(t.Context(), "ada", token.ID)
	require.ErrorIs(t, err, auth.ErrUnavailable)
}
