package main

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/seed-31c5bcb2/auth"
)

type note struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// notes are those of all users, in memory.
type notes struct {
	mu     sync.Mutex
	byUser map[string][]note
}

// maxNotes is how many notes a user may have.
const maxNotes = 100

func (n *notes) list(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	n.mu.Lock()
	list := append([]note{}, n.byUser[id.UserID]...) // not nil, which is null in JSON
	n.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string][]note{"notes": list})
}

func (n *notes) create(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	var form struct{ Text string }
	if !readJSON(w, r, &form) {
		return
	}
	text := strings.TrimSpace(form.Text)
	if text == "" || utf8.RuneCountInString(text) > 200 {
		writeProblem(w, http.StatusBadRequest, "invalid_argument", "A note has 1 to 200 characters.")
		return
	}
	made := note{rand.Text(), text}
	if !n.add(id.UserID, made) {
		writeProblem(w, http.StatusConflict, "limit_reached", "There are 100 notes: delete one first.")
		return
	}
	writeJSON(w, http.StatusCreated, made)
}

// add reports false if the user has too many notes.
func (n *notes) add(userID string, made note) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.byUser[userID]) >= maxNotes {
		return false
	}
	n.byUser[userID] = append(n.byUser[userID], made)
	return true
}

func (n *notes) remove(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	n.mu.Lock()
	before := n.byUser[id.UserID]
	left := slices.DeleteFunc(slices.Clone(before), func(found note) bool { return found.ID == r.PathValue("id") })
	n.byUser[id.UserID] = left
	n.mu.Unlock()
	if len(left) == len(before) {
		writeProblem(w, http.StatusNotFound, "not_found", "There is no such note.")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
