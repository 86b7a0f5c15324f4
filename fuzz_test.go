package auth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-31c5bcb2/auth"
)

// Only the value that SignIn set, byte for byte, is accepted.
func FuzzCookieValue(f *testing.F) {
	fx := newFixture(f)
	good := fx.signIn("ada")
	v := good.Value
	for _, seed := range []string{v, "", "x", v + "=", v[:len(v)-1], v + "\n", "\r" + v, strings.ToLower(v), v + v, `"` + v + `"`, repeated("A", 144), repeated("A", 4097)} {
		f.Add(seed)
	}
	h := fx.all()
	f.Fuzz(func(t *testing.T, value string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"] = []string{good.Name + "=" + value}
		h.ServeHTTP(w, r)
		// Space around the value, and another cookie after it, are not part of it.
		value, _, _ = strings.Cut(value, ";")
		if same := strings.Trim(value, " \t") == v; same != (w.Code == 200) {
			t.Fatalf("%q: %d", value, w.Code)
		}
	})
}

// A header is accepted only if it carries the token or the secret that was issued.
func FuzzAuthorization(f *testing.F) {
	fx := newFixture(f)
	token, secret := fx.token("ada"), fx.issueSecret("ada")
	for _, seed := range []string{
		"Bearer " + token, "bearer  " + token, "Secret " + secret, "Bearer " + secret, "Secret " + token, "Bearer", "Bearer ", "",
		" ", "Basic YTpi", "Bearer a, Secret b", "Bearer\t" + token, "Bearer a=b", "Bearer a==", "\u017fecret " + secret, "Bearer " + repeated(".", 600),
	} {
		f.Add(seed)
	}
	h := fx.all()
	f.Fuzz(func(t *testing.T, value string) {
		w := h.get(authorization(value))
		trimmed := strings.Trim(value, " \t")
		scheme, rest, _ := strings.Cut(trimmed, " ")
		rest = strings.TrimLeft(rest, " ")
		good := asciiLower(scheme) == "bearer" && rest == token || asciiLower(scheme) == "secret" && rest == secret
		if spaces := len(trimmed) - len(scheme) - len(rest); spaces > 64 {
			good = false
		}
		switch {
		case good != (w.Code == 200):
			t.Fatalf("%q: %d", value, w.Code)
		case w.Code != 200 && w.Code != 401 && w.Code != 400:
			t.Fatalf("%q: %d", value, w.Code)
		case w.Code != 200 && len(w.Header().Values("WWW-Authenticate")) != 2:
			t.Fatalf("%q: %v", value, w.Header())
		}
	})
}

// A header of InHeader is accepted only if its value is the token, and never makes a request
// with a cookie or an Authorization that of another user.
func FuzzInHeader(f *testing.F) {
	fx := newFixture(f)
	token, other, cookie := fx.token("ada"), fx.token("grace"), fx.signIn("cora")
	for _, seed := range []string{token, other, " " + token + "\t", token + ",", "Bearer " + token, "", " ", "=", token + "=", "é", "\x00", repeated(".", 600), repeated(" ", 65) + token} {
		f.Add(seed, "")
		f.Add(seed, "Bearer "+other)
		f.Add(seed, "Basic YTpi")
	}
	h := behind(auth.Require(fx.bearer.InHeader(apiKeyHeader), fx.bearer, fx.cookie))
	f.Fuzz(func(t *testing.T, value, beside string) {
		w := h.get(apiKey(value), authorization(beside), withCookie(cookie))
		trimmed := strings.Trim(value, " \t")
		left, right := len(value)-len(strings.TrimLeft(value, " \t")), len(value)-len(strings.TrimRight(value, " \t"))
		want := map[string]string{token: "ada by Bearer", other: "grace by Bearer"}[trimmed]
		if strings.Trim(beside, " \t") != "" || len(beside) > 64 || left > 64 || right > 64 {
			want = ""
		}
		switch {
		case w.Code == 200 && w.Body.String() != want, w.Code != 200 && want != "":
			t.Fatalf("%q and %q: %d %s", value, beside, w.Code, w.Body)
		case w.Code != 200 && w.Code != 400 && w.Code != 401:
			t.Fatalf("%q and %q: %d", value, beside, w.Code)
		case w.Code == 401 && strings.Trim(beside, " \t") != "":
			t.Fatalf("%q and %q: 401, not 400", value, beside)
		}
	})
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// A browser that is redirected to the result of LocalPath stays on the site. It resolves the
// reference by the URL standard, which removes tabs and line breaks and reads a backslash as
// a slash.
func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/profile?a=b#c", "//e", `/\e`, "/%2f/e", "/.//e", "/\t/e", "https://e", "javascript:x", "/a/../b", "/%5ce", "", "/a b", "/\x00", "///e", "/%252f/e",
	} {
		f.Add(seed)
	}
	base, _ := url.Parse("https://site.example/signin")
	f.Fuzz(func(t *testing.T, next string) {
		got := auth.LocalPath(next, "/fallback")
		if got != "/fallback" && got != next {
			t.Fatalf("%q became %q", next, got)
		}
		browser := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(got)
		if !strings.HasPrefix(browser, "/") || strings.HasPrefix(browser, "//") {
			t.Fatalf("%q leaves the site", got)
		}
		u, err := base.Parse(got)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || strings.HasPrefix(u.Path, "//") {
			t.Fatalf("%q resolves to %v (%v)", got, u, err)
		}
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest("GET", "https://site.example/signin", nil), got, http.StatusSeeOther)
		if location := w.Header().Get("Location"); strings.HasPrefix(location, "//") || !strings.HasPrefix(location, "/") {
			t.Fatalf("%q redirects to %q", got, location)
		}
	})
}

// Only FullAccess grants more than the names in the list.
func FuzzScopes(f *testing.F) {
	for _, seed := range []string{"read", "*", "read *", "a  b", "", " a", "a ", "read:user write", "\x00", `a"`} {
		f.Add(seed, "read")
	}
	f.Fuzz(func(t *testing.T, have, need string) {
		s := auth.Scopes(have)
		if !s.Has(need) {
			return
		}
		if need == "" || strings.ContainsAny(need, " \"\\\x00\n") {
			t.Fatalf("%q has %q", have, need)
		}
		if have == "*" {
			return
		}
		for _, name := range s.List() {
			if name == need {
				return
			}
		}
		t.Fatalf("%q has %q", have, need)
	})
}
