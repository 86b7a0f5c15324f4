// Package header reads the request headers that carry credentials: Authorization (RFC 9110
// section 11.6.2), Cookie (RFC 6265 section 4.2.1) and headers of a service's own, such as
// X-Api-Key. It allocates nothing for
// rejected input, and its work on one header is bounded. All functions are safe for
// concurrent use.
package header

import (
	"iter"
	"net/http"
	"slices"
	"strings"
)

const (
	// maxAuthorization bounds the work on one header. The longest legitimate ones are
	// Kerberos tickets of just under 64 KiB.
	maxAuthorization = 64 << 10
	maxScheme        = 64
	maxSpaces        = 64
)

// An Authorization is the parsed Authorization header of a request.
type Authorization struct {
	Scheme     string // as sent; empty if the header is missing or blank
	Credential string // what follows the scheme, not checked: see IsCredential
	Malformed  bool   // the header violates the grammar, and Credential must not be used
	Unreadable bool   // malformed for any scheme: two headers, one over 64 KiB, or one with more than 64 spaces at an end
}

// ParseAuthorization reads the header. More than one header is malformed: a proxy in front
// may have checked another one (RFC 9110 section 5.3 allows no list here, RFC 6750 section
// 3.1 calls it an invalid request).
func ParseAuthorization(h http.Header) (a Authorization) {
	fields := h["Authorization"]
	if len(fields) == 0 {
		return a
	}
	if len(fields) > 1 {
		return Authorization{Malformed: true, Unreadable: true}
	}
	field := fields[0]
	if len(field) > maxAuthorization {
		return Authorization{Scheme: leadingToken(field), Malformed: true, Unreadable: true}
	}
	// net/http has trimmed HTTP/1, but not HTTP/2 (RFC 9113 section 8.2.1).
	if isPadded(field) {
		if field = trimSome(field); isPadded(field) {
			return Authorization{Malformed: true, Unreadable: true}
		}
	}
	a.Scheme = leadingToken(field)
	rest := field[len(a.Scheme):]
	a.Credential = trimLeadingSpaces(rest)
	// Between scheme and credential is 1*SP: at least one space, and no tab.
	a.Malformed = field != "" && (a.Credential == "" || len(a.Credential) == len(rest))
	return a
}

// SameScheme reports whether two scheme names are equal, ignoring ASCII case (RFC 9110
// section 11.1). strings.EqualFold would take "ſecret" for "Secret".
func SameScheme(a, b string) bool {
	if a == b {
		return true // the common case
	}
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// IsToken reports whether s is a token of RFC 9110 section 5.6.2, and short enough for the
// name of a scheme: at most 63 bytes.
func IsToken(s string) bool {
	return s != "" && len(s) < maxScheme && leadingToken(s) == s
}

// IsCredential reports whether s has only characters that a credential may have: visible ASCII
// without comma, quote and backslash. These would separate a list or begin a quoted string (RFC
// 9110 section 5.6). That is more than a token68 (RFC 9110 section 11.2): other systems issue
// tokens such as "12|secret" and "name:secret".
func IsCredential(s string) bool {
	for i := range len(s) {
		if class[s[i]]&credential == 0 {
			return false
		}
	}
	return s != ""
}

// Cookie returns the value of the first cookie of that name, and their number. Names are
// not trimmed at their end, so that a cookie called "__Host-a " is not mistaken for
// "__Host-a".
func Cookie(h http.Header, name string) (value string, n int) {
	for _, line := range h["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if v, ok := valueOf(pair, name); ok {
				if n++; n == 1 {
					value = v
				}
			}
		}
	}
	return value, n
}

// Cookies returns an iterator over the values of all cookies of that name, which are not
// collected: a megabyte of cookies can hold 60,000 of them.
func Cookies(h http.Header, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range h["Cookie"] {
			for pair := range strings.SplitSeq(line, ";") {
				if v, ok := valueOf(pair, name); ok && !yield(v) {
					return
				}
			}
		}
	}
}

// SetCookie sets a cookie on a response. It replaces any of this name, of which RFC 6265 section 4.1.1
// allows one.
func SetCookie(w http.ResponseWriter, cookie *http.Cookie) {
	h := w.Header()
	h["Set-Cookie"] = slices.DeleteFunc(h["Set-Cookie"], func(line string) bool { return strings.HasPrefix(line, cookie.Name+"=") })
	http.SetCookie(w, cookie)
}

func valueOf(pair, name string) (string, bool) {
	pair = trimSpace(pair)
	if len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name {
		return pair[len(name)+1:], true
	}
	return "", false
}

// isPadded reports whether s begins or ends with white space or a control character.
func isPadded(s string) bool {
	return s != "" && (s[0] <= ' ' || s[len(s)-1] <= ' ')
}

func leadingToken(s string) string {
	i := 0
	for i < len(s) && i < maxScheme && class[s[i]]&tchar != 0 {
		i++
	}
	return s[:i]
}

func trimLeadingSpaces(s string) string {
	i := 0
	for i < len(s) && i < maxSpaces && s[i] == ' ' {
		i++
	}
	return s[i:]
}

// trimSome is trimSpace for at most maxSpaces on each side, so that 8 KiB of spaces cost no
// more than other junk.
func trimSome(s string) string {
	i, j := 0, len(s)
	for i < j && i < maxSpaces && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	for end := j - maxSpaces; j > i && j > end && (s[j-1] == ' ' || s[j-1] == '\t'); {
		j--
	}
	return s[i:j]
}

// trimSpace is not strings.TrimSpace, which also removes NBSP and U+0085.
func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

const (
	tchar = 1 << iota
	credential
)

var class = func() (t [256]byte) {
	for c := byte('!'); c <= '~'; c++ {
		if c != ',' && c != '"' && c != '\\' {
			t[c] = credential
		}
		if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
			t[c] |= tchar
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= tchar
	}
	return t
}()
