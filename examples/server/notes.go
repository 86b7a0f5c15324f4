package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
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

// notes keeps each account's notes under its ID, so that no request reaches
// those of another.
type notes struct {
	mu  sync.Mutex
	all map[string][]note // the oldest first
}

func newNotes() *notes { return &notes{all: make(map[string][]note)} }

func (ns *notes) list(w http.ResponseWriter, r *http.Request) {
	owner := auth.MustUser[*account](r.Context())
	ns.mu.Lock()
	list := append([]note{}, ns.all[owner.ID]...)
	ns.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"notes": list})
}

func (ns *notes) create(w http.ResponseWriter, r *http.Request) {
	text, status, fault := readText(w, r)
	if fault != "" {
		writeProblem(w, status, fault)
		return
	}
	n := note{ID: rand.Text(), Text: text, CreatedAt: time.Now().UTC()}
	if err := ns.add(auth.MustUser[*account](r.Context()), n); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.Header().Set("Location", "/api/v1/notes/"+n.ID)
	writeJSON(w, http.StatusCreated, n)
}

func (ns *notes) add(owner *account, n note) error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if len(ns.all[owner.ID]) >= maxNotes {
		return auth.ErrLimit
	}
	ns.all[owner.ID] = append(ns.all[owner.ID], n)
	return nil
}

// remove answers the same for a note of somebody else's and for none at all.
func (ns *notes) remove(w http.ResponseWriter, r *http.Request) {
	if !ns.delete(auth.MustUser[*account](r.Context()), r.PathValue("id")) {
		auth.WriteError(w, r, auth.ErrNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (ns *notes) delete(owner *account, id string) bool {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	before := len(ns.all[owner.ID])
	ns.all[owner.ID] = slices.DeleteFunc(ns.all[owner.ID], func(n note) bool { return n.ID == id })
	return len(ns.all[owner.ID]) < before
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
