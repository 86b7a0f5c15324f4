package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/front"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/limiter"
)

//go:embed templates style.css
var files embed.FS

var (
	signInTemplate  = page("templates/signin.html")
	profileTemplate = page("templates/profile.html")
)

func page(name string) *template.Template {
	funcs := template.FuncMap{"machine": machineTime, "human": humanTime, "day": day, "count": count}
	return template.Must(template.New("layout.html").Funcs(funcs).ParseFS(files, "templates/layout.html", name))
}

func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
func humanTime(t time.Time) string   { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }
func day(t time.Time) string         { return t.UTC().Format("2 Jan 2006") }

// count returns a number with a noun: "None", "1 token", "2 tokens", "more than 1000 tokens".
func count(n int, more bool, noun string) string {
	switch {
	case more:
		return fmt.Sprintf("more than %d %ss", n, noun)
	case n == 0:
		return "None"
	case n == 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

type signInView struct {
	Name, Next string
	Problem    string // why the last attempt failed
	Again      bool   // whether a signed-in user has to sign in again
}

func (s *server) signInPage(w http.ResponseWriter, r *http.Request) {
	next := r.URL.Query().Get("next")
	// With prompt=login, a signed-in user is asked to sign in again.
	again := r.URL.Query().Get("prompt") == "login"
	_, signedIn := auth.FromContext(r.Context())
	if signedIn && !again {
		redirect(w, r, auth.LocalPath(next, "/profile"))
		return
	}
	s.render(w, http.StatusOK, signInTemplate, signInView{Next: auth.LocalPath(next, ""), Again: signedIn})
}

// toSignInPage responds if a path that takes a form is opened as a page.
func toSignInPage(w http.ResponseWriter, r *http.Request) {
	page := "/"
	if next := auth.LocalPath(r.URL.Query().Get("next"), ""); next != "" {
		page += "?next=" + url.QueryEscape(next)
	}
	redirect(w, r, page)
}

// signIn checks the origin of the request first. Other sites must not be able to try
// passwords from a user's browser, or to sign it in as another user (login CSRF).
func (s *server) signIn(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.CheckOrigin(r); err != nil {
		s.signInFailed(w, r, signInView{}, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		s.signInFailed(w, r, signInView{}, err)
		return
	}
	// PostForm, not Form: passwords in URLs end up in logs.
	view := signInView{Name: r.PostForm.Get("username"), Next: auth.LocalPath(r.PostForm.Get("next"), "")}
	addr, _ := auth.ClientAddr(r.Context())
	u, err := s.users.signIn(r.Context(), front.ClientNetwork(addr), view.Name, r.PostForm.Get("password"))
	if err == nil {
		err = s.startSession(w, r, u)
	}
	if err != nil {
		s.signInFailed(w, r, view, err)
		return
	}
	redirect(w, r, auth.LocalPath(view.Next, "/profile"))
}

// signInFailed shows the form again. A wrong password is 403: 401 would require a
// challenge (RFC 9110, section 15.5.2), and a form has no authentication scheme.
func (s *server) signInFailed(w http.ResponseWriter, r *http.Request, view signInView, err error) {
	var tooLarge *http.MaxBytesError
	var limit limitError
	status := http.StatusBadRequest
	view.Problem = "The form could not be read. Please try again."
	switch {
	case errors.Is(err, errWrongPassword):
		status, view.Problem = http.StatusForbidden, "Wrong name or password."
	case errors.Is(err, auth.ErrCrossOrigin):
		status, view.Problem = http.StatusForbidden, "The request came from another site. If you want to sign in, do so here."
	case errors.Is(err, limiter.ErrBusy), errors.Is(err, auth.ErrUnavailable):
		s.logOutage(r, "sign-in failed", err)
		status, view.Problem = http.StatusServiceUnavailable, "Sign-in is temporarily unavailable. Please try again in a minute."
	case errors.As(err, &limit):
		seconds := int(math.Ceil(time.Duration(limit).Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		status, view.Problem = http.StatusTooManyRequests, fmt.Sprintf("Too many attempts. Please try again in %d s.", seconds)
	case errors.As(err, &tooLarge):
		status, view.Problem = http.StatusRequestEntityTooLarge, "The name or password is too long."
	}
	s.render(w, status, signInTemplate, view)
}

// logOutage does not log the error of a client that has hung up as an outage, because any
// client could then cause alerts.
func (s *server) logOutage(r *http.Request, what string, err error) {
	level := slog.LevelError
	if errors.Is(r.Context().Err(), context.Canceled) {
		level = slog.LevelDebug
	}
	s.log.Log(context.WithoutCancel(r.Context()), level, what, "error", err)
}

func (s *server) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.SignOut(w, r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	redirect(w, r, "/")
}

// profilePage has a section for Developer Settings. Without the summary, which the store may fail
// to give, it still has the links.
func (s *server) profilePage(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	summary, err := s.developer.Summary(r)
	if err != nil {
		s.logOutage(r, "no summary of the settings", err)
	}
	s.render(w, http.StatusOK, profileTemplate, map[string]any{
		"User": currentUser(r), "Identity": id, "Summary": summary,
	})
}

// render executes the template before it writes, so that an error gives a clean 500.
func (s *server) render(w http.ResponseWriter, status int, t *template.Template, view any) {
	var body bytes.Buffer
	if err := t.Execute(&body, view); err != nil {
		s.log.Error("template failed", "template", t.Name(), "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// redirect forbids caching, because the target depends on the user.
func redirect(w http.ResponseWriter, r *http.Request, path string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, path, http.StatusSeeOther)
}

func style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, files, "style.css")
}
