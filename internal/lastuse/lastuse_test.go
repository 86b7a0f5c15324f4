package lastuse_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/lastuse"
)

// A store keeps the last uses that a Recorder writes.
type store struct {
	lastuse.Recorder
	before func(ctx context.Context, n int) error // decides on the nth write

	mu     sync.Mutex
	writes int
	last   map[byte]time.Time
	fault  string // the first thing that a Recorder must never do
}

func newStore() *store {
	s := &store{last: make(map[byte]time.Time)}
	s.Write = s.write
	return s
}

func (s *store) write(ctx context.Context, uses []lastuse.Use) error {
	s.mu.Lock()
	s.writes++
	n, before := s.writes, s.before
	if _, ok := ctx.Deadline(); !ok {
		s.fault = "a write without a deadline"
	}
	if len(uses) == 0 || len(uses) > 256 {
		s.fault = fmt.Sprintf("a batch of %d", len(uses))
	}
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, n); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range uses {
		if u.At.Before(s.last[u.Digest[0]]) {
			s.fault = fmt.Sprintf("a last use of %d that moves back", u.Digest[0])
		}
		if u.At != u.At.UTC().Truncate(time.Microsecond) {
			s.fault = fmt.Sprintf("a time that stores do not keep: %v", u.At)
		}
		s.last[u.Digest[0]] = u.At
	}
	return nil
}

// use records a use of credential i now, as an authenticator does whose store is not
// cached.
func (s *store) use(i byte, exact bool) time.Time {
	now := time.Now()
	fresh := lastuse.Fresh(s.lastUse(i), now)
	if !fresh || exact {
		s.Record(lastuse.Use{Digest: [32]byte{i}, At: now}, fresh, exact)
	}
	return now.UTC()
}

func (s *store) lastUse(i byte) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[i]
}

func (s *store) written() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

func (s *store) set(before func(ctx context.Context, n int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// hang makes writes wait until the function that it returns is called.
func (s *store) hang() (release func()) {
	c := make(chan struct{})
	s.set(func(context.Context, int) error { <-c; return nil })
	return func() { close(c) }
}

func (s *store) failing(err error) { s.set(func(context.Context, int) error { return err }) }

// test runs a test in a bubble. The bubble does not end while a goroutine of the Recorder
// is left.
func test(t *testing.T, f func(t *testing.T, s *store)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		f(t, s)
		require.Empty(t, s.fault)
	})
}

func TestFresh(t *testing.T) {
	t.Parallel()
	now := time.Now()
	require.True(t, lastuse.Fresh(now, now))
	require.True(t, lastuse.Fresh(now.Add(-time.Minute+1), now))
	require.False(t, lastuse.Fresh(now.Add(-time.Minute), now))
	require.False(t, lastuse.Fresh(time.Time{}, now))
}

func TestRecord_onceAMinute(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		for second := range 180 {
			for range 50 {
				s.use(1, false)
			}
			synctest.Wait()
			require.Equal(t, second/60+1, s.written(), "after %d seconds", second)
			time.Sleep(time.Second)
		}
		require.NoError(t, s.Close(t.Context()))
	})
}

func TestRecord_exactUsesOnceAMinute(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		last := make([]time.Time, 3)
		for i := range 30 {
			last[i%3] = s.use(byte(i%3), true)
			time.Sleep(7 * time.Second)
		}
		time.Sleep(time.Minute) // all that is pending is due by then, without Close
		synctest.Wait()
		for i := range last {
			require.Equal(t, last[i], s.lastUse(byte(i)))
		}
		require.Less(t, s.written(), 3*6)
	})
}

// A cache in front of the store returns records without the last write.
func TestRecord_staleCache(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		for range 119 {
			s.Record(lastuse.Use{Digest: [32]byte{1}, At: time.Now()}, false, false)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		require.Equal(t, 2, s.written())
		require.NoError(t, s.Close(t.Context()))
	})
}

func TestRecord_oneInstant(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		s.use(1, true)
		synctest.Wait()
		s.use(1, true)
		time.Sleep(3 * time.Minute)
		require.Equal(t, 1, s.written())
	})
}

// Another process has written a use ten seconds ago: this one's waits for its minute.
func TestRecord_useOfAnotherProcess(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		s.last[1] = time.Now().UTC().Add(-10 * time.Second)
		at := s.use(1, true)
		synctest.Wait()
		require.Zero(t, s.written())
		require.Equal(t, at, s.Last([32]byte{1}).At.UTC())
		time.Sleep(61 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, s.written())
		require.Equal(t, at, s.lastUse(1))
	})
}

func TestRecord_batches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r lastuse.Recorder
		release := make(chan struct{})
		seen := make(map[[32]byte]bool)
		r.Write = func(_ context.Context, uses []lastuse.Use) error {
			<-release
			require.LessOrEqual(t, len(uses), 256)
			for _, u := range uses {
				require.Equal(t, u.At.Truncate(time.Microsecond), u.At)
				require.False(t, seen[u.Digest])
				seen[u.Digest] = true
			}
			return nil
		}
		time.Sleep(1500 * time.Nanosecond)
		for i := range 600 {
			r.Record(lastuse.Use{Digest: [32]byte{byte(i), byte(i >> 8)}, At: time.Now()}, false, false)
		}
		close(release)
		require.NoError(t, r.Close(t.Context()))
		require.Len(t, seen, 600)
	})
}

func TestRecord_doesNotWait(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		release := s.hang()
		before := time.Now()
		for range 100 {
			s.use(1, true)
		}
		require.Equal(t, before, time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.Close(ctx), context.DeadlineExceeded)
		release()
		require.NoError(t, s.Close(t.Context()))
		require.False(t, s.lastUse(1).IsZero())
	})
}

func TestRecord_duringAWrite(t *testing.T) {
	for _, exact := range []bool{false, true} {
		t.Run(fmt.Sprintf("exact %v", exact), func(t *testing.T) {
			test(t, func(t *testing.T, s *store) {
				release := s.hang()
				at := s.use(1, exact)
				synctest.Wait()
				time.Sleep(5 * time.Second)
				second := s.use(1, exact)
				release()
				if exact {
					at = second
				}
				time.Sleep(61 * time.Second)
				synctest.Wait()
				require.Equal(t, at, s.lastUse(1))
				time.Sleep(3 * time.Minute)
				require.Equal(t, map[bool]int{false: 1, true: 2}[exact], s.written())
			})
		})
	}
}

// A write that failed is retried in a minute, with the time of the use.
func TestRecord_retries(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		s.failing(errors.New("read-only"))
		at := s.use(1, false)
		synctest.Wait()
		require.True(t, s.lastUse(1).IsZero())
		require.Equal(t, at, s.Last([32]byte{1}).At.UTC())
		s.set(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, at, s.lastUse(1))
		require.NoError(t, s.Close(t.Context()))
	})
}

// During an outage uses are recorded, and in the end the last one is written, to the minute.
func TestRecord_outage(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		s.failing(errors.New("reset"))
		var end time.Time
		for range 50*60 + 1 {
			end = s.use(1, false)
			time.Sleep(time.Second)
		}
		s.set(nil)
		require.NoError(t, s.Close(t.Context()))
		// One second less if the last use was during a write, which would have made it needless.
		require.Less(t, end.Sub(s.lastUse(1)), lastuse.Interval)
		require.LessOrEqual(t, s.written(), 51+1)
	})
}

// A use is dropped if it is within a minute of a written use, not of its write, which may have
// been retried for hours.
func TestRecord_useAfterARetry(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		s.failing(errors.New("reset"))
		s.use(1, false)
		time.Sleep(time.Hour - time.Second)
		s.set(nil)
		time.Sleep(30 * time.Second) // the first use is written
		at := s.use(1, false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, at, s.lastUse(1))
	})
}

// errors.ErrUnsupported ends the recording.
func TestRecord_unsupported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r lastuse.Recorder
		var writes atomic.Int64
		release := make(chan struct{})
		r.Write = func(context.Context, []lastuse.Use) error {
			writes.Add(1)
			<-release
			return errors.ErrUnsupported
		}
		for i := range 600 {
			r.Record(lastuse.Use{Digest: [32]byte{byte(i), byte(i >> 8)}, At: time.Now()}, false, false)
		}
		close(release)
		synctest.Wait()
		r.Record(lastuse.Use{Digest: [32]byte{255, 255}, At: time.Now()}, false, false)
		synctest.Wait()
		require.EqualValues(t, 1, writes.Load())
		require.NoError(t, r.Close(t.Context()))
	})
}

// syscall.EOPNOTSUPP is an errors.ErrUnsupported too, but does not mean that the store keeps
// no uses.
func TestRecord_unsupportedBySystem(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		s.failing(&net.OpError{Op: "write", Err: os.NewSyscallError("sendmsg", syscall.EOPNOTSUPP)})
		at := s.use(1, false)
		synctest.Wait()
		s.set(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, at, s.lastUse(1))
	})
}

func TestRecord_writeThatEndsItsGoroutine(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		s.set(func(_ context.Context, n int) error {
			if n == 1 {
				runtime.Goexit()
			}
			return nil
		})
		at := s.use(1, true)
		synctest.Wait()
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, at, s.lastUse(1))
	})
}

// The bubble ends only if no goroutine and no timer is left.
func TestRecord_idle(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		s.use(1, false)
		time.Sleep(2 * time.Minute)
		require.Zero(t, s.Last([32]byte{1}).At, "it is forgotten, as the store has it")
	})
}

func TestLast(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		require.Zero(t, s.Last([32]byte{1}).At)
		s.use(1, true)
		time.Sleep(time.Second)
		at := s.use(1, true)
		require.Equal(t, at, s.Last([32]byte{1}).At.UTC())
		require.Zero(t, s.Last([32]byte{2}).At)
		require.NoError(t, s.Close(t.Context()))
	})
}

func TestClose_writesPendingUses(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		s.use(1, true)
		time.Sleep(30 * time.Second)
		at := s.use(1, true)
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, at, s.lastUse(1))
		writes := s.written()
		time.Sleep(time.Hour)
		s.use(1, true)
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, writes, s.written(), "nothing is recorded after Close")
	})
}

func TestClose_nothingPending(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		require.NoError(t, s.Close(t.Context()))
		require.Zero(t, s.written())
	})
}

func TestClose_duringAWrite(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		release := s.hang()
		s.use(1, true)
		synctest.Wait() // the first write has begun
		time.Sleep(9 * time.Second)
		at := s.use(1, true)
		time.AfterFunc(100*time.Millisecond, release)
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, at, s.lastUse(1))
	})
}

func TestClose_again(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		down := errors.New("down")
		s.failing(down)
		at := s.use(1, false)
		require.ErrorIs(t, s.Close(t.Context()), down)
		n := s.written()
		time.Sleep(3 * time.Minute)
		require.Equal(t, n, s.written(), "nothing is written after Close")
		s.set(nil)
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, at, s.lastUse(1))
		require.NoError(t, s.Close(t.Context()))
	})
}

// A failure before Close is not reported if the uses are written now.
func TestClose_earlierFailure(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		release := make(chan struct{})
		s.set(func(_ context.Context, n int) error {
			if n == 1 {
				return errors.New("read-only")
			}
			<-release
			return nil
		})
		s.use(1, false)
		time.Sleep(61 * time.Second) // the second write has begun
		time.AfterFunc(time.Second, func() { close(release) })
		require.NoError(t, s.Close(t.Context()))
	})
}

// Close reports that one batch failed, even if a later one is written.
func TestClose_oneOfTwoBatchesFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r lastuse.Recorder
		reset := errors.New("reset")
		release, writes := make(chan struct{}), 0
		r.Write = func(context.Context, []lastuse.Use) error {
			<-release
			if writes++; writes == 2 {
				return reset
			}
			return nil
		}
		for i := range 301 {
			r.Record(lastuse.Use{Digest: [32]byte{byte(i), byte(i >> 8)}, At: time.Now()}, false, false)
			if i == 0 {
				synctest.Wait() // it is written alone, the others after it
			}
		}
		time.AfterFunc(time.Second, func() { close(release) })
		require.ErrorIs(t, r.Close(t.Context()), reset, "256 uses are not written")
		require.Equal(t, 3, writes)
		require.NoError(t, r.Close(t.Context()))
	})
}

// The caller of Close may close the store next.
func TestClose_nothingIsWrittenAfterwards(t *testing.T) {
	t.Parallel()
	for range 200 {
		s := newStore()
		var closed, late atomic.Bool
		s.set(func(context.Context, int) error {
			if closed.Load() {
				late.Store(true)
			}
			return nil
		})
		start, done := make(chan struct{}), make(chan struct{})
		go func() {
			<-start
			s.use(1, false)
			close(done)
		}()
		close(start)
		require.NoError(t, s.Close(t.Context()))
		closed.Store(true)
		<-done
		require.NoError(t, s.Close(t.Context()))
		require.False(t, late.Load())
	}
}

// Lost runs outside of what Close waits for. The rest of the uses are written meanwhile.
func TestLost(t *testing.T) {
	test(t, func(t *testing.T, s *store) {
		down := errors.New("down")
		s.set(func(_ context.Context, n int) error {
			if n == 1 {
				return down
			}
			return nil
		})
		var lost []error
		release := make(chan struct{})
		s.Lost = func(err error) { lost = append(lost, err); <-release }
		at := s.use(1, false)
		synctest.Wait()
		require.Equal(t, []error{down}, lost)
		other := s.use(2, false)
		synctest.Wait()
		require.Equal(t, other, s.lastUse(2), "Lost has not returned")
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, at, s.lastUse(1))
		close(release)
	})
}

func TestLost_callsClose(t *testing.T) {
	for _, stays := range []bool{false, true} {
		t.Run(fmt.Sprintf("the store stays unavailable: %v", stays), func(t *testing.T) {
			test(t, func(t *testing.T, s *store) {
				down := errors.New("down")
				s.failing(down)
				calls, closed := 0, errors.New("Close did not return")
				s.Lost = func(error) {
					if calls++; !stays {
						s.set(nil)
					}
					closed = s.Close(context.Background())
				}
				at := s.use(1, false)
				synctest.Wait()
				require.Equal(t, 1, calls, "Close returns the error of its own write")
				if stays {
					require.ErrorIs(t, closed, down)
					return
				}
				require.NoError(t, closed)
				require.Equal(t, at, s.lastUse(1))
			})
		})
	}
}

// A write that ends its goroutine is lost too, and the rest of a long queue is written.
func TestLost_writeThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r lastuse.Recorder
		writes, lost := 0, 0
		hold := make(chan struct{})
		r.Write = func(_ context.Context, uses []lastuse.Use) error {
			<-hold
			if writes++; writes == 1 {
				runtime.Goexit()
			}
			return nil
		}
		r.Lost = func(err error) { lost++ }
		for i := range 600 {
			r.Record(lastuse.Use{Digest: [32]byte{byte(i), byte(i >> 8)}, At: time.Now()}, false, false)
		}
		close(hold)
		synctest.Wait()
		require.Equal(t, 1, lost)
		require.GreaterOrEqual(t, writes, 3)
		require.NoError(t, r.Close(t.Context()))
	})
}

// Whatever happens to its writes, a Recorder never moves a last use back, does not lose the
// last use of a credential of which every use counts, and is at most a minute behind for others.
func FuzzRecord(f *testing.F) {
	for _, ops := range []string{
		"\x01", "\x01\x81\x02", "\x01\x3f\x01\x3f\x01", "\x40\x01\x3f\x3f\x81\x41\x01", "\x42\x01\x30\x01\x42\x30", "\x01\x43\x01\x30",
		"\x42\x01\x02\x43\x3f\x42", "\x40\x01\x02\x81\x43\x40", "\x44\x01\x3f\x01\x44\x02",
	} {
		f.Add([]byte(ops))
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 200 {
			return
		}
		synctest.Test(t, func(t *testing.T) { runOperations(t, ops) })
	})
}

// A simulation runs a Recorder over a store that fails in several ways.
type simulation struct {
	*store
	want             map[byte]time.Time // last uses before Close
	failing, exiting bool               // writes fail; writes end their goroutine
	hanging          chan struct{}      // if not nil, writes wait until it is closed
	release          func()
	closed           bool
}

func runOperations(t *testing.T, ops []byte) {
	s := &simulation{store: newStore(), want: make(map[byte]time.Time), release: func() {}}
	s.set(s.decide)
	for _, op := range ops {
		s.step(t, op)
	}
	s.release()
	s.locked(func() { s.hanging, s.failing, s.exiting = nil, false, false })
	if s.Close(t.Context()) != nil { // a write that had begun has failed
		require.NoError(t, s.Close(t.Context()))
	}
	require.Empty(t, s.fault)
	for i, at := range s.want {
		if everyUseCounts(i) {
			require.Equal(t, at, s.lastUse(i), "credential %d", i)
		} else {
			require.WithinRange(t, s.lastUse(i), at.Add(-time.Minute), at, "credential %d", i)
		}
	}
}

func everyUseCounts(i byte) bool { return i >= 4 }

// step interprets a byte as a use of one of 8 credentials, as time that passes, as a change
// of what the store does, or as a Close.
func (s *simulation) step(t *testing.T, op byte) {
	switch {
	case op < 0x08 || op >= 0x80:
		i := op % 8
		at := s.use(i, everyUseCounts(i))
		if !s.closed {
			s.want[i] = at.Truncate(time.Microsecond)
		}
	case op < 0x40:
		time.Sleep(time.Duration(op-0x07)*time.Second + time.Nanosecond)
	case op == 0x40:
		s.locked(func() { s.failing = !s.failing })
	case op == 0x41:
		s.locked(func() { s.exiting = !s.exiting })
	case op == 0x42:
		s.release()
		c := make(chan struct{})
		s.locked(func() { s.hanging = c })
		s.release = sync.OnceFunc(func() { close(c) })
	case op == 0x43:
		s.closed = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = s.Close(ctx)
	default:
		s.release()
		synctest.Wait()
	}
}

func (s *simulation) decide(ctx context.Context, _ int) error {
	var hang chan struct{}
	var fail, exit bool
	s.locked(func() { hang, fail, exit = s.hanging, s.failing, s.exiting })
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	switch {
	case exit:
		runtime.Goexit()
	case fail:
		return errors.New("down")
	}
	return nil
}

func (s *simulation) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}
