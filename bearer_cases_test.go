package auth_test

import (
	"context"
	"crypto/sha256"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func prefixed(c *configs) { c.bearer.Prefix, c.secret.Prefix = "acme_pat", "acme_cs" }

// The form of a token is public: scanners of leaked credentials rely on it.
func TestTokenFormat(t *testing.T) {
	t.Parallel()
	const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	require.Regexp(t, `^[0-9A-Za-z]{32}$`, newFixture(t).token("ada"))
	token := newFixture(t, prefixed).token("ada")
	require.Regexp(t, `^acme_pat_[0-9A-Za-z]{38}$`, token)
	body, sum := token[:len(token)-6], token[len(token)-6:]
	n := crc32.ChecksumIEEE([]byte(body))
	want := make([]byte, 6)
	for i := 5; i >= 0; i-- {
		want[i] = base62[n%62]
		n /= 62
	}
	require.Equal(t, string(want), sum)
	longest := newFixture(t, func(c *configs) { c.bearer.Prefix = repeated("p", 16) }).token("ada")
	require.LessOrEqual(t, len(longest), 55, "one block of SHA-256")
}

// An oracle would tell a thief which of the tokens he found is worth keeping.
func TestInvalidTokensLookAlike(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := newFixture(t, prefixed)
		defer f.bearer.Close(ctx)
		m := auth.Middleware{Resolve: func(_ context.Context, id *auth.Identity) (any, error) {
			if id.UserID == "disabled" {
				return nil, auth.ErrInvalidCredential
			}
			return nil, nil
		}}
		h := behind(m.Require(f.bearer, f.cookie))
		expired, _, err := f.bearer.Issue(ctx, "ada", auth.NewToken{Name: "x", Lifetime: time.Minute})
		require.NoError(t, err)
		revoked, c, err := f.bearer.Issue(ctx, "ada", auth.NewToken{Name: "x"})
		require.NoError(t, err)
		require.NoError(t, f.bearer.Revoke(ctx, "ada", c.ID))
		time.Sleep(time.Minute)
		typo := f.token("ada")
		other := "a"
		if typo[12] == 'a' {
			other = "b"
		}
		typo = typo[:12] + other + typo[13:]
		var first *httptest.ResponseRecorder
		for name, token := range map[string]string{
			"unknown":        newFixture(t, prefixed).token("ada"),
			"expired":        expired,
			"revoked":        revoked,
			"disabled owner": f.token("disabled"),
			"bad checksum":   typo,
			"no prefix":      repeated("a", 32),
			"a secret":       f.assign("ada"),
		} {
			w := h.get(authorization("Bearer " + token))
			refused(t, w, 401, badToken)
			require.Zero(t, h.served.Load(), name)
			if first == nil {
				first = w
			}
			require.Equal(t, first.Body.String(), w.Body.String(), name)
			require.Equal(t, first.Header(), w.Header(), name)
		}
	})
}

func TestTokenExpiresToTheNanosecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		h := f.all()
		token, c, err := f.bearer.Issue(t.Context(), "ada", auth.NewToken{Name: "x", Lifetime: time.Hour})
		require.NoError(t, err)
		time.Sleep(time.Until(c.ExpiresAt) - time.Nanosecond)
		accepted(t, h.get(authorization("Bearer "+token)), "ada", auth.SchemeBearer)
		time.Sleep(time.Nanosecond)
		refused(t, h.get(authorization("Bearer "+token)), 401, badToken, plainSecret)
		require.NoError(t, f.bearer.Close(t.Context()))
	})
}

// With a prefix, guesses and typing errors never reach the store.
func TestPrefixRefusesOffline(t *testing.T) {
	t.Parallel()
	f := newFixture(t, prefixed)
	h := f.all()
	token := f.token("ada")
	swap := func(i int) string {
		b := []byte(token)
		if b[i]++; b[i] == '{' || b[i] == '[' || b[i] == ':' {
			b[i] = 'x'
		}
		return string(b)
	}
	for name, junk := range map[string]string{
		"first random":   swap(9),
		"last random":    swap(40),
		"last of all":    swap(len(token) - 1),
		"other prefix":   "acme_pax" + token[8:],
		"other case":     "ACME_pat" + token[8:],
		"one short":      token[:len(token)-1],
		"one long":       token + "a",
		"equals sign":    token + "=",
		"no prefix":      repeated("a", 32),
		"prefix alone":   "acme_pat_",
		"checksum alone": "acme_pat_000000",
	} {
		t.Run(name, func(t *testing.T) {
			before := f.store.lookups.Load()
			refused(t, h.get(authorization("Bearer "+junk)), 401, badToken, plainSecret)
			require.Equal(t, before, f.store.lookups.Load(), "the store was asked")
		})
	}
	accepted(t, h.get(authorization("Bearer "+token)), "ada", auth.SchemeBearer)
}

func TestScopeMatrix(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	need := func(scopes ...string) *target {
		wrap := auth.Require(f.bearer, f.cookie, f.secret)
		return behind(func(next http.Handler) http.Handler { return wrap(auth.RequireScope(scopes...)(next)) })
	}
	tests := []struct {
		name   string
		has    []string // nil: full access
		needs  []string
		passes bool
	}{
		{"full access", nil, []string{"read:user"}, true},
		{"the scope", []string{"read:user"}, []string{"read:user"}, true},
		{"among others", []string{"a", "read:user", "b"}, []string{"read:user"}, true},
		{"a part of it", []string{"read"}, []string{"read:user"}, false},
		{"more than it", []string{"read:user"}, []string{"read"}, false},
		{"other case", []string{"READ"}, []string{"read"}, false},
		{"something like a wildcard", []string{"read*"}, []string{"read"}, false},
		{"one of two", []string{"read"}, []string{"read", "write"}, false},
		{"both of two", []string{"write", "read"}, []string{"read", "write"}, true},
		{"the wildcard itself is needed", []string{"read"}, []string{"*"}, false},
		{"and had", nil, []string{"*"}, true},
	}
	for i, test := range tests {
		user := "user" + string(rune('a'+i))
		token := f.token(user, test.has...)
		cookie := f.signIn(user, auth.NewSession{Scopes: test.has})
		secret := f.limitedSecret(user, test.has)
		for scheme, credential := range map[auth.Scheme]edit{
			auth.SchemeBearer: authorization("Bearer " + token),
			auth.SchemeCookie: withCookie(cookie),
			auth.SchemeSecret: authorization("Secret " + secret),
		} {
			for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "get"} {
				t.Run(test.name+" by "+string(scheme)+" "+method, func(t *testing.T) {
					h := need(test.needs...)
					w := h.do(method, credential)
					if test.passes {
						require.Equal(t, 200, w.Code)
						require.EqualValues(t, 1, h.served.Load())
						return
					}
					require.Equal(t, 403, w.Code)
					require.Zero(t, h.served.Load())
					want := plainBearer
					if scheme == auth.SchemeBearer {
						want = `Bearer realm="api", error="insufficient_scope", scope="` + strings.Join(test.needs, " ") + `"`
					}
					require.Equal(t, []string{want, plainSecret}, w.Header().Values("WWW-Authenticate"))
					require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
					if method == "HEAD" {
						require.Empty(t, w.Body.String())
					} else {
						require.Contains(t, w.Body.String(), `"scopes":["`+strings.Join(test.needs, `","`)+`"]`)
					}
				})
			}
		}
	}
}

// limitedSecret puts a secret with scopes into the store, which no call of ours does.
func (f *fixture) limitedSecret(user string, scopes []string) string {
	if scopes == nil {
		return f.assign(user)
	}
	plaintext := repeated("s", 20) + user
	c := auth.Credential{
		ID: "id-" + user, Kind: auth.KindSecret, UserID: user, Scopes: auth.Scopes(strings.Join(scopes, " ")),
		Digest: sha256.Sum256([]byte(plaintext)), CreatedAt: time.Now().UTC(),
	}
	require.NoError(f.t, f.store.Create(context.Background(), c, 0))
	return plaintext
}

// A token of one kind is nothing to the others.
func TestKindsAreNotConfused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	// The session's token, as its owner could read it out of memory: the store is
	// given a session whose token we know.
	session := repeated("s", 32)
	require.NoError(t, f.store.Create(t.Context(), auth.Credential{
		ID: "s", Kind: auth.KindSession, UserID: "ada", Scopes: "*", Digest: sha256.Sum256([]byte(session)), CreatedAt: time.Now(),
	}, 0))
	for name, header := range map[string]string{
		"token as secret":   "Secret " + f.token("ada"),
		"secret as token":   "Bearer " + f.assign("ada"),
		"session as token":  "Bearer " + session,
		"session as secret": "Secret " + session,
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, 401, h.get(authorization(header)).Code)
			require.Zero(t, h.served.Load())
		})
	}
}

func TestImportedTokens(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	legacy := auth.NewToken{Name: "legacy"}
	tests := []struct {
		name      string
		change    func(*configs)
		plaintext string
		imported  error
	}{
		{"without a prefix", func(*configs) {}, "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", nil},
		{"24 characters", func(*configs) {}, repeated("a", 24), nil},
		{"23 characters", func(*configs) {}, repeated("a", 23), auth.ErrMalformed},
		{"512 characters", func(*configs) {}, repeated("a", 512), nil},
		{"513 characters", func(*configs) {}, repeated("a", 513), auth.ErrMalformed},
		{"padding", func(*configs) {}, repeated("a", 24) + "==", nil},
		{"not a token68", func(*configs) {}, repeated("a", 24) + "|", auth.ErrMalformed},
		{"with a prefix", prefixed, "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", auth.ErrMalformed},
		{"with a prefix that accepts imported ones", importing, "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", nil},
		{"a legacy form of our prefix", importing, "acme_pat_0123456789abcdef", nil},
		{"our form without its checksum", importing, "acme_pat_" + repeated("a", 38), auth.ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.change)
			_, err := f.bearer.Import(ctx, "ada", test.plaintext, legacy)
			require.ErrorIs(t, err, test.imported)
			w := f.all().get(authorization("Bearer " + test.plaintext))
			if test.imported != nil {
				require.NotContains(t, err.Error(), test.plaintext)
				require.NotEqual(t, 200, w.Code)
				return
			}
			accepted(t, w, "ada", auth.SchemeBearer)
			_, err = f.bearer.Import(ctx, "grace", test.plaintext, legacy)
			require.ErrorIs(t, err, auth.ErrConflict)
			_, err = f.secret.Import(ctx, "grace", test.plaintext)
			require.Error(t, err, "one digest, one record, whatever the kind")
		})
	}
}

func importing(c *configs) {
	prefixed(c)
	c.bearer.AcceptImported, c.secret.AcceptImported = true, true
}

func TestImportedDigests(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	short := "legacy-token"
	c, err := f.bearer.ImportDigest(t.Context(), "ada", sha256.Sum256([]byte(short)), auth.NewToken{Name: "legacy", Scopes: []string{"read"}})
	require.NoError(t, err)
	require.Equal(t, auth.Scopes("read"), c.Scopes)
	accepted(t, f.all().get(authorization("Bearer "+short)), "ada", auth.SchemeBearer)
	_, err = f.bearer.ImportDigest(t.Context(), "ada", auth.Digest{}, auth.NewToken{Name: "legacy"})
	require.ErrorIs(t, err, auth.ErrMalformed)
}
