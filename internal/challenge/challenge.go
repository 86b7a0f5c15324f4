// Package challenge writes WWW-Authenticate challenges (RFC 9110 section 11.6.1).
package challenge

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Param is one auth-param. An empty Value leaves it out.
type Param struct{ Name, Value string }

// Format returns one challenge: the scheme and its parameters, each a
// quoted-string. The values have passed [Check].
func Format(scheme string, params ...Param) string {
	var b strings.Builder
	b.WriteString(scheme)
	separator := " "
	for _, p := range params {
		if p.Value == "" {
			continue
		}
		b.WriteString(separator)
		b.WriteString(p.Name)
		b.WriteString(`="`)
		b.WriteString(escape.Replace(p.Value))
		b.WriteByte('"')
		separator = ", "
	}
	return b.String()
}

// Only these two need a backslash in a quoted-string (RFC 9110 section 5.6.4);
// what lies above ASCII is obs-text there and goes as it is.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// Check returns an error if no quoted-string can hold s: a line break would end
// the field and start another one of the caller's choosing.
func Check(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%q is not UTF-8", s)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return fmt.Errorf("%q has a control character", s)
	}
	return nil
}
