package auth

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/requestinfo"
	"github.com/seed-31c5bcb2/auth/internal/text"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

// An EventType says what happened. It is one of the constants below.
type EventType string

// Decisions on requests. They are reported to Middleware.Observe. EventRefused is also
// reported to the Observe of a Cookie, for cross-origin requests that CheckOrigin, SignIn
// and SignOut reject.
const (
	EventAccepted  EventType = "accepted"  // a request passed Require, or Optional with a credential; a check inside, for example of a scope, may still reject it
	EventAnonymous EventType = "anonymous" // Optional let a request through without an identity; Reason is set if it had an invalid credential
	EventRefused   EventType = "refused"   // a request was rejected; Reason says why
)

// Changes to credentials. They are reported to the Observe of the authenticator. What
// Rotate and Revoke revoke along with the credential that they name has no event of its own.
const (
	EventIssued     EventType = "issued"      // a token or secret was created
	EventImported   EventType = "imported"    // a token or secret of another system was added
	EventRotated    EventType = "rotated"     // CredentialID is the new one
	EventUpdated    EventType = "updated"     // a token's name, scopes, networks or metadata were changed
	EventRevealed   EventType = "revealed"    // a client secret was shown again
	EventRevoked    EventType = "revoked"     // one credential was revoked; Reason says why
	EventRevokedAll EventType = "revoked_all" // all of a user's credentials of one kind were revoked, or all sessions with exceptions
	EventSignedIn   EventType = "signed_in"
	EventSignedOut  EventType = "signed_out"
	EventBound      EventType = "bound"    // a session was bound to a device; CredentialID is the new one, which replaces it
	EventUseLost    EventType = "use_lost" // last-use times could not be written, and the write is retried in a minute; if Close makes the write, it returns the error instead
	EventFailed     EventType = "failed"   // a call returned an error: Operation says which call, and Reason why
)

// Operations, which Event.Operation names.
const (
	opIssue           = "issue"
	opImport          = "import" // ImportDigest too
	opList            = "list"
	opGet             = "get"
	opReveal          = "reveal"
	opRotate          = "rotate"
	opUpdate          = "update"
	opRevoke          = "revoke"
	opRevokeAll       = "revoke_all"
	opRevokePlaintext = "revoke_plaintext"
	opSignIn          = "sign_in"
	opSignOut         = "sign_out"
	opBind            = "bind"
)

// An Event is a decision on a request, or a change to a credential. It never contains
// a credential.
//
// A call of an authenticator that returns an error is an EventFailed, except that List and
// Get report only outages and panics, and that a cross-origin SignIn or SignOut is an EventRefused. A
// call may have more than one event: a SignIn reports the sessions that it ended, even if it
// then fails.
type Event struct {
	Type EventType
	// Operation is the call that caused the event: "issue", "import", "list", "get",
	// "reveal", "rotate", "update", "revoke", "revoke_all", "revoke_plaintext", "sign_in",
	// "sign_out" or "bind". It is empty for events of
	// Middleware.Observe, of CheckOrigin, and for EventUseLost.
	Operation string
	Scheme    Scheme // empty if unknown
	// UserID is empty if unknown. Of EventFailed, it is empty if it is not a valid user ID.
	UserID string
	// CredentialID is empty if unknown. Of EventFailed, it is the argument of the call, which
	// the user may not have, and empty if it does not look like an ID: it could be a
	// credential that was sent in place of one. Of a RevokePlaintext that failed, it is the
	// token that was found.
	CredentialID string
	// Actor is the user who acts as UserID, if that is another: [Identity].Actor of the request's
	// session. A SignIn has the one of its SessionOptions, and a session that SignIn or SignOut
	// ends because it came with the request has its own. Any other change has that of the identity
	// in its context. It is empty if the user acts, and if the session is unknown.
	Actor  string
	Reason Reason // of EventRefused, EventFailed, EventRevoked, EventRevokedAll and EventUseLost, and of EventAnonymous if a credential was invalid
	// Method, Pattern and Origin are those of the request. A change belongs to the request in whose
	// context it was made, if that is behind Require or Optional; a SignIn, a SignOut and a
	// CheckOrigin belong to their request in any case. They are empty if there is no request, as
	// for EventUseLost. A goroutine that makes a change in the context of a request reads the
	// request, so the handler must not modify it meanwhile.
	//
	// Method is the request's method. The client chooses it: it is a token of at most 20 bytes,
	// and empty if the request has another.
	Method string
	// Pattern is the http.Request.Pattern at that moment: the pattern of the route, for example
	// "GET /users/{id}", and never the path, which may contain a credential. If there are several
	// routers, it is that of the last one that has run. It is empty if the router is inside of
	// Require and has not run yet, or sets no Pattern.
	Pattern string
	// Origin is the request's Origin header: the site whose page made a browser send the request.
	// It is client input: a program can send any. It is "null" or scheme://host or
	// scheme://host:port in lower case, in at most 256 bytes, and empty if the request has no
	// Origin header, several, or another value.
	Origin string
	// ClientAddr is the address that [WithClientAddr] has set in the context of the request or
	// change, without a zone. It is the zero Addr if the service has set none.
	ClientAddr netip.Addr
	// Err is the error of a store, of Middleware.Resolve or of a check of RequireFunc that made
	// something unavailable, or a panic; otherwise nil. Errors of custom authenticators are left out, as they may
	// contain a credential.
	Err error
}

// LogValue returns a group of the fields that are not empty.
func (e Event) LogValue() slog.Value {
	var clientAddr string
	if e.ClientAddr.IsValid() {
		clientAddr = e.ClientAddr.String()
	}
	attrs := make([]slog.Attr, 0, 12)
	for _, a := range [...]slog.Attr{
		slog.String("type", string(e.Type)),
		slog.String("operation", e.Operation),
		slog.String("scheme", string(e.Scheme)),
		slog.String("user_id", e.UserID),
		slog.String("credential_id", e.CredentialID),
		slog.String("actor", e.Actor),
		slog.String("reason", string(e.Reason)),
		slog.String("method", e.Method),
		slog.String("pattern", e.Pattern),
		slog.String("origin", e.Origin),
		slog.String("client_addr", clientAddr),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// An Observer is called synchronously, on the goroutine that caused the event: for a
// request, before the handler runs or the error is written. It must be safe for concurrent
// use, and must neither block nor panic.
//
// ctx is the context of the request or call. For an EventAccepted it is the handler's: in it,
// [FromContext] returns the identity and [User] the user that Middleware.Resolve returned, for
// example for a log line or a span. They do so for an EventRefused of a check inside of Require
// too, such as RequireScope, but not if Require itself has rejected the request, and for a
// change that a handler makes with its context.
//
// A nil Observer costs nothing, but the causes of 5xx responses are not lost: events with
// [ReasonUnavailable] or [ReasonInternal] are logged to [slog.Default] as by [LogTo]. During
// an outage that is a line for each request, as net/http logs each panic. Set an Observer to
// log less or more, or nothing.
type Observer func(ctx context.Context, e Event)

// LogTo returns an Observer that logs each event to l, or to slog.Default() if l is nil. The
// level is Error for outages and internal errors; Warn for rejected requests, leaked
// credentials that are revoked, and last uses that could not be written; Debug for accepted
// and anonymous requests; and Info for all others: changes, rejected requests without a
// credential, canceled ones, and other calls that failed.
func LogTo(l *slog.Logger) Observer {
	return func(ctx context.Context, e Event) {
		logger := l
		if logger == nil {
			logger = slog.Default()
		}
		logger.LogAttrs(ctx, e.level(), "auth", slog.Any("event", e))
	}
}

func (e Event) level() slog.Level {
	switch {
	case e.Reason == ReasonUnavailable && e.Type != EventUseLost, e.Reason == ReasonInternal:
		return slog.LevelError
	case e.Reason == ReasonMissing, e.Reason == ReasonCanceled:
		return slog.LevelInfo
	case e.Type == EventAccepted, e.Type == EventAnonymous:
		return slog.LevelDebug
	case e.Type == EventRefused, e.Type == EventUseLost, e.Reason == ReasonLeaked, e.Reason == ReasonRepeated:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

var logDefault = LogTo(nil)

// newEvent returns an event about a credential.
func newEvent(t EventType, scheme Scheme, about subject) Event {
	return Event{Type: t, Scheme: scheme, UserID: about.userID, CredentialID: about.credentialID, Actor: about.actor}
}

// notify completes e with the request, and calls o. If r is nil, the request is that of ctx, if
// there is one. If o is nil, it logs what operators have to repair.
func (o Observer) notify(ctx context.Context, r *http.Request, e Event) {
	if o == nil {
		if e.Reason != ReasonUnavailable && e.Reason != ReasonInternal {
			return
		}
		o = logDefault
	}
	if r == nil {
		r = requestOf(ctx)
	}
	if r != nil {
		e.Method, e.Pattern, e.Origin = requestinfo.Method(r), requestinfo.Pattern(r), requestinfo.Origin(r)
	}
	e.ClientAddr = recordedAddr(ctx)
	o(ctx, e)
}

// An operation is one call that creates, changes, lists or reveals credentials. Its events
// go through it, so that all have its name and request, and that no failure is missed: each
// such method calls begin and defers done. It lives as long as the call, and holds its ctx.
type operation struct {
	*credentials
	ctx        context.Context
	name       string
	userID, id string        // of EventFailed; empty if unknown
	request    *http.Request // of a SignIn or SignOut; otherwise nil
	actor      string        // of the session that a SignIn starts
}

// begin drops arguments that must not get into a log. A program may pass on an ID from a URL
// without a check, where a user may have pasted a token.
func (cs *credentials) begin(ctx context.Context, name, userID, id string) *operation {
	op := &operation{credentials: cs, ctx: ctx, name: name}
	if text.IsKey(userID, maxUserID) {
		op.userID = userID
	}
	if made, ok := token.IDTime(id); ok && time.Until(made) < 24*time.Hour { // clocks differ
		op.id = id
	}
	return op
}

func (op *operation) notify(e Event) {
	e.Operation, e.Actor = op.name, cmp.Or(e.Actor, op.actor)
	op.credentials.notify(op.ctx, op.request, e)
}

// done reports the error that the operation returns, if any, or the panic that ends it.
func (op *operation) done(err *error) {
	if v := recover(); v != nil {
		if v != http.ErrAbortHandler {
			op.notify(Event{Type: EventFailed, UserID: op.userID, CredentialID: op.id, Reason: ReasonInternal, Err: panicError(op.name, v)})
		}
		panic(v)
	}
	if *err == nil || *err == error(errCrossOrigin) { // checkOrigin has reported that one
		return
	}
	c := conditionOf(*err)
	e := Event{Type: EventFailed, UserID: op.userID, CredentialID: op.id, Reason: c.reason}
	switch {
	case c == conditionUnavailable:
		e.Reason, e.Err = outageReason(op.ctx), *err
	case op.name == opList || op.name == opGet:
		return // an answer like any other
	case c.err == ErrInvalidCredential:
		e.Reason = asError(*err).Reason
	}
	op.notify(e)
}
