package redisstore

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
)

// cacheFor is how long a client may keep what Redis has said, should it never
// hear of a change.
const cacheFor = 5 * time.Second

// Lookup implements auth.Store.
func (s *Store) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	within := &lateTimeout{Context: ctx, after: s.timeout}
	defer within.cancel()
	key := s.prefix + "c:" + string(d[:])
	if !s.fences.everything() {
		c, err := answer(s.client.DoCache(within, s.client.B().Get().Key(key).Cache(), cacheFor), kind, d)
		if !s.fences.hold(d, c, err) && (err == nil || known(err)) {
			return c, err
		}
		// What the cache has may be older than a change by this very process; or the
		// request failed, of which several share one: the one that began it may
		// have been given up, which is no outage for the others.
	}
	return answer(s.client.Do(within, s.client.B().Get().Key(key).Build()), kind, d)
}

// answer reads what Redis says of a digest.
func answer(result rueidis.RedisResult, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	text, err := result.ToString()
	if rueidis.IsRedisNil(err) {
		return nil, auth.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if revoked, ok := revokedKind(text); ok {
		if revoked != kind {
			return nil, auth.ErrNotFound
		}
		return nil, auth.ErrRevoked
	}
	c, err := decode(text)
	switch {
	case err != nil:
		return nil, err
	case c.Digest != d:
		return nil, errCorrupt
	case c.Kind != kind:
		return nil, auth.ErrNotFound
	}
	return &c, nil
}

// known reports whether err is an answer, and not that there is none.
func known(err error) bool { return err == auth.ErrNotFound || err == auth.ErrRevoked }

// A lateTimeout is a context that ends some time after somebody first waits for
// it. A lookup that the cache answers waits for nothing: it starts no timer, which
// would cost as much as the rest of it (BenchmarkStore: 4 allocations, 350 ns).
type lateTimeout struct {
	context.Context
	after time.Duration

	once   sync.Once
	within context.Context
	end    context.CancelFunc
}

// over is for whoever first waits when the lookup has ended.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (t *lateTimeout) start() context.Context {
	t.once.Do(func() { t.within, t.end = context.WithTimeout(t.Context, t.after) })
	return t.within
}

func (t *lateTimeout) cancel() {
	t.once.Do(func() { t.within = over })
	if t.end != nil {
		t.end()
	}
}

func (t *lateTimeout) Deadline() (time.Time, bool) { return t.start().Deadline() }
func (t *lateTimeout) Done() <-chan struct{}       { return t.start().Done() }
func (t *lateTimeout) Err() error                  { return t.start().Err() }
