package settings_test

import (
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConfig_languageSetsDirection(t *testing.T) {
	t.Parallel()
	for language, rightToLeft := range map[string]bool{
		"en": false, "de": false, "ja": false, "arn": false, "az": false, "ku": false, "pa": false,
		"ar": true, "AR": true, "ar-EG": true, "he": true, "iw": true, "fa-IR": true, "ur": true, "yi": true, "ckb": true, "dv": true,
		"az-Arab": true, "az-arab-IR": true, "ku-Arab": true, "pa-Arab-PK": true, "ff-Adlm": true, "ms-Arab": true,
		"ur-Latn": false, "ks-Deva": false, "he-Latn-IL": false, "ar-Latn-x-arab": false,
		"ar-u-nu-latn": true, "en-x-arab": false, "de-1996": false, "sl-rozaj-1994": false,
	} {
		s := newService(t, func(c *configs) { c.settings.Language = language })
		want := `<html lang="` + language + `">`
		if rightToLeft {
			want = `<html lang="` + language + `" dir="rtl">`
		}
		s.signIn("ada").get("/").page(http.StatusOK, want)
	}
}

// In a right-to-left text, a name in another direction does not move the punctuation
// around it.
func TestConfig_rightToLeftIsolatesNames(t *testing.T) {
	t.Parallel()
	const name = "deploy (2)"
	for language, want := range map[string]string{"ar": "Revoke “\u2068" + name + "\u2069”?", "en": "Revoke “" + name + "”?"} {
		ada := newService(t, func(c *configs) { c.settings.Language = language }).signIn("ada")
		_, c := ada.token(name)
		ada.get("/tokens/"+c.ID+"/revoke").page(http.StatusOK, "<h1>"+want+"</h1>")
	}
}

// Physical sides are wrong in one of the two directions.
func TestStyle_hasNoPhysicalSides(t *testing.T) {
	t.Parallel()
	style, err := os.ReadFile("templates/style.css")
	require.NoError(t, err)
	require.NotRegexp(t, `[:;{ -](left|right)\s*[:;-]`, string(style))
	require.NotRegexp(t, `(margin|padding|inset):(\s+[^\s;()]+){4};`, string(style), "four values have a left and a right one")
}
