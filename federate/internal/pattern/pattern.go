// Package pattern compares texts with simple patterns. "*" matches any number of bytes except "/" and
// ":", which separate the parts of names such as "refs/heads/main", and "**" matches any number
// of bytes. All other bytes match themselves. All functions are safe for concurrent use.
package pattern

import "strings"

const (
	maxLength    = 256
	maxAsterisks = 8
)

// Check returns what is wrong with a pattern, as the end of a sentence, or "".
func Check(p string) string {
	switch {
	case p == "" || len(p) > maxLength:
		return "is not 1 to 256 bytes"
	case strings.Trim(p, "*/:@-_.") == "":
		return "is too wide: it requires nothing"
	case strings.Count(p, "*") > maxAsterisks:
		return "has more than 8 asterisks"
	}
	return ""
}

// Match reports whether a pattern matches all of value.
//
// It follows all ways to match at once, so that its time is bounded by the product of the two lengths: a
// client may know the pattern, and choose the value.
func Match(p, value string) bool {
	steps := parse(p)
	at := make([]bool, len(steps)+1) // which steps have been reached
	at[0] = true
	for i := 0; ; i++ {
		for s, step := range steps { // an asterisk may match nothing
			at[s+1] = at[s+1] || at[s] && step.kind != literal
		}
		if i == len(value) {
			return at[len(steps)]
		}
		for s := len(steps); s >= 0; s-- {
			stays := s < len(steps) && at[s] && steps[s].staysAt(value[i])
			at[s] = stays || s > 0 && at[s-1] && steps[s-1] == step{literal, value[i]}
		}
	}
}

type kind int

const (
	literal   kind = iota
	inSegment      // "*"
	anything       // "**"
)

// A step matches one byte, or any number of bytes.
type step struct {
	kind kind
	char byte
}

func (s step) staysAt(c byte) bool {
	return s.kind == anything || s.kind == inSegment && c != '/' && c != ':'
}

func parse(p string) []step {
	steps := make([]step, 0, len(p))
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] != '*':
			steps = append(steps, step{literal, p[i]})
		case strings.HasPrefix(p[i:], "**"):
			steps = append(steps, step{kind: anything})
			i++
		default:
			steps = append(steps, step{kind: inSegment})
		}
	}
	return steps
}
