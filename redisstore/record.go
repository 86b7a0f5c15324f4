package redisstore

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A record is a string, stored under its digest. Its head has fixed positions, which
// the scripts read and change:
//
//	1       "1"
//	2       kind
//	3       "1" if superseded, otherwise "0"
//	4       "1" if not persistent, otherwise "0"
//	5-24    created    times are microseconds since 1970, as 20 digits;
//	25-44   expires    all nines mean never,
//	45-64   last used  and all zeros mean not yet
//	65-81   last used from    addresses are "4" or "6" and 16 bytes, which a short
//	82-98   created from      one does not fill; "0" and zeros mean unknown
//	99-130  digest
//
// The texts follow, each after its length in 5 digits: user ID, ID, previous, actor,
// hint, sealed; and then what Update changes: name, scopes, networks, metadata.
//
// The tombstone of a revoked record is "0", the kind, the time of the revocation, and the
// user ID and the ID as texts.
const (
	liveMark      = '1'
	revokedMark   = '0'
	timeLength    = 20
	addressLength = 17
	maxText       = 99999
	never         = "99999999999999999999"
	notYet        = "00000000000000000000"

	createdAt    = 4
	expiresAt    = createdAt + timeLength
	lastUsedAt   = expiresAt + timeLength
	lastUsedFrom = lastUsedAt + timeLength
	createdFrom  = lastUsedFrom + addressLength
	digestAt     = createdFrom + addressLength
	headLength   = digestAt + 32

	tombstoneHead = 2 + timeLength
)

var errCorrupt = errors.New("redisstore: a record in Redis is corrupt, or not the requested one")

func encode(c auth.Credential) (string, error) {
	if !isKind(c.Kind) {
		return "", fmt.Errorf("redisstore: invalid kind %d", c.Kind)
	}
	var b strings.Builder
	b.WriteByte(liveMark)
	b.WriteString(kindDigit(c.Kind))
	b.WriteString(flag(c.Superseded))
	b.WriteString(flag(c.NonPersistent))
	b.WriteString(formatTime(c.CreatedAt))
	b.WriteString(formatExpiry(c.ExpiresAt))
	b.WriteString(formatTime(c.LastUsedAt))
	b.WriteString(formatAddress(c.LastUsedFrom))
	b.WriteString(formatAddress(c.CreatedFrom))
	b.Write(c.Digest[:])
	err := writeTexts(&b, c.UserID, c.ID, c.Previous, c.Actor, c.Hint, string(c.Sealed))
	if err != nil {
		return "", err
	}
	settings, err := encodeSettings(&c)
	return b.String() + settings, err
}

// encodeSettings returns the end of a record: what Update changes.
func encodeSettings(c *auth.Credential) (string, error) {
	var b strings.Builder
	err := writeTexts(&b, c.Name, string(c.Scopes), string(c.Networks), string(c.Metadata))
	return b.String(), err
}

func writeTexts(b *strings.Builder, texts ...string) error {
	for _, text := range texts {
		if len(text) > maxText {
			return fmt.Errorf("redisstore: a text of %d bytes exceeds the maximum of %d", len(text), maxText)
		}
		fmt.Fprintf(b, "%05d", len(text))
		b.WriteString(text)
	}
	return nil
}

// decode validates the whole record, because other programs can write to Redis too.
func decode(text string) (c auth.Credential, err error) {
	err = decodeTo(&c, text)
	return c, err
}

func decodeTo(c *auth.Credential, text string) error {
	if len(text) < headLength || text[0] != liveMark || !isFlag(text[2]) || !isFlag(text[3]) {
		return errCorrupt
	}
	c.Kind, c.Superseded, c.NonPersistent = auth.Kind(text[1]-'0'), text[2] == '1', text[3] == '1'
	var ok [5]bool
	c.CreatedAt, ok[0] = parseTime(text[createdAt:expiresAt], notYet)
	c.ExpiresAt, ok[1] = parseTime(text[expiresAt:lastUsedAt], never)
	c.LastUsedAt, ok[2] = parseTime(text[lastUsedAt:lastUsedFrom], notYet)
	c.LastUsedFrom, ok[3] = parseAddress(text[lastUsedFrom:createdFrom])
	c.CreatedFrom, ok[4] = parseAddress(text[createdFrom:digestAt])
	copy(c.Digest[:], text[digestAt:headLength])
	var t [10]string
	if ok != [5]bool{true, true, true, true, true} || !isKind(c.Kind) || !splitTexts(text[headLength:], t[:]) {
		return errCorrupt
	}
	c.UserID, c.ID, c.Previous, c.Actor, c.Hint = t[0], t[1], t[2], t[3], t[4]
	if t[5] != "" {
		c.Sealed = []byte(t[5])
	}
	c.Name, c.Scopes, c.Networks, c.Metadata = t[6], auth.Scopes(t[7]), auth.Networks(t[8]), auth.Metadata(t[9])
	return nil
}

// splitTexts reports whether rest consists of exactly these texts.
func splitTexts(rest string, texts []string) bool {
	for i := range texts {
		if len(rest) < 5 {
			return false
		}
		if rest[:5] == "00000" { // most records have several empty texts
			rest = rest[5:]
			continue
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

// decodeTombstone returns what is left of a revoked record, except its digest.
func decodeTombstone(text string) (c auth.Credential, err error) {
	if len(text) < tombstoneHead || text[0] != revokedMark {
		return auth.Credential{}, errCorrupt
	}
	c.Kind = auth.Kind(text[1] - '0')
	var t [2]string
	if _, ok := parseTime(text[2:tombstoneHead], ""); !ok || !isKind(c.Kind) || !splitTexts(text[tombstoneHead:], t[:]) {
		return auth.Credential{}, errCorrupt
	}
	c.UserID, c.ID = t[0], t[1]
	return c, nil
}

func isTombstone(text string) bool { return text != "" && text[0] == revokedMark }

func isKind(k auth.Kind) bool { return k >= auth.KindToken && k <= auth.KindSecret }

func kindDigit(k auth.Kind) string { return strconv.Itoa(int(k)) }

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func isFlag(b byte) bool { return b == '0' || b == '1' }

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
	ok = true
	for i := range len(s) {
		d := s[i] - '0'
		ok = ok && d <= 9
		n = n*10 + uint64(d)
	}
	return n, ok
}

const unknownAddress = "0" + noAddress
const noAddress = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// formatAddress returns 17 bytes.
func formatAddress(a netip.Addr) string {
	switch a = a.Unmap(); {
	case a.Is4():
		b := a.As4()
		return "4" + string(b[:]) + noAddress[len(b):]
	case a.Is6():
		b := a.As16()
		return "6" + string(b[:])
	}
	return unknownAddress
}

func parseAddress(s string) (netip.Addr, bool) {
	switch s[0] {
	case '0':
		return netip.Addr{}, s == unknownAddress
	case '4':
		return netip.AddrFrom4([4]byte([]byte(s[1:5]))), s[5:] == noAddress[4:]
	case '6':
		a := netip.AddrFrom16([16]byte([]byte(s[1:])))
		return a, !a.Is4In6()
	}
	return netip.Addr{}, false
}
