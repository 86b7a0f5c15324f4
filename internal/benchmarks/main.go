// Benchmarks compares this library with its peers: the same credentials and the same
// handler, in one run.
//
//	go run .                    takes a minute
//	go run . -thorough          runs more rounds, for publication
//	go run . -figure races.svg  also draws the races
//
// Absolute times vary by a third between runs, with the machine and its load. Compare the
// ratios within one run, and the allocations.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

func main() {
	testing.Init()
	thorough := flag.Bool("thorough", false, "run more and longer rounds")
	figure := flag.String("figure", "", "draw the races into this SVG `file`")
	flag.Parse()
	rounds, benchtime, attack, sizes := 12, "20ms", 4*time.Second, []int{1e3, 1e4}
	if *thorough {
		rounds, benchtime, attack, sizes = 60, "50ms", 30*time.Second, []int{1e3, 1e5, 1e6}
	}
	if err := errors.Join(flag.Set("test.benchtime", benchtime), measure(os.Stdout, rounds, attack, *figure, sizes)); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func measure(w io.Writer, rounds int, attack time.Duration, figure string, sizes []int) error {
	fmt.Fprintf(w, "%s, %s/%s, %d cores, median of %d rounds\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), rounds)
	fmt.Fprintf(w, "all cores compute %.2f times as much as one\n", scaling(rounds))
	var titles []string
	var drawn [][]bar
	for _, race := range races() {
		bars, err := race.print(w, rounds)
		if err != nil {
			return err
		}
		titles, drawn = append(titles, race.name), append(drawn, bars)
	}
	if figure != "" {
		if err := drawFigure(figure, titles, drawn); err != nil {
			return err
		}
	}
	if err := printRefusals(w, rounds/4); err != nil {
		return err
	}
	if err := printGrowth(w, rounds/4, sizes); err != nil {
		return err
	}
	return printLoopback(w, attack)
}

// print runs a race, and prints the cost of each contender and its ratio to the baseline.
func (r *race) print(w io.Writer, rounds int) ([]bar, error) {
	var open []*guarded
	for _, c := range r.contenders {
		g, err := c.open()
		if err != nil {
			return nil, err
		}
		open = append(open, g)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\n%s\tns\tratio\tmiddle half\tof minima\tB\tallocs\tall cores\t\n", r.name)
	var bars []bar
	for i, s := range compare(rounds, open) {
		c := r.contenders[i]
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f–%.2f\t%.2f\t%d\t%d\t%.2fx\t\n", c.name, s.ns, s.ratio, s.low, s.high, s.minima, s.bytes, s.allocs, s.allCores)
		bars = append(bars, bar{c.name, s.ratio, strings.HasPrefix(c.name, "this library")})
	}
	return bars, t.Flush()
}

// printRefusals prints the cost of rejecting a request, for contenders that look tokens up.
func printRefusals(w io.Writer, rounds int) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\nRejected, ns / B\t")
	for _, refusal := range refusals() {
		fmt.Fprintf(t, "%s\t", refusal.name)
	}
	fmt.Fprintln(t)
	for _, c := range lookups() {
		g, err := c.open()
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t", c.name)
		for _, r := range g.refuse(rounds) {
			fmt.Fprintf(t, "%.0f / %d\t", r.ns, r.bytes)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
