package settings

import (
	"bytes"
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-31c5bcb2/auth/internal/navigation"
)

func (h *handler) pageRoutes() []route {
	routes := []route{
		{method: "GET", path: "/{$}", serve: (*request).tokensPage},
		{method: "GET", path: "/tokens/new", recent: true, serve: (*request).newTokenPage},
		{method: "POST", path: "/tokens", recent: true, serve: (*request).createToken, failed: (*request).showFailedToken, back: "/tokens/new", keeps: []string{"name", "expires", "until", "access", "scope"}, leaves: []string{"networks", metadataPrefix}},
		{method: "GET", path: "/tokens/{id}", serve: (*request).tokenPage},
		{method: "GET", path: "/tokens/{id}/edit", noActor: true, serve: (*request).editTokenPage},
		{method: "POST", path: "/tokens/{id}/edit", noActor: true, serve: (*request).editTokenForm, failed: (*request).showFailedEdit},
		{method: "GET", path: "/tokens/{id}/rotate", recent: true, serve: (*request).rotateTokenPage},
		{method: "POST", path: "/tokens/{id}/rotate", recent: true, serve: (*request).rotateTokenForm},
		{method: "GET", path: "/tokens/{id}/revoke", revokes: true, serve: (*request).revokeTokenPage},
		{method: "POST", path: "/tokens/{id}/revoke", revokes: true, serve: (*request).revokeTokenForm},
		{method: "GET", path: "/tokens/revoke", revokes: true, serve: (*request).revokeTokensPage},
		{method: "POST", path: "/tokens/revoke", revokes: true, serve: (*request).revokeTokensForm},
	}
	if h.secret != nil {
		routes = append(routes,
			route{method: "GET", path: "/secret", serve: (*request).secretPage},
			route{method: "POST", path: "/secret/create", recent: true, serve: (*request).createSecretForm, back: "/secret"},
			route{method: "POST", path: "/secret/reveal", recent: true, serve: (*request).revealSecretForm, back: "/secret", reads: true},
			route{method: "GET", path: "/secret/rotate", recent: true, serve: (*request).rotateSecretPage},
			route{method: "POST", path: "/secret/rotate", recent: true, serve: (*request).rotateSecretForm},
			route{method: "GET", path: "/secret/revoke", revokes: true, serve: (*request).revokeSecretPage},
			route{method: "POST", path: "/secret/revoke", revokes: true, serve: (*request).revokeSecretForm},
			route{method: "GET", path: "/secret/previous/{id}/revoke", revokes: true, serve: (*request).revokePreviousPage},
			route{method: "POST", path: "/secret/previous/{id}/revoke", revokes: true, serve: (*request).revokePreviousForm},
		)
	}
	if h.cookie != nil {
		routes = append(routes,
			route{method: "GET", path: "/sessions", serve: (*request).sessionsPage},
			route{method: "GET", path: "/sessions/{id}/end", revokes: true, session: true, serve: (*request).endSessionPage},
			route{method: "POST", path: "/sessions/{id}/end", revokes: true, session: true, serve: (*request).endSessionForm},
			route{method: "GET", path: "/sessions/end", revokes: true, serve: (*request).endSessionsPage},
			route{method: "POST", path: "/sessions/end", revokes: true, serve: (*request).endSessionsForm},
		)
	}
	return routes
}

// A view is the data of a page.
type view struct {
	Section string // the current tab of the navigation: "tokens", "secret" or "sessions"; if empty, there is no navigation
	Heading string
	Problem bool   // shown in the title
	Notice  string // the change that was just made
	Data    any

	Shown    bool   // the Notice explains why a plaintext is gone
	Root     string // the relative path to the mount
	Account  string // of the forms
	Name     string // of the account, in the bar; if empty, the bar has no button to sign out
	Session  string // that this button ends
	Secret   bool   // whether the navigation has the client secret
	Sessions bool   // and the sessions
}

// show answers a request with a page. It does not return an error, even if
// Config.Developer does: the page may be the only one that shows a new token. The
// navigation then has no client secret.
func (r *request) show(status int, page string, v view) error {
	v.Secret, _ = r.mayHaveSecret()
	v.Shown = v.Notice != "" && shownTexts[r.URL.Query().Get("shown")] != ""
	v.addBar(r)
	r.render(r.w, r.Request, status, page, v)
	return nil
}

// addBar adds what the bar of a signed-in user needs.
func (v *view) addBar(r *request) {
	v.Account, v.Name, v.Session, v.Sessions = r.account(), r.name, r.id.CredentialID, r.cookie != nil
}

// render executes a template before it writes, so that a failure is a clean 500.
func (h *handler) render(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	v.Root = relativeRoot(r)
	var body bytes.Buffer
	if err := h.pages[page].Execute(&body, v); err != nil {
		// The error is not shown: it may quote a plaintext.
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

// redirectDone redirects from a form to a page with a notice, so that reloading that
// page does not submit the form again.
func (r *request) redirectDone(page, notice string) error {
	r.w.Header().Set("Location", relativeRoot(r.Request)+page+"?done="+notice)
	r.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// notice returns the notice that the query names. That something was done is shown only after
// our own forms: a link on another site must not make the page claim it.
func (r *request) notice() string {
	if key := shownTexts[r.URL.Query().Get("shown")]; key != "" {
		return r.texts.get(key)
	}
	key := "done." + r.URL.Query().Get("done")
	if _, known := defaultTexts[key]; !known {
		return ""
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return ""
	}
	return r.texts.get(key)
}

// A confirmation asks before something is revoked.
type confirmation struct {
	Text   string
	ID     string   // of the secret to revoke; empty if the path has it
	Names  []string // of the credentials that will be revoked
	More   string   // how many more there are, if not all are named
	Facts  []fact
	Type   *typed // what has to be typed, if anything
	Error  string // why what was sent does not confirm it
	Button string
	Back   string // relative to Root
}

// A fact is an entry of a description list. It has one of Text, Codes and Time.
type fact struct {
	Term, Text string
	Codes      []string // credentials, scopes or addresses
	Time       *moment
	From       template.HTML // from which address, with a Time; empty if that is not known
}

func (r *request) confirm(section, heading string, c confirmation) error {
	return r.show(http.StatusOK, "confirm", view{Section: section, Heading: heading, Data: c})
}

// submit reads a form, passes it to change, and redirects to a page with a notice.
func (r *request) submit(change func(form url.Values) error, page, notice string) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	if err := change(form); err != nil {
		return err
	}
	return r.redirectDone(page, notice)
}

// rejectPage is the Middleware.OnError of the pages. It redirects the requests that
// auth.RedirectToSignIn redirects.
func (h *handler) rejectPage(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	_, pattern := h.pageMux.Handler(r)
	rt, known := h.pageRoute[pattern]
	if !known {
		rt.back = "/"
	}
	if p.Status == http.StatusUnauthorized && isRead(r) && r.URL.Query().Has("done") {
		h.showEnded(w, r, p.Status)
		return
	}
	if p.Status == http.StatusUnauthorized && navigation.Is(r) {
		w.Header().Del("WWW-Authenticate")
		h.redirectToSignIn(w, r, rt, p.Code == codeAge)
		return
	}
	h.showProblem(w, r, p, rt, view{})
}

// redirectToSignIn redirects from a page, and not from a form, to the sign-in page.
func (h *handler) redirectToSignIn(w http.ResponseWriter, r *http.Request, rt route, again bool) {
	w.Header().Set("Location", navigation.SignIn(h.signInPath, absolutePath(r, rt.comeBack(r)), again))
	w.WriteHeader(http.StatusSeeOther)
}

// showEnded answers the redirect of a form, if the session ended in the meantime. As for
// showSignedOut, another redirect might lead to another origin.
func (h *handler) showEnded(w http.ResponseWriter, r *http.Request, status int) {
	h.render(w, r, status, "problem", view{Heading: h.texts.get("problem.again"), Data: problemView{
		Text: h.texts.get("signed_out.ended"), Again: true,
		SignIn: navigation.SignIn(h.signInPath, absolutePath(r, r.URL.EscapedPath()), false),
	}})
}

// A problemView is the data of a problem's page.
type problemView struct {
	Text   string
	SignIn string // the address to sign in and return from, if that helps
	Again  bool   // only a new sign-in is required
	Retry  string // the address of the form that was sent, filled in, if that helps
}

func writePage(r *request, p *problem) {
	switch {
	case r.route.failed != nil && r.route.failed(r, p):
	case p.Code == codeAge && navigation.Is(r.Request):
		r.w.Header().Del("WWW-Authenticate")
		r.redirectToSignIn(r.w, r.Request, r.route, true)
	default:
		var v view
		v.addBar(r)
		r.showProblem(r.w, r.Request, p, r.route, v)
	}
}

// showProblem explains a problem with a request to a route, on a page with the bar of v.
func (h *handler) showProblem(w http.ResponseWriter, r *http.Request, p *problem, rt route, v view) {
	key := cmp.Or(p.text, "problem."+string(p.Code))
	data := problemView{Text: h.texts.get(key, "n", h.texts.number(h.bearer.Policy().MaxPerUser))}
	heading, status := h.texts.get("problem.heading"), p.Status
	switch p.Code {
	case codeNotFound:
		heading = h.texts.get("problem.missing")
	case codeMissingCredential, codeInvalidCredential:
		data.SignIn = navigation.SignIn(h.signInPath, absolutePath(r, rt.comeBack(r)), false)
	case codeAge: // for a person this is a step on the way, and not a challenge
		w.Header().Del("WWW-Authenticate")
		status = http.StatusForbidden
		heading = h.texts.get("problem.again")
		data.SignIn, data.Again = navigation.SignIn(h.signInPath, absolutePath(r, rt.comeBack(r)), true), true
	default:
		if !isRead(r) && (p.Code == codeUnavailable || p.text != "") {
			data.Retry = relativeRoot(r) + strings.TrimPrefix(rt.comeBack(r), "/")
		}
	}
	v.Heading, v.Problem, v.Data = heading, !data.Again, data
	h.render(w, r, status, "problem", v)
}
