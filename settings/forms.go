package settings

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
	form, err := readForm(r.Request, repeatable...)
	if err == nil && form.Get("account") != r.account() {
		return nil, errAccount
	}
	return form, err
}

// maxKept is the maximum length of a query with what was filled in. The address of the sign-in
// page contains it encoded a second time, and servers accept some 8,000 bytes.
const maxKept = 2000

// comeBack returns the path and query of the page from which a request was sent: the page
// itself, or the form, filled in with what was sent. A sign-in has a URL to return to and
// nothing more, so this is in URLs, and therefore in logs: the name of a token, its lifetime and
// its scopes, but no plaintext of ours. What is too long for a URL is left out.
func (rt route) comeBack(r *http.Request) string {
	path, query := r.URL.EscapedPath(), r.URL.RawQuery
	if !isRead(r) {
		path = cmp.Or(rt.back, path)
		form, kept := sentForm(r, "scope"), make(url.Values)
		for _, name := range rt.keeps {
			if form.Get(name) != "" {
				kept[name] = form[name]
			}
		}
		for _, name := range slices.Sorted(maps.Keys(form)) {
			left := func(start string) bool { return strings.HasPrefix(name, start) }
			if slices.ContainsFunc(rt.leaves, left) && form.Get(name) != "" {
				kept.Add("again", name)
			}
		}
		query = kept.Encode()
	}
	if query == "" || len(query) > maxKept {
		return path
	}
	return path + "?" + query
}
