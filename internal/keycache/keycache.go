// Package keycache keeps the public keys that a server publishes, for package endpoint and module
// federate.
package keycache

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

const fetchTimeout = 10 * time.Second

// A Config says how long keys are used, and how often they may be fetched.
type Config struct {
	Name        string        // of what has the keys, with which errors begin
	Lifetime    time.Duration // of keys after they were fetched
	Stale       time.Duration // the same after a fetch that has failed: Lifetime or more
	Pause       time.Duration // between the beginnings of two fetches, at least
	FailedPause time.Duration // the same after a fetch that has failed
}

// A Cache has the keys of one server, by their IDs. Junk requests, each with another ID, must not make
// it a source of requests: it fetches seldom, and one fetch at a time. It is made by [New], and safe
// for concurrent use.
type Cache[K any] struct {
	config Config
	fetch  func(context.Context) (map[string]K, error)

	mu       sync.Mutex
	keys     map[string]K
	fetched  time.Time     // when keys was set
	tried    time.Time     // when the last fetch began
	err      error         // of the last fetch
	fetching chan struct{} // closed at the end of the fetch under way; nil if there is none
}

// New returns a Cache that gets all keys from fetch, which has 10 seconds, on a goroutine of its own. After
// an error the cache has the keys of before, unless fetch returns a map beside it: an empty one says that
// all were withdrawn.
func New[K any](cfg Config, fetch func(context.Context) (map[string]K, error)) *Cache[K] {
	return &Cache[K]{config: cfg, fetch: fetch}
}

// Find returns the key with an ID. If there is none, err says why the keys could not be fetched, and is
// nil if they were fetched recently without this one. Find waits for one fetch at most, which is not
// the caller's: a client that goes away must not make others wait again.
func (c *Cache[K]) Find(ctx context.Context, id string) (key K, found bool, err error) {
	key, found, fetching := c.lookup(id)
	if found {
		return key, true, nil
	}
	if fetching != nil {
		select {
		case <-fetching:
		case <-ctx.Done():
			return key, false, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	lifetime := c.config.Lifetime
	if c.err != nil {
		lifetime = c.config.Stale
	}
	if key, found = c.younger(lifetime, id); found {
		return key, true, nil
	}
	return key, false, c.err
}

// lookup returns the key with an ID. If there is none, or it is old, it starts a fetch if one is due,
// and returns the one under way, or nil if there is none.
func (c *Cache[K]) lookup(id string) (key K, found bool, fetching chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key, found = c.younger(c.config.Lifetime, id); found {
		return key, true, nil
	}
	if c.fetching == nil && c.due() {
		c.fetching, c.tried = make(chan struct{}), time.Now()
		go c.refill(c.fetching)
	}
	return key, false, c.fetching
}

// younger returns the key with an ID if the keys are not as old as lifetime. c.mu is held.
func (c *Cache[K]) younger(lifetime time.Duration, id string) (key K, found bool) {
	if time.Since(c.fetched) < lifetime {
		key, found = c.keys[id]
	}
	return key, found
}

// due reports whether the last fetch is long enough ago. c.mu is held.
func (c *Cache[K]) due() bool {
	pause := c.config.Pause
	if c.err != nil {
		pause = c.config.FailedPause
	}
	return time.Since(c.tried) >= pause
}

func (c *Cache[K]) refill(done chan struct{}) {
	var keys map[string]K
	err := fmt.Errorf("%s: the client ended its goroutine", c.config.Name)
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err = err; err == nil || keys != nil {
			c.keys, c.fetched = keys, time.Now()
		}
		c.fetching = nil
		close(done)
	}()
	keys, err = c.get()
}

// get recovers a panic of the client's Transport. On this goroutine it would end the process. Its
// value may be anything and is left out.
func (c *Cache[K]) get() (keys map[string]K, err error) {
	defer func() {
		if v := recover(); v != nil {
			keys, err = nil, fmt.Errorf("%s: the client panicked with a %T\n%s", c.config.Name, v, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	return c.fetch(ctx)
}
