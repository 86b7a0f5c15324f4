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

// A record is a string, stored under its digest. Its head has fixed positions, which
// the scripts read and change:
//
//	1       "1"; "0" if revoked: then only the kind and the time of revocation follow
//	2       kind
//	3       "1" if superseded
//	4-23    created    times are microseconds since 1970, as 20 digits;
//	24-43   expires    all nines mean never,
//	44-63   last used  and all zeros mean not yet
//	64-95   digest
//
// The texts follow, each after its length in 5 digits: user ID, ID, previous, name,
// hint, scopes, sealed.
const (
	headLength    = 95
	timeLength    = 20
	maxText       = 99999
	revokedLength = 2 + timeLength
	never         = "99999999999999999999"
	notYet        = "00000000000000000000"
	liveMark      = '1'
	revokedMark   = '0'
	createdAt     = 3
	expiresAt     = createdAt + timeLength
	lastUsedAt    = expiresAt + timeLength
	digestAt      = lastUsedAt + timeLength
	textsInOrder  = 7
)

var errCorrupt = errors.New("redisstore: a record in Redis is corrupt, or not the requested one")

func encode(c auth.Credential) (string, error) {
	if !isKind(c.Kind) {
		return "", fmt.Errorf("redisstore: invalid kind %d", c.Kind)
	}
	texts := [textsInOrder]string{c.UserID, c.ID, c.Previous, c.Name, c.Hint, string(c.Scopes), string(c.Sealed)}
	var b strings.Builder
	b.WriteByte(liveMark)
	b.WriteString(kindDigit(c.Kind))
	b.WriteString(flag(c.Superseded))
	b.WriteString(formatTime(c.CreatedAt))
	b.WriteString(formatExpiry(c.ExpiresAt))
	b.WriteString(formatTime(c.LastUsedAt))
	b.Write(c.Digest[:])
	for _, text := range texts {
		if len(text) > maxText {
			return "", fmt.Errorf("redisstore: a text of %d bytes exceeds the maximum of %d", len(text), maxText)
		}
		fmt.Fprintf(&b, "%05d", len(text))
		b.WriteString(text)
	}
	return b.String(), nil
}

// decode validates the whole record, because other programs can write to Redis too.
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
	okTexts := splitTexts(text[headLength:], &texts)
	if !isKind(c.Kind) || !okCreated || !okExpires || !okUsed || !okTexts {
		return auth.Credential{}, errCorrupt
	}
	c.UserID, c.ID, c.Previous, c.Name, c.Hint, c.Scopes = texts[0], texts[1], texts[2], texts[3], texts[4], auth.Scopes(texts[5])
	if texts[6] != "" {
		c.Sealed = []byte(texts[6])
	}
	return c, nil
}

// splitTexts reports whether rest consists of exactly these texts.
func splitTexts(rest string, texts *[textsInOrder]string) bool {
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

// revokedKind returns the kind of a revoked record, and whether text is one.
func revokedKind(text string) (auth.Kind, bool) {
	if len(text) != revokedLength || text[0] != revokedMark {
		return 0, false
	}
	return auth.Kind(text[1] - '0'), true
}

func isKind(k auth.Kind) bool { return k >= auth.KindToken && k <= auth.KindSecret }

func kindDigit(k auth.Kind) string { return strconv.Itoa(int(k)) }

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// formatTime returns 20 digits. Only the zero time is all zeros: times before 1970
// become the first microsecond of 1970.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return notYet
	}
	return fmt.Sprintf("%020d", max(t.UnixMicro(), 1))
}

func formatExpiry(t time.Time) string {
	if t.IsZero() {
		return never
	}
	return formatTime(t)
}

// parseTime parses 20 digits; zero is the representation of the zero time.
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

// parseDigits accepts digits only. The longest input is a time of 20 digits, and it
// rejects those that do not start with 0, which are not valid times and could overflow.
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
