package redisstore

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A record is one string, under its digest. It begins with what the scripts read
// and change, at fixed places:
//
//	1       "1"; of a revoked one "0", then kind, and nothing but the time of that
//	2       kind
//	3       "1" if it is superseded
//	4-23    created   times are microseconds since 1970 as 20 digits;
//	24-43   expires   all nines are never,
//	44-63   last used and all zeros not yet
//	64-95   digest
//
// and goes on with the texts, each behind its length in 5 digits: user ID, ID,
// previous, name, hint, scopes, sealed.
const (
	headLength   = 95
	timeLength   = 20
	maxText      = 99999
	tombLength   = 2 + timeLength
	never        = "99999999999999999999"
	notYet       = "00000000000000000000"
	liveMark     = '1'
	revokedMark  = '0'
	createdAt    = 3
	expiresAt    = createdAt + timeLength
	lastUsedAt   = expiresAt + timeLength
	digestAt     = lastUsedAt + timeLength
	textsInOrder = 7
)

var errCorrupt = errors.New("redisstore: a record in Redis is corrupt, or not the one that was asked for")

func encode(c auth.Credential) (string, error) {
	if !isKind(c.Kind) {
		return "", fmt.Errorf("redisstore: there is no kind %d", c.Kind)
	}
	texts := [textsInOrder]string{c.UserID, c.ID, c.Previous, c.Name, c.Hint, string(c.Scopes), string(c.Sealed)}
	var b strings.Builder
	b.WriteByte(liveMark)
	b.WriteString(kindDigit(c.Kind))
	b.WriteString(digit(c.Superseded))
	b.WriteString(digits(c.CreatedAt))
	b.WriteString(expiry(c.ExpiresAt))
	b.WriteString(digits(c.LastUsedAt))
	b.Write(c.Digest[:])
	for _, text := range texts {
		if len(text) > maxText {
			return "", fmt.Errorf("redisstore: a text of %d bytes is too long", len(text))
		}
		fmt.Fprintf(&b, "%05d", len(text))
		b.WriteString(text)
	}
	return b.String(), nil
}

// decode trusts nothing: other programs write to Redis as well.
func decode(text string) (c auth.Credential, err error) {
	if len(text) < headLength || text[0] != liveMark || text[2] != '0' && text[2] != '1' {
		return auth.Credential{}, errCorrupt
	}
	c.Kind, c.Superseded = auth.Kind(text[1]-'0'), text[2] == '1'
	var okCreated, okExpires, okUsed bool
	c.CreatedAt, okCreated = parseTime(text[createdAt:expiresAt], notYet)
	c.ExpiresAt, okExpires = parseTime(text[expiresAt:lastUsedAt], never)
	c.LastUsedAt, okUsed = parseTime(text[lastUsedAt:digestAt], notYet)
	copy(c.Digest[:], text[digestAt:headLength])
	var texts [textsInOrder]string
	okTexts := cut(text[headLength:], &texts)
	if !isKind(c.Kind) || !okCreated || !okExpires || !okUsed || !okTexts {
		return auth.Credential{}, errCorrupt
	}
	c.UserID, c.ID, c.Previous, c.Name, c.Hint, c.Scopes = texts[0], texts[1], texts[2], texts[3], texts[4], auth.Scopes(texts[5])
	if texts[6] != "" {
		c.Sealed = []byte(texts[6])
	}
	return c, nil
}

// cut takes the texts apart, and wants nothing behind them.
func cut(rest string, texts *[textsInOrder]string) bool {
	for i := range texts {
		if len(rest) < 5 {
			return false
		}
		n, ok := parseDigits(rest[:5])
		rest = rest[5:]
		if !ok || int(n) > len(rest) {
			return false
		}
		texts[i], rest = rest[:n], rest[n:]
	}
	return rest == ""
}

// revokedKind reports whether a record is one that was revoked, and its kind.
func revokedKind(text string) (auth.Kind, bool) {
	if len(text) != tombLength || text[0] != revokedMark {
		return 0, false
	}
	return auth.Kind(text[1] - '0'), true
}

func isKind(k auth.Kind) bool { return k >= auth.KindToken && k <= auth.KindSecret }

func kindDigit(k auth.Kind) string { return strconv.Itoa(int(k)) }

func digit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// digits writes a time; the zero one is all zeros, and so is none other: what was
// before 1970 ended, or was made, one microsecond later.
func digits(t time.Time) string {
	if t.IsZero() {
		return notYet
	}
	return fmt.Sprintf("%020d", max(t.UnixMicro(), 1))
}

// expiry writes the time when something ends.
func expiry(t time.Time) string {
	if t.IsZero() {
		return never
	}
	return digits(t)
}

// parseTime reads a time, of which one spelling is the zero one.
func parseTime(s, zero string) (time.Time, bool) {
	if s == zero {
		return time.Time{}, true
	}
	n, ok := parseDigits(s)
	if !ok || n == 0 || n > math.MaxInt64 {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(n)).UTC(), true
}

// parseDigits takes digits and nothing else. The longest here are 20, of which a
// uint64 holds all that begin with 0 or 1: those that do not are no time.
func parseDigits(s string) (n uint64, ok bool) {
	if len(s) == timeLength && s[0] > '0' {
		return 0, false
	}
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return n, true
}
