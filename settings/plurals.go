package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Some texts depend on a number. Their keys end in a plural category of the Unicode
// CLDR. Every language has "other", and English has "one" as well.

var pluralCategories = []string{"zero", "one", "two", "few", "many", "other"}

// englishPlural is the default of Config.Plural.
func englishPlural(n int) string {
	if n == 1 {
		return "one"
	}
	return "other"
}

// plural returns the text for a number: that of its category, or of "other" if the
// translation does not have it.
func (ts texts) plural(key string, n int, args ...string) string {
	inCategory := key + "." + ts.category(n)
	if _, known := ts.byKey[inCategory]; !known {
		inCategory = key + ".other"
	}
	return ts.get(inCategory, append(args, "n", ts.number(n))...)
}

// number returns n, which is not negative, with a separator between groups of three digits.
func (ts texts) number(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return ts.get("number.thousands", "high", ts.number(n/1000), "low", fmt.Sprintf("%03d", n%1000))
}

// pluralBase returns the key without its plural category. It reports false if the text
// does not depend on a number.
func pluralBase(key string) (base string, ok bool) {
	i := strings.LastIndexByte(key, '.')
	if i < 0 || !slices.Contains(pluralCategories, key[i+1:]) {
		return "", false
	}
	_, ok = defaultTexts[key[:i]+".other"]
	return key[:i], ok
}

// checkPlural returns an error if plural returns something other than a category.
func checkPlural(plural func(n int) string) error {
	if plural == nil {
		return nil
	}
	for n := range 1001 { // pages rarely count further
		if category := plural(n); !slices.Contains(pluralCategories, category) {
			return fmt.Errorf("returns %q for %d: use one of %s", category, n, strings.Join(pluralCategories, ", "))
		}
	}
	return nil
}
