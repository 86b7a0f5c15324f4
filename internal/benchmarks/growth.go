package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A storeKind is a store whose costs are measured as it grows.
type storeKind struct {
	name string
	make func(*opener) (*emptyStore, error)
}

// An emptyStore is one database, with and without caches.
type emptyStore struct {
	behind auth.Store            // for creating records
	hot    auth.Store            // as a service uses it
	cold   auth.Store            // the same, but every lookup misses the cache
	bytes  func() (int64, error) // size of the records
	close  func()
}

// printGrowth prints the cost of a lookup, for one of a thousand credentials in use and for
// one that was not used recently, and the size of a record.
func printGrowth(w io.Writer, rounds int, sizes []int) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\nLookups as the store grows\tcredentials\thot, ns\tcold, ns\t16 at once, cold\tB each\t\n")
	var missing []error
	for _, kind := range stores() {
		for _, size := range sizes {
			if err := kind.print(t, rounds, size); err != nil {
				missing = append(missing, fmt.Errorf("%s: %w", kind.name, err))
				break
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, err := range missing {
		if !errors.Is(err, errNoServer) {
			return err
		}
		fmt.Fprintln(w, "not measured:", err)
	}
	return nil
}

func (k *storeKind) print(w io.Writer, rounds, size int) error {
	s, err := k.open()
	if err != nil {
		return err
	}
	defer s.close()
	empty, err := s.bytes()
	if err != nil {
		return err
	}
	if err := fill(s.behind, size); err != nil {
		return err
	}
	full, err := s.bytes()
	if err != nil {
		return err
	}
	if err := warm(s.hot, min(size, population)); err != nil {
		return err
	}
	hot := medians(rounds, lookupsAmong(s.hot, min(size, population), 1))
	cold := medians(rounds, lookupsAmong(s.cold, size, 1), lookupsAmong(s.cold, size, 16))
	fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t%.0f\t%d\t\n", k.name, size, hot[0].ns, cold[0].ns, cold[1].ns, (full-empty)/int64(size))
	runtime.KeepAlive(s)
	return nil
}

// fill creates the records concurrently, so that they share round trips to a server.
func fill(store auth.Store, size int) error {
	const writers = 32
	var failed [writers]error
	var wg sync.WaitGroup
	for writer := range writers {
		wg.Go(func() {
			for i := writer; i < size && failed[writer] == nil; i += writers {
				failed[writer] = store.Create(context.Background(), credential(i), 0)
			}
		})
	}
	wg.Wait()
	return errors.Join(failed[:]...)
}

// warm looks up each of the first n credentials.
func warm(store auth.Store, n int) error {
	for i := range n {
		if _, err := store.Lookup(context.Background(), auth.KindToken, digest(i)); err != nil {
			return err
		}
	}
	return nil
}

// credential returns the ith credential, like one from Issue.
func credential(i int) auth.Credential {
	return auth.Credential{
		ID: fmt.Sprintf("01M8A0XDNMQTAJDWWK%08d", i), Kind: auth.KindToken, UserID: fmt.Sprintf("user-%d", i), Name: fmt.Sprintf("deploy %d", i),
		Hint: fmt.Sprintf("acme_pat_…%04d", i%10000), Scopes: "*", Digest: digest(i), CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
}

func digest(i int) auth.Digest {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

// lookupsAmong looks up the first n credentials in random order.
func lookupsAmong(store auth.Store, n, atOnce int) func(*testing.B) {
	digests := make([]auth.Digest, 1<<16)
	for i := range digests {
		digests[i] = digest(rand.IntN(n))
	}
	lookups := func(b *testing.B, next func() bool) {
		// A cancelable context, as requests of a server have.
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for i := rand.IntN(len(digests)); next(); i++ {
			if _, err := store.Lookup(ctx, auth.KindToken, digests[i%len(digests)]); err != nil {
				b.Error(err)
				return
			}
		}
	}
	if atOnce == 1 {
		return func(b *testing.B) { lookups(b, b.Loop) }
	}
	return func(b *testing.B) {
		b.SetParallelism(max(1, atOnce/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) { lookups(b, pb.Next) })
	}
}
