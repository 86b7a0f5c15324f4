package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each contender must accept and reject the right requests.
func TestRaces(t *testing.T) {
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

// Each store must find all credentials.
func TestStores(t *testing.T) {
	for _, k := range stores() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s, err := k.open()
			if errors.Is(err, errNoServer) && os.Getenv("CI") != "true" {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			const size = 100
			if err := errors.Join(fill(s.behind, size), warm(s.hot, size), warm(s.cold, size)); err != nil {
				t.Fatal(err)
			}
			if n, err := s.bytes(); err != nil || n == 0 {
				t.Fatalf("size is %d bytes: %v", n, err)
			}
		})
	}
}

func TestDrawFigure_isXML(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figure.svg")
	if err := drawFigure(path, []string{"A & B"}, [][]bar{{{"by <hand>", 1, false}, {"ours", 0.5, true}, {"slow", 77, false}}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(string(text)))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"A &amp; B", "by &lt;hand&gt;", "… 77", "prefers-color-scheme: dark"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in the figure", want)
		}
	}
}

// BenchmarkChain is for profiles and benchstat. The program prints the tables.
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
