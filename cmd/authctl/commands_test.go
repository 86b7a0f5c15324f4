package main

import (
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

var update = flag.Bool("update", false, "write the golden file")

// fixed are the records that the golden file shows. Nothing in it depends on the present time.
func fixed(t testing.TB, s *store) {
	t.Helper()
	at := func(year int) time.Time { return time.Date(year, 1, 31, 12, 0, 0, 0, time.UTC) }
	for _, c := range []auth.Credential{
		{ID: "01JZ8Q4M7T3B5K9W2XDGH6NRV0", Kind: auth.KindToken, UserID: "alice", Name: "deploy", Hint: "acme_pat_…1234",
			Scopes: "read write", Networks: "10.0.0.0/8", Metadata: "tenant=acme", Digest: digestOf("first"), CreatedAt: at(2024), ExpiresAt: at(2100)},
		{ID: "01JZ8Q4M7T3B5K9W2XDGH6NRV1", Kind: auth.KindSecret, UserID: "alice", Hint: "acme_cs_…5678",
			Scopes: "*", Digest: digestOf("second"), CreatedAt: at(2024), LastUsedAt: at(2025)},
		{ID: "01JZ8Q4M7T3B5K9W2XDGH6NRV2", Kind: auth.KindSession, UserID: "alice", Name: "Mozilla/5.0",
			Scopes: "*", Digest: digestOf("third"), CreatedAt: at(2099), ExpiresAt: at(2100)},
	} {
		require.NoError(t, s.Create(t.Context(), c, 0))
	}
}

// The JSON of every command that reads, and of those that revoke, is the same in all stores.
func TestCommands_json(t *testing.T) {
	t.Parallel()
	golden := filepath.Join("testdata", "json.golden")
	eachStore(t, func(t *testing.T, url string) {
		fixed(t, opened(t, url))
		var b strings.Builder
		for _, line := range []string{
			"token list", "token list alice", "token show 01JZ8Q4M7T3B5K9W2XDGH6NRV0", "secret show alice",
			"session list alice", "user show alice", "expiring --within 36500d", "unused --for 90d",
			"export", "export --kind token --sha256", "export --kind token --format csv",
			"token show nothing", "token show nothing --user alice", "token list bob",
			"leaked plaintexts", "token revoke 01JZ8Q4M7T3B5K9W2XDGH6NRV0",
			"session revoke 01JZ8Q4M7T3B5K9W2XDGH6NRV2 --user alice", "user revoke-all alice",
		} {
			args := append(strings.Fields(line), "--json", "--yes")
			if line == "leaked plaintexts" {
				file := filepath.Join(t.TempDir(), "plaintexts")
				require.NoError(t, os.WriteFile(file, []byte("second\nunknown\n"), 0o600))
				args[1] = file
			}
			r := authctl(t, url, args...)
			lines := slices.Sorted(strings.Lines(r.stdout)) // a scan has no order
			_, _ = b.WriteString("$ authctl " + line + "\n" + strings.Join(lines, "") + r.stderr)
			for text := range strings.Lines(r.stdout) {
				require.True(t, json.Valid([]byte(text)), text)
			}
		}
		if *update && strings.HasPrefix(url, "sqlite:") {
			require.NoError(t, os.WriteFile(golden, []byte(b.String()), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), b.String())
	})
}

func TestTokenIssue(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		r := ok(t, url, "token", "issue", "alice", "--prefix", "acme_pat", "--name", "deploy", "--scope", "read,write",
			"--lifetime", "90d", "--network", "10.0.0.0/8", "--metadata", "tenant=acme")
		require.Regexp(t, `^acme_pat_[0-9A-Za-z]{38}\n$`, r.stdout)
		require.NotContains(t, r.stderr, strings.TrimSpace(r.stdout))
		c, err := opened(t, url).Lookup(t.Context(), auth.KindToken, digestOf(strings.TrimSpace(r.stdout)))
		require.NoError(t, err)
		require.Equal(t, auth.Scopes("read write"), c.Scopes)
		require.Equal(t, auth.Networks("10.0.0.0/8"), c.Networks)
		require.Equal(t, "acme", c.Metadata.Get("tenant"))
		require.Equal(t, 90*day, c.ExpiresAt.Sub(c.CreatedAt))

		r = ok(t, url, "token", "issue", "alice", "--prefix", "acme_pat", "--name", "x", "--full-access", "--no-expiry", "--json")
		var document struct{ Plaintext, ID, Scopes string }
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &document))
		require.True(t, accepted(t, opened(t, url), document.Plaintext))
		require.Equal(t, auth.FullAccess, document.Scopes)
	})
}

func TestTokenRevoke(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		s := opened(t, url)
		plaintext := issue(t, url, "alice")
		c, err := s.Lookup(t.Context(), auth.KindToken, digestOf(plaintext))
		require.NoError(t, err)
		require.Equal(t, exitNothing, authctl(t, url, "token", "revoke", c.ID, "--user", "bob", "--yes").code)
		require.Equal(t, exitNothing, authctl(t, url, "session", "revoke", c.ID, "--yes").code)
		require.True(t, accepted(t, s, plaintext))
		ok(t, url, "token", "revoke", c.ID, "--yes") // without the user
		require.False(t, accepted(t, s, plaintext))
		require.Equal(t, exitNothing, authctl(t, url, "token", "revoke", c.ID, "--yes").code)
	})
}

func TestUserRevokeAll(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		s := opened(t, url)
		others := issue(t, url, "bob")
		tokens := []string{issue(t, url, "alice"), issue(t, url, "alice")}
		secret, err := auth.NewSecret(s, auth.SecretConfig{Prefix: "acme_cs"})
		require.NoError(t, err)
		_, _, err = secret.Issue(t.Context(), "alice", auth.SecretOptions{Scopes: []string{"read"}, Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		cookie, err := auth.NewCookie(s, auth.CookieConfig{Keys: auth.Keys{[]byte(rand.Text() + rand.Text())}})
		require.NoError(t, err)
		_, err = cookie.SignIn(httptest.NewRecorder(), httptest.NewRequest("POST", "https://example.com/", nil), "alice", auth.SessionOptions{})
		require.NoError(t, err)

		r := ok(t, url, "user", "show", "alice")
		require.Equal(t, 5, strings.Count(r.stdout, "\n"), r.stdout) // the head and four credentials
		r = ok(t, url, "secret", "show", "alice")
		require.Contains(t, r.stdout, "acme_cs_…")
		r = ok(t, url, "user", "revoke-all", "alice", "--yes", "--json")
		require.JSONEq(t, `{"user_id":"alice","tokens":2,"secrets":1,"sessions":1}`, r.stdout)
		for _, plaintext := range tokens {
			require.False(t, accepted(t, s, plaintext))
		}
		require.True(t, accepted(t, s, others))
		require.Equal(t, exitNothing, authctl(t, url, "user", "revoke-all", "alice", "--yes").code)
		require.Equal(t, exitNothing, authctl(t, url, "user", "show", "alice").code)
		require.Equal(t, exitNothing, authctl(t, url, "secret", "revoke", "alice", "--yes").code)
	})
}

// A session that is bound to its device replaces the one that its sign-in reported. An operator who
// revokes it by the ID of before must not be told that it was revoked while the bound one lives on.
func TestSessionRevoke_bound(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		s := opened(t, url)
		for _, purged := range []bool{false, true} {
			for _, user := range [][]string{nil, {"--user", "alice"}} {
				name := fmt.Sprint(purged, len(user))
				at := time.Now().UTC().Truncate(time.Microsecond)
				old := auth.Credential{
					UserID: "alice", ID: "old" + name, Kind: auth.KindSession, Scopes: "*", Digest: digestOf("old" + name),
					CreatedAt: at, ExpiresAt: at.Add(time.Hour),
				}
				require.NoError(t, s.Create(t.Context(), old, 0))
				bound := old
				bound.ID, bound.Digest, bound.Previous, bound.Sealed = "new"+name, digestOf("new"+name), old.ID, []byte("key")
				until := at.Add(10 * time.Second)
				if purged {
					until = at.Add(time.Microsecond)
				}
				require.NoError(t, s.Rotate(t.Context(), old, bound, until))
				if purged {
					_, err := s.Purge(t.Context(), time.Now())
					require.NoError(t, err)
				}
				list := ok(t, url, "session", "list", "alice", "--json").stdout
				require.Equal(t, 1, strings.Count(list, `"bound":true`), list)
				r := ok(t, url, append([]string{"session", "revoke", old.ID, "--yes"}, user...)...)
				require.Contains(t, r.stdout, "revoked: session "+bound.ID+" of user alice")
				require.Contains(t, r.stdout, "bound to its device")
				require.Equal(t, exitNothing, authctl(t, url, "session", "list", "alice").code)
				require.Equal(t, exitNothing, authctl(t, url, append([]string{"session", "revoke", old.ID, "--yes"}, user...)...).code)
			}
		}
	})
}

// The sessions in which a user acts are of other users. They are listed with the actor, and end
// with --acting.
func TestUserRevokeAll_acting(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		s := opened(t, url)
		for _, c := range []auth.Credential{{UserID: "alice", ID: "own"}, {UserID: "alice", ID: "acted", Actor: "mallory"}, {UserID: "mallory", ID: "mallory"}, {UserID: "bob", ID: "other", Actor: "mallory2"}} {
			c.Kind, c.Scopes, c.Digest = auth.KindSession, "*", digestOf(c.ID)
			c.CreatedAt, c.ExpiresAt = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
			require.NoError(t, s.Create(t.Context(), c, 0))
		}
		require.Regexp(t, `(?m)^session  acted .* mallory *$`, ok(t, url, "session", "list").stdout)
		r := authctl(t, url, "user", "revoke-all", "", "--acting", "--yes")
		require.Equal(t, exitUsage, r.code)
		require.Equal(t, 1, strings.Count(r.stderr, "must be 1 to 255 bytes"), r.stderr)
		r = ok(t, url, "user", "revoke-all", "mallory", "--acting", "--yes", "--json")
		require.JSONEq(t, `{"user_id":"mallory","tokens":0,"secrets":0,"sessions":1,"acting_sessions":1}`, r.stdout)
		list := ok(t, url, "session", "list", "--json").stdout
		require.Equal(t, 2, strings.Count(list, "\n"), list)
		require.Contains(t, list, `"id":"own"`)
		require.Contains(t, list, `"id":"other"`)
		r = ok(t, url, "user", "revoke-all", "mallory2", "--acting", "--yes")
		require.Contains(t, r.stdout, "0 sessions, 1 acting sessions")
	})
}

func TestLeaked(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		s := opened(t, url)
		first, second, third, kept := issue(t, url, "alice"), issue(t, url, "bob"), issue(t, url, "carol"), issue(t, url, "dave")
		r := authctlWith(t, url, "  "+first+"\r\n\nnothing that is known\n"+first+"\n", "leaked", "--yes")
		require.Equal(t, exitOK, r.code, r.stderr)
		require.False(t, accepted(t, s, first))
		require.Contains(t, r.stdout, "line 3: unknown")
		require.Contains(t, r.stdout, "user alice")
		require.NotContains(t, r.stdout+r.stderr, first)

		r = authctlWith(t, url, first, "leaked", "--yes") // again
		require.Equal(t, exitOK, r.code)
		require.Contains(t, r.stdout, "already_revoked")

		// A secret has leaked in the same log.
		secret, err := auth.NewSecret(s, auth.SecretConfig{Prefix: "acme_pat"})
		require.NoError(t, err)
		plaintext, _, err := secret.Issue(t.Context(), "erin", auth.SecretOptions{Scopes: []string{"read"}, Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		log := "GET /?token=" + second + `&x=1 {"header":"a\nacme_pat_short ` + third + `"} %3D` + plaintext
		r = authctlWith(t, url, log, "leaked", "--prefix", "acme_pat", "--yes")
		require.Equal(t, exitOK, r.code, r.stderr)
		require.Contains(t, r.stderr, "3 revoked, 0 revoked before, 0 unknown, 0 failed")
		require.Equal(t, []bool{false, false, true}, []bool{accepted(t, s, second), accepted(t, s, third), accepted(t, s, kept)})

		require.Equal(t, exitNothing, authctlWith(t, url, "unknown", "leaked", "--yes").code)
	})
}

// A file may come from Windows, where programs write byte order marks and UTF-16.
func TestLeaked_encodings(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	s := opened(t, url)
	for name, form := range map[string]string{
		"byte order mark": "\ufeff%s\r\n%s\r\n", "carriage returns": "%s\r%s\r", "spaces": "\u00a0%s\t\n\v%s ",
	} {
		first, second := issue(t, url, "alice"), issue(t, url, "bob")
		r := authctlWith(t, url, fmt.Sprintf(form, first, second), "leaked", "--yes")
		require.Equal(t, exitOK, r.code, "%s: %s", name, r.stderr)
		require.Contains(t, r.stderr, "2 revoked, 0 revoked before, 0 unknown", name)
		require.False(t, accepted(t, s, first) || accepted(t, s, second), name)
	}
	plaintext := issue(t, url, "carol")
	wide := strings.Join(strings.Split(plaintext, ""), "\x00")
	for _, text := range []string{"\xff\xfe" + wide + "\x00", "\xfe\xff\x00" + wide, wide + "\x00", "\x00" + wide} {
		for _, args := range [][]string{{"leaked", "--yes"}, {"leaked", "--yes", "--prefix", "acme_pat"}, {"import", "-", "--no-expiry"}} {
			r := authctlWith(t, url, text, args...)
			require.Equal(t, exitUsage, r.code, args)
			require.Contains(t, r.stderr, "not UTF-8", args)
		}
	}
}

// The message says why nothing was found: it may be the wrong prefix, or the wrong form.
func TestLeaked_nothing(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	plaintext := issue(t, url, "alice")
	for text, want := range map[string]string{
		"":                    "the input has no plaintexts",
		"\n \r\n":             "the input has no plaintexts",
		`"` + plaintext + `"`: "--prefix finds tokens",
		"Bearer " + plaintext: "--prefix finds tokens",
	} {
		r := authctlWith(t, url, text, "leaked", "--yes")
		require.Equal(t, exitNothing, r.code, text)
		require.Contains(t, r.stderr, want, text)
	}
	for _, prefix := range []string{"acme", "acme_pat_"} {
		r := authctlWith(t, url, plaintext, "leaked", "--yes", "--prefix", prefix)
		require.Equal(t, exitNothing, r.code)
		require.Contains(t, r.stderr, "the input has no token that begins with "+prefix+"_\n")
	}
}

// A plaintext that is given as an argument by mistake is not printed, and not read as a file.
func TestLeaked_argument(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	plaintext := issue(t, url, "alice")
	for _, args := range [][]string{{plaintext}, {plaintext, plaintext}, {"--prefix", plaintext}, {"--" + plaintext}} {
		r := authctl(t, url, append([]string{"leaked", "--yes"}, args...)...)
		require.Equal(t, exitUsage, r.code)
		require.NotContains(t, r.stdout+r.stderr, plaintext[9:])
	}
	require.True(t, accepted(t, opened(t, url), plaintext))
}

// A plaintext or the URL of the store in any wrong place is not printed.
func TestErrors_secretArgument(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	plaintext := issue(t, url, "alice")
	const legacy = "legacy-0000000000000-000000000000"
	const other = "postgres://admin:pass%2Fword@127.0.0.1/x"
	for _, args := range [][]string{
		{"token", "show", plaintext}, {"token", "show", legacy}, {"token", "revoke", legacy, "--user", "alice", "--yes", "--json"},
		{"user", "show", plaintext}, {"session", "revoke", plaintext, "--user", plaintext},
		{"expiring", "--within=" + plaintext}, {"export", "--kind=" + legacy}, {"export", "--kind", legacy + "\"\n\\"},
		{"token", "list", "--store-file", other}, {"import", "--no-expiry", other}, {"keygen", "--out", other}, {"expiring", "--within", other + "\\"},
		{"leaked", "--prefix=" + plaintext}, {"import", "tokens.csv", "--prefix", plaintext},
		{"token", "issue", "bob", "--prefix", plaintext, "--name", "x", "--scope", "read", "--no-expiry"},
		{"token", "issue", "bob", "--prefix", "x", "--name", "x", "--scope", "read", "--no-expiry", "--network", plaintext},
	} {
		r := authctl(t, url, args...)
		require.NotEqual(t, exitOK, r.code, args)
		require.NotEmpty(t, r.stderr, args)
		require.NotContains(t, r.stdout+r.stderr, plaintext[9:20], args)
		require.NotContains(t, r.stdout+r.stderr, legacy[:15], args)
		requireNoPassword(t, r)
	}
	require.True(t, accepted(t, opened(t, url), plaintext))
}

// With --json, an error of the command line is a document too.
func TestErrors_json(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--json", "token", "list", "--bogus"}, {"purge", "--json"}, {"expiring", "--within", "14", "--json"}, {"--json"}} {
		r := authctl(t, "", args...)
		require.Equal(t, exitUsage, r.code, args)
		var failure struct {
			Error string
			Code  int `json:"exit_code"`
		}
		require.NoError(t, json.Unmarshal([]byte(r.stderr), &failure), args)
		require.NotEmpty(t, failure.Error, args)
		require.Equal(t, exitUsage, failure.Code, args)
	}
	require.False(t, json.Valid([]byte(authctl(t, "", "keygen", "extra", "--", "--json").stderr)))
}

func TestExpiring_unused(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		now := time.Now().UTC().Truncate(time.Microsecond)
		s := opened(t, url)
		for name, c := range map[string]auth.Credential{
			"soon":    {CreatedAt: now, ExpiresAt: now.Add(7 * day)},
			"later":   {CreatedAt: now, ExpiresAt: now.Add(30 * day)},
			"never":   {CreatedAt: now.Add(-200 * day)},
			"used":    {CreatedAt: now.Add(-200 * day), LastUsedAt: now.Add(-day)},
			"idle":    {CreatedAt: now.Add(-200 * day), LastUsedAt: now.Add(-100 * day)},
			"expired": {CreatedAt: now.Add(-200 * day), ExpiresAt: now.Add(-time.Hour)},
		} {
			c.ID, c.Kind, c.UserID, c.Name, c.Scopes, c.Digest = name, auth.KindToken, "alice", name, "read", digestOf(name)
			require.NoError(t, s.Create(t.Context(), c, 0))
		}
		require.Equal(t, []string{"soon"}, names(t, ok(t, url, "expiring", "--within", "14d", "--json").stdout))
		require.Equal(t, []string{"idle", "never"}, names(t, ok(t, url, "unused", "--for", "90d", "--json").stdout))
		require.Equal(t, exitNothing, authctl(t, url, "expiring", "--within", "1h").code)
		require.Equal(t, exitNothing, authctl(t, url, "unused", "--for", "300d").code)

		// What expired long ago is deleted, and what did so within two days cannot be.
		require.NoError(t, s.Create(t.Context(), auth.Credential{ID: "old", Kind: auth.KindToken, UserID: "alice", Name: "old", Scopes: "read",
			Digest: digestOf("old"), CreatedAt: now.Add(-200 * day), ExpiresAt: now.Add(-100 * day)}, 0))
		require.Equal(t, exitUsage, authctl(t, url, "purge", "--before", "1h", "--yes").code)
		r := ok(t, url, "purge", "--before", "30d", "--yes", "--json")
		if !strings.HasPrefix(url, "redis") { // which removes expired records by itself
			require.Contains(t, r.stdout, `"purged":1`)
		}
		require.NotContains(t, ok(t, url, "token", "list").stdout, "old")
	})
}

func names(t testing.TB, lines string) (list []string) {
	t.Helper()
	for text := range strings.Lines(lines) {
		var c auth.Credential
		require.NoError(t, json.Unmarshal([]byte(text), &c))
		list = append(list, c.Name)
	}
	slices.Sort(list)
	return list
}

func TestMigrate_again(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		issue(t, url, "alice")
		require.Contains(t, ok(t, url, "migrate", "--json").stdout, `"status":"ready"`)
		require.Contains(t, ok(t, url, "token", "list").stdout, "alice")
	})
}

func TestKeygen(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `^[0-9A-Za-z+/]{43}=\n$`, ok(t, "", "keygen").stdout)
	require.Regexp(t, `^\{"key":"[0-9A-Za-z+/]{43}="\}\n$`, ok(t, "", "keygen", "--json").stdout)
	file := filepath.Join(t.TempDir(), "keys")
	require.Empty(t, ok(t, "", "keygen", "--out", file).stdout)
	first, err := os.ReadFile(file)
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Equal(t, exitFailure, authctl(t, "", "keygen", "--out", file).code) // keys are never overwritten
	second, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, first, second)
}

// Module federate remembers the JWTs that were used in records of a user that cannot exist.
func TestSessionList_usedJWTs(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		at := time.Now().UTC().Truncate(time.Microsecond)
		require.NoError(t, opened(t, url).Create(t.Context(), auth.Credential{
			UserID: "\x01workload acme", ID: "used", Kind: auth.KindSession, Digest: digestOf("used"), CreatedAt: at, ExpiresAt: at.Add(time.Hour),
		}, 0))
		require.Equal(t, exitNothing, authctl(t, url, "session", "list").code)
	})
}
