// Package limiter bounds attempts to sign in with passwords.
package limiter

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Limiter bounds the attempts to sign in: how many of them fail, for each client
// address with each user name, for each address and for each network, and how many
// passwords are hashed at once, for each network and in all. Failures from one network
// never affect users at others: there is no limit for a user name alone, with which
// anyone could lock the user out.
//
// An address is an IPv4 address or an IPv6 /64, which is one link. A network is a /48:
// providers give their customers a /48, a /56 or at least a /64 (RFC 6177), so a /48 is one
// customer, or some of one provider. Of IPv4 it is the address.
//
// This does not stop guessing from many networks, each of which has its own limits.
// The random passwords of this demo withstand it. If users choose their passwords, also
// limit the failures for each name, and exempt browsers in which that user has signed
// in before, which a signed cookie can prove (OWASP: device cookies). Users in the
// network of an attacker, for example behind the same NAT, have to wait with it.
type Limiter struct {
	mu      sync.Mutex
	entries map[[32]byte]*entry
	free    int       // how many more passwords may be hashed now
	waiting []*waiter // for that, in the order in which they came
}

// The limits.
const (
	PairAttempts    = 10 // at once, and then one in each interval
	pairInterval    = 6 * time.Second
	addressAttempts = 30
	addressInterval = 2 * time.Second
	networkAttempts = 90
	networkInterval = time.Second

	MaxHashes        = 4 // each needs 19 MiB of memory
	maxNetworkHashes = 2 // so that one network cannot take all of them
	maxEntries       = 20_000
)

// An entry counts the attempts of a network, of an address, or of an address with a name.
type entry struct {
	full   time.Time     // when all attempts are available again
	hashes chan struct{} // holds one element for each password that a network has hashed
}

// ErrBusy means that too many passwords are being hashed.
var ErrBusy = errors.New("too many passwords are being checked")

// A waiter is an attempt that waits until it may hash a password.
type waiter struct {
	network *entry
	turn    chan struct{} // closed when it may
}

// New returns a Limiter without attempts.
func New() *Limiter {
	return &Limiter{entries: make(map[[32]byte]*entry), free: MaxHashes}
}

func networkOf(address netip.Prefix) netip.Prefix {
	if address.Addr().Is6() {
		address, _ = address.Addr().Prefix(48)
	}
	return address
}

// An Attempt is one that may hash a password. Each counts from its beginning: otherwise
// attempts that run at once could exceed the limits.
type Attempt struct {
	*Limiter
	pair, address, network *entry
}

// Begin returns how long to wait instead if a limit is reached.
func (l *Limiter) Begin(address netip.Prefix, name string) (*Attempt, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.makeRoom(now) // not between entries of one attempt, which it might remove
	a := &Attempt{Limiter: l, network: l.entry(now, "network", networkOf(address), "")}
	if wait := a.network.wait(now, networkAttempts, networkInterval); wait > 0 {
		return nil, wait // before there are entries for addresses in it
	}
	a.address = l.entry(now, "address", address, "")
	if wait := a.address.wait(now, addressAttempts, addressInterval); wait > 0 {
		return nil, wait // before there is an entry for the name
	}
	a.pair = l.entry(now, "pair", address, name)
	if wait := a.pair.wait(now, PairAttempts, pairInterval); wait > 0 {
		return nil, wait
	}
	a.network.take(now, networkInterval)
	a.address.take(now, addressInterval)
	a.pair.take(now, pairInterval)
	return a, 0
}

// entry returns an existing or a new entry. Names are hashed, because they can be long.
func (l *Limiter) entry(now time.Time, kind string, address netip.Prefix, name string) *entry {
	key := sha256.Sum256(fmt.Appendf(nil, "%s %s %s", kind, address, name))
	e := l.entries[key]
	if e == nil {
		e = &entry{hashes: make(chan struct{}, maxNetworkHashes)}
		l.entries[key] = e
	}
	return e
}

// makeRoom removes entries if there are too many: those without failures, and a quarter
// of the others if that does not suffice.
func (l *Limiter) makeRoom(now time.Time) {
	if len(l.entries) < maxEntries-2 {
		return // enough for an attempt
	}
	for key, e := range l.entries {
		if !e.full.After(now) {
			delete(l.entries, key)
		}
	}
	for key := range l.entries {
		if len(l.entries) <= maxEntries*3/4 {
			return
		}
		delete(l.entries, key)
	}
}

// wait returns how long it takes until there is an attempt, or at most 0.
func (e *entry) wait(now time.Time, attempts int, interval time.Duration) time.Duration {
	return max(e.full.Sub(now), 0) - time.Duration(attempts-1)*interval
}

func (e *entry) take(now time.Time, interval time.Duration) {
	if e.full.Before(now) {
		e.full = now
	}
	e.full = e.full.Add(interval)
}

// Forget makes an attempt not count, because it did not fail.
func (a *Attempt) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pair.full = a.pair.full.Add(-pairInterval)
	a.address.full = a.address.full.Add(-addressInterval)
	a.network.full = a.network.full.Add(-networkInterval)
}

// Hash calls f as soon as few enough passwords are being hashed. It waits for that up
// to three seconds, and then returns ErrBusy.
func (a *Attempt) Hash(ctx context.Context, f func()) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	select {
	case a.network.hashes <- struct{}{}:
		defer func() { <-a.network.hashes }()
	case <-ctx.Done():
		return ErrBusy
	}
	if !a.acquire(ctx) {
		return ErrBusy
	}
	defer a.release()
	f()
	return nil
}

func (a *Attempt) acquire(ctx context.Context) bool {
	a.mu.Lock()
	if a.free > 0 {
		a.free--
		a.mu.Unlock()
		return true
	}
	w := &waiter{a.network, make(chan struct{})}
	a.waiting = append(a.waiting, w)
	a.mu.Unlock()
	select {
	case <-w.turn:
		return true
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.waiting, w)
	if i < 0 {
		return true // its turn has come in the meantime
	}
	a.waiting = slices.Delete(a.waiting, i, i+1)
	return false
}

// release lets an attempt of the network that has failed least be next. So a flood from
// many networks delays users in others, but does not keep them out.
func (a *Attempt) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		a.free++
		return
	}
	next := slices.MinFunc(a.waiting, func(v, w *waiter) int { return v.network.full.Compare(w.network.full) })
	i := slices.Index(a.waiting, next)
	a.waiting = slices.Delete(a.waiting, i, i+1)
	close(next.turn)
}
