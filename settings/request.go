package settings

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/requestinfo"
)

// A request is one that the middleware has authenticated, and what is needed to
// answer it.
type request struct {
	*handler
	*http.Request
	w     http.ResponseWriter
	id    *auth.Identity
	now   time.Time
	route route

	developer answer           // of Config.Developer
	name      string           // of Config.Account
	own       *auth.Credential // of ownSession, as ownErr
	ownErr    error
}

// An answer is what a callback of the service has returned.
type answer struct {
	asked, yes bool
	err        error
}

// run serves a request. A panic is an internal error of this request, as it is in
// auth.Middleware, and http.ErrAbortHandler passes.
func (r *request) run() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errInternal
			r.notify(auth.ReasonInternal, recovered(r.route.method+" "+r.route.path, v))
		}
	}()
	// Here, because nothing may come between the last check of the session and a plaintext.
	if r.nameOf != nil && r.id.Scheme == auth.SchemeCookie && !strings.HasPrefix(r.route.path, "/api/") {
		r.name = r.nameOf(r.Context(), r.identity())
	}
	if err := r.checkSession(); err != nil {
		return err
	}
	if err := r.checkQuery(); err != nil {
		return err
	}
	if err := r.checkConditions(); err != nil {
		return err
	}
	return r.route.serve(r)
}

// identity returns a copy of the identity for a function of the service, which may change it.
func (r *request) identity() *auth.Identity {
	id := *r.id
	return &id
}

// recovered returns an error for the value of a panic. The value may contain a credential, so
// only its type is named.
func recovered(where string, v any) error {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	return fmt.Errorf("settings: %s panicked with a %T\n%s", where, v, debug.Stack())
}

// checkSession rejects tokens and client secrets. If the request requires a recent sign-in, it
// also rejects sessions with an Actor, as a credential that they create would outlive the session
// and with it the permission to act as the user, and sessions that are too old.
// auth.WriteError notifies the Observer of the latter. A session with an Actor changes no token
// either.
func (r *request) checkSession() error {
	if r.id.Scheme != auth.SchemeCookie {
		r.notify(auth.ReasonScheme, nil)
		return errSession
	}
	recent := r.needsRecent()
	if !recent && !r.route.noActor {
		return nil
	}
	if r.id.Actor != "" {
		r.notify(auth.ReasonActor, nil)
		return errActor
	}
	if !recent {
		return nil
	}
	return r.checkRecent()
}

// checkRecent rejects a session whose sign-in is older than Config.MaxAge.
func (r *request) checkRecent() error {
	if err := auth.CheckRecent(r.Context(), r.maxAge); err != nil {
		return &checked{err}
	}
	return nil
}

// needsRecent reports whether the request requires a recent sign-in. To sign out never does.
func (r *request) needsRecent() bool {
	if r.route.recent || !r.recentForRevoke || !r.route.revokes {
		return r.route.recent
	}
	return !r.route.session || !r.isOwn(r.PathValue("id"))
}

// checkScopes rejects a grant of more access than the session itself has.
func (r *request) checkScopes(scopes []string) error {
	missing := r.missing(scopes)
	if missing == nil {
		return nil
	}
	r.notify(auth.ReasonScope, nil)
	return insufficientScope(missing)
}

// missing returns those of the scopes that the session does not have, and therefore cannot grant.
func (r *request) missing(scopes []string) (missing []string) {
	for _, s := range scopes {
		if r.id.Scopes != auth.FullAccess && !r.id.Scopes.Has(s) {
			missing = append(missing, s)
		}
	}
	return missing
}

// notifyOutage reports an error of Config.Developer. Authenticators report their own.
func (r *request) notifyOutage(err error) {
	reason := auth.ReasonUnavailable
	if errors.Is(r.Context().Err(), context.Canceled) {
		reason = auth.ReasonCanceled // the client disconnected
	}
	r.notify(reason, err)
}

// notify reports a rejection that happened behind the middleware to its Observer.
func (r *request) notify(reason auth.Reason, err error) {
	e := refused(r.Request, reason, err)
	e.Scheme, e.UserID, e.CredentialID, e.Actor = r.id.Scheme, r.id.UserID, r.id.CredentialID, r.id.Actor
	r.observe(r.Context(), e)
}

// refused returns the event of a rejected request, as package auth does.
func refused(r *http.Request, reason auth.Reason, err error) auth.Event {
	addr, _ := auth.ClientAddr(r.Context())
	return auth.Event{
		Type: auth.EventRefused, Reason: reason, Err: err,
		Method: requestinfo.Method(r), Pattern: requestinfo.Pattern(r), Origin: requestinfo.Origin(r),
		ClientAddr: addr.WithZone(""),
	}
}

// observer returns o or, if it is nil, an Observer that logs the causes of 5xx responses, as
// package auth does.
func observer(o auth.Observer) auth.Observer {
	if o != nil {
		return o
	}
	log := auth.LogTo(nil)
	return func(ctx context.Context, e auth.Event) {
		if e.Reason == auth.ReasonUnavailable || e.Reason == auth.ReasonInternal {
			log(ctx, e)
		}
	}
}
