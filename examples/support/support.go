package main

import (
	"context"
	"errors"
	"html/template"
	"io"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// supportRoutes are for staff. Those that start a session accept the staff member's own
// cookie only, so a support session cannot start another.
func (s *service) supportRoutes(mux *http.ServeMux) {
	staff, recent := auth.RequireFunc(staffOnly), auth.RequireRecent(time.Hour)
	mux.Handle("POST /support/sessions", s.m.Require(s.session)(staff(recent(http.HandlerFunc(s.start)))))
	mux.HandleFunc("POST /support/end", s.end)
}

// staffOnly lets only staff pass, and only as themselves.
func staffOnly(r *http.Request, id *auth.Identity) error {
	if !auth.MustUser[user](r.Context()).staff || id.Actor != "" {
		return auth.ErrForbidden
	}
	return nil
}

// start starts a session in a customer's account. It has the rule who may act for whom.
func (s *service) start(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	customer, known := s.user(r.PostFormValue("customer"))
	ticket := r.PostFormValue("ticket")
	switch {
	case !known:
		auth.WriteError(w, r, auth.ErrNotFound)
		return
	case customer.staff: // who may have rights that this staff member lacks
		auth.WriteError(w, r, auth.ErrForbidden)
		return
	case ticket == "": // a real service also checks that it is open, and the customer's
		http.Error(w, "a ticket is required", http.StatusBadRequest)
		return
	}
	_, err := s.support.SignIn(w, r, customer.id, auth.SessionOptions{
		Actor:         id.UserID,
		NonPersistent: true,
		Metadata:      map[string]string{"ticket": ticket, "actor_session": id.CredentialID},
	})
	if err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// end ends the support session, and leaves the staff member's own session alone.
func (s *service) end(w http.ResponseWriter, r *http.Request) {
	if err := s.support.SignOut(w, r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// resolve returns the user whose account it is. It rejects support sessions that must have ended.
func (s *service) resolve(ctx context.Context, id *auth.Identity) (any, error) {
	u, known := s.user(id.UserID)
	if !known {
		return nil, auth.ErrInvalidCredential
	}
	if id.Actor == "" {
		return u, nil
	}
	return u, s.checkActor(ctx, u, id)
}

// checkActor rejects a support session if the actor is no longer staff or has signed out, or
// if the customer is staff by now.
func (s *service) checkActor(ctx context.Context, customer user, id *auth.Identity) error {
	actor, known := s.user(id.Actor)
	if !known || !actor.staff || customer.staff {
		return auth.ErrInvalidCredential
	}
	own, err := s.session.Get(ctx, id.Actor, id.Metadata.Get("actor_session"))
	if errors.Is(err, auth.ErrNotFound) || err == nil && own.Expired(time.Now()) {
		return auth.ErrInvalidCredential
	}
	return err // nil, or an outage: 503
}

// account requires a session. If the browser sends a support cookie, only that one counts.
func (s *service) account(h http.Handler) http.Handler {
	acting := *s.m
	acting.OnError = supportError
	return s.choose(s.m.Require(s.session)(h), acting.Require(s.support)(h))
}

// choose serves requests with a support cookie by acting, even if its session has ended:
// what a staff member does in a customer's account must never happen in their own.
func (s *service) choose(own, acting http.Handler) http.Handler {
	name := s.support.Policy().Name
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.CookiesNamed(name)) > 0 {
			acting.ServeHTTP(w, r)
			return
		}
		own.ServeHTTP(w, r)
	})
}

// supportError shows staff that the support session has ended, and a button that removes its cookie.
func supportError(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, auth.ErrInvalidCredential) {
		auth.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusUnauthorized)
	io.WriteString(w, `<!doctype html><title>Acme</title><p>Your support session has ended.</p>
<form method="post" action="/support/end"><button>Return to your own account</button></form>`)
}

// ownerOnly rejects sessions in which another user acts.
func ownerOnly(_ *http.Request, id *auth.Identity) error {
	if id.Actor != "" {
		return &auth.Error{Reason: auth.ReasonActor, Err: auth.ErrForbidden}
	}
	return nil
}

var notes = template.Must(template.New("notes").Parse(`<!doctype html><title>Acme</title>
{{if .Actor}}<p role="status">{{.Actor}}, you act as {{.UserID}}.</p>
<form method="post" action="/support/end"><button>Stop</button></form>{{end}}
<h1>Notes of {{.UserID}}</h1>
<form method="post" action="/notes"><input type="hidden" name="account" value="{{.UserID}}">
<input name="text"><button>Add</button></form>`))

func showNotes(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	notes.Execute(w, id)
}

// addNote rejects a form that was opened in another account, for example before the browser
// was closed and forgot the support cookie.
func addNote(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	if r.PostFormValue("account") != id.UserID {
		http.Error(w, "you are in another account now: open the page again", http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent) // a real service stores the note, with id.Actor as its author
}
