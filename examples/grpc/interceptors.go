package main

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/seed-31c5bcb2/auth"
)

// An authenticator has the interceptors of a server.
type authenticator struct {
	middleware *auth.Middleware
	bearer     *auth.Bearer
	scopes     map[string][]string // by method; a method that is in neither map is closed
	public     map[string]bool     // methods that need no token
	every      time.Duration       // see auth.Watch
}

func (a *authenticator) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if !a.public[info.FullMethod] {
		var err error
		if ctx, err = a.authenticate(ctx, info.FullMethod); err != nil {
			return nil, err
		}
	}
	return handler(ctx, req)
}

// authenticate returns a context with the identity of the caller, or a status.
func (a *authenticator) authenticate(ctx context.Context, method string) (context.Context, error) {
	scopes, ok := a.scopes[method]
	if !ok {
		return nil, status.Error(codes.PermissionDenied, "This is not allowed.")
	}
	ctx, err := a.middleware.AuthenticateToken(auth.WithClientAddr(ctx, peerAddr(ctx)), tokenOf(ctx), a.bearer)
	if err != nil {
		return nil, statusOf(err)
	}
	if err := auth.CheckScope(ctx, scopes...); err != nil {
		return nil, reject(ctx, err)
	}
	return ctx, nil
}

// tokenOf returns the token of a call, or "". If there are several values, the result has a
// comma, which makes it malformed: no token has one.
func tokenOf(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	scheme, token, _ := strings.Cut(strings.Join(md.Get("authorization"), ","), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// peerAddr returns the address at the other end of the connection: behind a proxy, the proxy's.
func peerAddr(ctx context.Context) netip.Addr {
	if p, ok := peer.FromContext(ctx); ok {
		if addr, err := netip.ParseAddrPort(p.Addr.String()); err == nil {
			return addr.Addr()
		}
	}
	return netip.Addr{} // unknown
}

// reject returns the status for an error of CheckScope, Recheck or Watch, and reports the error,
// which these do not.
func reject(ctx context.Context, err error) error {
	auth.Report(ctx, err)
	return statusOf(err)
}

// statusOf returns the status for an error of package auth, without the text of the error,
// which may have a reason that is not for clients.
func statusOf(err error) error {
	var rejected *auth.Error
	if !errors.As(err, &rejected) {
		return status.Error(codes.Internal, "An internal error occurred.")
	}
	code := codes.Internal
	switch rejected.StatusCode() {
	case http.StatusBadRequest:
		code = codes.InvalidArgument
	case http.StatusUnauthorized:
		code = codes.Unauthenticated
	case http.StatusForbidden:
		code = codes.PermissionDenied
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
	}
	return status.Error(code, rejected.Detail())
}
