package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// BenchmarkSettings measures the pages of a user with 10,000 tokens, and the API.
func BenchmarkSettings(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			f := filledDatabase(b, d)
			f.fill(b, tokensOf("ada", 10_000))
			open := settingsOver(b, f.store)
			for _, path := range []string{
				"/", "/?page=10", "/?search=nothing", "/?state=expired", "/?sort=expiring", "/tokens/new", "/tokens/revoke",
				"/tokens/" + tokenID(9_999), "/tokens/" + tokenID(1), "/api/tokens", "/api/tokens?sort=name&total=true",
			} {
				b.Run(path, func(b *testing.B) {
					b.ReportAllocs()
					start := processTime()
					for b.Loop() {
						open(path)
					}
					b.ReportMetric(float64((processTime()-start).Microseconds())/1000/float64(b.N), "cpu-ms/op")
				})
			}
		})
	}
}

// processTime is the CPU time that this process has used, which leaves out the server of the database.
func processTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func tokenID(i int) string { return fmt.Sprintf("%026d", i) }

// tokensOf returns n tokens of a user, of which one in ten has expired.
func tokensOf(userID string, n int) []auth.Credential {
	now := time.Now().UTC().Truncate(time.Microsecond)
	tokens := makeRecords(userID, 0, n)
	for i := range tokens {
		c := &tokens[i]
		c.ID, c.UserID, c.Kind, c.Name = tokenID(i), userID, auth.KindToken, fmt.Sprint("token ", i)
		c.CreatedAt, c.ExpiresAt = now.Add(time.Duration(i-n)*time.Minute), now.Add(time.Duration(1+i*7919%n)*time.Hour)
		if i%10 == 0 {
			c.ExpiresAt = now.Add(-time.Second)
		}
	}
	return tokens
}

// settingsOver returns a function that requests a page of the settings as the user ada.
func settingsOver(b *testing.B, store auth.Store) func(path string) {
	b.Helper()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{MaxPerUser: 20_000})
	require.NoError(b, err)
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{[]byte("one key of 32 bytes, of which 1.0")}})
	require.NoError(b, err)
	h, err := settings.New(settings.Config{Bearer: bearer, Cookie: cookie, SignInPath: "/signin"})
	require.NoError(b, err)
	w := httptest.NewRecorder()
	_, err = cookie.SignIn(w, httptest.NewRequest("POST", "/signin", nil), "ada", auth.SessionOptions{})
	require.NoError(b, err)
	return func(path string) {
		r := httptest.NewRequest("GET", path, nil)
		r.AddCookie(w.Result().Cookies()[0])
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		got := httptest.NewRecorder()
		h.ServeHTTP(got, r)
		require.Equal(b, http.StatusOK, got.Code, path)
	}
}
