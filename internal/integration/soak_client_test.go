package integration

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A soakClient sends requests to the servers and checks their answers.
type soakClient struct {
	servers []string // addresses
	http    *http.Client
	pace    *pacer
	users   []*soakUser
	counts  soakCounts
	quiet   sync.RWMutex // is locked while memory is measured, so that no request is in flight

	mu   sync.Mutex
	past []*soakCredential // a ring of those that have ended, or expire soon
	next int
}

// A soakUser changes one credential at a time. Its credentials are used concurrently.
type soakUser struct {
	name string
	busy sync.Mutex
	mu   sync.Mutex
	live map[string][]*soakCredential // by kind; those in a grace period are the previous of one
}

func (u *soakUser) list(kind string) []*soakCredential {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.live[kind])
}

func (u *soakUser) add(c *soakCredential) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.live[c.kind] = append(u.live[c.kind], c)
}

// addShort adds a credential that expires soon, and removes those that have expired.
func (u *soakUser) addShort(c *soakCredential) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kind, now := c.kind+", short", time.Now()
	u.live[kind] = append(slices.DeleteFunc(u.live[kind], func(other *soakCredential) bool { return other.expires.Before(now) }), c)
}

func (u *soakUser) remove(c *soakCredential) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.live[c.kind] = slices.DeleteFunc(u.live[c.kind], func(other *soakCredential) bool { return other == c })
}

// A pacer spaces requests evenly. Time in which nothing was sent is not made up for.
type pacer struct {
	interval time.Duration
	mu       sync.Mutex
	next     time.Time
}

func (p *pacer) wait(ctx context.Context) error {
	p.mu.Lock()
	if now := time.Now(); p.next.Before(now) {
		p.next = now
	}
	at := p.next
	p.next = at.Add(p.interval)
	p.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(at)):
		return nil
	}
}

// soakCounts are the counts since the start, and the latencies since the last report.
type soakCounts struct {
	mu                             sync.Mutex
	requests, outages, wrong, cuts int
	answers                        map[string]int // by path and status
	faults                         []string       // the first of the wrong ones
	latencies                      []time.Duration
}

func (n *soakCounts) answered(path string, status int, took time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requests++
	n.answers[fmt.Sprint(path, " ", status)]++
	if status == http.StatusServiceUnavailable {
		n.outages++
	}
	n.latencies = append(n.latencies, took)
}

func (n *soakCounts) fault(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wrong++
	if len(n.faults) < 20 {
		n.faults = append(n.faults, text)
	}
}

// send sends a request at the client's pace. It returns an error only if there was no answer.
func (s *soakClient) send(ctx context.Context, server int, method, path, query, plaintext, kind string) (a soakAnswer, body []byte, cookie string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.servers[server]+"/"+path+"?"+query, nil)
	if err != nil {
		return a, nil, "", err
	}
	switch kind {
	case "token":
		r.Header.Set("Authorization", "Bearer "+plaintext)
	case "secret":
		r.Header.Set("Authorization", "Secret "+plaintext)
	case "session":
		if plaintext == "" {
			break
		}
		r.AddCookie(&http.Cookie{Name: "session", Value: plaintext})
	}
	if err := s.pace.wait(ctx); err != nil {
		return a, nil, "", err
	}
	s.quiet.RLock()
	defer s.quiet.RUnlock()
	a = soakAnswer{server: server, recheck: path == "recheck", sent: time.Now()}
	res, err := s.http.Do(r)
	if err != nil {
		return a, nil, "", s.transport(ctx, path, err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		return a, nil, "", s.transport(ctx, path, err)
	}
	a.answered, a.status = time.Now(), res.StatusCode
	s.counts.answered(path, a.status, a.answered.Sub(a.sent))
	for _, c := range res.Cookies() {
		cookie = c.Value
	}
	return a, body, cookie, nil
}

// transport counts a request without an answer as wrong, except at the end of the test.
func (s *soakClient) transport(ctx context.Context, path string, err error) error {
	if ctx.Err() == nil {
		s.counts.fault(path + ": " + err.Error())
	}
	return err
}

// use presents a credential. If c is nil, it is one that no server has issued.
func (s *soakClient) use(ctx context.Context, server int, c *soakCredential) {
	path, kind, plaintext := "use", "token", rand.Text()+"abcdef"
	if c != nil {
		kind, plaintext = c.kind, c.plaintext
	} else if mathrand.IntN(4) == 0 {
		kind = "secret"
	}
	if mathrand.IntN(20) == 0 {
		path = "recheck"
	}
	a, body, _, err := s.send(ctx, server, "GET", path, "", plaintext, kind)
	if err != nil {
		return
	}
	if a.status == http.StatusOK {
		var id struct {
			UserID       string `json:"user_id"`
			CredentialID string `json:"credential_id"`
		}
		if err := json.Unmarshal(body, &id); err != nil {
			s.counts.fault(err.Error())
		}
		a.userID, a.id = id.UserID, id.CredentialID
	}
	if text := a.fault(c); text != "" {
		s.counts.fault(text)
	}
}

// run does what a client does, until ctx is done.
func (s *soakClient) run(ctx context.Context) {
	for ctx.Err() == nil {
		server, user := mathrand.IntN(len(s.servers)), s.users[mathrand.IntN(len(s.users))]
		switch n := mathrand.IntN(100); {
		case n < 50:
			s.useAny(ctx, server, user.list("token"))
		case n < 65:
			s.useAny(ctx, server, user.list("session"))
		case n < 75:
			s.useAny(ctx, server, user.list("secret"))
		case n < 82:
			s.use(ctx, server, nil)
		case n < 92:
			s.usePast(ctx, server)
		default:
			if user.busy.TryLock() {
				s.change(ctx, server, user)
				user.busy.Unlock()
			}
		}
	}
}

func (s *soakClient) useAny(ctx context.Context, server int, list []*soakCredential) {
	if len(list) > 0 {
		s.use(ctx, server, list[mathrand.IntN(len(list))])
	}
}

func (s *soakClient) usePast(ctx context.Context, server int) {
	s.mu.Lock()
	c := s.past[mathrand.IntN(len(s.past))]
	s.mu.Unlock()
	if c != nil {
		s.use(ctx, server, c)
	}
}

func (s *soakClient) retire(c *soakCredential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past[s.next%len(s.past)] = c
	s.next++
}

// post makes a change. ok is false if the server answered 503, or the test ends: all of the
// change was made or nothing.
func (s *soakClient) post(ctx context.Context, server int, path string, args url.Values, session string) (result soakChange, ok bool) {
	a, body, cookie, err := s.send(ctx, server, "POST", path, args.Encode(), session, "session")
	switch {
	case err != nil || a.status == http.StatusServiceUnavailable:
		return result, false
	case a.status != http.StatusOK:
		s.counts.fault(fmt.Sprintf("server %d answered %d to %s: %s", server, a.status, path, body))
		return result, false
	}
	if err := json.Unmarshal(body, &result); err != nil {
		s.counts.fault(err.Error())
	}
	if cookie != "" {
		result.Plaintext = cookie
	}
	return result, true
}
