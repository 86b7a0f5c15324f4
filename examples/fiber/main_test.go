package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func newTestService(t *testing.T) *service {
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	return s
}

// listen serves an app by fasthttp, and returns its address.
func listen(t *testing.T, app *fiber.App) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true}) }()
	t.Cleanup(func() {
		require.NoError(t, app.Shutdown())
		require.NoError(t, <-done)
	})
	return ln.Addr().String()
}

func TestRequire_fiberGroup(t *testing.T) {
	t.Parallel()
	s := newTestService(t)
	exampletest.Notes(t, adaptor.FiberApp(s.routes()), s.bearer)
}

// send sends the lines of a request, byte for byte, and returns the response and its body.
func send(t *testing.T, addr string, lines ...string) (*http.Response, string) {
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

// Requests that parsers may understand in two ways have the same response as by net/http.
func TestAround_sameAsNetHTTP(t *testing.T) {
	t.Parallel()
	s := newTestService(t)
	token := exampletest.Issue(t, s.bearer, auth.FullAccess)
	session := func(userID string) string {
		w := httptest.NewRecorder()
		_, err := s.cookie.SignIn(w, httptest.NewRequest("POST", "/", nil), userID, auth.SessionOptions{})
		require.NoError(t, err)
		return strings.Split(w.Header().Get("Set-Cookie"), ";")[0]
	}
	cookie, other := session("bob"), session("eve")
	name, value, _ := strings.Cut(cookie, "=")
	standard := httptest.NewServer(auth.Require(s.bearer, s.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		fmt.Fprintf(w, "%s by %s\n", id.UserID, id.Scheme)
	})))
	t.Cleanup(standard.Close)
	addr := listen(t, s.routes())
	for _, test := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"a token", []string{"Authorization: Bearer " + token}, 200},
		{"lower case", []string{"authorization: bearer " + token}, 200},
		{"mixed case", []string{"aUTHORIZATION: bEARER " + token}, 200},
		{"two tokens, the last one valid", []string{"Authorization: Bearer x", "Authorization: Bearer " + token}, 400},
		{"two tokens, the first one valid", []string{"Authorization: Bearer " + token, "Authorization: Bearer x"}, 400},
		{"two tokens in two cases", []string{"Authorization: Bearer x", "authorization: Bearer " + token}, 400},
		{"the same token twice", []string{"Authorization: Bearer " + token, "Authorization: Bearer " + token}, 400},
		{"another scheme and a token", []string{"Authorization: Basic YTpi", "Authorization: Bearer " + token}, 400},
		{"an empty header and a token", []string{"Authorization:", "Authorization: Bearer " + token}, 400},
		{"underscore", []string{"Authorization_: Bearer " + token}, 401},
		{"spaces around the value", []string{"Authorization:   Bearer " + token + "  "}, 200},
		{"no scheme", []string{"Authorization: " + token}, 401},
		{"a bad token and a valid session", []string{"Authorization: Bearer x", "Cookie: " + cookie}, 401},
		{"a session", []string{"Cookie: " + cookie}, 200},
		{"a session among others", []string{"Cookie: a=b; " + cookie + "; c=d"}, 200},
		{"a session after junk", []string{"Cookie: =; ;a;;b=; " + cookie}, 200},
		{"two sessions", []string{"Cookie: " + cookie + "; " + other}, 401},
		{"two sessions in two lines", []string{"Cookie: " + cookie, "Cookie: " + other}, 401},
		{"the same session twice", []string{"Cookie: " + cookie + "; " + cookie}, 401},
		{"quoted", []string{"Cookie: " + name + `="` + value + `"`}, 401},
		{"half quoted", []string{"Cookie: " + name + `="` + value}, 401},
		{"the name in another case", []string{"Cookie: " + strings.ToUpper(name) + "=" + value}, 401},
		{"the name in the value of another", []string{"Cookie: a=" + cookie}, 401},
		{"the name in a quoted value of another", []string{`Cookie: a="; ` + cookie + `; "`}, 200},
		{"another site", []string{"Cookie: " + cookie, "Upgrade: websocket", "Origin: https://evil.example"}, 403},
		{"another site, two origins", []string{"Cookie: " + cookie, "Upgrade: websocket", "Origin: https://evil.example", "Origin: http://127.0.0.1"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			lines := append([]string{"GET /notes HTTP/1.1", "Host: 127.0.0.1"}, test.lines...)
			want, wantBody := send(t, standard.Listener.Addr().String(), lines...)
			got, body := send(t, addr, lines...)
			require.Equal(t, test.want, want.StatusCode, "by net/http")
			if test.name == "quoted" { // fasthttp removes the quotes
				require.Equal(t, "bob by Cookie\n", body)
				return
			}
			require.Equal(t, want.StatusCode, got.StatusCode)
			require.Equal(t, wantBody, body)
			for _, header := range []string{"Www-Authenticate", "Vary", "Cache-Control", "Content-Type"} {
				require.Equal(t, want.Header[header], got.Header[header], header)
			}
		})
	}
}

// fiber's own adaptor, which this example does not use, drops all but the last of several
// headers, and hands over strings whose memory is used again.
func TestAdaptor_losses(t *testing.T) {
	t.Parallel()
	s := newTestService(t)
	token := exampletest.Issue(t, s.bearer, auth.FullAccess)
	app := fiber.New()
	app.Get("/notes", adaptor.HTTPMiddleware(auth.Require(s.bearer)), func(c fiber.Ctx) error {
		_, inContext := auth.FromContext(c.Context())
		_, inFiber := auth.FromContext(c)
		_, inFasthttp := auth.FromContext(c.RequestCtx())
		return c.SendString(fmt.Sprint(inContext, inFiber, inFasthttp))
	})
	addr := listen(t, app)
	res, body := send(t, addr, "GET /notes HTTP/1.1", "Host: localhost", "Authorization: Bearer x", "Authorization: Bearer "+token)
	require.Equal(t, http.StatusOK, res.StatusCode, "the library would answer 400 if it knew of both")
	require.Equal(t, "false false false", body, "the identity is lost")
}

// An identity must belong to the request that has it, however the memory of requests is used
// again: while the handler runs, and in what is kept of it afterwards.
func TestAround_concurrentUsers(t *testing.T) {
	t.Parallel()
	s := newTestService(t)
	type seen struct {
		id      *auth.Identity
		context context.Context
	}
	var mu sync.Mutex
	kept := map[string]seen{} // by the user that the client has named
	app := fiber.New()
	app.Get("/:user", around(auth.Require(s.bearer, s.cookie)), func(c fiber.Ctx) error {
		id, _ := auth.FromContext(c.Context())
		mu.Lock()
		kept[strings.Clone(c.Params("user"))] = seen{id, c.Context()}
		mu.Unlock()
		return c.SendString(id.UserID)
	})
	url := "http://" + listen(t, app)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for j := range 50 {
				userID := fmt.Sprintf("user-%d-%d", i, j)
				token, _, err := s.bearer.Issue(t.Context(), userID, auth.TokenOptions{Name: "x", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
				if err != nil {
					t.Error(err)
					return
				}
				for _, want := range []int{401, 200, 401} { // anonymous requests on the same connection
					req, _ := http.NewRequestWithContext(t.Context(), "GET", url+"/"+userID, nil)
					if want == 200 {
						req.Header.Set("Authorization", "Bearer "+token)
					}
					res, err := http.DefaultClient.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					body, _ := io.ReadAll(res.Body)
					res.Body.Close()
					if res.StatusCode != want || want == 200 && string(body) != userID {
						t.Errorf("%s: %d %s", userID, res.StatusCode, body)
					}
				}
			}
		})
	}
	clients.Wait()
	require.Len(t, kept, 400)
	for userID, k := range kept {
		require.Equal(t, userID, k.id.UserID)
		id, ok := auth.FromContext(k.context)
		require.True(t, ok)
		require.Equal(t, userID, id.UserID, "of the context that was kept")
		require.NoError(t, auth.Recheck(k.context))
	}
}

// What the library stores of a request must not change with the next one.
func TestServe_storedStrings(t *testing.T) {
	t.Parallel()
	s := newTestService(t)
	url := "http://" + listen(t, s.routes())
	for range 20 {
		for _, agent := range []string{"Mozilla/5.0", "curl/8.0000000", "x"} {
			res, _ := exampletest.Send(t, http.DefaultClient, "POST", url+"/sign-in", "User-Agent", agent)
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.Contains(t, res.Header.Get("Set-Cookie"), "__Host-session=")
		}
	}
	for range 20 { // which use the memory again
		exampletest.Send(t, http.DefaultClient, "GET", url+"/notes", "User-Agent", "eve", "Authorization", "Bearer "+strings.Repeat("secret", 20))
	}
	sessions, err := s.cookie.List(t.Context(), "demo", auth.Page{})
	require.NoError(t, err)
	count := map[string]int{}
	for _, session := range sessions {
		count[session.Name]++
	}
	require.Equal(t, map[string]int{"Mozilla/5.0": 20, "curl/8.0000000": 20, "x": 20}, count)
}

func TestRequest(t *testing.T) {
	t.Parallel()
	app := fiber.New()
	app.Get("/notes/:id", func(c fiber.Ctx) error {
		c.Vary("Accept")
		c.Cookie(&fiber.Cookie{Name: "z", Value: "0"})
		return c.Next()
	}, serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Cookie")
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		fmt.Fprint(w, r.Method, " ", r.Host, " ", r.Pattern, " ", r.PathValue("id"), " ", r.URL.Query().Get("q"), " ", auth.RemoteAddr(r), " ", r.Header["X"])
	})))
	res, body := send(t, listen(t, app), "GET /notes/7?q=a%20b HTTP/1.1", "Host: example.com", "X: 1", "X: 2")
	require.Equal(t, "GET example.com /notes/:id 7 a b 127.0.0.1 [1 2]", body)
	require.Equal(t, []string{"Accept", "Cookie"}, res.Header.Values("Vary"))
	require.ElementsMatch(t, []string{"a=1", "b=2", "z=0; path=/; SameSite=Lax"}, res.Header.Values("Set-Cookie"))
}

func TestAround_clientAddr(t *testing.T) {
	t.Parallel()
	s := newTestService(t)
	direct := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), auth.RemoteAddr(r))))
		})
	}
	app := fiber.New()
	app.Use(around(direct))
	app.Get("/", around(auth.Require(s.bearer)), func(c fiber.Ctx) error {
		addr, _ := auth.ClientAddr(c.Context())
		return c.SendString(addr.String())
	})
	token := exampletest.Issue(t, s.bearer, auth.FullAccess)
	_, body := send(t, listen(t, app), "GET / HTTP/1.1", "Host: localhost", "X-Forwarded-For: 192.0.2.1", "Authorization: Bearer "+token)
	require.Equal(t, "127.0.0.1", body)
}

func TestSettings_fiberMount(t *testing.T) {
	t.Parallel()
	exampletest.Settings(t, mountSettings,
		func(developer http.Handler) http.Handler {
			app := fiber.New()
			app.All("/settings/*", serve(developer))
			return adaptor.FiberApp(app)
		},
		func(developer http.Handler) http.Handler {
			app := fiber.New()
			app.All("/settings/*", serve(http.StripPrefix("/settings/", developer)))
			return adaptor.FiberApp(app)
		})
}

// mountSettings serves Developer Settings under /settings.
func mountSettings(developer http.Handler) http.Handler {
	app := fiber.New()
	app.All("/settings/*", serve(http.StripPrefix("/settings", developer)))
	return adaptor.FiberApp(app)
}
