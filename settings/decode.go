package settings

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxBody is more than any form needs: 2,048 bytes of scopes, 16 networks and 16 entries of metadata,
// escaped.
const maxBody = 32 << 10

// A field is a member of a JSON body.
type field struct {
	name     string
	into     any // a pointer to where its value is stored
	nullable bool
	present  *bool                 // if not nil, the member may be absent, and this says whether it is there
	check    func() (fault string) // of the value that was stored; may be nil
}

// readJSON reads the JSON object in a request's body. It must have each of the required
// fields exactly once, and no others. The error has every fault. json.Unmarshal alone would also
// accept repeated fields, names in another case, invalid UTF-8 and halves of surrogate pairs, which
// other parsers of the same body may interpret differently.
func readJSON(r *http.Request, fields ...field) error {
	body, err := readBody(r, "application/json")
	if err != nil {
		return err
	}
	if !utf8.Valid(body) || escapesHalf(body) {
		return malformed("The body is not UTF-8.")
	}
	return decode(body, fields)
}

// escapesHalf reports whether a JSON text escapes a half of a surrogate pair, which is no character
// (RFC 8259 section 8.2).
func escapesHalf(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if unit := escapedUnit(text[i:]); utf16.IsSurrogate(unit) {
			const length = len(`\u0000`)
			if utf16.DecodeRune(unit, escapedUnit(text[i+length:])) == utf8.RuneError {
				return true
			}
			i += 2*length - 1
			continue
		}
		i++ // the escaped character, which may be a backslash
	}
	return false
}

// escapedUnit returns the UTF-16 code unit that a text begins with as \uXXXX, or 0.
func escapedUnit(text []byte) rune {
	digits, found := bytes.CutPrefix(text, []byte(`\u`))
	if !found || len(digits) < 4 {
		return 0
	}
	unit, err := strconv.ParseUint(string(digits[:4]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(unit)
}

// readEmptyJSON is readJSON without fields. The body may also be absent.
func readEmptyJSON(r *http.Request) error {
	if b, ok := r.Body.(*body); !ok || b.content.Size() == 0 && b.err == nil {
		return nil
	}
	return readJSON(r)
}

// decode returns the faults of the fields, in their order, and then the unknown members.
func decode(body []byte, fields []field) error {
	faults := make(map[string]string)
	seen := make(map[string]bool)
	var unknown []fieldError
	err := eachMember(body, func(name string, value json.RawMessage) error {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		switch {
		case seen[name] && i >= 0:
			faults[name] = "is repeated"
		case seen[name]:
		case i < 0:
			unknown = append(unknown, fieldError{name, "is unknown"})
		case string(value) == "null" && !fields[i].nullable || json.Unmarshal(value, fields[i].into) != nil:
			faults[name] = "has the wrong type"
		}
		seen[name] = true
		return nil
	})
	if err != nil {
		return err
	}
	var all []fieldError
	for _, f := range fields {
		if fault := cmp.Or(faults[f.name], f.fault(seen[f.name])); fault != "" {
			all = append(all, fieldError{f.name, fault})
		}
	}
	if all = append(all, unknown...); all != nil {
		return invalidArgument(all...)
	}
	return nil
}

// fault returns what is wrong with a field whose value was stored, or that is absent.
func (f field) fault(seen bool) string {
	if f.present != nil {
		*f.present = seen
	}
	switch {
	case !seen && f.present == nil:
		return "is missing"
	case !seen || f.check == nil:
		return ""
	}
	return f.check()
}

// eachMember calls f for each member of a JSON object, in their order.
func eachMember(object []byte, f func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return malformed("The body is not a JSON object.")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return malformed("The body is not valid JSON.")
		}
		name, _ := key.(string)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return malformed("The body is not valid JSON.")
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return malformed("The body is not valid JSON.")
	}
	if _, err := d.Token(); err != io.EOF {
		return malformed("The body has data after the JSON object.")
	}
	return nil
}

// readForm reads the form in a request's body. A repeated field is ambiguous, and an
// error unless its name is among repeatable.
func readForm(r *http.Request, repeatable ...string) (url.Values, error) {
	body, err := readBody(r, "application/x-www-form-urlencoded")
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, malformed("The form is malformed.")
	}
	if len(body) == 0 {
		form = r.PostForm // a middleware around the handler may have read it
	}
	for name, values := range form {
		if len(values) > 1 && !slices.Contains(repeatable, name) {
			return nil, malformed("The form repeats a field.")
		}
	}
	return form, nil
}

// sentForm returns the form in a body that was read before, so that it can be shown again.
// It is empty if the body has no form that can be read.
func sentForm(r *http.Request, repeatable ...string) url.Values {
	if b, ok := r.Body.(*body); ok {
		b.content.Seek(0, io.SeekStart)
	}
	form, err := readForm(r, repeatable...)
	if err != nil {
		return nil
	}
	return form
}

// withBody reads the body of a request before it is authenticated. Otherwise a client could
// hold a request open over the end of its session, and then create a credential.
func withBody(w http.ResponseWriter, r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	read := *r
	read.Body = &body{*bytes.NewReader(content), err}
	return &read
}

// A body has been read. If that failed, reading it again returns the error after the content.
type body struct {
	content bytes.Reader
	err     error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.content.Read(p)
	if err == io.EOF && b.err != nil {
		err = b.err
	}
	return n, err
}

func (b *body) Close() error { return nil }

// readBody returns a request's body, which must have the media type, and no other one.
func readBody(r *http.Request, mediaType string) ([]byte, error) {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || got != mediaType || len(r.Header["Content-Type"]) > 1 {
		return nil, errMediaType
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, malformed("The body could not be read.")
	}
	return body, nil
}
