package auth

import (
	"context"
	"log/slog"
)

// An EventType says what happened. It is one of the constants below.
type EventType string

// Decisions on requests. They are reported to Middleware.Observe. EventRefused is also
// reported to the Observe of a Cookie, for cross-origin requests that CheckOrigin, SignIn
// and SignOut reject.
const (
	EventAccepted  EventType = "accepted"  // a request passed Require, or Optional with a credential; it may still lack a scope
	EventAnonymous EventType = "anonymous" // Optional let a request through without an identity; Reason is set if it had an invalid credential
	EventRefused   EventType = "refused"   // a request was rejected; Reason says why
)

// Changes to credentials. They are reported to the Observe of the authenticator. What
// Rotate and Revoke revoke along with the credential that they name has no event of its own.
const (
	EventIssued     EventType = "issued"      // a token or secret was created
	EventImported   EventType = "imported"    // a token or secret of another system was added
	EventRotated    EventType = "rotated"     // CredentialID is the new one
	EventRevealed   EventType = "revealed"    // a client secret was shown again
	EventRevoked    EventType = "revoked"     // one credential was revoked; Reason says why
	EventRevokedAll EventType = "revoked_all" // all of a user's credentials of one kind were revoked, or all sessions with exceptions
	EventSignedIn   EventType = "signed_in"
	EventSignedOut  EventType = "signed_out"
	EventUseLost    EventType = "use_lost" // last-use times could not be written; the write is retried in a minute
)

// An Event is a decision on a request, or a change to a credential. It never contains
// a credential.
type Event struct {
	Type         EventType
	Scheme       Scheme // empty if unknown
	UserID       string // empty if unknown
	CredentialID string // empty if unknown
	Reason       Reason // of EventRefused, EventAnonymous, EventRevoked, EventRevokedAll and EventUseLost
	// Remote is the request's RemoteAddr: behind a proxy, the proxy's address. For a
	// change, it is that of the request in whose context the change was made, if that
	// is behind Require or Optional; else empty. Sign-ins and sign-outs have the address of
	// their request in any case. If a middleware in front determines the
	// client's address, take it from the context.
	Remote string
	// Err is the error of a store or of Middleware.Resolve, or a panic; else nil. Errors
	// of custom authenticators are left out, as they may contain a credential.
	Err error
}

// LogValue returns a group of the fields that are not empty.
func (e Event) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 7)
	for _, a := range [...]slog.Attr{
		slog.String("type", string(e.Type)),
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
// use, and must neither block nor panic. A nil Observer costs nothing.
type Observer func(ctx context.Context, e Event)

// LogTo returns an Observer that logs each event to l, or to slog.Default() if l is nil. The
// level is Error for outages and internal errors; Warn for rejected credentials, leaked ones
// that are revoked, and last uses that could not be written; Debug for accepted and anonymous
// requests; and Info for all others.
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
	case e.Reason == ReasonUnavailable && e.Type == EventRefused, e.Reason == ReasonInternal:
		return slog.LevelError
	case e.Reason == ReasonMissing, e.Reason == ReasonCanceled:
		return slog.LevelInfo
	case e.Type == EventRefused, e.Type == EventUseLost, e.Reason == ReasonLeaked:
		return slog.LevelWarn
	case e.Type == EventAccepted, e.Type == EventAnonymous:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// notify calls o unless it is nil.
func (o Observer) notify(ctx context.Context, e Event) {
	if o != nil {
		o(ctx, e)
	}
}
