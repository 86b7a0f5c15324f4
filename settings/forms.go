package settings

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
)

// account returns what the forms of a page name their user by. The user's ID itself may be
// internal to the service.
func (r *request) account() string {
	sum := sha256.Sum256([]byte(r.id.UserID))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// form reads the form that was sent. It rejects one that was opened by another user: if a
// second person signs in with the same browser, a form in an older tab must not revoke all of
// their tokens, or create one for them.
func (r *request) form(repeatable ...string) (url.Values, error) {
	form, err := readForm(r.w, r.Request, repeatable...)
	if err == nil && form.Get("account") != r.account() {
		return nil, errAccount
	}
	return form, err
}
