// Package challenge writes WWW-Authenticate challenges (RFC 9110 section 11.6.1). All
// functions are safe for concurrent use.
package challenge

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Param is an auth-param. One with an empty Value is left out.
type Param struct{ Name, Value string }

// Format returns a challenge: the scheme and its parameters, each a quoted-string. [Check]
// must accept the values.
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

// In a quoted-string only these two need a backslash (RFC 9110 section 5.6.4). Characters
// above ASCII are obs-text, and allowed.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// Check returns an error if s cannot be in a quoted-string. A line break, for example,
// would end the header and inject another one.
func Check(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%q is not UTF-8", s)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return fmt.Errorf("%q has a control character", s)
	}
	return nil
}
