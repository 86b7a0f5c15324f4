package dbsc_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/dbsc"
)

func Example() {
	keys := auth.Keys{[]byte("32 random bytes from a secret store")}
	binding, err := dbsc.New(dbsc.Config{})
	if err != nil {
		panic(err)
	}
	cookie, err := auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: keys, Binding: binding})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/dbsc/", binding)
	mux.Handle("/account", auth.Require(cookie)(http.NotFoundHandler()))
	fmt.Println(cookie.Policy().Name)
	// Output: __Host-session
}

// A thief copies all cookies of a browser. They work until the bound cookie expires, and never
// after. Machines whose clocks differ by a minute are why it is accepted for a minute longer than
// browsers keep it. The browser notices nothing.
func TestTheft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{})
		victim := newBrowser(t, s)
		victim.signIn("alice")
		require.Equal(t, "__Host-session __Host-session-bound", victim.names())

		thief := victim.copyCookies()
		thief.cookies = keepForever(thief.cookies) // he does not care for Max-Age
		require.Equal(t, http.StatusOK, thief.do("GET", "/me"))
		time.Sleep(6 * time.Minute)
		require.Equal(t, http.StatusOK, thief.do("GET", "/me"))
		for range 20 {
			time.Sleep(time.Second + 13*time.Minute)
			require.Equal(t, http.StatusUnauthorized, thief.do("GET", "/me"))
			require.Equal(t, http.StatusOK, victim.do("GET", "/me"))
		}
		require.Equal(t, 40, victim.renewals, "two for each request: the challenge that came with the cookie is too old")
		require.Contains(t, s.reasons(), auth.ReasonNotBound)
	})
}
