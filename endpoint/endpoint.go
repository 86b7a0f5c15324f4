// Package endpoint has HTTP endpoints for other programs: for a reverse proxy that asks whether a
// request may pass, for services in other languages that receive a token, and for those who find
// a token that has leaked.
//
//	forwardAuth, err := endpoint.NewForwardAuth(endpoint.ForwardAuthConfig{
//		Proxy: endpoint.ProxyNGINX, Authenticators: []auth.Authenticator{bearer, cookie},
//	})
//	mux.Handle("/forward-auth", forwardAuth)
//
// [NewForwardAuth] is for nginx, Caddy, Traefik and Envoy, [NewIntrospection] for services that receive
// tokens (RFC 7662), [NewRevocation] for programs that have one (RFC 7009), [NewMetadata] for clients
// that have none yet (RFC 9728), and [NewLeakReport] for GitHub, which finds leaked ones.
//
// Each constructor takes a Config and returns an [http.Handler], or an error that lists everything
// that is wrong with the Config. The handlers are safe for concurrent use. They bound what they
// read, and send no credential and no reason why one is invalid. Decisions are reported to the
// Observe of Config.Middleware, with the identity in the Observer's context, and changes to that of
// the authenticator. If one is nil, outages and internal errors are logged to slog.Default().
//
// docs/guides/forward-auth.md has complete configurations of nginx and Caddy, and
// docs/guides/other-programs.md describes the other endpoints.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/requestinfo"
	"github.com/seed-31c5bcb2/auth/internal/wire"
)

// configErrors collects the mistakes in a Config, whose type has the given name.
type configErrors struct {
	config string
	errs   []error
}

func (e *configErrors) add(field, format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf("endpoint: %s.%s: "+format, append([]any{e.config, field}, args...)...))
}

func (e *configErrors) err() error { return errors.Join(e.errs...) }

// require is m.Require. The mistakes for which that panics are added to e.
func (e *configErrors) require(m auth.Middleware, authenticators []auth.Authenticator) (wrap func(http.Handler) http.Handler) {
	if len(authenticators) == 0 {
		e.add("Authenticators", "is empty: use auth.NewBearer, for example")
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			e.add("Authenticators or Middleware", "%s", strings.TrimPrefix(fmt.Sprint(v), "auth: "))
		}
	}()
	return m.Require(authenticators[0], authenticators[1:]...)
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

// refused is the event for a request that an endpoint rejects by itself.
func refused(r *http.Request, reason auth.Reason, err error) auth.Event {
	addr, _ := auth.ClientAddr(r.Context())
	return auth.Event{
		Type: auth.EventRefused, Reason: reason, Err: err, ClientAddr: addr.WithZone(""),
		Method: requestinfo.Method(r), Pattern: requestinfo.Pattern(r), Origin: requestinfo.Origin(r),
	}
}

// writeProblem sends a problem document (RFC 9457), as auth.WriteError does for its errors.
func writeProblem(w http.ResponseWriter, status int, code, detail string) {
	wire.JSON(w, status, "application/problem+json", struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(status), status, code, detail})
}
