package text_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/text"
)

const maxName = 255

var names = map[string]struct {
	value string
	want  string // the fault; empty if there is none
}{
	"one letter":                    {"x", ""},
	"umlauts":                       {"Größe", ""},
	"Arabic":                        {"مفتاح", ""},
	"emoji joined by ZWJ":           {"👩\u200d💻", ""},
	"a flag of tags":                {"🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", ""},
	"markup":                        {"<script>alert(1)</script>", ""},
	"255 bytes":                     {strings.Repeat("x", 255), ""},
	"empty":                         {"", empty},
	"spaces":                        {"  ", empty},
	"no-break spaces":               {"\u00a0", empty},
	"invisible only":                {"\u200b\u200d", invisible},
	"a Hangul filler":               {"\u3164", invisible},
	"half a Hangul filler":          {"\uffa0", invisible},
	"a choseong filler":             {"\u115f\u1160", invisible},
	"a blank of Braille":            {"\u2800", invisible},
	"256 bytes":                     {strings.Repeat("x", 256), tooLong},
	"10 KiB":                        {strings.Repeat("x", 10<<10), tooLong},
	"NUL":                           {"a\x00b", disruptive},
	"newline":                       {"a\nb", disruptive},
	"tab":                           {"a\tb", disruptive},
	"ESC":                           {"a\x1b[31mb", disruptive},
	"DEL":                           {"a\x7f", disruptive},
	"C1 control":                    {"a\u0085b", disruptive},
	"line separator":                {"a\u2028b", disruptive},
	"paragraph separator":           {"a\u2029b", disruptive},
	"right-to-left override":        {"a\u202eb", disruptive},
	"isolate":                       {"a\u2066b", disruptive},
	"Arabic letter mark":            {"a\u061cb", disruptive},
	"left-to-right mark":            {"a\u200eb", disruptive},
	"bad UTF-8":                     {"a\xffb", notUTF8},
	"half of a surrogate, as UTF-8": {"a\xed\xa0\x80b", notUTF8},
}

const (
	empty      = "must not be empty"
	tooLong    = "must be at most 255 bytes"
	notUTF8    = "must be UTF-8"
	disruptive = "must not have control characters, line separators or marks of text direction"
	invisible  = "must have a visible character"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for name, test := range names {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, text.CheckName(test.value, maxName))
		})
	}
}

// A client chooses its User-Agent, so the name of a session is sanitized, not rejected.
func TestSanitize(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"Mozilla/5.0 (X11)":              "Mozilla/5.0 (X11)",
		"":                               "",
		"a\x1b[31mb\u202ec":              "a[31mbc",
		"a\xffb":                         "ab",
		strings.Repeat("x", 1<<20):       strings.Repeat("x", maxName),
		strings.Repeat("é", 10_000):      strings.Repeat("é", 127),
		strings.Repeat("\x00", 5000):     "",
		strings.Repeat("\x00", 50) + "x": "x",
	} {
		require.Equal(t, want, text.Sanitize(sent, maxName))
	}
}

// The memory of a request may be reused while what it contained is stored.
func TestSanitize_copies(t *testing.T) {
	t.Parallel()
	memory := []byte("Mozilla/5.0")
	got := text.Sanitize(unsafe.String(&memory[0], len(memory)), 100)
	clear(memory)
	require.Equal(t, "Mozilla/5.0", got)
}

func TestIsKey(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"42": true, "ada@example.com": true, " a ": true, "世界": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a\x00": false, "a\n": false, "a\x7f": false, "a\u0085": false, "\xff": false,
	} {
		require.Equal(t, want, text.IsKey(s, 64), "%q", s)
	}
}

// A sanitized name fits, and has no character that CheckName rejects. A name that
// CheckName accepts is kept as it is.
func FuzzSanitize(f *testing.F) {
	for _, test := range names {
		f.Add(test.value, maxName)
		f.Add(test.value, 3)
	}
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max < 1 || max > 1<<20 {
			return
		}
		got := text.Sanitize(s, max)
		require.LessOrEqual(t, len(got), max)
		require.True(t, utf8.ValidString(got), "%q", got)
		require.Equal(t, got, text.Sanitize(got, max), "sanitized twice")
		require.Empty(t, text.CheckName("x"+got, max+1), "%q", got)
		if text.CheckName(s, max) == "" && !strings.ContainsRune(s, utf8.RuneError) {
			require.Equal(t, s, got)
		}
	})
}

// A key fits and prints on one line.
func FuzzIsKey(f *testing.F) {
	for _, test := range names {
		f.Add(test.value, maxName)
	}
	f.Fuzz(func(t *testing.T, s string, max int) {
		if !text.IsKey(s, max) {
			return
		}
		if s == "" || len(s) > max || !utf8.ValidString(s) {
			t.Fatalf("%q is a key of at most %d bytes", s, max)
		}
		for _, r := range s {
			if unicode.IsControl(r) {
				t.Fatalf("%q is a key", s)
			}
		}
	})
}
