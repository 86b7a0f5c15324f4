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
	// maxClockSkew is how far ahead, in seconds, the clock of the machine that
	// sealed a cookie may be. securecookie itself accepts cookies from the future.
	maxClockSkew = 60

	// MaxCookie is the most that browsers accept for a cookie.
	MaxCookie = 4096
)

// Cookies seals session tokens into the values of one cookie and opens them. It
// is made by [NewCookies] and safe for concurrent use.
type Cookies struct {
	name     string
	lifetime time.Duration
	codecs   []*securecookie.SecureCookie // one for each key, the newest first
	cache    cache
}

// NewCookies returns Cookies for the cookie of that name. The first key seals,
// all of them open.
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

// Seal returns the value of a cookie that carries a session token.
func (c *Cookies) Seal(plaintext string) (string, error) {
	return c.codecs[0].Encode(c.name, plaintext)
}

// Open returns the digest of the session token in a value. It reports false if
// none of the keys sealed the value for this cookie, or it is not spelled as it
// was made.
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
// securecookie skips line breaks, and ignores the bits that padding leaves over
// in the last four characters; what it reads otherwise has one spelling.
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

// stringSerializer is the serializer that adds nothing: what is sealed is a string.
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
