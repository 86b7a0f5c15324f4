package seal

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/gorilla/securecookie"

	"github.com/seed-31c5bcb2/auth/internal/token"
)

const (
	// maxClockSkew is how many seconds the clock of the machine that made a cookie may be
	// ahead.
	maxClockSkew = 60

	// minValue and maxValue bound the length of values in bytes. Those of SignIn have 144;
	// 80 is the least that a time, an encrypted byte and a MAC can have.
	minValue = 80
	maxValue = 256

	// MaxCookie is the longest cookie that browsers accept, in bytes.
	MaxCookie = 4096
)

// Cookies encrypts session tokens into the values of one cookie, and decrypts them. It is
// made by [NewCookies].
type Cookies struct {
	name     string
	lifetime int64                        // seconds
	codecs   []*securecookie.SecureCookie // one for each key, the newest first
	cache    cache
}

// NewCookies returns Cookies for the cookie of that name, which encrypt with the first key
// and decrypt with all of them. Values older than lifetime are [Expired].
func NewCookies(name string, keys [][]byte, lifetime time.Duration) *Cookies {
	c := &Cookies{name: name, lifetime: int64(lifetime / time.Second)}
	for _, key := range keys {
		// Open checks the age itself: securecookie does not say whether a value that it
		// rejects for its age was encrypted by the key.
		c.codecs = append(c.codecs, securecookie.New(derive(key, "cookie HMAC-SHA-256"), derive(key, "cookie AES-256-CTR")).
			MaxAge(0).
			MaxLength(maxValue).
			SetSerializer(stringSerializer{}))
	}
	return c
}

// Seal returns a cookie value that carries a session token.
func (c *Cookies) Seal(plaintext string) (string, error) {
	return c.codecs[0].Encode(c.name, plaintext)
}

// A Verdict is what Open finds out about a value.
type Verdict uint8

const (
	Forged  Verdict = iota // none of the keys encrypted it for this cookie, or it was altered
	Valid                  // it is exactly what Seal returned
	Expired                // it is what Seal returned longer ago than the lifetime
	Ahead                  // it is what Seal returned, over a minute in the future by this machine's clock
)

// Open returns the digest of the session token in a value, unless it is [Forged].
func (c *Cookies) Open(value string, now time.Time) (digest [32]byte, v Verdict) {
	if len(value) > maxValue {
		return digest, Forged
	}
	key := cacheKey(value)
	if e, ok := c.cache.get(key); ok {
		return e.token, c.age(e.sealed, now)
	}
	plaintext, sealed, ok := c.open(value)
	if !ok {
		return digest, Forged
	}
	e := entry{token.Digest(plaintext), sealed}
	if v = c.age(sealed, now); v == Valid {
		c.cache.put(key, e)
	}
	return e.token, v
}

// OpenText returns what Seal was given, unless the value is [Forged]. It is slower than Open, as
// it caches nothing.
func (c *Cookies) OpenText(value string, now time.Time) (text string, v Verdict) {
	text, sealed, ok := c.open(value)
	if !ok {
		return "", Forged
	}
	return text, c.age(sealed, now)
}

// age judges a value that one of the keys encrypted. Its age depends on the present, so it is
// not cached.
func (c *Cookies) age(sealed int64, now time.Time) Verdict {
	switch seconds := now.Unix(); {
	case sealed > seconds+maxClockSkew:
		return Ahead
	case seconds > sealed+c.lifetime:
		return Expired
	}
	return Valid
}

// open decrypts a value that has the form of those that Seal returns. The form is checked only for values
// that are not cached, since all that are have it.
func (c *Cookies) open(value string) (plaintext string, sealed int64, ok bool) {
	if sealed, ok = sealedAt(value); !ok || !canonical(value) {
		return "", 0, false
	}
	for _, codec := range c.codecs {
		if plaintext, ok = decode(codec, c.name, value); ok {
			return plaintext, sealed, true
		}
	}
	return "", 0, false
}

func decode(c *securecookie.SecureCookie, name, value string) (plaintext string, ok bool) {
	err := c.Decode(name, value, &plaintext)
	return plaintext, err == nil
}

// Cached returns how many opened values are cached, and how many can be.
func (c *Cookies) Cached() (n, most int) { return c.cache.len(), shards * perShard }

// Plausible reports whether a value has the form of those that Seal returns: their length,
// their alphabet, and a time at the start. It uses no cryptography, and allocates nothing.
func Plausible(value string) bool {
	if _, ok := sealedAt(value); !ok {
		return false
	}
	for i := range len(value) {
		c := value[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' && (c != '=' || i < len(value)-2) {
			return false
		}
	}
	return canonical(value)
}

// sealedAt reads the time that securecookie puts before what it encrypts: seconds since
// 1970 in decimal, and a vertical bar.
func sealedAt(value string) (at int64, ok bool) {
	const first = 16 // characters, for twelve bytes
	var head [12]byte
	if len(value) < minValue || len(value) > maxValue {
		return 0, false
	}
	if n, err := base64.URLEncoding.Decode(head[:], []byte(value[:first])); err != nil || n != len(head) {
		return 0, false
	}
	for i, c := range head {
		switch {
		case c == '|':
			return at, i > 0
		case c < '0' || c > '9':
			return 0, false
		}
		at = at*10 + int64(c-'0')
	}
	return 0, false
}

// canonical reports whether a base64 value re-encodes to itself. The decoder in
// securecookie skips line breaks and ignores the unused bits of the last characters, so
// one cookie would have many spellings.
func canonical(value string) bool {
	n := len(value)
	if n < 4 || n%4 != 0 || strings.IndexByte(value, '\r') >= 0 || strings.IndexByte(value, '\n') >= 0 {
		return false
	}
	var last [3]byte
	_, err := strictBase64.Decode(last[:], []byte(value[n-4:]))
	return err == nil
}

var strictBase64 = base64.URLEncoding.Strict()

// stringSerializer is a serializer for securecookie that adds nothing to a string.
type stringSerializer struct{}

var errNotString = errors.New("not a string")

func (stringSerializer) Serialize(src any) ([]byte, error) {
	s, ok := src.(string)
	if !ok {
		return nil, errNotString
	}
	return []byte(s), nil
}

func (stringSerializer) Deserialize(src []byte, dst any) error {
	s, ok := dst.(*string)
	if !ok {
		return errNotString
	}
	*s = string(src)
	return nil
}
