package main

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

//go:embed templates style.css
var files embed.FS

var (
	signInTemplate  = page("templates/signin.html")
	profileTemplate = page("templates/profile.html")
)

func page(name string) *template.Template {
	funcs := template.FuncMap{"machine": machineTime, "human": humanTime}
	return template.Must(template.New("layout.html").Funcs(funcs).ParseFS(files, "templates/layout.html", name))
}

func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
func humanTime(t time.Time) string   { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

type signInView struct {
	Name, Next string
	Problem    string // why the last try was refused
}

func (s *server) signInPage(w http.ResponseWriter, r *http.Request) {
	next := r.URL.Query().Get("next")
	// Who has to sign in anew comes here signed in.
	again := r.URL.Query().Get("prompt") == "login"
	if _, ok := auth.FromContext(r.Context()); ok && !again {
		redirect(w, r, auth.LocalPath(next, "/profile"))
		return
	}
	s.render(w, http.StatusOK, signInTemplate, signInView{Next: auth.LocalPath(next, "")})
}

// signIn asks for the request's origin first: no other site may try passwords
// with somebody's browser, or sign it in to an account of its own.
func (s *server) signIn(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.CheckOrigin(r); err != nil {
		s.refuseSignIn(w, signInView{}, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		s.refuseSignIn(w, signInView{}, err)
		return
	}
	// PostForm, not Form: a password in the URL would end up in logs.
	view := signInView{Name: r.PostForm.Get("username"), Next: auth.LocalPath(r.PostForm.Get("next"), "")}
	a, err := s.accounts.signIn(r.Context(), view.Name, r.PostForm.Get("password"))
	if err == nil {
		_, err = s.cookie.SignIn(w, r, a.ID, auth.NewSession{})
	}
	if err != nil {
		s.refuseSignIn(w, view, err)
		return
	}
	redirect(w, r, auth.LocalPath(view.Next, "/profile"))
}

// refuseSignIn shows the form again. A wrong password is a 403: a 401 would need
// a challenge, and there is no scheme by which this form could be answered.
func (s *server) refuseSignIn(w http.ResponseWriter, view signInView, err error) {
	var tooLarge *http.MaxBytesError
	status := http.StatusBadRequest
	view.Problem = "That form could not be read. Please try again."
	switch {
	case errors.Is(err, errWrongPassword):
		status, view.Problem = http.StatusForbidden, "That name and password do not belong together."
	case errors.Is(err, auth.ErrCrossOrigin):
		status, view.Problem = http.StatusForbidden, "Another site tried to sign you in, and was refused. If you meant to, sign in here."
	case errors.Is(err, errBusy), errors.Is(err, auth.ErrUnavailable):
		s.log.Error("sign-in", "error", err)
		status, view.Problem = http.StatusServiceUnavailable, "We cannot sign you in at the moment. Please try again in a minute."
	case errors.As(err, &tooLarge):
		status, view.Problem = http.StatusRequestEntityTooLarge, "That is longer than any name and password."
	}
	s.render(w, status, signInTemplate, view)
}

func (s *server) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.SignOut(w, r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	redirect(w, r, "/")
}

func (s *server) profilePage(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	s.render(w, http.StatusOK, profileTemplate, map[string]any{
		"Account": auth.MustUser[*account](r.Context()), "Identity": id,
	})
}

// render runs a template to its end before it writes: a failure is a clean 500.
func (s *server) render(w http.ResponseWriter, status int, t *template.Template, view any) {
	var body bytes.Buffer
	if err := t.Execute(&body, view); err != nil {
		s.log.Error("page", "template", t.Name(), "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// redirect answers with what depends on who asks, so no cache may keep it.
func redirect(w http.ResponseWriter, r *http.Request, path string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, path, http.StatusSeeOther)
}

func style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, files, "style.css")
}
