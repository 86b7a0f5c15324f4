package settings_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// devices maps User-Agent headers to names.
var devices = map[string]string{
	"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":           "Edge on Windows",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                   "Chrome on macOS",
	"Mozilla/5.0 (Linux; Android 15; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":     "Samsung Internet on Android",
	"Mozilla/5.0 (iPad; CPU OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1":           "Chrome on iPad",
	"curl/8.5.0":               "curl",
	"":                         "Unknown device",
	"Mozilla/5.0 (compatible)": "Unknown device",
}

// signInFrom signs the user in once more, with a User-Agent header.
func (u *user) signInFrom(userAgent string) {
	u.t.Helper()
	r := httptest.NewRequest("POST", origin, nil)
	r.Header.Set("User-Agent", userAgent)
	_, err := u.service.cookie.SignIn(httptest.NewRecorder(), r, u.userID, auth.SessionOptions{})
	require.NoError(u.t, err)
}

func TestSessionsPage_devices(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	for userAgent := range devices {
		ada.signInFrom(userAgent)
	}
	text := ada.get("/sessions").page(http.StatusOK)
	for userAgent, device := range devices {
		require.Contains(t, text, `class="name">`+device+`<`, userAgent)
	}
	require.Equal(t, 3, strings.Count(text, `<rect x="7"`), "phones and tablets")
}
