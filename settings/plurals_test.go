package settings_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// polish has the plural rules of the CLDR for Polish.
func polish(n int) string {
	switch tens, last := n%100, n%10; {
	case n == 1:
		return "one"
	case last >= 2 && last <= 4 && (tens < 12 || tens > 14):
		return "few"
	}
	return "many"
}

// A translation has the plural forms of its language. One that lacks a form shows that
// of "other", not the English text.
func TestConfig_plural(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ada := newService(t, func(c *configs) {
			c.settings.Language, c.settings.Plural = "pl", polish
			c.settings.Texts = map[string]string{
				"time.in.minute.one": "za {n} minutę", "time.in.minute.few": "za {n} minuty",
				"time.in.minute.many": "za {n} minut", "time.in.minute.other": "za {n} minuty",
				"time.in.hour.other": "godziny: {n}", "duration.day.many": "{n} dni", "duration.day.other": "{n} dnia",
			}
		}).signIn("ada")
		for lifetime, words := range map[time.Duration]string{
			time.Minute: "za 1 minutę", 2 * time.Minute: "za 2 minuty", 5 * time.Minute: "za 5 minut",
			12 * time.Minute: "za 12 minut", 22 * time.Minute: "za 22 minuty",
			time.Hour: "godziny: 1", 3 * time.Hour: "godziny: 3",
			50 * 24 * time.Hour: "in 50 days", // not translated
		} {
			_, c := ada.issue("x", lifetime, auth.FullAccess)
			ada.requireExpiry(c, words)
		}
		// The choice of a lifetime is another text than the time until then.
		ada.get("/tokens/new").page(http.StatusOK, ">30 dni ", ">7 dni ")
	})
}

// Of the default texts, English has one and other.
func TestConfig_pluralIsEnglishByDefault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ada := newService(t, func(c *configs) {
			c.settings.Texts = map[string]string{"time.in.minute.one": "in a minute"}
		}).signIn("ada")
		for lifetime, words := range map[time.Duration]string{time.Minute: "in a minute", 2 * time.Minute: "in 2 minutes", time.Hour: "in 1 hour"} {
			_, c := ada.issue("x", lifetime, auth.FullAccess)
			ada.requireExpiry(c, words)
		}
	})
}
