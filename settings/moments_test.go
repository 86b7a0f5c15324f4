package settings_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestTokensPage_timesInWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ada := newService(t).signIn("ada")
		for lifetime, words := range map[time.Duration]string{
			30 * time.Second:              "in less than a minute",
			time.Minute:                   "in 1 minute",
			59 * time.Minute:              "in 59 minutes",
			59*time.Minute + 31*1e9:       "in 1 hour",
			36 * time.Hour:                "in 36 hours",
			47*time.Hour + 45*time.Minute: "in 2 days",
			99 * 24 * time.Hour:           "in 99 days",
			122 * 24 * time.Hour:          "in 4 months",
			3 * 366 * 24 * time.Hour:      "in 3 years",
		} {
			_, c := ada.issue(auth.NewToken{Name: "x", Lifetime: lifetime})
			row := between(t, ada.get("/").page(http.StatusOK), c.Hint, "</tr>")
			require.Contains(t, row, `data-relative>`+words+`<`)
		}
	})
}
