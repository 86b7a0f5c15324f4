package settings

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/metadata"
)

// This file has the metadata of tokens on the page: the fields of the forms, and the facts.

// metadataPrefix is what the names of the fields begin with, before the key.
const metadataPrefix = "metadata."

// A metadataField is the field of an entry in the form of a token.
type metadataField struct {
	ID, Name, Label string
	Value           string
	Retype          bool   // it was left out of the query, and has to be typed again
	label           string // as the service has it
}

// metadataField returns the field with a name, or nil if there is none.
func (f *tokenForm) metadataField(name string) *metadataField {
	i := slices.IndexFunc(f.Metadata, func(m metadataField) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Metadata[i]
}

// metadataFields returns the fields of the keys that users may set, filled in by value.
func (r *request) metadataFields(value func(key string) string) []metadataField {
	fields := make([]metadataField, len(r.metadataKeys))
	for i, k := range r.metadataKeys {
		fields[i] = metadataField{
			ID: "metadata-" + strconv.Itoa(i), Name: metadataPrefix + k.Key,
			Label: r.texts.get("new.metadata", "label", k.Label), Value: value(k.Key), label: k.Label,
		}
	}
	return fields
}

// readMetadata reads the entries of a form that changes those of old. An empty field is no entry. A
// field that is absent, or as it was, changes nothing: space around a value is removed only if the
// user has typed it.
func (r *request) readMetadata(form url.Values, old auth.Metadata) (entries entriesJSON, invalid []fieldError) {
	was := maps.Collect(old.All())
	entries = make(entriesJSON)
	for _, name := range slices.Sorted(maps.Keys(form)) {
		key, found := strings.CutPrefix(name, metadataPrefix)
		value := form.Get(name)
		if kept, has := was[key]; !found || has && value == kept && r.metadataKey(key) {
			continue
		}
		entries[key] = nil
		if value = strings.TrimSpace(value); value != "" {
			entries[key] = &value
		}
		switch {
		case !r.metadataKey(key):
			invalid = append(invalid, fieldError{Field: "key"}) // no form of ours has this field
		case r.checkEntry(key, entries[key]) != "":
			invalid = append(invalid, fieldError{Field: name})
		}
	}
	return entries, invalid
}

// valueError says what to enter in the field of an entry.
func (ts texts) valueError(label, value string) string {
	if value = strings.TrimSpace(value); len(value) > metadata.MaxValue {
		return ts.plural("error.value_long", charactersWithin(value, metadata.MaxValue), "label", label)
	}
	return ts.get("error.value", "label", label)
}

// metadataFacts are the entries of a token that users may see.
func (r *request) metadataFacts(m auth.Metadata) (facts []fact) {
	entries := maps.Collect(m.All())
	for _, k := range r.metadataKeys {
		if value, has := entries[k.Key]; has {
			facts = append(facts, fact{Term: k.Label, Text: value})
		}
	}
	return facts
}
