package redisstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
)

// cacheFor bounds how long a client keeps an answer if it never receives the
// notification of a change.
const cacheFor = 5 * time.Second

// Lookup implements auth.Store.
func (s *Store) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	lazy := &lazyTimeout{Context: ctx, after: s.timeout}
	defer lazy.cancel()
	key := s.prefix + "c:" + string(d[:])
	if !s.guards.guardsAll() {
		result := s.client.DoCache(lazy, s.client.B().Get().Key(key).Cache(), cacheFor)
		c, err := parseReply(result, kind, d)
		if (err == nil || isAnswer(err)) && (!lazy.waited.Load() || isFresh(&result)) && !s.guards.stale(d, c, err) {
			return c, err
		}
		// Either the cached answer is too old, or older than a change by this process, or
		// the request failed. Concurrent lookups share a request, whose caller may have
		// canceled it: that is not an outage for the others.
	}
	return parseReply(s.client.Do(lazy, s.client.B().Get().Key(key).Build()), kind, d)
}

// isFresh reports whether an answer that was waited for was requested less than cacheFor
// ago. The client checks that of answers that it has already. But lookups can share a
// request whose answer takes longer, and which Redis has read before a change that returned
// long ago.
func isFresh(result *rueidis.RedisResult) bool {
	expires := result.CachePXAT()
	return expires < 0 || expires > time.Now().UnixMilli()
}

// Uncached returns a Store whose Lookup asks Redis each time, for auth.Recheck and
// RevokePlaintext.
func (s *Store) Uncached() auth.Store { return uncached{s, s} }

// uncached embeds the interface, and so has no Uncached itself.
type uncached struct {
	auth.Store
	redis *Store
}

func (u uncached) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, u.redis.timeout)
	defer cancel()
	key := u.redis.prefix + "c:" + string(d[:])
	return parseReply(u.redis.client.Do(ctx, u.redis.client.B().Get().Key(key).Build()), kind, d)
}

func parseReply(result rueidis.RedisResult, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	text, err := result.ToString()
	if rueidis.IsRedisNil(err) {
		return nil, auth.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if isTombstone(text) {
		return parseTombstone(text, kind, d)
	}
	c := new(auth.Credential)
	switch err := decodeTo(c, text); {
	case err != nil:
		return nil, err
	case c.Digest != d:
		return nil, errCorrupt
	case c.Kind != kind:
		return nil, auth.ErrNotFound
	}
	return c, nil
}

func parseTombstone(text string, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	c, err := decodeTombstone(text)
	switch {
	case err != nil:
		return nil, err
	case c.Kind != kind:
		return nil, auth.ErrNotFound
	}
	c.Digest = d
	return &c, auth.ErrRevoked
}

// isAnswer reports whether err is an answer of Redis, not an outage.
func isAnswer(err error) bool { return err == auth.ErrNotFound || err == auth.ErrRevoked }

// A lazyTimeout is a context whose timeout starts when it is first waited for. A
// lookup that is answered from the cache does not wait, and so starts no timer,
// which would double its cost (BenchmarkStore: 4 allocations, 350 ns).
type lazyTimeout struct {
	context.Context
	after time.Duration

	once    sync.Once
	waited  atomic.Bool
	started context.Context
	stop    context.CancelFunc
}

// canceled is for calls that first wait after the lookup has returned.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (t *lazyTimeout) start() context.Context {
	t.once.Do(func() {
		t.waited.Store(true)
		t.started, t.stop = context.WithTimeout(t.Context, t.after)
	})
	return t.started
}

func (t *lazyTimeout) cancel() {
	t.once.Do(func() { t.started = canceled })
	if t.stop != nil {
		t.stop()
	}
}

func (t *lazyTimeout) Deadline() (time.Time, bool) { return time.Time{}, false } // see pinned
func (t *lazyTimeout) Done() <-chan struct{}       { return t.start().Done() }
func (t *lazyTimeout) Err() error                  { return t.start().Err() }
