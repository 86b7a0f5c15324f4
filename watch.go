package auth

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/watch"
)

const (
	defaultWatch = 30 * time.Second
	minWatch     = time.Second
	maxWatch     = time.Hour
	askTimeout   = 10 * time.Second // of one Recheck, in case Resolve waits for longer
)

var watches watch.Registry

// Watch returns a copy of ctx that ends when the credential of the request is no longer valid:
// when [Recheck] would return an error. It is for handlers that stream or hold a WebSocket
// open, which would otherwise outlive a revocation. [context.Cause] then returns that error, an
// *[Error]. It returns the cause of ctx if ctx has ended, and [context.Canceled] after cancel.
//
// Watch calls Recheck once at the start, and again within every, up to a quarter sooner, so that
// streams do not ask together. If the store is a [Notifier], it also calls Recheck as soon as
// the store reports a change for the user. If the store reports that changes may have been
// missed, all of its watches call Recheck again, spread over every. So a revocation ends the
// context in milliseconds if the store reports it, and otherwise within every, as does a user
// that [Middleware.Resolve] rejects. At ExpiresAt the context ends without asking the store. A
// session that becomes idle ends at that time: an open stream is not a use of its session. A check
// of [Middleware.RequireFunc], for example of a role in a tenant, is the handler's to repeat.
//
// Zero or a negative every means 30 seconds. Less than a second counts as a second, and more than
// an hour as an hour: a store that reports changes can miss some. At most 8 calls of Recheck are
// in progress for a store, so a slow store delays the next ones. Each has 10 seconds.
//
// An outage, of the store or of Resolve, says nothing about the credential. The context does
// not end, as a short outage would close all streams at once. Watch asks again after a second, and
// then at growing intervals of at most 30 seconds and at most every. After 5 minutes without an
// answer the context ends with [ErrUnavailable]: the credential may have been revoked, and new
// requests are rejected too. This is the longest time that a revocation can remain unnoticed,
// after the Recheck that was due.
//
// The returned context has ended already if Recheck cannot succeed: with [ErrNoCredential] if
// the request is anonymous, and with the status 500 outside of Require and Optional and for
// identities of [NewContext]. Behind Optional, call Watch only if [FromContext] finds an
// identity. A custom [Authenticator] is called again at each interval, as by Recheck: neither
// the handler nor a middleware may change the header of the request meanwhile.
//
// The caller must call cancel when the handler returns, as with [context.WithCancel]; the end
// of ctx releases everything too. A watch has no goroutine. The Observer is called only if the
// error is passed to [WriteError] or [Report]. Watch does not block, and both functions are safe for
// concurrent use.
func Watch(ctx context.Context, every time.Duration) (watched context.Context, cancel context.CancelFunc) {
	if every <= 0 {
		every = defaultWatch
	}
	watched, end := context.WithCancelCause(ctx)
	w := &watcher{ctx: watched, end: end, identity: current(ctx)}
	sources := w.identity.sources()
	if len(sources) == 0 {
		end(Recheck(ctx)) // without a question to the store
	}
	if watched.Err() != nil {
		return watched, func() { end(nil) }
	}
	o := watch.Options{Every: min(max(every, minWatch), maxWatch)}
	if c := w.identity.credential; c != nil {
		o.Subject, o.Expires = watch.Subject{Kind: uint8(c.Kind), UserID: c.UserID}, c.ExpiresAt
	} else { // of a custom authenticator
		o.Expires = w.identity.principal.identity.ExpiresAt
	}
	var all []*watch.Watch
	for _, s := range sources {
		all = append(all, watches.Add(s.key, s.notify, w, o))
	}
	remove := func() {
		for _, one := range all {
			one.Remove()
		}
	}
	context.AfterFunc(watched, remove)
	return watched, func() {
		end(nil)
		remove()
	}
}

// A source is where a credential comes from: a store, or a custom authenticator.
type source struct {
	key    any
	notify watch.Notify // nil if it is no Notifier
}

// sources returns those that may know the credential, each once: several authenticators of its
// scheme may have stores of their own, and which one has accepted it is not kept.
func (c *identityContext) sources() (all []source) {
	var id Identity
	if !c.describe(&id) || c.route == nil {
		return nil
	}
	known := make(map[any]bool)
	for i, a := range c.route.authenticators {
		if c.route.schemes[i] != id.Scheme {
			continue
		}
		if s, ok := c.sourceOf(a); ok && !known[s.key] {
			known[s.key] = true
			all = append(all, s)
		}
	}
	return all
}

func (c *identityContext) sourceOf(a Authenticator) (s source, ok bool) {
	switch a := a.(type) {
	case *Bearer:
		return a.source(), c.credential != nil
	case *headerBearer:
		return a.bearer.source(), c.credential != nil
	case *Secret:
		return a.source(), c.credential != nil
	case *Cookie:
		return a.source(), c.credential != nil
	}
	return source{key: comparableOr(a, c.route)}, c.principal != nil && c.principal.request != nil
}

func (cs *credentials) source() source {
	s := source{key: comparableOr(cs.store, cs)}
	if notifier, ok := cs.store.(Notifier); ok {
		s.notify = func(f func(uint8, string)) (stop func(), err error) {
			stop, err = notifier.Notify(func(kind Kind, userID string) { f(uint8(kind), userID) })
			if isUnsupported(err) && !errors.Is(err, ErrUnavailable) {
				return nil, nil
			}
			return stop, err
		}
	}
	return s
}

// comparableOr returns v if it can be the key of a map, as a pointer can and a LookupStore cannot.
func comparableOr(v, otherwise any) any {
	if reflect.ValueOf(v).Comparable() {
		return v
	}
	return otherwise
}

// A watcher is the context of a Watch.
type watcher struct {
	ctx      context.Context
	end      context.CancelCauseFunc
	identity *identityContext
}

var errUnanswered = errors.New("auth: Watch got no answer")

// Ask implements watch.Watched. It recovers what Recheck does not, an http.ErrAbortHandler:
// this goroutine has no connection to close, and a panic would end the process.
func (w *watcher) Ask() (a watch.Answer) {
	defer func() {
		if v := recover(); v != nil {
			a = watch.Answer{Err: w.rejection(errInternal(panicError("Recheck", v)))}
		}
	}()
	ctx, cancel := context.WithTimeout(w.ctx, askTimeout)
	defer cancel()
	var until validity
	err := recheck(ctx, &until)
	return watch.Answer{Err: err, Unknown: errors.Is(err, ErrUnavailable), Expires: until.expires, AskBy: until.idle}
}

// Expired implements watch.Watched.
func (w *watcher) Expired() {
	w.end(w.rejection(&Error{Reason: ReasonExpired, Err: ErrInvalidCredential}))
}

// Unanswered implements watch.Watched.
func (w *watcher) Unanswered(err error) {
	if err == nil {
		err = w.rejection(errUnavailable(errUnanswered))
	}
	w.end(err)
}

// Rejected implements watch.Watched.
func (w *watcher) Rejected(err error) { w.end(err) }

// rejection is what Recheck returns for err.
func (w *watcher) rejection(err error) error {
	var id Identity
	w.identity.describe(&id)
	e := w.identity.rejection(w.ctx, &id, err)
	e.pendingEvent = true
	return &e
}
