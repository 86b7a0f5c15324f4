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
)

const (
	maxNotes    = 100
	maxNoteBody = 64 << 10
)

type note struct {
	ID        string    `json:"id"`
	Text      string    `json:"text"`
	CreatedAt time.Time `json:"created_at"`
}

// notes answers for the notes of whoever asks, and for no others: each is found
// by its ID under its account's.
type notes struct {
	state state
	log   *slog.Logger
}

func (ns *notes) list(w http.ResponseWriter, r *http.Request) {
	list, err := ns.state.notesOf(r.Context(), auth.MustUser[*account](r.Context()).ID)
	if err != nil {
		ns.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"notes": append([]note{}, list...)}) // never null
}

func (ns *notes) create(w http.ResponseWriter, r *http.Request) {
	text, status, fault := readText(w, r)
	if fault != "" {
		writeProblem(w, status, fault)
		return
	}
	n := note{ID: rand.Text(), Text: text, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	if err := ns.state.addNote(r.Context(), auth.MustUser[*account](r.Context()).ID, n); err != nil {
		ns.refuse(w, r, err)
		return
	}
	w.Header().Set("Location", "/api/v1/notes/"+n.ID)
	writeJSON(w, http.StatusCreated, n)
}

// remove answers the same for a note of somebody else's and for none at all.
func (ns *notes) remove(w http.ResponseWriter, r *http.Request) {
	err := ns.state.removeNote(r.Context(), auth.MustUser[*account](r.Context()).ID, r.PathValue("id"))
	if err != nil {
		ns.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// refuse answers with 409 at the limit, 404 for no such note, and 503 for any
// other error, which only the log is told of.
func (ns *notes) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, auth.ErrLimit) && !errors.Is(err, auth.ErrNotFound) {
		ns.log.Error("notes", "error", err)
		err = fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	auth.WriteError(w, r, err)
}

// readText returns the text of a new note, or the status and the fault to answer.
func readText(w http.ResponseWriter, r *http.Request) (text string, status int, fault string) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "", http.StatusUnsupportedMediaType, "The body must be application/json."
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNoteBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", http.StatusRequestEntityTooLarge, "The body may have up to 64 KiB."
	case err != nil:
		return "", http.StatusBadRequest, "The body could not be read."
	}
	text, ok := parseText(body)
	if !ok || strings.TrimSpace(text) == "" {
		return "", http.StatusBadRequest, `The body must be {"text": "…"}, with a text that is not empty, and nothing else.`
	}
	return text, 0, ""
}

// parseText reads the one field by its tokens: json.Unmarshal would also take a
// field twice, in another case, or text that is not UTF-8.
func parseText(body []byte) (string, bool) {
	var tokens [4]json.Token
	dec := json.NewDecoder(bytes.NewReader(body))
	for i := range tokens {
		tokens[i], _ = dec.Token()
	}
	_, err := dec.Token()
	text, ok := tokens[2].(string)
	whole := tokens == [4]json.Token{json.Delim('{'), "text", text, json.Delim('}')}
	return text, ok && whole && err == io.EOF && utf8.Valid(body)
}
