// Package text checks the names and identifiers that people and clients choose.
package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// IsKey reports whether s is 1 to max bytes that any store can take for a key:
// UTF-8 without control characters. An ID from a URL that is not would be an
// error of the database, and look like an outage.
func IsKey(s string, max int) bool {
	return s != "" && len(s) <= max && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// CheckName says what is wrong with a name, or returns "". It accepts any script,
// emoji and their zero width joiners included, and refuses what would break a
// line, hide, or reorder the text around it (as in CVE-2021-42574).
func CheckName(name string, max int) (fault string) {
	switch {
	case strings.TrimSpace(name) == "":
		return "must not be empty"
	case len(name) > max:
		return fmt.Sprintf("must be at most %d bytes", max)
	case !utf8.ValidString(name):
		return "must be UTF-8"
	case strings.ContainsFunc(name, disruptive):
		return "must not have control characters, line separators or marks of text direction"
	case !strings.ContainsFunc(name, visible):
		return "must have a visible character"
	}
	return ""
}

// Sanitize makes a name of at most max bytes out of what a client says of itself.
func Sanitize(s string, max int) string {
	s = s[:min(len(s), 4*max)]
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || disruptive(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > max {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

func disruptive(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// visible leaves out the fillers among letters and the blank among symbols.
func visible(r rune) bool {
	const brailleBlank = '\u2800'
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && r != brailleBlank
}
