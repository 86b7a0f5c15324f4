package main

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/seed-31c5bcb2/auth"
)

// writeError answers a rejected request in the form of the client's protocol. For gRPC, the HTTP
// status is always 200.
func (s *service) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if !s.errors.IsSupported(r) {
		auth.WriteError(w, r, err)
		return
	}
	_ = s.errors.Write(w, r, connectError(err)) // fails only if the client is gone
}

// connectError returns an error for the client, without the text of err, which may have a reason
// that is not for clients.
func connectError(err error) *connect.Error {
	code, text := connect.CodeInternal, "An internal error occurred."
	var rejected *auth.Error
	if errors.As(err, &rejected) {
		code, text = codeOf(rejected.StatusCode()), rejected.Detail()
	}
	return connect.NewError(code, errors.New(text))
}

func codeOf(status int) connect.Code {
	switch status {
	case http.StatusBadRequest:
		return connect.CodeInvalidArgument
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusServiceUnavailable:
		return connect.CodeUnavailable
	}
	return connect.CodeInternal
}

// An interceptor gives streams that watched ends their error.
type interceptor struct{}

func (interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := next(ctx, conn)
		var rejected *auth.Error
		if errors.As(context.Cause(ctx), &rejected) {
			auth.Report(ctx, rejected)
			return connectError(rejected) // whatever the handler returned
		}
		return err
	}
}

func (interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc { return next }

func (interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}
