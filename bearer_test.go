package auth_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"math"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

// The error names the field to change.
func TestNewBearer_faults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		cfg  auth.BearerConfig
		want string // in the error; empty if there is none
	}{
		{"the longest prefix", auth.BearerConfig{Prefix: repeated("a", 16)}, ""},
		{"a long prefix", auth.BearerConfig{Prefix: repeated("a", 17)}, "BearerConfig.Prefix"},
		{"a prefix with a dash", auth.BearerConfig{Prefix: "a-b"}, "BearerConfig.Prefix"},
		{"accept imported without a prefix", auth.BearerConfig{AcceptImported: true}, ""},
		{"negative lifetime", auth.BearerConfig{MaxLifetime: -1}, "BearerConfig.MaxLifetime"},
		{"lifetime under a minute", auth.BearerConfig{MaxLifetime: time.Minute - 1}, "BearerConfig.MaxLifetime"},
		{"a grace period over every lifetime", auth.BearerConfig{MaxLifetime: time.Hour, MaxOverlap: 2 * time.Hour}, "BearerConfig.MaxOverlap: has no effect"},
		{"the default grace period over every lifetime", auth.BearerConfig{MaxLifetime: time.Hour}, ""},
		{"negative overlap", auth.BearerConfig{MaxOverlap: -1}, "BearerConfig.MaxOverlap"},
		{"negative limit", auth.BearerConfig{MaxPerUser: -1}, "BearerConfig.MaxPerUser"},
		{"empty scopes", auth.BearerConfig{Scopes: []string{}}, "BearerConfig.Scopes"},
		{"a scope with a space", auth.BearerConfig{Scopes: []string{"a b"}}, "BearerConfig.Scopes"},
		{"the wildcard as a scope", auth.BearerConfig{Scopes: []string{"*"}}, "BearerConfig.Scopes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := auth.NewBearer(auth.NewMemoryStore(), test.cfg)
			hasFault(t, err, test.want)
		})
	}
	t.Run("no store", func(t *testing.T) {
		_, err := auth.NewBearer(nil, auth.BearerConfig{})
		hasFault(t, err, "store is nil")
	})
}

func TestNewBearer_copiesItsConfig(t *testing.T) {
	t.Parallel()
	scopes := []string{"read"}
	f := newFixture(t, func(c *configs) { c.bearer.Scopes = scopes })
	scopes[0] = "admin"
	_, _, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: []string{"admin"}, Lifetime: auth.NoExpiry})
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
	f.bearer.Policy().Scopes[0] = "admin"
	require.Equal(t, []string{"read"}, f.bearer.Policy().Scopes)
}

func TestBearer_policy(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) {
		c.bearer = auth.BearerConfig{Prefix: "p", AcceptImported: true, Scopes: []string{"a"}, MaxLifetime: time.Hour, MaxPerUser: 3}
	})
	require.Equal(t, auth.BearerPolicy{Prefix: "p", AcceptImported: true, Scopes: []string{"a"}, MaxLifetime: time.Hour, MaxOverlap: 7 * 24 * time.Hour, MaxPerUser: 3}, f.bearer.Policy())
	require.Nil(t, newFixture(t).bearer.Policy().Scopes)
}

func prefixed(c *configs) { c.bearer.Prefix, c.secret.Prefix = "acme_pat", "acme_cs" }

// Secret scanners rely on the format of tokens.
func TestBearer_format(t *testing.T) {
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

// Different responses would tell an attacker which of many found tokens were valid once.
func TestBearer_invalidTokensLookAlike(t *testing.T) {
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
		expired, _, err := f.bearer.Issue(ctx, "ada", auth.TokenOptions{Name: "x", Lifetime: time.Minute, Scopes: []string{auth.FullAccess}})
		require.NoError(t, err)
		revoked, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
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
			"unknown":         newFixture(t, prefixed).token("ada"),
			"expired":         expired,
			"revoked":         revoked,
			"disabled owner":  f.token("disabled"),
			"bad checksum":    typo,
			"no prefix":       repeated("a", 32),
			"a client secret": f.issueSecret("ada"),
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

func TestBearer_expiresToTheNanosecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		h := f.all()
		token, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Lifetime: time.Hour, Scopes: []string{auth.FullAccess}})
		require.NoError(t, err)
		time.Sleep(time.Until(c.ExpiresAt) - time.Nanosecond)
		accepted(t, h.get(authorization("Bearer "+token)), "ada", auth.SchemeBearer)
		time.Sleep(time.Nanosecond)
		refused(t, h.get(authorization("Bearer "+token)), 401, badToken, plainSecret)
		require.NoError(t, f.bearer.Close(t.Context()))
	})
}

// With a prefix, guesses and typing errors are rejected without a lookup.
func TestBearer_prefixNeedsNoLookup(t *testing.T) {
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
			require.Equal(t, before, f.store.lookups.Load(), "no lookup")
		})
	}
	accepted(t, h.get(authorization("Bearer "+token)), "ada", auth.SchemeBearer)
}

func TestBearer_import(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	legacy := importOptions("legacy")
	tests := []struct {
		name      string
		change    func(*configs)
		plaintext string
		imported  error
	}{
		{"without a prefix", func(*configs) {}, "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", nil},
		{"24 characters", func(*configs) {}, repeated("a", 24), nil},
		{"23 characters", func(*configs) {}, repeated("a", 23), auth.ErrInvalidArgument},
		{"512 characters", func(*configs) {}, repeated("a", 512), nil},
		{"513 characters", func(*configs) {}, repeated("a", 513), auth.ErrInvalidArgument},
		{"padding", func(*configs) {}, repeated("a", 24) + "==", nil},
		{"the form of an ID", func(*configs) {}, token.ID(time.Now()), auth.ErrInvalidArgument},
		{"id|secret", func(*configs) {}, "12|" + repeated("a", 40), nil},
		{"name:secret", func(*configs) {}, "deploy:" + repeated("a", 24), nil},
		{"a quote", func(*configs) {}, repeated("a", 24) + `"`, auth.ErrInvalidArgument},
		{"a comma", func(*configs) {}, repeated("a", 24) + ",b", auth.ErrInvalidArgument},
		{"a backslash", func(*configs) {}, repeated("a", 24) + `\`, auth.ErrInvalidArgument},
		{"a space", func(*configs) {}, repeated("a", 24) + " b", auth.ErrInvalidArgument},
		{"not ASCII", func(*configs) {}, repeated("a", 24) + "é", auth.ErrInvalidArgument},
		{"with a prefix", prefixed, "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", auth.ErrInvalidArgument},
		{"with a prefix that accepts imported ones", importing, "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", nil},
		{"another form with our prefix", importing, "acme_pat_0123456789abcdef", nil},
		{"our form without its checksum", importing, "acme_pat_" + repeated("a", 38), auth.ErrInvalidArgument},
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
			_, err = f.secret.Import(ctx, "grace", test.plaintext, fullSecret)
			require.Error(t, err, "a digest has one record, of one kind")
		})
	}
}

func importing(c *configs) {
	prefixed(c)
	c.bearer.AcceptImported, c.secret.AcceptImported = true, true
}

func TestBearer_importDigest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	short := "legacy-token"
	c, err := f.bearer.ImportDigest(t.Context(), "ada", sha256.Sum256([]byte(short)), auth.ImportOptions{TokenOptions: auth.TokenOptions{Name: "legacy", Scopes: []string{"read"}, Lifetime: auth.NoExpiry}})
	require.NoError(t, err)
	require.Equal(t, auth.Scopes("read"), c.Scopes)
	accepted(t, f.all().get(authorization("Bearer "+short)), "ada", auth.SchemeBearer)
	_, err = f.bearer.ImportDigest(t.Context(), "ada", auth.Digest{}, importOptions("legacy"))
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
}

func TestBearer_importOptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		time.Sleep(10 * 24 * time.Hour) // a bubble's clock starts at midnight
		f := newFixture(t, func(c *configs) { c.bearer.MaxLifetime = 30 * 24 * time.Hour })
		now := time.Now().UTC()
		const day = 24 * time.Hour
		imported := func(change func(*auth.ImportOptions)) auth.ImportOptions {
			o := auth.ImportOptions{TokenOptions: auth.TokenOptions{Name: "x", Scopes: []string{"read"}}}
			change(&o)
			return o
		}
		for name, test := range map[string]struct {
			o        auth.ImportOptions
			argument string // empty if the import succeeds
			created  time.Time
			expires  time.Time
		}{
			"a lifetime from now": {imported(func(o *auth.ImportOptions) { o.Lifetime = day }), "", now, now.Add(day)},
			"a lifetime from the past": {
				imported(func(o *auth.ImportOptions) { o.CreatedAt, o.Lifetime = now.Add(-5*day), 6*day }), "", now.Add(-5 * day), now.Add(day),
			},
			"an expiry": {
				imported(func(o *auth.ImportOptions) { o.CreatedAt, o.ExpiresAt = now.Add(-5*day), now.Add(time.Second) }), "", now.Add(-5 * day), now.Add(time.Second),
			},
			"neither":                   {imported(func(*auth.ImportOptions) {}), "Lifetime", now, now},
			"both":                      {imported(func(o *auth.ImportOptions) { o.Lifetime, o.ExpiresAt = day, now.Add(day) }), "ExpiresAt", now, now},
			"an expiry that has passed": {imported(func(o *auth.ImportOptions) { o.ExpiresAt = now }), "ExpiresAt", now, now},
			"a lifetime that has passed": {
				imported(func(o *auth.ImportOptions) { o.CreatedAt, o.Lifetime = now.Add(-5*day), 5*day }), "Lifetime", now, now,
			},
			"an expiry over MaxLifetime": {
				imported(func(o *auth.ImportOptions) { o.CreatedAt, o.ExpiresAt = now.Add(-5*day), now.Add(25*day+1000) }), "ExpiresAt", now, now,
			},
			"no expiry under MaxLifetime":  {imported(func(o *auth.ImportOptions) { o.Lifetime = auth.NoExpiry }), "Lifetime", now, now},
			"created in the future":        {imported(func(o *auth.ImportOptions) { o.CreatedAt, o.Lifetime = now.Add(day), day }), "CreatedAt", now, now},
			"created at the start of 1970": {imported(func(o *auth.ImportOptions) { o.CreatedAt, o.ExpiresAt = time.Unix(0, 0), now.Add(day) }), "CreatedAt", now, now},
			"an expiry that JSON cannot say": {
				imported(func(o *auth.ImportOptions) { o.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }), "ExpiresAt", now, now,
			},
			"created before 1970": {imported(func(o *auth.ImportOptions) { o.CreatedAt, o.ExpiresAt = time.Unix(-1, 0), now.Add(day) }), "CreatedAt", now, now},
		} {
			plaintext := strings.ReplaceAll(name, " ", "-") + repeated("x", 24)
			c, err := f.bearer.Import(ctx, "ada", plaintext, test.o)
			if test.argument != "" {
				var e *auth.ArgumentError
				require.ErrorAs(t, err, &e, name)
				require.Equal(t, test.argument, e.Argument, name)
				require.Equal(t, 401, f.all().get(authorization("Bearer "+plaintext)).Code, name)
				continue
			}
			require.NoError(t, err, name)
			require.Equal(t, test.created, c.CreatedAt, name)
			require.Equal(t, test.expires, c.ExpiresAt, name)
			require.Equal(t, 200, f.all().get(authorization("Bearer "+plaintext)).Code, name)
		}
		require.NoError(t, f.bearer.Close(ctx))
	})
}

// MaxPerUser is counted at the time of the import, whatever CreatedAt is.
func TestBearer_importLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := newFixture(t, func(c *configs) { c.bearer.MaxPerUser = 1 })
		_, _, err := f.bearer.Issue(ctx, "ada", auth.TokenOptions{Name: "x", Scopes: []string{"read"}, Lifetime: time.Hour})
		require.NoError(t, err)
		created := time.Now()
		o := auth.ImportOptions{TokenOptions: tokenOptions("old"), CreatedAt: created}
		_, err = f.bearer.Import(ctx, "ada", repeated("a", 32), o)
		require.ErrorIs(t, err, auth.ErrLimit)
		time.Sleep(time.Hour)
		_, err = f.bearer.Import(ctx, "ada", repeated("a", 32), o)
		require.NoError(t, err, "the other token has expired")
		o.CreatedAt = created.Add(-time.Hour)
		_, err = f.bearer.Import(ctx, "ada", repeated("b", 32), o)
		require.ErrorIs(t, err, auth.ErrLimit, "an earlier CreatedAt does not evade the limit")
	})
}

func TestBearer_issueListRevoke(t *testing.T) {
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

func TestBearer_rotate(t *testing.T) {
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
		require.Equal(t, 24*time.Hour, next.ExpiresAt.Sub(next.CreatedAt), "the same lifetime, counted from now")
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
		require.False(t, works(second), "the grace period ends with the old token")
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

func TestBearer_rotateUnderAStricterPolicy(t *testing.T) {
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

// An expiry that is further away than a Duration can say stays an expiry.
func TestBearer_rotateFarExpiry(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	far := auth.ImportOptions{TokenOptions: auth.TokenOptions{Name: "x", Scopes: []string{"read"}}, ExpiresAt: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	c, err := f.bearer.Import(t.Context(), "ada", repeated("a", 32), far)
	require.NoError(t, err)
	require.Equal(t, far.ExpiresAt, c.ExpiresAt)
	_, next, err := f.bearer.Rotate(t.Context(), "ada", c.ID, 0)
	require.NoError(t, err)
	require.False(t, next.ExpiresAt.IsZero(), "it never expires")
	require.Greater(t, next.ExpiresAt.Year(), 2250)
}

// NoExpiry is a grace period like any other, and not the shortest.
func TestBearer_rotateWithoutEndOfGracePeriod(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.bearer.MaxOverlap = auth.NoExpiry })
	first, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	second, next, err := f.bearer.Rotate(t.Context(), "ada", c.ID, auth.NoExpiry)
	require.NoError(t, err)
	require.Equal(t, c.ID, next.Previous)
	accepted(t, f.all().get(authorization("Bearer "+first)), "ada", auth.SchemeBearer)
	accepted(t, f.all().get(authorization("Bearer "+second)), "ada", auth.SchemeBearer)
}

func TestBearer_rotateConcurrently(t *testing.T) {
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

func TestBearer_issueConcurrently(t *testing.T) {
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

// A form that is sent again creates no second token, over any Bearer of the store, whatever
// the clocks say.
func TestIssue_idempotency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := newFixture(t)
		o := tokenOptions("deploy")
		o.Idempotency = auth.NewIdempotency()
		time.Sleep(time.Hour)
		_, later, err := f.bearer.Issue(ctx, "ada", tokenOptions("later"))
		require.NoError(t, err)
		_, c, err := f.bearer.Issue(ctx, "ada", o)
		require.NoError(t, err)
		require.NotEqual(t, o.Idempotency, c.ID, "a client cannot choose an ID")
		list, err := f.bearer.List(ctx, "ada", auth.Page{})
		require.NoError(t, err)
		require.Equal(t, []string{later.ID, c.ID}, []string{list[0].ID, list[1].ID}, "by the time of the form")

		another, err := auth.NewBearer(f.store, auth.BearerConfig{})
		require.NoError(t, err)
		for _, b := range []*auth.Bearer{f.bearer, another} {
			_, _, err := b.Issue(ctx, "ada", o)
			require.ErrorIs(t, err, auth.ErrConflict)
			_, err = b.Import(ctx, "ada", repeated("x", 32), auth.ImportOptions{TokenOptions: o})
			require.ErrorIs(t, err, auth.ErrConflict)
		}
		_, other, err := f.bearer.Issue(ctx, "grace", o)
		require.NoError(t, err, "another user's form")
		require.NotEqual(t, c.ID, other.ID)

		time.Sleep(23 * time.Hour)
		_, _, err = f.bearer.Issue(ctx, "ada", o)
		require.ErrorIs(t, err, auth.ErrConflict)
		time.Sleep(time.Millisecond)
		old := o.Idempotency
		future := token.ID(time.Now().Add(time.Hour + time.Millisecond))
		for name, value := range map[string]string{"old": old, "future": future, "a name": "deploy", "lower case": strings.ToLower(old), "long": repeated("0", 1000)} {
			o.Idempotency = value
			_, _, err = f.bearer.Issue(ctx, "ada", o)
			var fault *auth.ArgumentError
			require.ErrorAs(t, err, &fault, name)
			require.Equal(t, "Idempotency", fault.Argument)
		}
	})
}
