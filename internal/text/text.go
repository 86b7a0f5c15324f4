// Package text checks the names and identifiers that users and clients choose. All
// functions are safe for concurrent use.
package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// IsKey reports whether s can be a key in any store: 1 to max bytes of UTF-8 without
// control characters. With anything else, for example in a URL, a database would return
// an error that looks like an outage.
func IsKey(s string, max int) bool {
	return s != "" && len(s) <= max && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// CheckName returns what is wrong with a name, or "". It accepts any script, and emoji with
// their zero width joiners. It rejects what would break a line, be invisible, or reorder
// the surrounding text (CVE-2021-42574).
func CheckName(name string, max int) (fault string) {
	switch {
	case strings.TrimSpace(name) == "":
		return "must not be empty"
	case len(name) > max:
		return fmt.Sprintf("must be at most %d bytes", max)
	case !utf8.ValidString(name):
		return "must be UTF-8"
	case CheckLine(name) != "":
		return CheckLine(name)
	case !strings.ContainsFunc(name, isVisible):
		return "must have a visible character"
	}
	return ""
}

// CheckLine returns what is wrong with s if it would break a line, or reorder the text around it, or "".
func CheckLine(s string) (fault string) {
	if strings.ContainsFunc(s, isDisruptive) {
		return "must not have control characters, line separators or marks of text direction"
	}
	return ""
}

// Sanitize returns a copy of s without the characters that CheckName rejects, cut to max bytes.
// It is for user agents, which are stored: other servers than net/http reuse the memory of a
// request.
func Sanitize(s string, max int) string {
	s = s[:min(len(s), 4*max)]
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || isDisruptive(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > max {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.Clone(s)
}

func isDisruptive(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// isVisible excludes the fillers among letters, and the blank among symbols.
func isVisible(r rune) bool {
	const brailleBlank = '\u2800'
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && r != brailleBlank
}
