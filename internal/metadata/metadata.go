// Package metadata keeps the keys and values that a service adds to a credential, in the form in
// which credentials have them: a line "key=value" for each, sorted by key. All functions are
// safe for concurrent use.
package metadata

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxEntries = 16
	maxKey     = 64

	// MaxValue is the maximum length of a value in bytes.
	MaxValue = 256
)

// Format returns the text of some entries, or what is wrong with them.
func Format(entries map[string]string) (text, fault string) {
	if len(entries) > maxEntries {
		return "", fmt.Sprintf("must have at most %d entries", maxEntries)
	}
	lines := make([]string, 0, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if fault := check(key, entries[key]); fault != "" {
			return "", fault
		}
		lines = append(lines, key+"="+entries[key])
	}
	return strings.Join(lines, "\n"), ""
}

// check does not quote a value: it may be confidential, and faults are shown and logged.
func check(key, value string) (fault string) {
	switch {
	case key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return !isKey(r) }):
		return fmt.Sprintf("the key %.70q must be 1 to %d of [a-z0-9_.-]", key, maxKey)
	case len(value) > MaxValue:
		return fmt.Sprintf("the value of %s must be at most %d bytes", key, MaxValue)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		return fmt.Sprintf("the value of %s must be UTF-8 without control characters", key)
	}
	return ""
}

func isKey(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-'
}

// Change returns the text with some entries set, and those deleted whose value is nil, or what
// is wrong with the result. Entries that are not named stay as they are.
func Change(text string, changes map[string]*string) (changed, fault string) {
	entries := maps.Collect(All(text))
	for key, value := range changes {
		if value == nil {
			delete(entries, key)
		} else {
			entries[key] = *value
		}
	}
	return Format(entries)
}

// All iterates over the entries of a text, in the order of their keys.
func All(text string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for line := range strings.SplitSeq(text, "\n") {
			if key, value, ok := strings.Cut(line, "="); ok && !yield(key, value) {
				return
			}
		}
	}
}
