package settings

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

// This file has the Idempotency-Key of the API: draft-ietf-httpapi-idempotency-key-header-07. A
// repeated request creates nothing. It cannot be answered as the first one was, as the draft
// suggests: the plaintext is not stored.

// idempotencyKey returns the auth.TokenOptions.Idempotency of a request that has an Idempotency-Key,
// and "" if it has none. The key has to have a time, because the ID of the token gets it: IDs sort
// by time. It is a string of a structured header (RFC 9651 section 3.3.3), so it is in quotes.
func idempotencyKey(r *http.Request) (id string, err error) {
	sent := r.Header["Idempotency-Key"]
	if sent == nil {
		return "", nil
	}
	key, opened := strings.CutPrefix(strings.Trim(strings.Join(sent, ","), " "), `"`)
	key, closed := strings.CutSuffix(key, `"`)
	id, ok := token.FromUUID(key)
	if !ok {
		_, ok = token.IDTime(key)
		id = key
	}
	if !opened || !closed || !ok {
		return "", malformed("Idempotency-Key is not one UUID of version 7, or one ULID, in quotes.")
	}
	return id, nil
}

// explainKey explains the error of a request with an Idempotency-Key. For a repeated request it
// adds the ID of the token, by which the client can revoke or rotate it.
func (r *request) explainKey(key string, err error) error {
	if key == "" {
		return err
	}
	if slices.ContainsFunc(problemOf(err).Errors, func(e fieldError) bool { return e.Field == argumentFields["Idempotency"].Field }) {
		return malformed("Idempotency-Key was made more than 24 hours ago, or in the future.")
	}
	if !errors.Is(err, auth.ErrConflict) {
		return err
	}
	t, err := r.bearer.Get(r.Context(), r.id.UserID, token.DerivedID(key, r.id.UserID))
	switch {
	case err == nil:
		return &problem{Status: http.StatusConflict, Code: codeConflict, ID: t.ID, Detail: "An earlier request with this Idempotency-Key has created a token. Its plaintext cannot be shown again."}
	case errors.Is(err, auth.ErrNotFound):
		return &problem{Status: http.StatusConflict, Code: codeConflict, Detail: "An earlier request with this Idempotency-Key has created a token, which has been revoked or rotated."}
	}
	return err
}
