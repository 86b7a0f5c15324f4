package integration

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// soakLive is how many credentials of a kind a user has at most.
var soakLive = map[string]int{"token": 4, "session": 3, "secret": 1}

// change makes a change for a user.
func (s *soakClient) change(ctx context.Context, server int, u *soakUser) {
	kind := []string{"token", "token", "session", "session", "secret"}[mathrand.IntN(5)]
	live := u.list(kind)
	switch n := mathrand.IntN(100); {
	case kind == "token" && n < 10, kind == "session" && n < 10:
		s.startShort(ctx, server, u, kind)
	case len(live) == 0, len(live) < soakLive[kind] && n < 45:
		s.start(ctx, server, u, kind, nil)
	case n < 70 && kind == "session": // a sign-in that replaces a session
		s.start(ctx, server, u, kind, live[mathrand.IntN(len(live))])
	case n < 70:
		s.rotate(ctx, server, u, live[mathrand.IntN(len(live))])
	case n < 95:
		s.revoke(ctx, server, u, live[mathrand.IntN(len(live))])
	default:
		s.revokeAll(ctx, server, u, kind)
	}
}

// shortly is a lifetime or a grace period that ends during the test.
func shortly() time.Duration { return time.Duration(2000+mathrand.IntN(10000)) * time.Millisecond }

// start issues a token or a secret, or signs in, with a session to be replaced if old is not nil.
func (s *soakClient) start(ctx context.Context, server int, u *soakUser, kind string, old *soakCredential) {
	args, session := url.Values{"user": {u.name}, "lifetime": {"0s"}}, ""
	if old != nil {
		session = old.plaintext
		s.warm(ctx, old)
		old.ending()
	}
	result, ok := s.post(ctx, server, kind+"/start", args, session)
	if !ok {
		s.revokeAll(ctx, server, u, kind) // which may include one whose plaintext was lost
		return
	}
	if old != nil {
		s.ended(ctx, server, u, old)
	}
	c := s.credential(u, kind, result)
	u.add(c)
	s.useEverywhere(ctx, server, c)
}

// startShort adds a credential that expires soon.
func (s *soakClient) startShort(ctx context.Context, server int, u *soakUser, kind string) {
	path, args := "session/start", url.Values{"user": {u.name}, "lifetime": {shortly().Round(time.Second).String()}}
	if kind == "token" {
		path = "token/import"
		args.Set("plaintext", rand.Text()+rand.Text())
	}
	if result, ok := s.post(ctx, server, path, args, ""); ok {
		c := s.credential(u, kind, result)
		u.addShort(c)
		s.retire(c)
		s.useEverywhere(ctx, server, c)
	}
}

func (s *soakClient) credential(u *soakUser, kind string, r soakChange) *soakCredential {
	return &soakCredential{kind: kind, userID: u.name, id: r.ID, plaintext: r.Plaintext, expires: r.ExpiresAt, expirySetBy: -1}
}

// warm has both servers cache the credential, half of the time.
func (s *soakClient) warm(ctx context.Context, c *soakCredential) {
	if mathrand.IntN(2) == 0 {
		s.useEverywhere(ctx, 0, c)
	}
}

func (s *soakClient) useEverywhere(ctx context.Context, first int, c *soakCredential) {
	for i := range s.servers {
		s.use(ctx, (first+i)%len(s.servers), c)
	}
}

// ended is called when a server has ended a credential. The next request is rejected there.
func (s *soakClient) ended(ctx context.Context, server int, u *soakUser, c *soakCredential) {
	c.end(server)
	u.remove(c)
	s.retire(c)
	s.useEverywhere(ctx, server, c)
	if c.previous != nil {
		c.previous.end(server)
		s.useEverywhere(ctx, server, c.previous)
		c.previous = nil // the garbage collector frees it
	}
}

func (s *soakClient) rotate(ctx context.Context, server int, u *soakUser, old *soakCredential) {
	var overlap time.Duration
	if mathrand.IntN(2) == 0 {
		overlap = shortly()
	}
	s.warm(ctx, old)
	s.ending(old)
	args := url.Values{"user": {u.name}, "id": {old.id}, "overlap": {overlap.String()}}
	result, ok := s.post(ctx, server, old.kind+"/rotate", args, "")
	if !ok {
		s.revokeAll(ctx, server, u, old.kind)
		return
	}
	c := s.credential(u, old.kind, result)
	u.add(c)
	if overlap == 0 {
		s.ended(ctx, server, u, old)
	} else {
		old.supersede(server, result.CreatedAt.Add(overlap))
		if old.previous != nil {
			old.previous.end(server)
			s.useEverywhere(ctx, server, old.previous)
			old.previous = nil
		}
		u.remove(old)
		s.retire(old)
		c.previous = old
		s.useEverywhere(ctx, server, old)
	}
	s.useEverywhere(ctx, server, c)
}

// ending says that a call is sent that may end a credential and the one that it replaced.
func (s *soakClient) ending(c *soakCredential) {
	c.ending()
	if c.previous != nil {
		c.previous.ending()
	}
}

// revoke retries until the credential has been revoked. An attempt that was answered with 503
// may have done it: the next one then finds nothing.
func (s *soakClient) revoke(ctx context.Context, server int, u *soakUser, c *soakCredential) {
	s.warm(ctx, c)
	s.ending(c)
	path, args, session := c.kind+"/revoke", url.Values{"user": {u.name}, "id": {c.id}}, ""
	switch {
	case c.kind == "session" && mathrand.IntN(2) == 0:
		path, session = "session/end", c.plaintext
	case c.kind == "token" && mathrand.IntN(3) == 0:
		path, args = "token/leaked", url.Values{"plaintext": {c.plaintext}}
	}
	for attempt := 0; ctx.Err() == nil; attempt++ {
		a, body, _, err := s.send(ctx, server, "POST", path, args.Encode(), session, "session")
		if err != nil || a.status == http.StatusServiceUnavailable {
			continue
		}
		if a.status != http.StatusOK && (a.status != http.StatusNotFound || attempt == 0) {
			s.counts.fault(fmt.Sprintf("server %d answered %d to %s, attempt %d: %s: %s", server, a.status, path, attempt, body, c))
		}
		s.ended(ctx, server, u, c)
		return
	}
}

// revokeAll retries until all credentials of a kind have been revoked.
func (s *soakClient) revokeAll(ctx context.Context, server int, u *soakUser, kind string) {
	live := append(u.list(kind), u.list(kind+", short")...)
	for _, c := range live {
		s.ending(c)
	}
	for ctx.Err() == nil {
		if _, ok := s.post(ctx, server, kind+"/revoke-all", url.Values{"user": {u.name}}, ""); ok {
			for _, c := range live {
				s.ended(ctx, server, u, c)
			}
			return
		}
	}
}
