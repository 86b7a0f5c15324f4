package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// bound is how long a process may serve what another has revoked, whatever happens.
const bound = 5 * time.Second

// trials is how many there are: a few, or AUTH_TEST_TRIALS. With 10,000 or more,
// how soon most are refused is checked as well, which takes a machine that has
// nothing else to do:
//
//	AUTH_TEST_TRIALS=10000 go test -run TwoProcesses -v -timeout 30m ./examples/server
func trials(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv("AUTH_TEST_TRIALS")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// Somebody signs out at one process, or a third one revokes a token or a secret.
// Where the store tells of it, the other process refuses within milliseconds.
func TestTwoProcessesThatAreTold(t *testing.T) {
	for _, p := range places {
		if p.name != "PostgreSQL" && p.name != "Redis" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			two := startTwo(t, p.make(t))
			n := trials(t, 300)
			delays := two.measure(t, n, 8, time.Millisecond, two.session, two.token, two.secret)
			p99 := delays[len(delays)*99/100]
			if n >= 10_000 {
				require.Less(t, p99, 50*time.Millisecond)
			}
		})
	}
}

// Without such news the other process follows within the bound. As many sessions at
// once would be more than an account may have.
func TestTwoProcessesThatAreNotTold(t *testing.T) {
	for _, p := range places {
		if p.name != "MariaDB or MySQL" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			two := startTwo(t, p.make(t))
			// Each takes the 5 s, so that many wait at once.
			n := trials(t, 100)
			two.measure(t, n, min(n, 200), 250*time.Millisecond, two.token, two.secret)
		})
	}
}

type twoProcesses struct {
	here, there string // their URLs
	own         *server
	bearer      *auth.Bearer // without the service's limit
	client      http.Client
	writes      chan struct{} // holds one for each write going on
}

// writesAtOnce leaves each well within the time that it is given, on a slow machine
// as well: what is measured is how soon a revocation is seen.
const writesAtOnce = 8

// write does one when it is its turn.
func (two *twoProcesses) write(do func() error) error {
	two.writes <- struct{}{}
	defer func() { <-two.writes }()
	return do()
}

func startTwo(t *testing.T, store string) *twoProcesses {
	t.Helper()
	keys := auth.Keys{newKey()}
	env := []string{"AUTH_KEYS=" + base64.StdEncoding.EncodeToString(keys[0])}
	here := startProcess(t, t.TempDir(), env, "-store", store).listening(t)
	there := startProcess(t, t.TempDir(), env, "-store", store).listening(t)
	own := newServerOver(t, openTestStorage(t, store), keys)
	bearer, err := auth.NewBearer(own.store, auth.BearerConfig{Prefix: "demo_pat"})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, bearer.Close(context.Background()))
		here.stop(t)
		there.stop(t)
	})
	client := http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(client.CloseIdleConnections)
	return &twoProcesses{here.demo().url, there.demo().url, own, bearer, client, make(chan struct{}, writesAtOnce)}
}

// A revocation is a credential, as a header field for a path, and what ends it.
type revocation struct {
	path, name, value string
	end               func() error
}

// A maker makes a credential that is to be revoked.
type maker func(context.Context) (*revocation, error)

func (two *twoProcesses) session(ctx context.Context) (*revocation, error) {
	w := httptest.NewRecorder()
	_, err := two.own.cookie.SignIn(w, httptest.NewRequestWithContext(ctx, "POST", "/signin", nil), userID(0), auth.NewSession{})
	if err != nil {
		return nil, err
	}
	cookie := w.Result().Cookies()[0]
	r := &revocation{path: "/api/v1/me", name: "Cookie", value: cookie.Name + "=" + cookie.Value}
	r.end = func() error {
		status, err := two.ask(ctx, "POST", two.here+"/signout", r)
		if err == nil && status != http.StatusSeeOther {
			err = fmt.Errorf("signing out is answered with %d", status)
		}
		return err
	}
	return r, nil
}

func (two *twoProcesses) token(ctx context.Context) (*revocation, error) {
	plaintext, c, err := two.bearer.Issue(ctx, userID(0), auth.NewToken{Name: "short-lived"})
	if err != nil {
		return nil, err
	}
	end := func() error { return two.bearer.Revoke(ctx, userID(0), c.ID) }
	return &revocation{"/api/v1/me", "Authorization", "Bearer " + plaintext, end}, nil
}

// secret makes an account for each, as one has a single secret.
func (two *twoProcesses) secret(ctx context.Context) (*revocation, error) {
	a := &account{ID: unique(), Name: unique()}
	if err := two.own.state.addAccount(ctx, a); err != nil {
		return nil, err
	}
	plaintext, _, err := two.own.secret.Assign(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	end := func() error { return two.own.secret.Revoke(ctx, a.ID) }
	return &revocation{"/api/v1/usage", "Authorization", "Secret " + plaintext, end}, nil
}

func (two *twoProcesses) ask(ctx context.Context, method, url string, r *revocation) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set(r.name, r.value)
	res, err := two.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// An outcome is how long after the revocation the last request was sent that was
// served, and the first refusal was there. Between the two are a pause, a request
// and whatever else the machine does.
type outcome struct{ served, refused time.Duration }

// measure returns how long after its revocation each credential was refused, the
// shortest first.
func (two *twoProcesses) measure(t *testing.T, n, atOnce int, pause time.Duration, kinds ...maker) []time.Duration {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var delays []time.Duration
	var served time.Duration // of the one that was served longest
	var failed error         // the first that did: it ends the rest
	left := n
	turn := func() int {
		mu.Lock()
		defer mu.Unlock()
		left--
		return left
	}
	report := func(o outcome, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			delays, served = append(delays, o.refused), max(served, o.served)
		} else if failed == nil {
			failed, left = err, 0
		}
	}
	for range atOnce {
		wg.Go(func() {
			for i := turn(); i >= 0; i = turn() {
				report(two.trial(t.Context(), pause, kinds[i%len(kinds)]))
			}
		})
	}
	wg.Wait()
	require.NoError(t, failed)
	require.Equal(t, n, len(delays))
	slices.Sort(delays)
	t.Logf("%d trials: refused after %v in the middle, %v for 99 of 100, %v at the most; served for %v at the most",
		n, delays[n/2], delays[n*99/100], delays[n-1], served)
	return delays
}

func (two *twoProcesses) trial(ctx context.Context, pause time.Duration, make maker) (o outcome, err error) {
	var r *revocation
	err = two.write(func() error {
		r, err = make(ctx)
		return err
	})
	if err != nil {
		return o, err
	}
	for range 2 { // the second is answered from its cache
		if status, err := two.ask(ctx, "GET", two.there+r.path, r); err != nil || status != http.StatusOK {
			return o, fmt.Errorf("a good credential is answered with %d, %v", status, err)
		}
	}
	var revoked time.Time
	err = two.write(func() error {
		err := r.end()
		revoked = time.Now()
		return err
	})
	if err != nil {
		return o, err
	}
	for {
		sent := time.Now()
		status, err := two.ask(ctx, "GET", two.there+r.path, r)
		switch {
		case err != nil:
			return o, err
		case status == http.StatusUnauthorized:
			o.refused = time.Since(revoked)
			return o, nil
		case status != http.StatusOK:
			return o, fmt.Errorf("a revoked credential is answered with %d", status)
		}
		if o.served = sent.Sub(revoked); o.served > bound {
			return o, fmt.Errorf("it is still served %v after it was revoked", o.served)
		}
		<-time.After(pause)
	}
}
