package main

import (
	"context"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// writeTimeout is how long a client that reads nothing can delay the end of its stream.
const writeTimeout = 10 * time.Second

// watched ends the context of a stream when the credential is no longer valid. Receive and Send,
// which do not look at the context, return too.
func (s *service) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := auth.Watch(r.Context(), s.every)
		defer cancel()
		done := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(done)
			stream := http.NewResponseController(w)
			_ = stream.SetReadDeadline(time.Now())
			_ = stream.SetWriteDeadline(time.Now().Add(writeTimeout))
		})
		defer func() {
			if !stop() {
				<-done // w must not be used after the handler has returned
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
