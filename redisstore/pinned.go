package redisstore

import (
	"context"
	"time"

	"github.com/redis/rueidis"
)

// A pinned client does not let rueidis reuse the memory of commands. When a
// connection breaks, rueidis repeats a read on another connection and, once that is
// answered, reuses the command's memory, which the first connection may still be
// reading. The race detector reported it in v1.0.79; at worst, it crashes the process.
// Pinning costs a lookup two small allocations and 0.1 us (BenchmarkStore).
//
// It also hides the deadlines of contexts, which still end at them. For a context with a
// deadline, rueidis makes a call that is alone on its connection without heeding a
// cancellation, and closes the connection at the deadline (syncDo in pipe.go of v1.0.79).
type pinned struct{ rueidis.Client }

func (p pinned) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	return p.Client.Do(endless{ctx}, cmd.Pin())
}

// An endless context does not tell its deadline.
type endless struct{ context.Context }

func (endless) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

func (p pinned) DoCache(ctx context.Context, cmd rueidis.Cacheable, ttl time.Duration) rueidis.RedisResult {
	return p.Client.DoCache(ctx, cmd.Pin(), ttl)
}
