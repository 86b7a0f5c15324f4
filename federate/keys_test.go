package federate_test

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/federate"
)

// requireUnavailable sends a JWT while its issuer cannot be asked for its keys.
func (f *fixture) requireUnavailable(t *testing.T, token, because string) {
	t.Helper()
	f.takeEvents()
	w := f.exchange(token)
	requireError(t, w, 503, "temporarily_unavailable", "Please try again.")
	require.Equal(t, "15", w.Header().Get("Retry-After"))
	events := f.takeEvents()
	require.Equal(t, auth.ReasonUnavailable, events[0].Reason)
	require.ErrorContains(t, events[0].Err, because)
	require.ErrorContains(t, events[0].Err, "federate: the keys of "+issuerURL)
}

// answerWith returns a handler that sends this response.
func answerWith(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

// A new key is used as soon as a JWT names it. A key that the issuer has withdrawn is used for another hour.
func TestKeys_rotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		requireToken(t, f.exchange(jwt(nil)))
		require.Equal(t, 2, f.issuer.count())
		f.issuer.change(func(i *issuer) { i.keys = []jose.JSONWebKey{{Key: otherRSAKey().Public(), KeyID: "new", Use: "sig"}} })
		next := func() string { return sign(otherRSAKey(), object{"alg": "RS256", "kid": "new"}, claims()) }
		time.Sleep(59 * time.Second)
		requireError(t, f.exchange(next()), 400, "invalid_grant", noMatch) // within a minute, an issuer that publishes before it signs has no new keys
		require.Zero(t, f.issuer.count())
		requireToken(t, f.exchange(jwt(nil)))
		time.Sleep(time.Second)
		requireToken(t, f.exchange(next()))
		require.Equal(t, 2, f.issuer.count())
		time.Sleep(time.Minute)
		requireError(t, f.exchange(jwt(nil)), 400, "invalid_grant", noMatch)
		time.Sleep(time.Hour)
		requireToken(t, f.exchange(next()))
		require.Equal(t, 4, f.issuer.count())
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		requireToken(t, f.exchange(jwt(nil)))
		f.issuer.change(func(i *issuer) { i.keys = []jose.JSONWebKey{{Key: otherRSAKey().Public(), KeyID: "new", Use: "sig"}} })
		time.Sleep(time.Hour - time.Second)
		requireToken(t, f.exchange(jwt(nil)))
		time.Sleep(time.Second)
		requireError(t, f.exchange(jwt(nil)), 400, "invalid_grant", noMatch)
	})
}

// An issuer that publishes no usable key is not unavailable: it has withdrawn all of them, as an issuer does whose
// keys were stolen.
func TestKeys_allWithdrawn(t *testing.T) {
	t.Parallel()
	for name, withdraw := range map[string]func(i *issuer){
		"no keys":          func(i *issuer) { i.keys = []jose.JSONWebKey{} },
		"unsupported keys": func(i *issuer) { i.keys = []jose.JSONWebKey{{Key: shortRSAKey().Public(), KeyID: "rsa"}} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				requireToken(t, f.exchange(jwt(nil)))
				f.takeEvents()
				f.issuer.change(withdraw)
				time.Sleep(time.Hour)
				w := f.exchange(jwt(nil))
				requireError(t, w, 503, "temporarily_unavailable", "Please try again.")
				require.ErrorContains(t, f.takeEvents()[0].Err, "the issuer has no key for signatures")
				f.issuer.change(func(i *issuer) { i.intercept = answerWith(500, "") })
				time.Sleep(time.Minute)
				requireError(t, f.exchange(jwt(nil)), 503, "temporarily_unavailable", "Please try again.")
				f.issuer.change(func(i *issuer) { i.keys, i.intercept = nil, nil })
				time.Sleep(10 * time.Second)
				requireToken(t, f.exchange(jwt(nil)))
			})
		})
	}
}

// A key that keeps its ID is replaced too.
func TestKeys_replacedUnderTheSameID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		requireToken(t, f.exchange(jwt(nil)))
		f.issuer.change(func(i *issuer) { i.keys = []jose.JSONWebKey{{Key: otherRSAKey().Public(), KeyID: "rsa"}} })
		time.Sleep(time.Hour)
		requireError(t, f.exchange(jwt(nil)), 400, "invalid_grant", noMatch)
		requireToken(t, f.exchange(sign(otherRSAKey(), rsaHeader, claims())))
	})
}

// JWTs that name unknown keys, which anyone can make, do not cause more requests to the issuer.
func TestKeys_junk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		requests := 0
		for i := range 600 { // ten minutes
			requireError(t, f.exchange(sign([]byte("junk"), object{"alg": "RS256", "kid": fmt.Sprint(i)}, claims())), 400, "invalid_grant", noMatch)
			requests += f.issuer.count()
			time.Sleep(time.Second)
		}
		require.Equal(t, 2*10, requests)
	})
}

// While the issuer is unavailable, known keys are used for six hours, and it is asked every ten seconds.
func TestKeys_outage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		requireToken(t, f.exchange(jwt(nil)))
		f.issuer.change(func(i *issuer) { i.intercept = answerWith(500, "") })
		time.Sleep(time.Hour)
		f.issuer.count()
		for range 60 {
			requireToken(t, f.exchange(jwt(nil)))
			time.Sleep(time.Second)
		}
		require.Equal(t, 6, f.issuer.count())
		f.requireUnavailable(t, sign(rsaKey(), object{"alg": "RS256", "kid": "unknown"}, claims()), "has status 500")
		time.Sleep(5*time.Hour - 2*time.Minute)
		requireToken(t, f.exchange(jwt(nil)))
		time.Sleep(time.Minute)
		f.requireUnavailable(t, jwt(nil), "has status 500")
		token := jwt(nil)
		f.requireUnavailable(t, token, "has status 500")
		f.issuer.change(func(i *issuer) { i.intercept = nil })
		time.Sleep(10 * time.Second)
		requireToken(t, f.exchange(token)) // which the outage has not used up
	})
}

// An issuer that answers slowly holds each request for ten seconds at most, and is asked once.
func TestKeys_slowIssuer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.issuer.change(func(i *issuer) {
			i.intercept = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) })
		})
		begin := time.Now()
		var group sync.WaitGroup
		var codes [20]int
		for i := range codes {
			group.Go(func() { codes[i] = f.exchange(jwt(nil)).Code })
		}
		group.Wait()
		require.Equal(t, slices.Repeat([]int{503}, 20), codes[:])
		require.Equal(t, 10*time.Second, time.Since(begin))
		require.Equal(t, 1, f.issuer.count())
		require.ErrorIs(t, f.takeEvents()[0].Err, context.DeadlineExceeded)

		// A client that goes away does not end the request that others wait for.
		f.issuer.change(func(i *issuer) {
			i.intercept = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(2 * time.Second)
				(&issuer{url: i.url, keys: i.keys}).ServeHTTP(w, r)
			})
		})
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader("grant_type="+grantJWT+"&rule=deploy&assertion="+jwt(nil)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		begin = time.Now()
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, r)
		require.Equal(t, 503, w.Code)
		require.Equal(t, time.Second, time.Since(begin))
		requireToken(t, f.exchange(jwt(nil)))
		require.Equal(t, 2, f.issuer.count())
	})
}

// Whatever is wrong with discovery or the keys, no other keys are used, and nothing is trusted.
func TestKeys_wrongDocuments(t *testing.T) {
	t.Parallel()
	set := func(keys ...any) string { return string(must(json.Marshal(object{"keys": keys}))) }
	for name, test := range map[string]struct {
		change func(i *issuer)
		why    string
	}{
		"another issuer":          {func(i *issuer) { i.discovery = object{"issuer": "https://evil.example"} }, `that of the issuer "https://evil.example"`},
		"the issuer with a slash": {func(i *issuer) { i.discovery = object{"issuer": issuerURL + "/"} }, "that of the issuer"},
		"no issuer":               {func(i *issuer) { i.discovery = object{"issuer": deleted} }, "that of the issuer"},
		"no jwks_uri":             {func(i *issuer) { i.discovery = object{"jwks_uri": deleted} }, "which is not an https URL"},
		"keys over http":          {func(i *issuer) { i.discovery = object{"jwks_uri": "http://issuer.example/keys"} }, "which is not an https URL"},
		"keys in a file":          {func(i *issuer) { i.discovery = object{"jwks_uri": "file:///etc/passwd"} }, "which is not an https URL"},
		"keys without a host":     {func(i *issuer) { i.discovery = object{"jwks_uri": "https:///keys"} }, "which is not an https URL"},
		"keys at a long URL":      {func(i *issuer) { i.discovery = object{"jwks_uri": issuerURL + "/" + strings.Repeat("k", 1024)} }, "which is not an https URL"},
		"keys with a password":    {func(i *issuer) { i.discovery = object{"jwks_uri": "https://a:b@issuer.example/keys"} }, "which is not an https URL"},
		"jwks_uri a list":         {func(i *issuer) { i.discovery = object{"jwks_uri": []string{issuerURL}} }, "the response is not JSON"},
		"HTML":                    {func(i *issuer) { i.intercept = answerWith(200, "<html>") }, "the response is not JSON"},
		"nothing":                 {func(i *issuer) { i.intercept = answerWith(200, "") }, "the response is not JSON"},
		"status 404":              {func(i *issuer) { i.intercept = answerWith(404, "{}") }, "has status 404"},
		"status 204":              {func(i *issuer) { i.intercept = answerWith(204, "") }, "has status 204"},
		"an endless document":     {func(i *issuer) { i.intercept = answerWith(200, strings.Repeat(" ", 1<<20)) }, "is longer than 524288 bytes"},
		"a panic":                 {func(*issuer) {}, "the client panicked with a string"},
		"the end of a goroutine":  {func(*issuer) {}, "the client ended its goroutine"},
		"keys that are none":      {func(i *issuer) { i.intercept = documents(issuerURL, `{"keys":{}}`) }, "the response is no set of keys"},
		"no keys":                 {func(i *issuer) { i.intercept = documents(issuerURL, set()) }, "the issuer has no key for signatures"},
		"too many keys":           {func(i *issuer) { i.intercept = documents(issuerURL, set(make([]any, 101)...)) }, "the response is no set of keys"},
		"a key with a long ID": {func(i *issuer) {
			i.keys = []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: strings.Repeat("k", 257)}}
		}, "the issuer has no key for signatures"},
		"unknown keys only": {func(i *issuer) {
			i.intercept = documents(issuerURL, set(object{"kty": "new", "kid": "rsa"}, 17, "x", nil))
		}, "the issuer has no key for signatures"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(cfg *federate.Config) {
				switch name {
				case "a panic":
					cfg.Clients[issuerURL] = &http.Client{Transport: panicking{}}
				case "the end of a goroutine":
					cfg.Clients[issuerURL] = &http.Client{Transport: ending{}}
				}
			})
			f.issuer.change(test.change)
			f.requireUnavailable(t, jwt(nil), test.why)
		})
	}
}

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("no") }

type ending struct{}

func (ending) RoundTrip(*http.Request) (*http.Response, error) {
	runtime.Goexit()
	return nil, nil
}

// documents serves a discovery document and these keys.
func documents(url, keys string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_, _ = w.Write([]byte(keys))
			return
		}
		_ = json.NewEncoder(w).Encode(object{"issuer": url, "jwks_uri": url + "/keys"})
	})
}

// A key of a new kind, or a broken one, does not make the others useless. Of two with one ID, the one for
// the algorithm is used.
func TestKeys_someAreUseless(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	good := json.RawMessage(must((&jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "rsa"}).MarshalJSON()))
	other := json.RawMessage(must((&jose.JSONWebKey{Key: ecKey().Public(), KeyID: "rsa"}).MarshalJSON()))
	third := json.RawMessage(must((&jose.JSONWebKey{Key: otherRSAKey().Public(), KeyID: "rsa"}).MarshalJSON()))
	keys := string(must(json.Marshal(object{"keys": []any{
		object{"kty": "AKP", "kid": "rsa", "alg": "ML-DSA-44"}, object{"kty": "RSA", "kid": "rsa", "n": "", "e": "AQAB"},
		object{"kty": "EC", "kid": "rsa", "crv": "P-256", "x": "AA", "y": "AA"}, object{"kty": "OKP", "crv": "X25519", "kid": "rsa", "x": "AA"}, nil, other, third, good,
	}})))
	f.issuer.change(func(i *issuer) { i.intercept = documents(issuerURL, keys) })
	requireToken(t, f.exchange(jwt(nil)))
	requireToken(t, f.exchange(sign(ecKey(), object{"alg": "ES256", "kid": "rsa"}, claims())))
}

// An issuer, which a user of the service may have chosen, publishes many keys with one ID. A JWT that names it
// must not cost a check of its signature by each of them.
func TestKeys_manyWithOneID(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		others int
		signed bool
	}{"three others": {3, true}, "four others": {4, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.issuer.change(func(i *issuer) {
				for range test.others {
					i.keys = append(i.keys, jose.JSONWebKey{Key: otherRSAKey().Public(), KeyID: "rsa"})
				}
				i.keys = append(i.keys, jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "rsa"})
			})
			if test.signed {
				requireToken(t, f.exchange(jwt(nil)))
				return
			}
			f.requireRejected(t, jwt(nil), auth.ReasonForged, "the signature is invalid")
		})
	}
}

// RSA keys above 4096 bits, which cost more to verify, are not used.
func TestKeys_length(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	n := new(big.Int).SetBit(big.NewInt(1), 4096, 1)
	f.issuer.change(func(i *issuer) { i.keys = []jose.JSONWebKey{{Key: &rsa.PublicKey{N: n, E: 65537}, KeyID: "rsa"}} })
	f.requireUnavailable(t, jwt(nil), "the issuer has no key for signatures")
}

// RFC 7517 section 4.3: a key may say what it is for.
func TestKeys_operations(t *testing.T) {
	t.Parallel()
	for operations, accepted := range map[string]bool{
		`["verify"]`: true, `["encrypt","verify"]`: true, `["encrypt"]`: false, `["sign"]`: false, `[]`: false, `"verify"`: false,
	} {
		t.Run(operations, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			key := string(must((&jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "rsa"}).MarshalJSON()))
			f.issuer.change(func(i *issuer) {
				i.intercept = documents(issuerURL, `{"keys":[`+strings.TrimSuffix(key, "}")+`,"key_ops":`+operations+`}]}`)
			})
			if accepted {
				requireToken(t, f.exchange(jwt(nil)))
				return
			}
			f.requireUnavailable(t, jwt(nil), "the issuer has no key for signatures")
		})
	}
}

// An issuer decides on the text of some errors, which are kept for each issuer and logged for each request.
func TestKeys_longErrors(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 60<<10)
	for name, handler := range map[string]http.Handler{
		"a Location that is no URL": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://issuer.example/%"+long)
			w.WriteHeader(http.StatusFound)
		}),
		"a redirect from a long URL": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			to := "/" + long
			if r.URL.Path == to {
				to = "https://evil.example"
			}
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.issuer.change(func(i *issuer) { i.intercept = handler })
			requireError(t, f.exchange(jwt(nil)), 503, "temporarily_unavailable", "Please try again.")
			text := f.takeEvents()[0].Err.Error()
			require.Contains(t, text, "federate: the keys of "+issuerURL)
			require.Less(t, len(text), 1000)
		})
	}
}

// The documents of all issuers are kept, in part. What an issuer adds to its keys is not.
func TestKeys_memory(t *testing.T) { // not parallel: it reads the size of the heap
	const issuers, size = 20, 200 << 10
	long := strings.Repeat("k", size)
	key := strings.TrimSuffix(string(must((&jose.JSONWebKey{Key: ecKey().Public(), KeyID: "ec"}).MarshalJSON())), "}")
	keys := `{"keys":[` + key + `,"x5u":"https://` + long + `"},` + key + `,"alg":"` + long + `"}]}`
	f := newFixture(t, func(cfg *federate.Config) {
		for i := range issuers {
			url := fmt.Sprintf("https://issuer%d.example", i)
			cfg.Clients[url] = &http.Client{Transport: inMemory{documents(url, keys)}}
		}
	})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range issuers {
		url := fmt.Sprintf("https://issuer%d.example", i)
		f.change(func(r *federate.Rule) { r.Issuer = url })
		requireToken(t, f.exchange(sign(ecKey(), object{"alg": "ES256", "kid": "ec"}, claims().with(object{"iss": url}))))
	}
	require.Less(t, heap(), before+issuers*size/4)
	runtime.KeepAlive(f)
}

// A real server, over TLS. Redirects that stay at the host are followed.
func TestKeys_overTLS(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect to another host was followed") }))
	t.Cleanup(elsewhere.Close)
	for name, test := range map[string]struct {
		to  func(own string) string
		why string // empty: it is followed
	}{
		"no redirect":     {nil, ""},
		"the same host":   {func(own string) string { return own + "/moved/keys" }, ""},
		"in a circle":     {func(own string) string { return own + "/keys" }, "too many redirects"},
		"another port":    {func(string) string { return elsewhere.URL }, "leads to another host"},
		"another host":    {func(string) string { return "https://evil.example/keys" }, "leads to another host"},
		"plain HTTP":      {func(own string) string { return strings.Replace(own, "https", "http", 1) }, "away from https"},
		"another scheme":  {func(string) string { return "file:///etc/passwd" }, "leads to another host"},
		"a relative path": {func(string) string { return "moved/keys" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := newIssuer("")
			mux := http.NewServeMux()
			mux.Handle("/", at)
			mux.Handle("/moved/", http.StripPrefix("/moved", at))
			if test.to != nil {
				mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Location", test.to(at.url))
					w.WriteHeader(http.StatusFound)
				})
			}
			server := httptest.NewTLSServer(mux)
			t.Cleanup(server.Close)
			at.change(func(i *issuer) { i.url = server.URL })
			f := newFixture(t, func(cfg *federate.Config) { cfg.Clients = map[string]*http.Client{server.URL: server.Client()} })
			f.change(func(r *federate.Rule) { r.Issuer = server.URL })
			w := f.exchange(jwt(object{"iss": server.URL}))
			if test.why == "" {
				requireToken(t, w)
				return
			}
			requireError(t, w, 503, "temporarily_unavailable", "Please try again.")
			require.ErrorContains(t, f.takeEvents()[0].Err, test.why)
		})
	}
}

// The own CheckRedirect of a client still decides.
func TestKeys_ownRedirects(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(cfg *federate.Config) {
		client := cfg.Clients[issuerURL]
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("not here") }
	})
	f.issuer.change(func(i *issuer) { i.intercept = http.RedirectHandler("/elsewhere", http.StatusFound) })
	f.requireUnavailable(t, jwt(nil), "not here")
}

// A user of the service writes a rule whose issuer is in the network behind the service. A certificate
// is not even asked for.
func TestKeys_privateAddresses(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a private address was reached") }))
	t.Cleanup(server.Close)
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		f := newFixture(t)
		url := "https://" + host + port
		f.change(func(r *federate.Rule) { r.Issuer = url })
		requireError(t, f.exchange(jwt(object{"iss": url})), 503, "temporarily_unavailable", "Please try again.")
		require.ErrorContains(t, f.takeEvents()[0].Err, "is not a public address", host)
	}
}

// Only issuers of rules are asked for keys, however many others JWTs name.
func TestKeys_issuersOfRulesOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 100 {
		requireError(t, f.exchange(jwt(object{"iss": fmt.Sprintf("https://issuer%d.example", i)})), 400, "invalid_grant", noMatch)
	}
	require.Zero(t, f.issuer.count())
}

// Users of the service can name any number of issuers in their rules. The ones that are used are remembered.
func TestKeys_manyIssuers(t *testing.T) {
	t.Parallel()
	keys := string(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: ecKey().Public(), KeyID: "ec"}}})))
	everything := inMemory{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		documents("https://"+r.URL.Host, keys).ServeHTTP(w, r)
	})}
	const issuers = 1100
	f := newFixture(t, func(cfg *federate.Config) {
		for i := range issuers {
			cfg.Clients[fmt.Sprintf("https://issuer%d.example", i)] = &http.Client{Transport: everything}
		}
	})
	for i := range issuers {
		url := fmt.Sprintf("https://issuer%d.example", i)
		rule := f.rules["deploy"]
		f.change(func(r *federate.Rule) { r.Issuer = url })
		requireToken(t, f.exchange(sign(ecKey(), object{"alg": "ES256", "kid": "ec"}, claims().with(object{"iss": url}))))
		f.rules["deploy"] = rule
		if i%100 == 0 {
			requireToken(t, f.exchange(jwt(nil)))
		}
	}
	require.Equal(t, 2, f.issuer.count(), "the issuer that is used is not forgotten")
}
