package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// A limiter bounds the attempts to sign in: how many of them fail, for each client
// address with each user name and for each address in all, and how many passwords are
// hashed at once, for each address and in all. Failures from one address never affect
// users at others: there is no limit for a user name alone, with which anyone could
// lock the user out.
//
// This does not stop guessing from many addresses, each of which has its own limits.
// The random passwords of this demo withstand it. If users choose their passwords, also
// limit the failures for each name, and exempt browsers in which that user has signed
// in before, which a signed cookie can prove (OWASP: device cookies). Users at the
// address of an attacker, for example behind the same NAT, have to wait with it.
type limiter struct {
	mu      sync.Mutex
	entries map[[32]byte]*entry
	hashes  chan struct{} // holds one element for each password that is being hashed
}

const (
	pairAttempts    = 10 // at once, and then one in each interval
	pairInterval    = 6 * time.Second
	addressAttempts = 30
	addressInterval = 2 * time.Second

	maxHashes        = 4 // each needs 19 MiB of memory
	maxAddressHashes = 2 // so that one address cannot take all of them
	maxEntries       = 20_000
)

// An entry counts the attempts of an address, or of an address with a name.
type entry struct {
	full   time.Time     // when all attempts are available again
	hashes chan struct{} // of an address
}

func newLimiter() *limiter {
	return &limiter{entries: make(map[[32]byte]*entry), hashes: make(chan struct{}, maxHashes)}
}

// An attempt is one that may hash a password. Each counts from its beginning: otherwise
// attempts that run at once could exceed the limits.
type attempt struct {
	*limiter
	pair, address *entry
}

// begin returns how long to wait instead if a limit is reached.
func (l *limiter) begin(address netip.Prefix, name string) (*attempt, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	a := &attempt{limiter: l, address: l.entry(now, "address", address, "")}
	if wait := a.address.wait(now, addressAttempts, addressInterval); wait > 0 {
		return nil, wait // before there is an entry for the name
	}
	a.pair = l.entry(now, "pair", address, name)
	if wait := a.pair.wait(now, pairAttempts, pairInterval); wait > 0 {
		return nil, wait
	}
	a.address.take(now, addressInterval)
	a.pair.take(now, pairInterval)
	return a, 0
}

// entry returns an existing or a new entry. Names are hashed, because they can be long.
func (l *limiter) entry(now time.Time, kind string, address netip.Prefix, name string) *entry {
	key := sha256.Sum256(fmt.Appendf(nil, "%s %s %s", kind, address, name))
	e := l.entries[key]
	if e == nil {
		l.makeRoom(now)
		e = &entry{hashes: make(chan struct{}, maxAddressHashes)}
		l.entries[key] = e
	}
	return e
}

// makeRoom removes entries if there are too many: those without failures, and a quarter
// of the others if that does not suffice.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.entries) < maxEntries {
		return
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

// forget makes an attempt not count, because it did not fail.
func (a *attempt) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pair.full = a.pair.full.Add(-pairInterval)
	a.address.full = a.address.full.Add(-addressInterval)
}

// hash calls f as soon as few enough passwords are being hashed. It waits for that up
// to three seconds.
func (a *attempt) hash(ctx context.Context, f func()) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for _, slots := range []chan struct{}{a.address.hashes, a.hashes} {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return errBusy
		}
	}
	f()
	return nil
}
