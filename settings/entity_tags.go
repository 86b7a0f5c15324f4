package settings

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

// This file has the entity tags of answers, and the conditions of requests: RFC 9110 section 13.

// An entityTag is a tag in If-Match or If-None-Match.
type entityTag struct {
	opaque string // without the quotes
	weak   bool
}

// parseTags parses If-Match or If-None-Match. any reports "*", which matches whatever exists. A
// comma does not end a tag.
func parseTags(fields []string) (tags []entityTag, any, ok bool) {
	rest := strings.Trim(strings.Join(fields, ","), " \t")
	if rest == "*" {
		return nil, true, true
	}
	for {
		rest = strings.TrimLeft(rest, ", \t") // a list may have empty elements
		if rest == "" {
			return tags, false, tags != nil
		}
		quoted, weak := strings.CutPrefix(rest, "W/")
		start, ok := strings.CutPrefix(quoted, `"`)
		opaque, after, closed := strings.Cut(start, `"`)
		rest = strings.TrimLeft(after, " \t")
		if !ok || !closed || rest != "" && rest[0] != ',' {
			return nil, false, false
		}
		tags = append(tags, entityTag{opaque, weak})
	}
}

// isHeld reports whether If-None-Match has a tag, by the weak comparison of section 13.1.2.
func isHeld(r *http.Request, tag string) bool {
	held, any, _ := parseTags(r.Header["If-None-Match"])
	for _, t := range held {
		any = any || t.opaque == tag
	}
	return any
}

// tagOf returns the tag of a text. A token has its version in front.
func tagOf(version string, text []byte) string {
	sum := sha256.Sum256(text)
	tag := base64.RawURLEncoding.EncodeToString(sum[:16])
	if version == "" {
		return tag
	}
	return version + "." + tag
}

// writeTagged writes a text with its tag, or 304 if the client has it.
func writeTagged(w http.ResponseWriter, r *http.Request, version string, text []byte) {
	tag := tagOf(version, text)
	w.Header().Set("ETag", `"`+tag+`"`)
	if isHeld(r, tag) {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Write(text)
}

// writeRead answers a GET. The client may keep the answer, and asks each time whether it is still
// the same.
func (r *request) writeRead(v any) error { return r.writeVersion("", v) }

// writeVersion is writeRead for what has a version: see tokenVersion.
func (r *request) writeVersion(version string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return r.writeText(version, append(text, '\n'))
}

// writeText is writeVersion for a text that is JSON already.
func (r *request) writeText(version string, text []byte) error {
	r.w.Header().Set("Cache-Control", "private, no-cache")
	r.w.Header().Set("Content-Type", "application/json")
	writeTagged(r.w, r.Request, version, text)
	return nil
}

// checkConditions rejects an If-Match that would have no effect: the client relies on it.
func (r *request) checkConditions() error {
	sent := r.Header["If-Match"]
	if !r.route.api || isRead(r.Request) || sent == nil {
		return nil
	}
	if !r.route.versioned {
		return malformed("If-Match works for PATCH and DELETE of a token only.")
	}
	if _, _, ok := parseTags(sent); !ok {
		return malformed("If-Match is not a list of entity tags, with their quotes.")
	}
	return nil
}

// checkVersion rejects a request whose If-Match names another version of a token. That the token was
// used changes its tag, but not its version. A weak tag never matches: section 13.1.1.
func (r *request) checkVersion(t auth.Credential) error {
	tags, any, _ := parseTags(r.Header["If-Match"])
	if any || r.Header["If-Match"] == nil {
		return nil
	}
	current := r.tokenVersion(t)
	for _, tag := range tags {
		if version, _, found := strings.Cut(tag.opaque, "."); found && !tag.weak && version == current {
			return nil
		}
	}
	return errVersion
}
