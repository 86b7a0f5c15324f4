package settings_test

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

func TestNewTokenPage_create(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.TokenExampleURL = "/v1/me"
		c.settings.Scopes = []settings.ScopeGroup{{Title: "Notes", Scopes: []settings.Scope{{Name: "notes:read", Description: "read your notes"}}}}
	})
	ada := s.signIn("ada")
	page := ada.get("/tokens/new").page(http.StatusOK, "7 days", "30 days", "60 days", "90 days", "Never", "read your notes", "notes:write")
	require.Equal(t, 2, strings.Count(page, " checked"))
	require.Contains(t, page, `value="720h0m0s" required checked`, "30 days are preselected")
	require.Contains(t, page, `value="scopes" required checked`, "and no full access")
	form := newToken(page)
	form["access"], form["scope"] = []string{"scopes"}, []string{"notes:read"}
	s.events.take()

	got := ada.post("/tokens", form, fromAddr)
	text := got.page(http.StatusOK, "Token “deploy” created", "You won’t be able to see it again", "in 30 days", "notes:read")
	token := plaintext(text)
	require.True(t, s.works(auth.SchemeBearer, token))
	require.Contains(t, html.UnescapeString(text), `curl -H 'Authorization: Bearer `+token+`' '`+origin+`/v1/me'`)
	require.Empty(t, got.Header().Get("Location"), "never in a URL")
	require.Empty(t, got.Header()["Set-Cookie"], "nor in a cookie")
	require.Len(t, ada.tokens(), 1)
	made := ada.tokens()[0]
	require.Equal(t, 30*24*time.Hour, made.ExpiresAt.Sub(made.CreatedAt))
	require.Equal(t, []auth.Event{{Type: auth.EventIssued, Operation: "issue", Scheme: auth.SchemeBearer, UserID: "ada", CredentialID: made.ID,
		Method: "POST", Pattern: "POST /tokens", Origin: origin, ClientAddr: clientAddr}}, s.events.take())

	// The plaintext is not shown again.
	for _, path := range []string{"/", "/tokens/new", "/tokens/" + made.ID + "/revoke", "/api/tokens", "/api/tokens/" + made.ID} {
		require.NotContains(t, ada.get(path).status(http.StatusOK).Body.String(), token)
	}
}

// A form that is sent again creates no second token. Its answer is a form for another one.
func TestNewTokenPage_submitTwice(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	form["access"], form["scope"] = []string{"scopes"}, []string{"notes:read"}
	require.NotEmpty(t, plaintext(ada.post("/tokens", form).page(http.StatusOK)))
	var text string
	for _, name := range []string{"deploy", "another"} {
		form.Set("name", name)
		text = ada.post("/tokens", form).page(http.StatusConflict, "This form was sent already", `value="`+name+`"`)
		require.Empty(t, plaintext(text))
		require.Len(t, ada.tokens(), 1)
	}
	require.Equal(t, 3, strings.Count(text, " checked"), "the form keeps its values")

	again := newToken(text)
	require.NotEmpty(t, plaintext(ada.post("/tokens", again).page(http.StatusOK)))
	require.Len(t, ada.tokens(), 2)
	// A token that another program creates meanwhile does not matter.
	other := newToken(ada.get("/tokens/new").page(http.StatusOK))
	ada.token("by a program")
	require.NotEmpty(t, plaintext(ada.post("/tokens", other).page(http.StatusOK)))
}

// A form that is sent again creates no second token after the first one was revoked, nor in
// another process, even if its clock differs.
func TestNewTokenPage_submitTwiceAfterRevocation(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"same clock": 0, "clock ahead": 20 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newService(t)
				ada := s.signIn("ada")
				here := newToken(ada.get("/tokens/new").page(http.StatusOK))
				time.Sleep(ahead)
				ada = s.signIn("ada") // recently
				ahead := newToken(ada.get("/tokens/new").page(http.StatusOK))
				other := newService(t, func(c *configs) { c.store = s.store })
				elsewhere := &user{other, ada.userID, ada.session, ada.cookie}
				for _, form := range []url.Values{here, ahead} {
					require.NotEmpty(t, plaintext(ada.post("/tokens", form).page(http.StatusOK)))
					for _, u := range []*user{ada, elsewhere} {
						require.NoError(t, s.bearer.Revoke(t.Context(), "ada", ada.tokens()[0].ID))
						for range 2 {
							u.post("/tokens", form).page(http.StatusConflict, "This form was sent already")
						}
						require.Empty(t, ada.tokens())
						require.NotEmpty(t, plaintext(u.post("/tokens", newToken(u.get("/tokens/new").page(http.StatusOK))).page(http.StatusOK)))
					}
					_, err := s.bearer.RevokeAll(t.Context(), "ada")
					require.NoError(t, err)
				}
			})
		})
	}
}

// The form of another user, with the same value, does not conflict.
func TestNewTokenPage_otherUsersForm(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada, eve := s.signIn("ada"), s.signIn("eve")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	eves := newToken(eve.get("/tokens/new").page(http.StatusOK))
	eves["idempotency"] = form["idempotency"]
	require.NotEmpty(t, plaintext(eve.post("/tokens", eves).page(http.StatusOK)))
	require.NotEmpty(t, plaintext(ada.post("/tokens", form).page(http.StatusOK)))
}

// A form without a valid value of Idempotency is shown again, with one.
func TestNewTokenPage_oldForm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		form := newToken(s.signIn("ada").get("/tokens/new").page(http.StatusOK))
		time.Sleep(24*time.Hour + time.Second)
		ada := s.signIn("ada")
		for _, value := range [][]string{form["idempotency"], {""}, nil, {"z"}, {strings.Repeat("Z", 26)}} {
			form["idempotency"] = value
			text := ada.post("/tokens", form).page(http.StatusBadRequest, "This form was open for too long", `value="deploy"`)
			require.Equal(t, 2, strings.Count(text, " checked"))
			require.Empty(t, ada.tokens())
			again := newToken(text)
			require.NotEmpty(t, plaintext(ada.post("/tokens", again).page(http.StatusOK)))
			require.NoError(t, s.bearer.Revoke(t.Context(), "ada", ada.tokens()[0].ID))
		}
		form["name"], form["idempotency"] = nil, nil
		ada.post("/tokens", form).page(http.StatusBadRequest, "This form was open for too long", nameError)
	})
}

const (
	nameError     = "Enter a name"
	longNameError = "The name is too long"
	expiresError  = "Choose when the token expires"
	accessError   = "Choose either full access"
	networkError  = "Enter at most 16 networks"
)

// inDays returns a date as a date field has it.
func inDays(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }

// invalidForms change a valid form, for a service with a MaxLifetime of 365 days.
var invalidForms = []struct {
	name   string
	form   url.Values
	errors []string
}{
	{"all empty", url.Values{"name": nil, "expires": nil, "access": nil}, []string{nameError, expiresError, accessError}},
	{"blank name", url.Values{"name": {"  "}}, []string{nameError}},
	{"long name", url.Values{"name": {strings.Repeat("x", 10<<10)}}, []string{longNameError}},
	{"NUL in the name", url.Values{"name": {"a\x00b"}}, []string{nameError}},
	{"line break in the name", url.Values{"name": {"a\nb"}}, []string{nameError}},
	{"escape in the name", url.Values{"name": {"a\x1bb"}}, []string{nameError}},
	{"line separator in the name", url.Values{"name": {"a\u2028b"}}, []string{nameError}},
	{"direction override in the name", url.Values{"name": {"a\u202eb"}}, []string{nameError}},
	{"name that is not UTF-8", url.Values{"name": {"a\xff"}}, []string{nameError}},
	{"invisible name", url.Values{"name": {"\u3164"}}, []string{nameError}},
	{"never, despite a MaxLifetime", url.Values{"expires": {"never"}}, []string{expiresError}},
	{"over MaxLifetime", url.Values{"expires": {"8760h0m1s"}}, []string{expiresError}},
	{"negative", url.Values{"expires": {"-1h"}}, []string{expiresError}},
	{"zero", url.Values{"expires": {"0s"}}, []string{expiresError}},
	{"overflow", url.Values{"expires": {"9999999999h"}}, []string{expiresError}},
	{"custom without a date", url.Values{"expires": {"custom"}}, []string{expiresError}},
	{"custom in the past", url.Values{"expires": {"custom"}, "until": {inDays(-1)}}, []string{expiresError}},
	{"custom over MaxLifetime", url.Values{"expires": {"custom"}, "until": {inDays(367)}}, []string{expiresError}},
	{"custom over MaxLifetime by its zone", url.Values{"expires": {"custom"}, "until": {inDays(367)}, "zone": {"-1440"}}, []string{expiresError}},
	{"custom that overflows", url.Values{"expires": {"custom"}, "until": {"9999-12-31"}}, []string{expiresError}},
	{"custom in words", url.Values{"expires": {"custom"}, "until": {"ten"}}, []string{expiresError}},
	{"unknown scope", url.Values{"access": {"scopes"}, "scope": {"notes:admin"}}, []string{accessError}},
	{"no scope", url.Values{"access": {"scopes"}}, []string{accessError}},
	{"full access and scopes", url.Values{"scope": {"notes:read"}}, []string{accessError}},
	{"full access as a scope", url.Values{"access": {"scopes"}, "scope": {"*", "notes:read"}}, []string{accessError}},
	{"1,000 scopes", url.Values{"access": {"scopes"}, "scope": strings.Split(strings.Repeat("s ", 1000), " ")}, []string{accessError}},
}

func TestNewTokenPage_invalidForms(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) { c.bearer.MaxLifetime = 365 * 24 * time.Hour }).signIn("ada")
	page := ada.get("/tokens/new").page(http.StatusOK, `value="8760h0m0s"`, `max="`+inDays(365)+`"`)
	require.NotContains(t, page, `value="never"`)
	for _, test := range invalidForms {
		t.Run(test.name, func(t *testing.T) {
			form := newToken(page)
			maps.Copy(form, test.form)
			got := ada.post("/tokens", form)
			text := got.page(http.StatusBadRequest, `role="alert"`, "<title>Error: ")
			for _, e := range []string{nameError, longNameError, expiresError, accessError, networkError} {
				want := 0
				if slices.Contains(test.errors, e) {
					want = 2 // in the summary and at the field
				}
				require.Equal(t, want, strings.Count(text, e), e)
			}
			require.Empty(t, ada.tokens())
		})
	}
}

func TestNewTokenPage_joinedEmoji(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) { c.bearer.MaxLifetime = 365 * 24 * time.Hour }).signIn("ada")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	form.Set("name", "\U0001F469\u200D\U0001F4BB")
	ada.post("/tokens", form).page(http.StatusOK)
	require.Equal(t, "\U0001F469\u200D\U0001F4BB", ada.tokens()[0].Name)
}

// The day that the user chooses ends in the zone of the browser, without a script in UTC, and at
// the latest when MaxLifetime does.
func TestNewTokenPage_until(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ until, zone, want string }{
		"UTC":                {"2000-01-11", "", "2000-01-11T23:59:00Z"},
		"Tokyo":              {"2000-01-11", "-540", "2000-01-11T14:59:00Z"},
		"Los Angeles":        {"2000-01-11", "480", "2000-01-12T07:59:00Z"},
		"no zone":            {"2000-01-11", "99999", "2000-01-11T23:59:00Z"},
		"at the limit":       {"2000-01-31", "", "2000-01-31T00:00:00Z"},
		"at the limit, west": {"2000-01-31", "720", "2000-01-31T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // which begins on 1 January 2000
				ada := newService(t, func(c *configs) { c.bearer.MaxLifetime = 30 * 24 * time.Hour }).signIn("ada")
				form := newToken(ada.get("/tokens/new").page(http.StatusOK, `min="2000-01-02" max="2000-01-31"`))
				form.Set("expires", "custom")
				form.Set("until", test.until)
				form.Set("zone", test.zone)
				ada.post("/tokens", form).page(http.StatusOK)
				require.Equal(t, test.want, ada.tokens()[0].ExpiresAt.Format(time.RFC3339))
			})
		})
	}
}

// Networks are asked for if the service knows the addresses of its clients.
func TestNewTokenPage_networks(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	require.NotContains(t, ada.get("/tokens/new").page(http.StatusOK), `name="networks"`)
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	form.Set("networks", "203.0.113.0/24")
	ada.post("/tokens", form).page(http.StatusBadRequest)
	page := ada.get("/tokens/new", fromAddr).page(http.StatusOK, `name="networks"`, "You are at "+clientAddr.String())
	many := strings.Repeat("203.0.113.1\n", 17)
	for list, want := range map[string]string{
		"x": "“x” is neither", "203.0.113.256": "is neither", "fe80::1%eth0": "is neither", "203.0.113.0/33": "is neither",
		"10.0.0.1/8": "Did you mean 10.0.0.0/8", "198.51.100.7 y": "“y” is neither", many: networkError,
	} {
		form := newToken(page)
		form.Set("networks", list)
		require.Equal(t, 2, strings.Count(ada.post("/tokens", form, fromAddr).page(http.StatusBadRequest), want), list)
		require.Empty(t, ada.tokens())
	}
	for list, want := range map[string]auth.Networks{
		"":    "",
		" \n": "",
		"203.0.113.0/24, 198.51.100.7\r\n2001:db8::/32": "198.51.100.7/32 2001:db8::/32 203.0.113.0/24",
		"::ffff:203.0.113.9":                            "203.0.113.9/32",
	} {
		form := newToken(ada.get("/tokens/new", fromAddr).page(http.StatusOK))
		form.Set("networks", list)
		ada.post("/tokens", form, fromAddr).page(http.StatusOK)
		require.Equal(t, want, ada.tokens()[0].Networks)
		require.NoError(t, ada.bearer.Revoke(t.Context(), "ada", ada.tokens()[0].ID))
	}
}

// A link can fill in a name, scopes and a lifetime in days, and nothing that grants more.
func TestNewTokenPage_link(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ada := newService(t).signIn("ada")
		const month, custom = "720h0m0s", "custom"
		for link, want := range map[string]url.Values{
			"name=CI&scopes=notes:read,notes:write&expires_in=90": {"name": {"CI"}, "scope": {"notes:read", "notes:write"}, "expires": {"2160h0m0s"}, "access": {"scopes"}},
			"scopes=notes:read+notes:admin":                       {"scope": {"notes:read"}, "expires": {month}, "access": {"scopes"}},
			"expires_in=45":                                       {"expires": {custom}, "until": {"2000-02-15"}, "access": {"scopes"}},
			"expires_in=366":                                      {"expires": {custom}, "until": {"2001-01-01"}, "access": {"scopes"}},
		} {
			text := ada.get("/tokens/new?"+link, fromAddr).page(http.StatusOK, "A link filled in this form")
			require.Equal(t, want, filledIn(text), link)
		}
		for _, link := range []string{"expires_in=367", "expires_in=0", "expires_in=none", "expires_in=never", "scopes=*", "access=full", "networks=0.0.0.0/0", "metadata.role=admin"} {
			text := ada.get("/tokens/new?"+link, fromAddr).page(http.StatusOK, `rows="2"`)
			require.Equal(t, url.Values{"expires": {month}, "access": {"scopes"}}, filledIn(text), link)
			require.NotContains(t, text, "A link filled in", link)
			require.Contains(t, text, "></textarea>", link)
		}
		require.Empty(t, ada.tokens())
	})
}

func TestNewTokenPage_presets(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.Scopes = []settings.ScopeGroup{{Title: "Notes", Scopes: []settings.Scope{{Name: "notes:read"}, {Name: "notes:write"}}, Presets: []settings.ScopePreset{
			{Title: "Look", Scopes: []string{"notes:read"}}, {Title: "Change", Scopes: []string{"notes:read", "notes:write"}},
		}}}
	})
	text := s.signIn("ada").get("/tokens/new").page(http.StatusOK, `data-scopes="notes:read ">Look<`, `data-scopes="notes:read notes:write ">Change<`)
	require.NotContains(t, text, "Select all")
	text = s.signIn("ada", "notes:read").get("/tokens/new").page(http.StatusOK, ">Look<")
	require.NotContains(t, text, ">Change<", "the session cannot grant it")
}

// The limit is in bytes, but the error is in characters.
func TestNewTokenPage_longName(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	for name, characters := range map[string]int{
		strings.Repeat("a", 300):                                           255,
		"x" + strings.Repeat("\u00e9", 200):                                128, // two bytes each
		strings.Repeat("\u65e5", 90):                                       85,  // three bytes each
		strings.Repeat("\U0001F600", 70):                                   63,  // four bytes each
		strings.Repeat("e\u0301", 100):                                     85,  // a combining mark
		strings.Repeat("\U0001F469\u200D\U0001F4BB", 30):                   23,  // a joined emoji of 11 bytes
		"  " + strings.Repeat("\u65e5", 85) + strings.Repeat(" \u65e5", 9): 85,
	} {
		form.Set("name", name)
		want := "The name is too long. Shorten it to about " + strconv.Itoa(characters) + " characters."
		require.Equal(t, 2, strings.Count(ada.post("/tokens", form).page(http.StatusBadRequest), want), "%s: %s", name, want)
	}
	form.Set("name", " "+strings.Repeat("\u65e5", 85)+" ")
	ada.post("/tokens", form).page(http.StatusOK)
}

func TestNewTokenPage_limitReached(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) { c.bearer.MaxPerUser = 1 }).signIn("ada")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK, "You have 0 of 1 tokens"))
	_, c := ada.issue("deploy", 48*time.Hour, auth.FullAccess)
	ada.post("/tokens", form).page(http.StatusConflict, "Limit reached (1).")
	require.Len(t, ada.tokens(), 1)

	// The page says so before the form is filled in. A replaced token does not count.
	require.NotContains(t, ada.get("/tokens/new").page(http.StatusOK, "Limit reached (1 of 1)"), "<form")
	_, _, err := ada.bearer.Rotate(t.Context(), "ada", c.ID, time.Hour)
	require.NoError(t, err)
	ada.get("/tokens/new").page(http.StatusOK, "Limit reached (1 of 1)")
	require.NoError(t, ada.bearer.Revoke(t.Context(), "ada", ada.currentToken().ID))
	ada.get("/tokens/new").page(http.StatusOK, "You have 0 of 1 tokens", "<form")
}

// The page does not read thousands of records to count tokens.
func TestNewTokenPage_limitOfMany(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) { c.bearer.MaxPerUser = 3000 }).signIn("ada")
	for range 900 {
		ada.token("deploy")
	}
	ada.get("/tokens/new").page(http.StatusOK, "You have 900 of 3000 tokens")
	for range 200 {
		ada.token("deploy")
	}
	require.NotContains(t, ada.get("/tokens/new").page(http.StatusOK, "<form"), "of 3000")
}

// Without a MaxLifetime, zero and overflowing lifetimes do not become unlimited ones.
func TestNewTokenPage_lifetimeWithoutLimit(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	for _, choice := range []url.Values{
		{"expires": {"0s"}}, {"expires": {"-0s"}}, {"expires": {"1ns"}}, {"expires": {"59s"}}, {"expires": {"61m"}}, {"expires": {"720h"}}, {"expires": {"custom"}, "until": {"2400-01-01"}},
		{"expires": {"custom"}, "until": {"0001-01-01"}}, {"expires": {"custom"}, "until": {"9999-12-31"}},
	} {
		form := newToken(ada.get("/tokens/new").page(http.StatusOK))
		maps.Copy(form, choice)
		ada.post("/tokens", form).page(http.StatusBadRequest, "Choose when the token expires")
	}
	require.Empty(t, ada.tokens())
}

// A MaxLifetime of less than a day is offered as a choice.
func TestNewTokenPage_shortMaxLifetime(t *testing.T) {
	t.Parallel()
	ada := newService(t, func(c *configs) { c.bearer.MaxLifetime = 90 * time.Minute }).signIn("ada")
	page := ada.get("/tokens/new").page(http.StatusOK, `value="1h30m0s"`, "90 minutes")
	require.NotContains(t, page, `value="custom"`)
	form := newToken(page)
	form.Set("expires", "1h30m0s")
	require.NotEmpty(t, plaintext(ada.post("/tokens", form).page(http.StatusOK)))
}
