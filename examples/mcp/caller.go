package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	mcpauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-31c5bcb2/auth"
)

// contextKey is where TokenInfo.Extra has the context of the HTTP request.
const contextKey = "auth.context"

// verify tells the SDK who sends a request, which Require has authenticated. The SDK rejects a
// request for the session of another UserID.
func verify(ctx context.Context, _ string, _ *http.Request) (*mcpauth.TokenInfo, error) {
	id, ok := auth.FromContext(ctx)
	if !ok {
		return nil, mcpauth.ErrInvalidToken
	}
	return &mcpauth.TokenInfo{
		UserID: id.UserID, Scopes: id.Scopes.List(), Expiration: id.ExpiresAt,
		Extra: map[string]any{contextKey: ctx},
	}, nil
}

// asCaller gives handlers the identity of the request that they answer. In a session, the context
// that they get from the SDK has the identity of the request that opened the session.
func asCaller(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if extra := req.GetExtra(); extra != nil && extra.TokenInfo != nil {
			if caller, ok := extra.TokenInfo.Extra[contextKey].(context.Context); ok {
				return next(callerContext{ctx, caller}, method, req)
			}
		}
		return nil, errors.New("the request has no identity")
	}
}

// A callerContext ends when Context does, and has the values of caller before its own.
type callerContext struct {
	context.Context
	caller context.Context
}

func (c callerContext) Value(key any) any {
	if v := c.caller.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// watched ends the response to a request when its token is no longer valid: some responses are
// streams of notifications, which stay open.
func watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := auth.Watch(r.Context(), 30*time.Second)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
