package auth

import (
	"context"
	"log/slog"
)

// An EventKind says what happened. It is one of the constants below.
type EventKind string

// The kinds of events. The first three are decisions on requests and go to
// Middleware.Observe; the rest go to the authenticator's own Observe, and so does
// what Cookie.CheckOrigin, SignIn and SignOut refuse.
const (
	EventAccepted  EventKind = "accepted"  // a request passed Require, or Optional with a credential; a scope may yet refuse it
	EventAnonymous EventKind = "anonymous" // a request passed Optional as nobody's; Reason says what was wrong with a credential that it had
	EventRefused   EventKind = "refused"   // a request was refused; Reason says why

	EventIssued     EventKind = "issued"      // a token, or a client secret assigned
	EventImported   EventKind = "imported"    // a token or secret of another system taken over
	EventRotated    EventKind = "rotated"     // CredentialID is the new one
	EventRevealed   EventKind = "revealed"    // a client secret was looked at again
	EventRevoked    EventKind = "revoked"     // one credential ended
	EventRevokedAll EventKind = "revoked_all" // all of a user's of one kind ended
	EventSignedIn   EventKind = "signed_in"
	EventSignedOut  EventKind = "signed_out"
	EventUseLost    EventKind = "use_lost" // writing last uses failed; it is tried again in a minute
)

// An Event is one decision on a request, or one change in a credential's life.
// It never holds a credential.
type Event struct {
	Kind         EventKind
	Scheme       Scheme // "" if none was presented
	UserID       string // "" if it is not known whose
	CredentialID string // "" if it is not known which
	Reason       Reason // "" unless refused, passed over or ended
	// Remote is the request's RemoteAddr: behind a proxy, the proxy. Of a change,
	// it is that of the request in whose handler the change was made, behind a
	// Require or Optional; "" where there is no such request. Take a client's
	// address that a proxy reports from the context, where a middleware in front
	// has put it.
	Remote string
	// Err is what went wrong with a store or with Middleware.Resolve, and a
	// panic; nil otherwise. What an authenticator of one's own returned is not
	// here, as it may quote what it was given.
	Err error
}

// LogValue makes an Event a group of its non-empty fields.
func (e Event) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 7)
	for _, a := range [...]slog.Attr{
		slog.String("kind", string(e.Kind)),
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

// An Observer is told of events, one after the other on the goroutine that
// causes them: it is safe for concurrent use and hands long work to somebody
// else. Of a request it is told before the handler runs or the refusal is
// written. A nil Observer costs nothing.
type Observer func(ctx context.Context, e Event)

// LogTo is an Observer that writes each event to l, or to slog.Default() if l
// is nil: outages and faults at Error, refused credentials and lost uses at
// Warn, requests without a credential and a credential's life at Info, accepted
// requests at Debug.
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
	case e.Reason == ReasonUnavailable && e.Kind == EventRefused, e.Reason == ReasonInternal:
		return slog.LevelError
	case e.Reason == ReasonMissing, e.Reason == ReasonCanceled:
		return slog.LevelInfo
	case e.Kind == EventRefused, e.Kind == EventUseLost:
		return slog.LevelWarn
	case e.Kind == EventAccepted, e.Kind == EventAnonymous:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// tell is the nil check that every caller would need.
func (o Observer) tell(ctx context.Context, e Event) {
	if o != nil {
		o(ctx, e)
	}
}
