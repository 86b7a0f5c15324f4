package main

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/seed-31c5bcb2/auth"
)

func (a *authenticator) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if a.public[info.FullMethod] {
		return handler(srv, ss)
	}
	ctx, err := a.authenticate(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	ctx, cancel := auth.Watch(ctx, a.every)
	defer cancel()
	err = handler(srv, &watchedStream{ss, ctx})
	var rejected *auth.Error
	if errors.As(context.Cause(ctx), &rejected) {
		return reject(ctx, rejected) // whatever the handler returned
	}
	return err
}

// A watchedStream is a stream that ends when ctx does.
type watchedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *watchedStream) Context() context.Context { return s.ctx }
func (s *watchedStream) RecvMsg(m any) error      { return s.within(s.ServerStream.RecvMsg, m) }
func (s *watchedStream) SendMsg(m any) error      { return s.within(s.ServerStream.SendMsg, m) }

// within passes a message on, or returns when the token is no longer valid. Then the handler must
// return, which ends the transfer that it no longer waits for: it may be for a client that sends
// or reads nothing.
func (s *watchedStream) within(transfer func(any) error, m any) error {
	if s.ctx.Err() != nil { // the select would choose at random between the end and a message
		return context.Cause(s.ctx)
	}
	done := make(chan error, 1)
	go func() { done <- transfer(m) }()
	select {
	case err := <-done:
		return err
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}
