package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"
)

// maxBody is more than any name and scopes need: a store takes 2,048 bytes of them.
const maxBody = 16 << 10

// A field is a member of a JSON body, and where its value goes.
type field struct {
	name     string
	into     any // a pointer
	nullable bool
}

// readJSON reads the object in a request's body. It has all of the fields once each,
// and no other: json.Unmarshal would also take a field twice, in another case, or
// text that is not UTF-8, and leave it to two readers to see different things.
func readJSON(w http.ResponseWriter, r *http.Request, fields ...field) error {
	body, err := read(w, r, "application/json")
	if err != nil {
		return err
	}
	if !utf8.Valid(body) {
		return unreadable("The body is not UTF-8.")
	}
	return decode(body, fields)
}

// readNothing is readJSON for what has no fields: the body may be absent as well.
func readNothing(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength == 0 {
		return nil
	}
	return readJSON(w, r)
}

func decode(body []byte, fields []field) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return unreadable("The body is not a JSON object.")
	}
	seen := make(map[string]bool)
	for d.More() {
		if err := decodeMember(d, fields, seen); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return unreadable("The body is not valid JSON.")
	}
	if _, err := d.Token(); err != io.EOF {
		return unreadable("The body goes on after the JSON object.")
	}
	var missing []fieldError
	for _, f := range fields {
		if !seen[f.name] {
			missing = append(missing, fieldError{f.name, "is missing"})
		}
	}
	if missing != nil {
		return invalid(missing...)
	}
	return nil
}

func decodeMember(d *json.Decoder, fields []field, seen map[string]bool) error {
	key, err := d.Token()
	if err != nil {
		return unreadable("The body is not valid JSON.")
	}
	name, _ := key.(string)
	var value json.RawMessage
	if err := d.Decode(&value); err != nil {
		return unreadable("The body is not valid JSON.")
	}
	if seen[name] {
		return invalid(fieldError{name, "is there twice"})
	}
	seen[name] = true
	for _, f := range fields {
		if f.name != name {
			continue
		}
		if string(value) == "null" && !f.nullable || json.Unmarshal(value, f.into) != nil {
			return invalid(fieldError{name, "has another type"})
		}
		return nil
	}
	return invalid(fieldError{name, "is not known here"})
}

// readForm reads the form in a request's body. A field that is there twice has two
// readings, but for those that may be several.
func readForm(w http.ResponseWriter, r *http.Request, several ...string) (url.Values, error) {
	body, err := read(w, r, "application/x-www-form-urlencoded")
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, unreadable("The form could not be read.")
	}
	for name, values := range form {
		if len(values) > 1 && (len(several) == 0 || name != several[0]) {
			return nil, unreadable("The form has a field twice.")
		}
	}
	return form, nil
}

// read returns a request's body of that media type.
func read(w http.ResponseWriter, r *http.Request, mediaType string) ([]byte, error) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != mediaType {
		return nil, errMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, unreadable("The body could not be read.")
	}
	return body, nil
}
