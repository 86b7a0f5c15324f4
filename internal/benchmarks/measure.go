package main

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-31c5bcb2/auth/internal/token"
)

// population is how many credentials there are, used in turn: with one alone,
// everything would be in the processor's nearest cache.
const population = 1024

func users() []string {
	list := make([]string, population)
	for i := range list {
		list[i] = fmt.Sprintf("user-%d", i)
	}
	return list
}

// tokens are what every user presents, to whichever contender: as this library makes
// them with a prefix and a checksum, 47 characters.
var tokens = sync.OnceValue(func() []string { return list(prefix) })

// secrets are without: 32 characters.
var secrets = sync.OnceValue(func() []string { return list("") })

func list(prefix string) []string {
	list := make([]string, population)
	for i := range list {
		list[i] = token.New(prefix)
	}
	return list
}

// open builds a contender, and makes sure that it works.
func (c *contender) open() (*guarded, error) {
	g, err := c.build(users())
	if err == nil {
		err = g.check(users())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return g, nil
}

// sequential serves requests one after the other.
func (g *guarded) sequential(b *testing.B) { serve(b, g.handler, g.good) }

func serve(b *testing.B, h http.Handler, requests []*http.Request) {
	w := &discard{header: make(http.Header)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		clear(w.header)
		h.ServeHTTP(w, requests[i%len(requests)])
	}
}

// parallel serves requests on all cores, each of which has its own: one of the peers
// writes to them.
func (g *guarded) parallel(b *testing.B) {
	var started atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		w := &discard{header: make(http.Header)}
		cores := runtime.GOMAXPROCS(0)
		for i := int(started.Add(1)) % cores; pb.Next(); i += cores {
			clear(w.header)
			g.handler.ServeHTTP(w, g.good[i%len(g.good)])
		}
	})
}

// A refusal is a request that nobody is to pass with.
type refusal struct{ name, header, value string }

func refusals() []refusal {
	return []refusal{
		{"none", "", ""},
		{"unknown", "Authorization", "Bearer " + token.New(prefix)},
		{"bad checksum", "Authorization", "Bearer acme_pat_" + strings.Repeat("x", 38)}, // to those who have a prefix
		{"8 KiB of junk", "Authorization", "Bearer " + strings.Repeat(".", 8<<10)},
		{"8 KiB of spaces", "Authorization", "Bearer " + strings.Repeat(" ", 8<<10)},
		{"1,000 KiB", "Authorization", "Bearer " + strings.Repeat(".", 1000<<10)},
	}
}

// A result is what one kind of request costs.
type result struct {
	ns            float64
	bytes, allocs int64
}

// median runs each benchmark in turn, several times over, so that what else the
// machine does falls on all of them; and returns the middle of each one's times.
func median(rounds int, benchmarks []func(*testing.B)) []result {
	runs := make([][]result, len(benchmarks))
	for range rounds {
		for i, benchmark := range benchmarks {
			r := testing.Benchmark(benchmark)
			runs[i] = append(runs[i], result{float64(r.T.Nanoseconds()) / float64(r.N), r.AllocedBytesPerOp(), r.AllocsPerOp()})
		}
	}
	results := make([]result, len(benchmarks))
	for i, list := range runs {
		slices.SortFunc(list, func(a, b result) int { return int(a.ns*100 - b.ns*100) })
		results[i] = list[len(list)/2]
	}
	return results
}
