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
	// ahead. securecookie itself accepts cookies from any future.
	maxClockSkew = 60

	// MaxCookie is the longest cookie that browsers accept, in bytes.
	MaxCookie = 4096
)

// Cookies encrypts session tokens into the values of one cookie, and decrypts them. It is
// made by [NewCookies].
type Cookies struct {
	name     string
	lifetime time.Duration
	codecs   []*securecookie.SecureCookie // one for each key, the newest first
	cache    cache
}

// NewCookies returns Cookies for the cookie of that name, which encrypt with the first key
// and decrypt with all of them. Values older than lifetime do not open.
func NewCookies(name string, keys [][]byte, lifetime time.Duration) *Cookies {
	c := &Cookies{name: name, lifetime: lifetime}
	for _, key := range keys {
		c.codecs = append(c.codecs, securecookie.New(derive(key, "cookie HMAC-SHA-256"), derive(key, "cookie AES-256-CTR")).
			MaxAge(int(lifetime/time.Second)).
			MinAge(-maxClockSkew).
			MaxLength(MaxCookie).
			SetSerializer(stringSerializer{}))
	}
	return c
}

// Seal returns a cookie value that carries a session token.
func (c *Cookies) Seal(plaintext string) (string, error) {
	return c.codecs[0].Encode(c.name, plaintext)
}

// Open returns the digest of the session token in a value. It reports false unless one of
// the keys encrypted the value for this cookie within its lifetime, and the value is
// exactly what Seal returned.
func (c *Cookies) Open(value string, now time.Time) (digest [32]byte, ok bool) {
	key, cacheable := cacheKey(value)
	if cacheable {
		if digest, ok = c.cache.get(key, now); ok {
			return digest, true
		}
	}
	plaintext, ok := c.open(value)
	if !ok {
		return digest, false
	}
	digest = token.Digest(plaintext)
	if sealed, known := sealedAt(value); cacheable && known {
		c.cache.put(key, digest, sealed+int64(c.lifetime/time.Second))
	}
	return digest, true
}

func (c *Cookies) open(value string) (plaintext string, ok bool) {
	if !canonical(value) {
		return "", false
	}
	for _, codec := range c.codecs {
		if plaintext, ok = decode(codec, c.name, value); ok {
			break
		}
	}
	return plaintext, ok
}

func decode(c *securecookie.SecureCookie, name, value string) (plaintext string, ok bool) {
	err := c.Decode(name, value, &plaintext)
	return plaintext, err == nil
}

// Cached returns how many opened values are cached, and how many can be.
func (c *Cookies) Cached() (n, most int) { return c.cache.len(), shards * perShard }

// canonical reports whether a base64 value re-encodes to itself. The decoder in
// securecookie skips line breaks and ignores the unused bits of the last characters, so
// one cookie would have many spellings.
func canonical(value string) bool {
	n := len(value)
	if n < 4 || n%4 != 0 || n > MaxCookie || strings.IndexByte(value, '\r') >= 0 || strings.IndexByte(value, '\n') >= 0 {
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
