package settings

import (
	"slices"
	"strings"
)

// Languages that are usually written from right to left, and the scripts that are, by
// their codes in language tags (BCP 47).
var (
	rightToLeftLanguages = []string{
		"ar", "arc", "arz", "azb", "bal", "bgn", "bqi", "ckb", "dv", "fa", "glk", "he", "iw", "ji", "khw", "kmz", "ks",
		"lrc", "luz", "mzn", "nqo", "pnb", "prs", "ps", "rhg", "sd", "sdh", "skr", "syr", "ug", "ur", "yi",
	}
	rightToLeftScripts = []string{
		"adlm", "arab", "aran", "hebr", "mand", "mend", "nkoo", "rohg", "samr", "syrc", "syre", "syrj", "syrn", "thaa", "yezi",
	}
)

// isRightToLeft reports the direction of a language. The script of the tag decides if
// it has one: az-Arab, but not ks-Deva.
func isRightToLeft(tag string) bool {
	subtags := strings.Split(strings.ToLower(tag), "-")
	for _, subtag := range subtags[1:] {
		switch {
		case len(subtag) == 1:
			return slices.Contains(rightToLeftLanguages, subtags[0]) // an extension: no script follows
		case len(subtag) == 4 && subtag[0] > '9':
			return slices.Contains(rightToLeftScripts, subtag)
		}
	}
	return slices.Contains(rightToLeftLanguages, subtags[0])
}

// isolate keeps the direction of a name from reordering the text around it (Unicode
// Standard Annex 9, section 2.4).
func isolate(s string) string { return "\u2068" + s + "\u2069" }
