package auth

import (
	"context"
	"log/slog"
	"net/http"
	"time"

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
	// "reveal", "rotate", "update", "revoke", "revoke_all", "revoke_plaintext", "sign_in" or
	// "sign_out". It is empty for events of
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
	Reason       Reason // of EventRefused, EventFailed, EventRevoked, EventRevokedAll and EventUseLost, and of EventAnonymous if a credential was invalid
	// Remote is the request's RemoteAddr: behind a proxy, the proxy's address. For a
	// change, it is that of the request in whose context the change was made, if that
	// is behind Require or Optional; else empty. Sign-ins and sign-outs have the address of
	// their request in any case. If a middleware in front determines the
	// client's address, take it from the context.
	Remote string
	// Err is the error of a store, of Middleware.Resolve or of a check of RequireFunc that made
	// something unavailable, or a panic; otherwise nil. Errors of custom authenticators are left out, as they may
	// contain a credential.
	Err error
}

// LogValue returns a group of the fields that are not empty.
func (e Event) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 8)
	for _, a := range [...]slog.Attr{
		slog.String("type", string(e.Type)),
		slog.String("operation", e.Operation),
		slog.String("scheme", string(e.Scheme)),
		slog.String("user_id", e.UserID),
		slog.String("credential_id", e.CredentialID),
		slog.String("reason", string(e.Reason)),
		slog.String("remote", e.Remote),
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

// notify calls o. If o is nil, it logs what operators have to repair.
func (o Observer) notify(ctx context.Context, e Event) {
	switch {
	case o != nil:
		o(ctx, e)
	case e.Reason == ReasonUnavailable, e.Reason == ReasonInternal:
		logDefault(ctx, e)
	}
}

// An operation is one call that creates, changes, lists or reveals credentials. Its events
// go through it, so that all have its name and address, and that no failure is missed: each
// such method calls begin and defers done. It lives as long as the call, and holds its ctx.
type operation struct {
	*credentials
	ctx        context.Context
	name       string
	userID, id string // of EventFailed; empty if unknown
	remote     string // of the request of a SignIn or SignOut; otherwise that of ctx
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
	e.Operation, e.Remote = op.name, op.remote
	op.credentials.notify(op.ctx, e)
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
