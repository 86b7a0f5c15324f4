package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// maxAge is how long after a sign-in a session can create tokens, and delete the account.
const maxAge = 10 * time.Minute

// bodyFirst reads the request's body before next authenticates the request. Otherwise a
// client could send all but the last byte, and create a token after its session has ended.
// The limit is for every form: without it, ParseMultipartForm writes files of any size to
// the disk.
func bodyFirst(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<10))
		if err != nil {
			http.Error(w, "the body is too large or incomplete", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func (s *service) createToken(w http.ResponseWriter, r *http.Request) {
	o, err := tokenOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	plaintext, err := s.issue(r.Context(), o)
	var invalid *auth.ArgumentError
	switch {
	case errors.As(err, &invalid):
		http.Error(w, invalid.Argument+" "+invalid.Fault, http.StatusBadRequest)
	case err != nil:
		auth.WriteError(w, r, err)
	default:
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintln(w, plaintext)
	}
}

// issue creates a token, if the session may do so. It revokes the token unless the session
// is still valid then.
func (s *service) issue(ctx context.Context, o auth.TokenOptions) (plaintext string, err error) {
	if err := auth.CheckRecent(ctx, maxAge); err != nil {
		return "", err // an old session, one of staff who act as the user, or no session
	}
	if err := auth.CheckScope(ctx, o.Scopes...); err != nil {
		return "", err // the session lacks a scope that the token would have
	}
	id, _ := auth.FromContext(ctx)
	plaintext, token, err := s.bearer.Issue(ctx, id.UserID, o)
	if err != nil {
		return "", err
	}
	if err := auth.Recheck(ctx); err != nil {
		// The client may have disconnected, but the token must not stay.
		return "", errors.Join(err, s.bearer.Revoke(context.WithoutCancel(ctx), id.UserID, token.ID))
	}
	return plaintext, nil
}

// tokenOptions reads the fields of a form. The user must choose scopes and a lifetime:
// if a field is missing, the token must not get full access, or be valid forever.
func tokenOptions(r *http.Request) (auth.TokenOptions, error) {
	days, err := strconv.Atoi(r.PostFormValue("days")) // parses the form
	o := auth.TokenOptions{Name: r.PostForm.Get("name"), Scopes: r.PostForm["scope"]}
	var faults []error
	if _, err := auth.ParseScopes(o.Scopes); err != nil {
		faults = append(faults, err)
	}
	if err != nil || days < 1 || days > 365 {
		faults = append(faults, errors.New("days is required: the lifetime, 1 to 365 days"))
	}
	o.Lifetime = time.Duration(days) * 24 * time.Hour
	return o, errors.Join(faults...)
}
