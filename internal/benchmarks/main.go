// Benchmarks measures this library beside its peers: the same credentials, the same
// handler, in one run.
//
//	go run .                    in a minute
//	go run . -thorough          more rounds, for what goes into a document
//	go run . -figure races.svg  also draws the races
//
// Absolute times move by a third from one run to the next, with the machine and what
// else it does: what counts is the ratios within one run, and the allocations.
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
	thorough := flag.Bool("thorough", false, "more rounds, and longer ones")
	figure := flag.String("figure", "", "an SVG `file` to draw the races into")
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
	fmt.Fprintf(w, "all cores do %.2f times what one does, where they only compute\n", scaling(rounds))
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

// print runs a race, and prints what each contender costs, and how that is to the
// first one.
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
	fmt.Fprintf(t, "\n%s\tns\tratio\thalf of them\tB\tallocs\tall cores\t\n", r.name)
	var bars []bar
	for i, s := range compare(rounds, open) {
		c := r.contenders[i]
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f–%.2f\t%d\t%d\t%.2fx\t\n", c.name, s.ns, s.ratio, s.low, s.high, s.bytes, s.allocs, s.allCores)
		bars = append(bars, bar{c.name, s.ratio, strings.HasPrefix(c.name, "this library")})
	}
	return bars, t.Flush()
}

// printRefusals prints what it costs to refuse, for those who look tokens up.
func printRefusals(w io.Writer, rounds int) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\nRefused, ns / B\t")
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
