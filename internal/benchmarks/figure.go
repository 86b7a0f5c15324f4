package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"
)

// A bar is one contender's cost, as a ratio to the baseline's.
type bar struct {
	name  string
	ratio float64
	ours  bool
}

const (
	barHeight = 26
	barsFrom  = 310 // the names are to the left
	barsWide  = 380
	longest   = 5.0 // the ratio at which a bar is cut off
)

// drawFigure writes an SVG of the races, with a light and a dark color scheme.
func drawFigure(path string, titles []string, races [][]bar) error {
	var b strings.Builder
	y := 0
	for i, bars := range races {
		y += 36
		fmt.Fprintf(&b, `<text class="title" x="10" y="%d">%s</text>`+"\n", y, escaped(titles[i]))
		y += 12
		for _, bar := range bars {
			bar.draw(&b, y)
			y += barHeight
		}
	}
	return os.WriteFile(path, fmt.Appendf(nil, figure, barsFrom+barsWide+80, y+14, b.String()), 0o644)
}

func (bar *bar) draw(b *strings.Builder, y int) {
	class, label := "peer", fmt.Sprintf("%.2f", bar.ratio)
	if bar.ours {
		class = "ours"
	}
	length := bar.ratio
	if length > longest {
		length, label = longest, fmt.Sprintf("… %.0f", bar.ratio)
	}
	wide := int(length / longest * barsWide)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="3"/><text x="%d" y="%d">%s</text>`+"\n",
		barsFrom-10, y+17, escaped(bar.name), class, barsFrom, y+3, wide, barHeight-8, barsFrom+wide+8, y+17, label)
}

func escaped(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic(err) // a Builder returns no errors
	}
	return b.String()
}

const figure = `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img">
<title>Time per request, relative to code without a library</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #1b1f24 }
.title { font-weight: 700; font-size: 15px }
.peer { fill: #8c959f }
.ours { fill: #0b57d0 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .peer { fill: #6e7781 } .ours { fill: #a8c7fa } }
</style>
%[3]s</svg>
`
