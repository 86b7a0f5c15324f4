package main

import (
	"strings"
	"testing"
)

// TestContenders makes sure that everything that is timed works.
func TestContenders(t *testing.T) {
	for _, race := range races() {
		for _, c := range race.contenders {
			t.Run(race.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				if _, err := c.open(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// BenchmarkChain is for profiles, and for benchstat; the program prints the tables.
func BenchmarkChain(b *testing.B) {
	for _, race := range races() {
		for _, c := range race.contenders {
			g, err := c.open()
			if err != nil {
				b.Fatal(err)
			}
			name := race.name + "/" + strings.ReplaceAll(c.name, "/", "|")
			b.Run(name, g.sequential)
			b.Run(name+"/parallel", g.parallel)
		}
	}
}
