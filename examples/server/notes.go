package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
)

const maxNoteBody = 64 << 10

// notes handles the notes of the user who sent the request. It finds each by user and
// ID, which protects the notes of other users.
type notes struct {
	state demodata.State
	log   *slog.Logger
}

func (ns *notes) list(w http.ResponseWriter, r *http.Request) {
	list, err := ns.state.Notes(r.Context(), currentUser(r).ID)
	if err != nil {
		ns.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"notes": append([]demodata.Note{}, list...)}) // never null
}

func (ns *notes) create(w http.ResponseWriter, r *http.Request) {
	text, p := readText(w, r)
	if p != nil {
		writeProblem(w, p.status, p.code, p.detail)
		return
	}
	n := demodata.Note{ID: rand.Text(), Text: text, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	if err := ns.state.AddNote(r.Context(), currentUser(r).ID, n); err != nil {
		ns.writeError(w, r, err)
		return
	}
	w.Header().Set("Location", "/api/v1/notes/"+n.ID)
	writeJSON(w, http.StatusCreated, n)
}

// remove responds to the ID of another user's note as to one that does not exist.
func (ns *notes) remove(w http.ResponseWriter, r *http.Request) {
	if err := ns.state.RemoveNote(r.Context(), currentUser(r).ID, r.PathValue("id")); err != nil {
		ns.writeError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// writeError responds with 409 at the limit, 404 if there is no such note, and 503
// for any other error, which it logs.
func (ns *notes) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, auth.ErrLimit) && !errors.Is(err, auth.ErrNotFound) {
		ns.log.Error("notes", "error", err)
		err = fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	auth.WriteError(w, r, err)
}

type problem struct {
	status       int
	code, detail string
}

// readText returns the text of a new note.
func readText(w http.ResponseWriter, r *http.Request) (string, *problem) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return "", &problem{http.StatusUnsupportedMediaType, "unsupported_media_type", "The body must be application/json."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNoteBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", &problem{http.StatusRequestEntityTooLarge, "too_large", "The body must be at most 64 KiB."}
	case err != nil:
		return "", &problem{http.StatusBadRequest, "malformed_request", "The body could not be read."}
	}
	text, ok := parseText(body)
	if !ok || strings.TrimSpace(text) == "" {
		return "", &problem{http.StatusBadRequest, "malformed_request", `The body must be {"text": "…"} with a text that is not blank, and no other fields.`}
	}
	return text, nil
}

// parseText reads the tokens of the body. json.Unmarshal would also accept a
// duplicate field, a name in another case, and invalid UTF-8.
func parseText(body []byte) (string, bool) {
	var tokens [4]json.Token
	dec := json.NewDecoder(bytes.NewReader(body))
	for i := range tokens {
		tokens[i], _ = dec.Token()
	}
	_, err := dec.Token()
	text, ok := tokens[2].(string)
	complete := tokens == [4]json.Token{json.Delim('{'), "text", text, json.Delim('}')}
	return text, ok && complete && err == io.EOF && utf8.Valid(body)
}
