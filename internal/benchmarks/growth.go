package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// printGrowth prints what the memory store costs as it fills: a look-up of one of a
// thousand credentials that are in use, one of any at all, and bytes for each. The
// other stores are measured by the benchmark Store of internal/integration.
func printGrowth(w io.Writer, rounds int, sizes []int) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\nMemory store, credentials\thot, ns\tcold, ns\tB each\t\n")
	for _, size := range sizes {
		before := heap()
		store := auth.NewMemoryStore()
		for i := range size {
			if err := store.Create(context.Background(), credential(i), 0); err != nil {
				return err
			}
		}
		each := float64(heap()-before) / float64(size)
		r := median(rounds, []func(*testing.B){lookUpAmong(store, min(size, population)), lookUpAmong(store, size)})
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%.0f\t\n", size, r[0].ns, r[1].ns, each)
		runtime.KeepAlive(store)
	}
	return t.Flush()
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// credential is the ith of many, as Issue would make it.
func credential(i int) auth.Credential {
	return auth.Credential{
		ID: fmt.Sprintf("01M8A0XDNMQTAJDWWK%08d", i), Kind: auth.KindToken, UserID: fmt.Sprintf("user-%d", i), Name: "benchmark",
		Hint: "acme_pat_…abcd", Scopes: "*", Digest: digest(i), CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
}

func digest(i int) auth.Digest {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

// lookUpAmong looks up credentials among the first n, in no order.
func lookUpAmong(store auth.Store, n int) func(*testing.B) {
	digests := make([]auth.Digest, 1<<16)
	for i := range digests {
		digests[i] = digest(rand.IntN(n))
	}
	return func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := store.Lookup(context.Background(), auth.KindToken, digests[i%len(digests)]); err != nil {
				b.Fatal(err)
			}
		}
	}
}
