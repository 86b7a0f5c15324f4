package settings

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/seed-31c5bcb2/auth"
)

func (h *handler) pageRoutes() []route {
	routes := []route{
		{method: "GET", path: "/{$}", serve: (*call).tokensPage},
		{method: "GET", path: "/tokens/new", recent: true, serve: (*call).newTokenPage},
		{method: "POST", path: "/tokens", recent: true, serve: (*call).createToken, back: "/tokens/new"},
		{method: "GET", path: "/tokens/{id}/rotate", recent: true, serve: (*call).rotateTokenPage},
		{method: "POST", path: "/tokens/{id}/rotate", recent: true, serve: (*call).rotateTokenForm},
		{method: "GET", path: "/tokens/{id}/revoke", serve: (*call).revokeTokenPage},
		{method: "POST", path: "/tokens/{id}/revoke", serve: (*call).revokeToken},
		{method: "GET", path: "/tokens/revoke", serve: (*call).revokeTokensPage},
		{method: "POST", path: "/tokens/revoke", serve: (*call).revokeTokens},
		{method: "GET", path: "/sessions", serve: (*call).sessionsPage},
		{method: "GET", path: "/sessions/{id}/end", serve: (*call).endSessionPage},
		{method: "POST", path: "/sessions/{id}/end", serve: (*call).endSessionForm},
		{method: "GET", path: "/sessions/end", serve: (*call).endSessionsPage},
		{method: "POST", path: "/sessions/end", serve: (*call).endSessions},
	}
	if h.secret != nil {
		routes = append(routes,
			route{method: "GET", path: "/secret", serve: (*call).secretPage},
			route{method: "POST", path: "/secret/assign", recent: true, serve: (*call).assignSecret, back: "/secret"},
			route{method: "POST", path: "/secret/reveal", recent: true, serve: (*call).revealSecret, back: "/secret"},
			route{method: "GET", path: "/secret/rotate", recent: true, serve: (*call).rotateSecretPage},
			route{method: "POST", path: "/secret/rotate", recent: true, serve: (*call).rotateSecret},
			route{method: "GET", path: "/secret/revoke", serve: (*call).revokeSecretPage},
			route{method: "POST", path: "/secret/revoke", serve: (*call).revokeSecret},
			route{method: "GET", path: "/secret/previous/{id}/revoke", serve: (*call).revokePreviousPage},
			route{method: "POST", path: "/secret/previous/{id}/revoke", serve: (*call).revokePreviousForm},
		)
	}
	return routes
}

// A view is what a page shows.
type view struct {
	Section string // of the navigation, for "this page": "tokens", "secret", "sessions"; "" has none
	Heading string
	Problem bool   // the title says so
	Notice  string // what was done
	Data    any

	Root   string // leads to where we are mounted
	Secret bool   // the navigation has the client secret
}

// show ends a call. It does not fail: what was done by then may be a new token, of
// which this page alone tells. If nobody knows whether there is a client secret,
// the navigation goes without.
func (c *call) show(status int, page string, v view) error {
	may, err := c.mayHaveSecret()
	v.Secret = may && err == nil
	c.render(c.w, c.r, status, page, v)
	return nil
}

// render runs a template to its end before it writes: a failure is a clean 500.
func (h *handler) render(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	v.Root = root(r)
	var body bytes.Buffer
	if err := h.pages[page].Execute(&body, v); err != nil {
		// Not with the error: it may quote what was to be shown.
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body.Bytes())
	}
}

// done leads from a form that was carried out to a page that says so, so that to
// load that again repeats nothing.
func (c *call) done(page, what string) error {
	c.w.Header().Set("Location", root(c.r)+page+"?done="+what)
	c.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// notice is what was done, where the address says so. A link on another site is not
// to make our page claim anything, so it is said after our own forms alone.
func (c *call) notice() string {
	key := "done." + c.r.URL.Query().Get("done")
	if _, known := defaultTexts[key]; !known {
		return ""
	}
	if site := c.r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return ""
	}
	return c.texts.get(key)
}

// perPage is how many records a page shows, and mostShown how many there are on all
// pages together: nobody looks through more.
const (
	perPage   = 50
	mostShown = 1000
)

// A pager is the links to the neighbours of a page.
type pager struct {
	Number, Previous, Next int    // 0: there is none
	Cut                    string // that there are more on no page; "" if there are not
}

// slice returns the part of a list that is asked for.
func (c *call) slice(list []auth.Credential) ([]auth.Credential, pager) {
	pages := max(1, (len(list)+perPage-1)/perPage)
	n, _ := strconv.Atoi(c.r.URL.Query().Get("page"))
	n = min(max(n, 1), pages)
	p := pager{Number: n, Previous: n - 1}
	if n < pages {
		p.Next = n + 1
	}
	if len(list) == mostShown {
		p.Cut = c.texts.get("pager.cut", "n", strconv.Itoa(mostShown))
	}
	return list[(n-1)*perPage : min(n*perPage, len(list))], p
}

// A confirmation asks before something ends, and names it.
type confirmation struct {
	Text   string
	Names  []string // what ends
	More   string   // what ends besides
	Facts  []fact
	Button string
	Back   string // from Root
}

// A fact is a line of a list of terms.
type fact struct {
	Term, Text string
	Code       bool
	Time       *moment
}

func (c *call) confirm(section, heading string, ask confirmation) error {
	return c.show(http.StatusOK, "confirm", view{Section: section, Heading: heading, Data: ask})
}

// readEmptyForm is for forms without fields: what they do is in their address.
func (c *call) readEmptyForm() error {
	_, err := readForm(c.w, c.r)
	return err
}

// refusePage is the Middleware.OnError of the pages.
func (h *handler) refusePage(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	if p.Status == http.StatusUnauthorized && reading && len(r.Header["Authorization"]) == 0 {
		w.Header().Del("WWW-Authenticate")
		w.Header().Set("Location", h.signIn(address(r, pathAndQuery(r)), false))
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	h.showProblem(w, r, p, "/")
}

func pathAndQuery(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return r.URL.EscapedPath()
	}
	return r.URL.EscapedPath() + "?" + r.URL.RawQuery
}

// A problemView is the page of a problem.
type problemView struct {
	Text   string
	SignIn string // where to sign in and come back from; "" if that is no help
	Again  bool   // that is all that is wanted
}

func (h *handler) writePage(c *call, p *problem) {
	back := c.rt.back
	if back == "" {
		back = c.r.URL.EscapedPath()
	}
	h.showProblem(c.w, c.r, p, back)
}

// showProblem explains a problem. A sign-in leads back to the page named.
func (h *handler) showProblem(w http.ResponseWriter, r *http.Request, p *problem, back string) {
	v := problemView{Text: h.texts.get("problem." + string(p.Code))}
	heading := h.texts.get("problem.heading")
	switch p.Code {
	case codeUnauthenticated:
		v.SignIn = h.signIn(address(r, back), false)
	case codeAge:
		heading = h.texts.get("problem.again")
		v.Text = h.texts.get("problem."+string(p.Code), "time", h.texts.exactly(h.maxAge))
		v.SignIn, v.Again = h.signIn(address(r, back), true), true
	}
	h.render(w, r, p.Status, "problem", view{Heading: heading, Problem: !v.Again, Data: v})
}
