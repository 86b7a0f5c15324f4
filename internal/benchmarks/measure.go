package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math"
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
	each := len(g.good) / runtime.GOMAXPROCS(0)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		w := &discard{header: make(http.Header)}
		from := int(started.Add(1)-1) * each
		own := g.good[from : from+each]
		for i := 0; pb.Next(); i++ {
			clear(w.header)
			g.handler.ServeHTTP(w, own[i%len(own)])
		}
	})
}

// A refusal is a kind of request that nobody is to pass with.
type refusal struct {
	name     string
	requests []*http.Request
}

// guesses are more than a cache of refused credentials holds: an attacker tries none
// twice.
const guesses = 1 << 14

func refusals() []refusal {
	one := func(value string) []*http.Request { return []*http.Request{request("Authorization", value)} }
	unknown := make([]*http.Request, guesses)
	for i := range unknown {
		unknown[i] = request("Authorization", "Bearer "+token.New(prefix))
	}
	return []refusal{
		{"none", []*http.Request{request("", "")}},
		{"unknown", unknown},
		{"bad checksum", one("Bearer acme_pat_" + strings.Repeat("x", 38))}, // to those who have a prefix
		{"8 KiB of junk", one("Bearer " + strings.Repeat(".", 8<<10))},
		{"8 KiB of spaces", one("Bearer " + strings.Repeat(" ", 8<<10))},
		{"1,000 KiB", one("Bearer " + strings.Repeat(".", 1000<<10))},
	}
}

// A result is what one kind of request costs.
type result struct {
	ns            float64
	bytes, allocs int64
}

// run measures one benchmark once.
func run(benchmark func(*testing.B)) result {
	r := testing.Benchmark(benchmark)
	return result{float64(r.T.Nanoseconds()) / float64(r.N), r.AllocedBytesPerOp(), r.AllocsPerOp()}
}

// run serves each request once before it measures: what a cache has let go of while
// others were measured is in it again.
func (g *guarded) run(benchmark func(*testing.B)) result {
	w := &discard{header: make(http.Header)}
	for _, r := range g.good {
		clear(w.header)
		g.handler.ServeHTTP(w, r)
	}
	return run(benchmark)
}

// scaling is how much more all cores do than one where nothing is shared and nothing is
// allocated. While a single core serves, others collect its garbage: so allCores is less.
func scaling(rounds int) float64 {
	ratios := make([]float64, rounds)
	for i := range ratios {
		one := run(func(b *testing.B) {
			for b.Loop() {
				compute()
			}
		})
		all := run(func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					compute()
				}
			})
		})
		ratios[i] = one.ns / all.ns
	}
	return middle(ratios, func(r float64) float64 { return r })
}

func compute() {
	var data [1 << 10]byte
	sha256.Sum256(data[:])
}

// medians runs each benchmark in turn, several times over, so that what else the
// machine does falls on all of them; and returns the middle of each one's times.
func medians(rounds int, benchmarks ...func(*testing.B)) []result {
	runs := make([][]result, len(benchmarks))
	for range rounds {
		for i, benchmark := range benchmarks {
			runs[i] = append(runs[i], run(benchmark))
		}
	}
	results := make([]result, len(benchmarks))
	for i, list := range runs {
		results[i] = middle(list, func(r result) float64 { return r.ns })
	}
	return results
}

// A standing is what a contender costs beside the baseline.
type standing struct {
	result
	ratio    float64 // of its time to the baseline's
	low      float64 // a quarter of the rounds had a ratio below,
	high     float64 // and a quarter one above
	allCores float64 // requests on all cores for each one that a single core serves
}

// compare measures each contender right beside the baseline, the first one, in every
// round, and compares only what was measured together: the machine is now faster, now
// slower. They go first in turn, as the second of two finds warmer caches: one ratio is
// that of two rounds.
func compare(rounds int, contenders []*guarded) []standing {
	times := make([][]result, len(contenders))
	ratios := make([][]float64, len(contenders))
	allCores := make([][]float64, len(contenders))
	base := contenders[0]
	for range rounds / 2 {
		for i, c := range contenders {
			base1, one1 := base.run(base.sequential), c.run(c.sequential)
			all := c.run(c.parallel)
			one2, base2 := c.run(c.sequential), base.run(base.sequential)
			times[i] = append(times[i], one1, one2)
			ratios[i] = append(ratios[i], math.Sqrt(one1.ns/base1.ns*one2.ns/base2.ns))
			allCores[i] = append(allCores[i], math.Sqrt(one1.ns*one2.ns)/all.ns)
		}
	}
	standings := make([]standing, len(contenders))
	for i := range contenders {
		slices.Sort(ratios[i])
		n := len(ratios[i])
		standings[i] = standing{
			result: middle(times[i], func(r result) float64 { return r.ns }),
			ratio:  ratios[i][n/2], low: ratios[i][n/4], high: ratios[i][n-1-n/4],
			allCores: middle(allCores[i], func(r float64) float64 { return r }),
		}
	}
	return standings
}

func middle[T any](list []T, by func(T) float64) T {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(by(a), by(b)) })
	return list[len(list)/2]
}
