package settings_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// requireExpiry asserts when a token expires, as the list of tokens says it.
func (u *user) requireExpiry(c auth.Credential, words string) {
	u.t.Helper()
	row := between(u.t, u.get("/").page(http.StatusOK), c.Hint, "</tr>")
	require.Contains(u.t, row, `data-relative>`+words+`<`)
}

func TestTokensPage_timesInWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ada := newService(t).signIn("ada")
		for lifetime, words := range map[time.Duration]string{
			time.Minute:                   "in 1 minute",
			59 * time.Minute:              "in 59 minutes",
			59*time.Minute + 31*1e9:       "in 1 hour",
			36 * time.Hour:                "in 36 hours",
			47*time.Hour + 45*time.Minute: "in 2 days",
			99 * 24 * time.Hour:           "in 99 days",
			122 * 24 * time.Hour:          "in 4 months",
			3 * 366 * 24 * time.Hour:      "in 3 years",
			auth.NoExpiry - 1:             "in 292 years",
		} {
			_, c := ada.issue("x", lifetime, auth.FullAccess)
			ada.requireExpiry(c, words)
		}
		_, c := ada.issue("x", time.Minute, auth.FullAccess)
		time.Sleep(30 * time.Second)
		ada.requireExpiry(c, "in less than a minute")
	})
}

func TestTokensPage_pastTimesInWords(t *testing.T) {
	t.Parallel()
	for past, words := range map[time.Duration]string{
		59 * time.Second:              "just now",
		23 * time.Hour:                "23 hours ago",
		23*time.Hour + 45*time.Minute: "1 day ago",
		26 * time.Hour:                "1 day ago",
		47 * time.Hour:                "2 days ago",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(t)
			_, c := s.signIn("ada").issue("x", time.Minute, auth.FullAccess)
			time.Sleep(time.Minute + past)
			s.signIn("ada").requireExpiry(c, words)
		})
	}
}

// A number of years is never negative, however far a time is away: Config.Plural gets none that is.
func TestTokenPage_farTimes(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.bearer.AcceptImported = true
		c.settings.Plural = func(n int) string {
			if n < 0 {
				panic("negative")
			}
			return "other"
		}
	})
	ada := s.signIn("ada")
	made := ada.json("POST", "/api/tokens", `{"name": "far", "scopes": ["notes:read"], "expires_in": 9223372036}`).status(http.StatusCreated).object()
	ada.get("/tokens/"+made["id"].(string)).page(http.StatusOK, "in 292 years")
	farther, err := s.bearer.Import(t.Context(), "ada", "a-token-of-another-system-0", auth.ImportOptions{
		TokenOptions: auth.TokenOptions{Name: "farther", Scopes: []string{auth.FullAccess}},
		ExpiresAt:    time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	require.NoError(t, err)
	ada.get("/tokens/"+farther.ID).page(http.StatusOK, "in 292 years", "9999-01-01") // the maximum of a Duration
	ada.get("/?sort=expiring").page(http.StatusOK)
}

// Without the script, dates are in UTC and say so. Texts around them are escaped.
func TestNewTokenPage_datesNameTheirZone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ada := newService(t, func(c *configs) {
			c.settings.Texts = map[string]string{"new.until": "<b>{date}", "rotate.until": "{time}&"}
		}).signIn("ada")
		week := time.Now().Add(7 * 24 * time.Hour).UTC()
		element := `<time datetime="` + week.Format(time.RFC3339) + `" `
		ada.get("/tokens/new").page(http.StatusOK, `&lt;b&gt;`+element+`data-date>`+week.Format("2006-01-02 UTC")+`</time>`)
		_, c := ada.token("deploy")
		ada.get("/tokens/"+c.ID+"/rotate").page(http.StatusOK, element+`data-time>`+week.Format("2006-01-02 15:04 UTC")+`</time>&amp;`)
	})
}
