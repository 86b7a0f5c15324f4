package main

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-31c5bcb2/auth"
)

// A limiter counts attempts per client network, of which it remembers at most max. It is safe
// for concurrent use.
type limiter struct {
	limit rate.Limit
	burst int
	max   int

	mu      sync.Mutex
	clients map[netip.Prefix]*list.Element
	recent  *list.List // of *client, the one that was seen last in front
}

type client struct {
	network  netip.Prefix
	attempts *rate.Limiter
}

// newLimiter returns a limiter that allows burst attempts at once, and one more after each
// interval.
func newLimiter(every time.Duration, burst, max int) *limiter {
	return &limiter{limit: rate.Every(every), burst: burst, max: max, clients: map[netip.Prefix]*list.Element{}, recent: list.New()}
}

// network returns what counts as one client: an IPv4 address, or the /64 network of an IPv6
// address, of which one subscriber has all addresses. All unknown addresses are one client.
func network(ctx context.Context) netip.Prefix {
	addr, _ := auth.ClientAddr(ctx)
	n, _ := addr.Prefix(min(addr.BitLen(), 64))
	return n
}

// take counts an attempt, and reports whether the limit allows it. One that it does not allow
// is not counted, so a client that keeps trying is not locked out for longer.
func (l *limiter) take(n netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.find(n)
	if c == nil {
		c = &client{n, rate.NewLimiter(l.limit, l.burst)}
		l.clients[n] = l.recent.PushFront(c)
		l.evict()
	}
	return c.attempts.Allow()
}

// wait returns how long it takes until the limit allows an attempt, or zero. It counts nothing,
// and remembers no client that has made no attempt.
func (l *limiter) wait(n netip.Prefix) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.find(n)
	if c == nil {
		return 0
	}
	missing := 1 - c.attempts.Tokens()
	return max(0, time.Duration(missing/float64(l.limit)*float64(time.Second)))
}

func (l *limiter) find(n netip.Prefix) *client {
	e, known := l.clients[n]
	if !known {
		return nil
	}
	l.recent.MoveToFront(e)
	return e.Value.(*client)
}

// evict forgets the client that was seen least recently if there are too many. A client has to
// fill the whole memory from other networks to be forgotten.
func (l *limiter) evict() {
	if l.recent.Len() > l.max {
		delete(l.clients, l.recent.Remove(l.recent.Back()).(*client).network)
	}
}
