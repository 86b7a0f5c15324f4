package listeners

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestList_callsAll(t *testing.T) {
	t.Parallel()
	var l List[int]
	var calls [3]int
	var stops []func()
	for i := range calls {
		stop, ok := l.Add(func(kind int, userID string) {
			require.Equal(t, "alice", userID)
			calls[i] += kind
		})
		require.True(t, ok)
		stops = append(stops, stop)
	}
	l.Call(1, "alice")
	require.Equal(t, [3]int{1, 1, 1}, calls)
	stops[1]()
	stops[1]()
	l.Call(1, "alice")
	require.Equal(t, [3]int{2, 1, 2}, calls)
	require.True(t, l.Close(t.Context()))
	require.True(t, l.Close(t.Context()))
	l.Call(1, "alice")
	stops[0]()
	require.Equal(t, [3]int{2, 1, 2}, calls)
	_, ok := l.Add(func(int, string) {})
	require.False(t, ok)
}

// A function may change the list that is being called.
func TestList_changedByFunctions(t *testing.T) {
	t.Parallel()
	var l List[int]
	added, others := 0, 0
	stop, _ := l.Add(func(int, string) { others++ })
	l.Add(func(int, string) {
		stop()
		l.Add(func(int, string) { added++ })
	})
	stopLast, _ := l.Add(func(int, string) { others++ })
	l.Call(1, "alice")
	require.Equal(t, 2, others)
	require.Zero(t, added, "it was added after the call began")
	stopLast()
	l.Call(1, "alice")
	require.Equal(t, 2, others)
	require.Equal(t, 1, added)
}

// After stop has returned, no call begins and none is in progress.
func TestList_stopDuringCalls(t *testing.T) {
	t.Parallel()
	var l List[int]
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				l.Call(1, "alice")
			}
		})
	}
	var late, calls atomic.Int64
	for i := 0; i < 1000 || calls.Load() == 0; i++ {
		var stopped atomic.Bool
		stop, _ := l.Add(func(int, string) {
			calls.Add(1)
			if stopped.Load() {
				late.Add(1)
			}
		})
		stop()
		stopped.Store(true)
	}
	cancel()
	wg.Wait()
	require.Zero(t, late.Load())
}

// stop waits for a call in progress, and lets no other begin meanwhile.
func TestList_stopWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l List[int]
		var calls atomic.Int64
		release, stopped := make(chan struct{}), make(chan struct{})
		stop, _ := l.Add(func(int, string) {
			calls.Add(1)
			<-release
		})
		go l.Call(1, "alice")
		synctest.Wait()
		go func() {
			stop()
			close(stopped)
		}()
		synctest.Wait()
		l.Call(1, "alice")
		require.EqualValues(t, 1, calls.Load())
		select {
		case <-stopped:
			t.Fatal("stop has returned during a call")
		default:
		}
		start := time.Now()
		close(release)
		<-stopped
		require.Zero(t, time.Since(start))
	})
}

// A function that stops itself delays its own call, by a bounded time, and no other.
func TestList_stopWithinFunction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l List[int]
		var stop func()
		calls, others := 0, atomic.Int64{}
		stop, _ = l.Add(func(int, string) {
			calls++
			stop()
		})
		l.Add(func(int, string) { others.Add(1) })
		start, called := time.Now(), make(chan struct{})
		go func() {
			l.Call(1, "alice")
			close(called)
		}()
		synctest.Wait()
		l.Call(1, "bob")
		require.Zero(t, time.Since(start))
		require.EqualValues(t, 1, others.Load())
		<-called
		require.Equal(t, StopTimeout, time.Since(start))
		require.EqualValues(t, 2, others.Load())
		l.Call(1, "alice")
		require.Equal(t, 1, calls)
		require.Equal(t, StopTimeout, time.Since(start))
	})
}

// Close is bounded by its context, even if several functions block.
func TestList_closeDuringCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l List[int]
		release := make(chan struct{})
		for i := range 3 {
			l.Add(func(kind int, _ string) {
				if kind == i {
					<-release
				}
			})
			go l.Call(i, "alice")
			synctest.Wait()
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.False(t, l.Close(ctx))
		require.Equal(t, time.Second, time.Since(start))
		close(release)
	})
}

// A call that panics has ended.
func TestList_panic(t *testing.T) {
	t.Parallel()
	var l List[int]
	stop, _ := l.Add(func(int, string) { panic("canary") })
	require.PanicsWithValue(t, "canary", func() { l.Call(1, "alice") })
	stop()
	require.True(t, l.Close(t.Context()))
}
