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

// population is the number of credentials, which are used in turn. With a single one,
// everything would be in the first-level cache of the processor.
const population = 1024

func users() []string {
	list := make([]string, population)
	for i := range list {
		list[i] = fmt.Sprintf("user-%d", i)
	}
	return list
}

// tokens are the users' tokens, the same for all contenders: of the form of this library,
// with a prefix and a checksum, 47 characters.
var tokens = sync.OnceValue(func() []string { return list(prefix) })

// secrets have neither: 32 characters.
var secrets = sync.OnceValue(func() []string { return list("") })

func list(prefix string) []string {
	list := make([]string, population)
	for i := range list {
		list[i] = token.New(prefix)
	}
	return list
}

// open builds a contender and checks that it works.
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

// parallel serves requests on all cores. Each core has its own requests, because one of the
// peers writes to them.
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

// A refusal is a kind of request that must be rejected.
type refusal struct {
	name     string
	requests []*http.Request
}

// guesses exceeds the size of a cache of unknown credentials, because an attacker tries none
// of them twice.
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
		{"bad checksum", one("Bearer acme_pat_" + strings.Repeat("x", 38))}, // for contenders with a prefix
		{"8 KiB of junk", one("Bearer " + strings.Repeat(".", 8<<10))},
		{"8 KiB of spaces", one("Bearer " + strings.Repeat(" ", 8<<10))},
		{"1,000 KiB", one("Bearer " + strings.Repeat(".", 1000<<10))},
	}
}

// A result is the cost of one kind of request.
type result struct {
	ns            float64
	bytes, allocs int64
}

// run runs a benchmark once.
func run(benchmark func(*testing.B)) result {
	r := testing.Benchmark(benchmark)
	return result{float64(r.T.Nanoseconds()) / float64(r.N), r.AllocedBytesPerOp(), r.AllocsPerOp()}
}

// run serves each request once before it measures, to fill caches that have dropped entries
// while other contenders were measured.
func (g *guarded) run(benchmark func(*testing.B)) result {
	w := &discard{header: make(http.Header)}
	for _, r := range g.good {
		clear(w.header)
		g.handler.ServeHTTP(w, r)
	}
	return run(benchmark)
}

// scaling returns how much more all cores compute than one if nothing is shared or
// allocated. allCores is lower, because a single core has others collect its garbage.
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
	return median(ratios, func(r float64) float64 { return r })
}

func compute() {
	var data [1 << 10]byte
	sha256.Sum256(data[:])
}

// medians runs the benchmarks in turn, so that other work of the machine affects all of
// them, and returns the median of each.
func medians(rounds int, benchmarks ...func(*testing.B)) []result {
	runs := make([][]result, len(benchmarks))
	for range rounds {
		for i, benchmark := range benchmarks {
			runs[i] = append(runs[i], run(benchmark))
		}
	}
	results := make([]result, len(benchmarks))
	for i, list := range runs {
		results[i] = median(list, func(r result) float64 { return r.ns })
	}
	return results
}

// A standing is the cost of a contender, compared with the baseline.
type standing struct {
	result
	ratio    float64 // of its time to that of the baseline
	low      float64 // first quartile of the ratio
	high     float64 // third quartile
	minima   float64 // ratio of the shortest times, which the load of the machine affects least
	allCores float64 // throughput on all cores, divided by that on one
}

// compare measures each contender next to the baseline, the first one, because the speed of
// the machine varies. Each ratio is from two rounds, in opposite order, because the second of
// two finds warmer caches.
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
	fastest := shortest(times[0])
	for i := range contenders {
		slices.Sort(ratios[i])
		n := len(ratios[i])
		standings[i] = standing{
			result: median(times[i], func(r result) float64 { return r.ns }),
			ratio:  ratios[i][n/2], low: ratios[i][n/4], high: ratios[i][n-1-n/4],
			minima:   shortest(times[i]) / fastest,
			allCores: median(allCores[i], func(r float64) float64 { return r }),
		}
	}
	return standings
}

func shortest(results []result) float64 {
	return slices.MinFunc(results, func(a, b result) int { return cmp.Compare(a.ns, b.ns) }).ns
}

func median[T any](list []T, by func(T) float64) T {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(by(a), by(b)) })
	return list[len(list)/2]
}
