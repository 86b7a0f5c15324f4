package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
)

// maxClockSkew is how far ahead the clock of the machine that sealed a cookie
// may be. securecookie by itself takes a cookie from the future.
const maxClockSkew = 60

// codecs seal session tokens into cookie values and open them: one codec a key,
// the newest first.
type codecs []*securecookie.SecureCookie

func newCodecs(keys Keys, lifetime time.Duration) codecs {
	cs := make(codecs, len(keys))
	for i, key := range keys {
		cs[i] = securecookie.New(derive(key, "cookie HMAC-SHA-256"), derive(key, "cookie AES-256-CTR")).
			MaxAge(int(lifetime / time.Second)).
			MinAge(-maxClockSkew).
			MaxLength(maxCookie).
			SetSerializer(plain{})
	}
	return cs
}

func (cs codecs) seal(name, plaintext string) (string, error) {
	return cs[0].Encode(name, plaintext)
}

// open returns the session token in a cookie's value, if one of the keys has
// sealed it for a cookie of this name, and the value is spelled as it was made.
func (cs codecs) open(name, value string) (plaintext string, ok bool) {
	if !canonical(value) {
		return "", false
	}
	for _, c := range cs {
		if plaintext, ok = decode(c, name, value); ok {
			break
		}
	}
	return plaintext, ok
}

func decode(c *securecookie.SecureCookie, name, value string) (plaintext string, ok bool) {
	err := c.Decode(name, value, &plaintext)
	return plaintext, err == nil
}

// canonical reports whether a base64 value re-encodes to itself. The decoder in
// securecookie skips line breaks, and ignores the bits that padding leaves over
// in the last four characters; what it reads otherwise has one spelling.
func canonical(value string) bool {
	n := len(value)
	if n < 4 || n%4 != 0 || n > maxCookie || strings.IndexByte(value, '\r') >= 0 || strings.IndexByte(value, '\n') >= 0 {
		return false
	}
	var last [3]byte
	_, err := strictBase64.Decode(last[:], []byte(value[n-4:]))
	return err == nil
}

var strictBase64 = base64.URLEncoding.Strict()

// plain is the serializer that adds nothing: what is sealed is a string.
type plain struct{}

var errNotString = errors.New("not a string")

func (plain) Serialize(src any) ([]byte, error) {
	s, ok := src.(string)
	if !ok {
		return nil, errNotString
	}
	return []byte(s), nil
}

func (plain) Deserialize(src []byte, dst any) error {
	s, ok := dst.(*string)
	if !ok {
		return errNotString
	}
	*s = string(src)
	return nil
}
