package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/federate/client"
)

// The request is that of RFC 8693 section 2.1, with the name of the rule.
func TestToken_request(t *testing.T) {
	t.Parallel()
	jwt := newJWT(map[string]any{"aud": audience})
	s := &service{}
	c := newClient(t, serve(t, s, always(jwt)))
	requireToken(t, c, "acme_pat_canary1")
	require.Equal(t, []url.Values{{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {jwt},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		"rule":               {"publish"},
	}}, s.forms)
	r := s.requests[0]
	require.Equal(t, "POST /federate", r.Method+" "+r.URL.String())
	require.Equal(t, "application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
	require.Empty(t, r.Header.Get("Authorization"))
}

func TestToken_attempts(t *testing.T) {
	t.Parallel()
	status := func(status int, header ...string) http.HandlerFunc {
		return respond(status, "<h1>Proxy</h1>", header...)
	}
	for _, tt := range []struct {
		name     string
		answers  []http.HandlerFunc
		attempts int
		code     int           // of the error; zero if there is a token
		least    time.Duration // that the call takes
		most     time.Duration
	}{
		{"at once", nil, 1, 0, 0, 0},
		{"after an outage", []http.HandlerFunc{unavailable, unavailable}, 3, 0, 750 * time.Millisecond, 2250 * time.Millisecond},
		{"after a bad gateway", []http.HandlerFunc{status(502), status(504)}, 3, 0, 750 * time.Millisecond, 2250 * time.Millisecond},
		{"after too many requests", []http.HandlerFunc{status(429, "Retry-After", "7")}, 2, 0, 7 * time.Second, 7 * time.Second},
		{"after no response", []http.HandlerFunc{aborted, aborted}, 3, 0, 750 * time.Millisecond, 2250 * time.Millisecond},
		{"after what Retry-After asks for", []http.HandlerFunc{status(503, "Retry-After", "20")}, 2, 0, 20 * time.Second, 20 * time.Second},
		{"a long outage", repeat(unavailable, 100), 5, 503, 3750 * time.Millisecond, 11250 * time.Millisecond},
		{"an announced outage", []http.HandlerFunc{status(503, "Retry-After", "21")}, 1, 503, 0, 0},
		{"an outage that is announced with a date", []http.HandlerFunc{status(503, "Retry-After", "Sun, 29 Nov 2026 12:00:00 GMT")}, 2, 0, 250 * time.Millisecond, 750 * time.Millisecond},
		{"rejected", []http.HandlerFunc{reject("invalid_grant")}, 1, 400, 0, 0},
		{"forbidden", []http.HandlerFunc{status(403)}, 1, 403, 0, 0},
		{"an internal error", []http.HandlerFunc{status(500)}, 1, 500, 0, 0},
		{"rejected after an outage", []http.HandlerFunc{unavailable, reject("invalid_grant")}, 2, 400, 250 * time.Millisecond, 750 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &service{answers: tt.answers}
				jwts := 0
				c := newClient(t, config(s, source(func(ctx context.Context, audience string) (string, error) {
					jwts++
					return fresh(ctx, audience)
				})))
				began := time.Now()
				token, err := c.Token(t.Context())
				took := time.Since(began)
				require.Equal(t, tt.attempts, s.count())
				require.Equal(t, tt.attempts, jwts, "each attempt has a JWT of its own")
				require.GreaterOrEqual(t, took, tt.least)
				require.LessOrEqual(t, took, tt.most)
				if tt.code == 0 {
					require.NoError(t, err)
					require.NotEmpty(t, token)
					return
				}
				var rejected *client.Error
				require.ErrorAs(t, err, &rejected)
				require.Equal(t, tt.code, rejected.StatusCode)
				require.Empty(t, token)
			})
		})
	}
}

// An endpoint that never answers is given up after a minute.
func TestToken_timeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &service{answers: repeat(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 100)}
		c := newClient(t, config(s, fresh))
		began := time.Now()
		_, err := c.Token(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(began), time.Minute)
		require.GreaterOrEqual(t, s.times[1].Sub(s.times[0]), 15*time.Second)
	})
}

// A program that tries again and again does not do so at the endpoint.
func TestToken_pauseAfterAnError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		pause  time.Duration
	}{
		{"rejected", reject("invalid_grant"), 10 * time.Second},
		{"an announced outage", respond(503, "", "Retry-After", "60"), time.Minute},
		{"an outage announced for long", respond(503, "", "Retry-After", "65535"), 5 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &service{answers: []http.HandlerFunc{tt.answer}}
				c := newClient(t, config(s, fresh))
				_, err := c.Token(t.Context())
				require.Error(t, err)
				time.Sleep(tt.pause - time.Millisecond)
				for range 100 {
					_, again := c.Token(t.Context())
					require.Equal(t, err, again)
				}
				require.Equal(t, 1, s.count())
				time.Sleep(time.Millisecond)
				requireToken(t, c, "acme_pat_canary2")
			})
		})
	}
}

func TestToken_rejected(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   client.Error
		text   string
	}{
		{"by the endpoint", reject("invalid_grant"), client.Error{StatusCode: 400, Code: "invalid_grant", Description: "No rule matches."},
			"federate/client: the endpoint rejected the exchange with status 400: invalid_grant: No rule matches."},
		{"by a proxy", respond(403, "<h1>Blocked</h1>"), client.Error{StatusCode: 403}, "federate/client: the endpoint rejected the exchange with status 403"},
		{"with other JSON", respond(404, `{"error":{"code":404}}`), client.Error{StatusCode: 404}, "federate/client: the endpoint rejected the exchange with status 404"},
		{"with line breaks", respond(400, `{"error":"invalid_grant","error_description":"x\n::set-output name=y::z"}`), client.Error{StatusCode: 400, Code: "invalid_grant"},
			"federate/client: the endpoint rejected the exchange with status 400: invalid_grant"},
		{"at length", respond(400, `{"error":"invalid_grant","error_description":"`+strings.Repeat("x", 501)+`"}`), client.Error{StatusCode: 400, Code: "invalid_grant"},
			"federate/client: the endpoint rejected the exchange with status 400: invalid_grant"},
		{"by a redirect", respond(302, "", "Location", "/sign-in"), client.Error{StatusCode: 302},
			"federate/client: the endpoint rejected the exchange with status 302: redirects are not followed"},
		{"without content", respond(204, ""), client.Error{StatusCode: 204}, "federate/client: the endpoint rejected the exchange with status 204"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, serve(t, &service{answers: []http.HandlerFunc{tt.answer}}, fresh))
			_, err := c.Token(t.Context())
			var rejected *client.Error
			require.ErrorAs(t, err, &rejected)
			require.Equal(t, tt.want, *rejected)
			require.EqualError(t, err, tt.text)
		})
	}
}

func TestToken_malformedResponse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"a page", "<h1>Welcome</h1>", "no token of the type Bearer"},
		{"an object without members", "{}", "no token of the type Bearer"},
		{"another type", `{"access_token":"canary","token_type":"DPoP","expires_in":600}`, "no token of the type Bearer"},
		{"no token", `{"token_type":"Bearer","expires_in":600}`, "cannot be part of a header"},
		{"a line break", `{"access_token":"canary\r\nX-Admin: 1","token_type":"Bearer","expires_in":600}`, "cannot be part of a header"},
		{"a space", `{"access_token":"canary canary","token_type":"Bearer","expires_in":600}`, "cannot be part of a header"},
		{"a long token", `{"access_token":"` + strings.Repeat("canary", 1000) + `","token_type":"Bearer","expires_in":600}`, "cannot be part of a header"},
		{"no lifetime", `{"access_token":"canary","token_type":"Bearer"}`, "expires_in"},
		{"a lifetime that has passed", `{"access_token":"canary","token_type":"Bearer","expires_in":-1}`, "expires_in"},
		{"a lifetime of years", `{"access_token":"canary","token_type":"Bearer","expires_in":9223372036854775807}`, "expires_in"},
		{"a lifetime out of range", `{"access_token":"canary","token_type":"Bearer","expires_in":1e99}`, "no token of the type Bearer"},
		{"more than 64 KiB", strings.Repeat(" ", 64<<10) + `{"access_token":"canary","token_type":"Bearer","expires_in":600}`, "no token of the type Bearer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, serve(t, &service{answers: []http.HandlerFunc{respond(200, tt.body)}}, fresh))
			_, err := c.Token(t.Context())
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "canary")
		})
	}
}

// An attack: an endpoint whose host has been taken over in part, or that has an open redirect, sends
// the exchange on. The form of a 307 is repeated by default, with the JWT in it.
func TestToken_redirect(t *testing.T) {
	t.Parallel()
	elsewhere := &service{}
	target := listen(t, elsewhere)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := &service{answers: []http.HandlerFunc{respond(status, "", "Location", target)}}
		c := newClient(t, serve(t, s, fresh))
		_, err := c.Token(t.Context())
		require.ErrorContains(t, err, "redirects are not followed")
		require.Zero(t, elsewhere.count())
	}
	// The default of net/http, which shows that the redirect works.
	redirecting := listen(t, http.RedirectHandler(target, http.StatusTemporaryRedirect))
	resp, err := http.PostForm(redirecting, url.Values{"subject_token": {"canary"}})
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, []string{"canary"}, elsewhere.forms[0]["subject_token"])
}

// Even if the HTTPClient of the program follows them.
func TestToken_redirectWithHTTPClient(t *testing.T) {
	t.Parallel()
	elsewhere := &service{}
	cfg := serve(t, http.RedirectHandler(listen(t, elsewhere), http.StatusTemporaryRedirect), fresh)
	cfg.HTTPClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	_, err := newClient(t, cfg).Token(t.Context())
	require.ErrorContains(t, err, "redirects are not followed")
	require.Zero(t, elsewhere.count())
}

// A job of GitLab CI has one JWT. It is not sent again, which the service would report as a replay.
func TestToken_spent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, jwt := &service{}, newJWT(map[string]any{"aud": audience})
		c := newClient(t, config(s, source(func(context.Context, string) (string, error) { return jwt, nil })))
		requireToken(t, c, "acme_pat_canary1")
		time.Sleep(9 * time.Minute)
		requireToken(t, c, "acme_pat_canary1")
		time.Sleep(time.Minute)
		_, err := c.Token(t.Context())
		require.ErrorIs(t, err, client.ErrSpent)
		require.Equal(t, 1, s.count())

		jwt = newJWT(map[string]any{"aud": audience}) // as the kubelet does
		time.Sleep(10 * time.Second)
		requireToken(t, c, "acme_pat_canary2")
	})
}

// A long job of GitLab CI has several.
func TestToken_spentInOneSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		none := source(func(context.Context, string) (string, error) { return "", client.ErrNoIdentity })
		jwts := []string{newJWT(map[string]any{"aud": audience}), newJWT(map[string]any{"aud": audience})}
		s := &service{}
		c := newClient(t, config(s, none, always(jwts[0]), always(jwts[1])))
		requireToken(t, c, "acme_pat_canary1")
		time.Sleep(10 * time.Minute)
		requireToken(t, c, "acme_pat_canary2")
		time.Sleep(10 * time.Minute)
		_, err := c.Token(t.Context())
		require.ErrorIs(t, err, client.ErrSpent)
		require.NotErrorIs(t, err, client.ErrNoIdentity)
		require.Len(t, s.forms, 2)
		for i, jwt := range jwts {
			require.Equal(t, jwt, s.forms[i].Get("subject_token"))
		}
	})
}

// Two Sources may find the same JWT, for example in a variable and in a file. Sent again, it would look like a
// stolen copy to the service.
func TestToken_spentInAnotherSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		jwt := newJWT(map[string]any{"aud": audience})
		s := &service{}
		c := newClient(t, config(s, always(jwt), always(jwt)))
		requireToken(t, c, "acme_pat_canary1")
		time.Sleep(10 * time.Minute)
		_, err := c.Token(t.Context())
		require.ErrorIs(t, err, client.ErrSpent)
		require.Equal(t, 1, s.count())
	})
}

// The same JWT may be sent again after a rejection: the host may have corrected the rule.
func TestToken_correctedRule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &service{answers: []http.HandlerFunc{reject("invalid_grant")}}
		c := newClient(t, config(s, always(newJWT(map[string]any{"aud": audience}))))
		_, err := c.Token(t.Context())
		require.ErrorContains(t, err, "invalid_grant")
		time.Sleep(10 * time.Second)
		requireToken(t, c, "acme_pat_canary2")
	})
}

// A response that was lost may have used up the JWT. The error says so.
func TestToken_lostResponse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &service{answers: []http.HandlerFunc{aborted, reject("invalid_grant")}}
		c := newClient(t, config(s, always(newJWT(map[string]any{"aud": audience}))))
		_, err := c.Token(t.Context())
		var rejected *client.Error
		require.ErrorAs(t, err, &rejected)
		require.ErrorContains(t, err, "invalid_grant")
		require.ErrorContains(t, err, "may have used up the JWT")
		require.ErrorIs(t, err, errReset)
	})
}

// Neither a JWT nor a token is printed, even if an endpoint or a Transport quotes it.
func TestClient_isNeverPrinted(t *testing.T) {
	t.Parallel()
	quote := func(part int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := json.Marshal(map[string]string{
				"error": "invalid_grant", "error_description": "bad: " + strings.Split(r.PostForm.Get("subject_token"), ".")[part],
			})
			if err != nil {
				panic(err)
			}
			respond(400, string(body))(w, r)
		}
	}
	quotingTransport := config(nil, fresh)
	quotingTransport.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		return nil, errors.Join(err, fmt.Errorf("cannot send %s", body))
	})}
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		print := func(values ...any) {
			for _, v := range values {
				fmt.Fprintf(&out, "%v %+v %#v %s %d\n", v, v, v, v, v)
				slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
				slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
			}
		}
		working := newClient(t, config(&service{}, fresh))
		requireToken(t, working, "acme_pat_canary1")
		transport := working.Transport(quotingBase)
		print(working, transport, struct{ C *client.Client }{working}, http.Client{Transport: transport})
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://notes.example/", nil)
		require.NoError(t, err)
		_, err = transport.RoundTrip(r)
		require.Error(t, err)
		print(err)
		for _, cfg := range []client.Config{
			config(&service{answers: []http.HandlerFunc{quote(0)}}, fresh),
			config(&service{answers: []http.HandlerFunc{quote(1)}}, fresh),
			config(&service{answers: []http.HandlerFunc{quote(2)}}, fresh),
			config(&service{answers: []http.HandlerFunc{respond(200, `{"access_token":"acme_pat_canary"}`)}}, fresh),
			config(&service{}, always("canary")),
			config(&service{}, always(newJWT(map[string]any{"aud": "canary-audience"}))),
			quotingTransport,
		} {
			c := newClient(t, cfg)
			_, err := c.Token(t.Context())
			require.Error(t, err)
			print(err, c)
		}
		for secret := range strings.SplitSeq(newJWT(map[string]any{"aud": audience}), ".") {
			require.NotContains(t, out.String(), secret[:20])
		}
		require.NotContains(t, out.String(), "canary")
	})
}

var quotingBase = roundTripper(func(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("cannot send %s", r.Header.Get("Authorization"))
})

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// For every answer of an endpoint there is a token that can be sent, or an error of one line without the
// JWT.
func FuzzToken(f *testing.F) {
	f.Add(200, `{"access_token":"acme_pat_x","token_type":"bearer","expires_in":600}`)
	f.Add(200, `{"access_token":"\u000a","token_type":"Bearer","expires_in":1}`)
	f.Add(400, `{"error":"invalid_grant","error_description":"No rule matches."}`)
	f.Add(400, `{"error":"\u2028","error_description":"\u0000"}`)
	f.Add(503, "")
	f.Add(301, "[]")
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 {
			t.Skip("not a final status")
		}
		jwt := newJWT(map[string]any{"aud": audience})
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, config(respond(status, strings.ReplaceAll(body, "JWT", jwt)), always(jwt)))
			token, err := c.Token(t.Context())
			if err == nil {
				require.Equal(t, 200, status)
				require.Regexp(t, `^[!-~]+$`, token)
				return
			}
			require.Empty(t, token)
			require.Regexp(t, `^[ -~]+$`, err.Error())
			for part := range strings.SplitSeq(jwt, ".") {
				require.NotContains(t, err.Error(), part)
			}
		})
	})
}
