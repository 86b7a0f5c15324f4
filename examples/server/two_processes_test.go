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
	"github.com/seed-31c5bcb2/auth/examples/internal/teststores"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
)

// bound is how long a process may accept a credential that another has revoked.
const bound = 5 * time.Second

// trials returns the number of trials: few, or AUTH_TEST_TRIALS. With 10,000 or more,
// the test also checks the 99th percentile, which needs an otherwise idle machine:
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

// A user signs out at one process, or a third process revokes a token or a secret.
// If the store notifies the other process, it rejects them within milliseconds.
func TestTwoProcesses_withNotifications(t *testing.T) {
	for name, create := range map[string]func(*testing.T) string{"PostgreSQL": teststores.PostgreSQL, "Redis": teststores.Redis} {
		t.Run(name, func(t *testing.T) {
			two := startTwo(t, create(t))
			n := trials(t, 300)
			delays := two.measure(t, n, 8, time.Millisecond, two.session, two.token, two.secret)
			p99 := delays[len(delays)*99/100]
			if n >= 10_000 {
				require.Less(t, p99, 50*time.Millisecond)
			}
		})
	}
}

// Without notifications, the other process rejects them within the bound. Sessions are
// not tested: a user cannot have as many at once.
func TestTwoProcesses_withoutNotifications(t *testing.T) {
	t.Parallel()
	two := startTwo(t, teststores.MySQL(t))
	// Each trial takes up to 5 s, so many run at once.
	n := trials(t, 100)
	two.measure(t, n, min(n, 200), 250*time.Millisecond, two.token, two.secret)
}

// adaID is the ID of the user ada.
const adaID = "user-1"

type twoProcesses struct {
	here, there string // URLs
	storage     *demodata.Storage
	own         *server
	bearer      *auth.Bearer // without a limit per user
	client      http.Client
	writes      chan struct{} // holds one element for each write in progress
}

// writesAtOnce is low enough for each write to be well within its timeout, even on a
// slow machine: the test measures how soon a revocation takes effect.
const writesAtOnce = 8

// write calls do once fewer than writesAtOnce writes are in progress.
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
	storage := openStorage(t, store)
	own := newTestServer(t, storage, keys)
	bearer, err := auth.NewBearer(storage.Credentials, auth.BearerConfig{Prefix: "demo_pat"})
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
	return &twoProcesses{here.demo().url, there.demo().url, storage, own, bearer, client, make(chan struct{}, writesAtOnce)}
}

// A revocation is a credential, as a header for a path, and a function that revokes it.
type revocation struct {
	path, name, value string
	revoke            func() error
}

// A maker creates a credential to revoke.
type maker func(context.Context) (*revocation, error)

func (two *twoProcesses) session(ctx context.Context) (*revocation, error) {
	w := httptest.NewRecorder()
	_, err := two.own.cookie.SignIn(w, httptest.NewRequestWithContext(ctx, "POST", "/signin", nil), adaID, auth.SessionOptions{})
	if err != nil {
		return nil, err
	}
	cookie := w.Result().Cookies()[0]
	r := &revocation{path: "/api/v1/me", name: "Cookie", value: cookie.Name + "=" + cookie.Value}
	r.revoke = func() error {
		status, err := two.ask(ctx, "POST", two.here+"/signout", r)
		if err == nil && status != http.StatusSeeOther {
			err = fmt.Errorf("signing out: status %d", status)
		}
		return err
	}
	return r, nil
}

func (two *twoProcesses) token(ctx context.Context) (*revocation, error) {
	plaintext, c, err := two.bearer.Issue(ctx, adaID, auth.TokenOptions{Name: "short-lived", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	if err != nil {
		return nil, err
	}
	revoke := func() error { return two.bearer.Revoke(ctx, adaID, c.ID) }
	return &revocation{"/api/v1/me", "Authorization", "Bearer " + plaintext, revoke}, nil
}

// secret creates a user for each secret, because a user can have only one.
func (two *twoProcesses) secret(ctx context.Context) (*revocation, error) {
	u := &demodata.User{ID: teststores.Unique(), Name: teststores.Unique()}
	if err := two.storage.AddUser(ctx, u); err != nil {
		return nil, err
	}
	plaintext, c, err := two.own.secret.Issue(ctx, u.ID, auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	if err != nil {
		return nil, err
	}
	revoke := func() error { return two.own.secret.Revoke(ctx, u.ID, c.ID) }
	return &revocation{"/api/v1/usage", "Authorization", "Secret " + plaintext, revoke}, nil
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

// An outcome is how long after the revocation the last accepted request was sent, and
// the first rejection was received. Between them are a pause and a request.
type outcome struct{ served, refused time.Duration }

// measure returns how long after its revocation each credential was rejected, in
// ascending order.
func (two *twoProcesses) measure(t *testing.T, n, atOnce int, pause time.Duration, kinds ...maker) []time.Duration {
	t.Helper()
	var wg sync.WaitGroup
	m := measurement{left: n}
	for range atOnce {
		wg.Go(func() {
			for i := m.next(); i >= 0; i = m.next() {
				m.add(two.trial(t.Context(), pause, kinds[i%len(kinds)]))
			}
		})
	}
	wg.Wait()
	require.NoError(t, m.err)
	require.Equal(t, n, len(m.delays))
	slices.Sort(m.delays)
	t.Logf("%d trials: rejected after %v (median), %v (99th percentile), at most %v; accepted for at most %v",
		n, m.delays[n/2], m.delays[n*99/100], m.delays[n-1], m.served)
	return m.delays
}

// A measurement collects the outcomes of trials that run at once.
type measurement struct {
	mu     sync.Mutex
	left   int // trials to run
	delays []time.Duration
	served time.Duration // the longest
	err    error         // the first, after which no more trials are run
}

// next returns the index of the next trial, or a negative number after the last.
func (m *measurement) next() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left--
	return m.left
}

func (m *measurement) add(o outcome, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.delays, m.served = append(m.delays, o.refused), max(m.served, o.served)
	} else if m.err == nil {
		m.err, m.left = err, 0
	}
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
	for range 2 { // the second is served from the cache
		if status, err := two.ask(ctx, "GET", two.there+r.path, r); err != nil || status != http.StatusOK {
			return o, fmt.Errorf("a valid credential: status %d, %v", status, err)
		}
	}
	var revoked time.Time
	err = two.write(func() error {
		err := r.revoke()
		revoked = time.Now()
		return err
	})
	if err != nil {
		return o, err
	}
	return two.untilRejected(ctx, r, revoked, pause)
}

// untilRejected repeats a request until the revoked credential is rejected.
func (two *twoProcesses) untilRejected(ctx context.Context, r *revocation, revoked time.Time, pause time.Duration) (o outcome, err error) {
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
			return o, fmt.Errorf("a revoked credential: status %d", status)
		}
		if o.served = sent.Sub(revoked); o.served > bound {
			return o, fmt.Errorf("a credential was accepted %v after it was revoked", o.served)
		}
		<-time.After(pause)
	}
}
