package settings

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-31c5bcb2/auth"
)

// This file has the lists of the API: search, filter, sort and total.

// A sortKey returns a text by which records are sorted, byte by byte. Those with the same text are
// sorted newest first. If it is nil, all are.
type sortKey func(c auth.Credential, now time.Time) string

// newest is the order of the stores, and the default.
const newest = "newest"

var (
	tokenSorts   = map[string]sortKey{newest: nil, "oldest": byAge, "last_used": byUse, "expiring": byExpiry, "name": byName}
	sessionSorts = map[string]sortKey{newest: nil, "oldest": byAge, "last_used": bySeen}
)

func byAge(c auth.Credential, _ time.Time) string { return c.ID }

// byUse begins with the latest use. What was never used comes last.
func byUse(c auth.Credential, _ time.Time) string { return descending(c.LastUsedAt) }

// bySeen is byUse for sessions: the sign-in counts as a use.
func bySeen(c auth.Credential, _ time.Time) string { return descending(lastSeen(c)) }

// byExpiry begins with what expires soonest, then what never does, then the expired ones.
func byExpiry(c auth.Credential, now time.Time) string {
	switch {
	case c.Expired(now):
		return "2" + descending(c.ExpiresAt)
	case c.ExpiresAt.IsZero():
		return "1"
	}
	return "0" + ascending(c.ExpiresAt)
}

func byName(c auth.Credential, _ time.Time) string { return strings.ToLower(c.Name) }

func ascending(t time.Time) string { return fixed(t.UnixMicro()) }

func descending(t time.Time) string {
	if t.IsZero() {
		return fixed(math.MaxInt64)
	}
	return fixed(math.MaxInt64 - t.UnixMicro())
}

// fixed returns a number with 19 digits. Times before 1970 count as its start.
func fixed(n int64) string {
	digits := strconv.FormatInt(max(n, 0), 10)
	return "0000000000000000000"[len(digits):] + digits
}

// A position is where a record stands in a sorted list.
type position struct{ key, id string }

func (p position) compare(other position) int {
	if order := strings.Compare(p.key, other.key); order != 0 {
		return order
	}
	return strings.Compare(other.id, p.id)
}

// cursor returns the value of after for the records behind p, if they are sorted. Otherwise it
// is an ID, as in auth.Page.
func (p position) cursor(sort string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(sort + "\n" + p.id + "\n" + p.key))
}

func parseCursor(cursor, sort string) (p position, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	of, rest, _ := strings.Cut(string(text), "\n")
	p.id, p.key, ok = strings.Cut(rest, "\n")
	return p, ok && err == nil && of == sort
}

// A listing is the answer to the query of a list.
type listing struct {
	records []auth.Credential
	next    *string // the value of after for the following page, nil for the last page
	total   *int    // how many records match, nil if that was not asked or is not known
}

// listPage lists the page that the query asks for, without the records that keep rejects. All
// records have to be read for a total and for an order that is not that of the store, and then
// maxRead are; if there are more, they are the newest ones, and the total is not known.
func (r *request) listPage(list lister, sorts map[string]sortKey, keep func(auth.Credential) bool) (listing, error) {
	q := r.URL.Query()
	w := window{sort: newest, limit: maxPage}
	if q.Has("sort") {
		w.sort = q.Get("sort")
	}
	if q.Has("limit") {
		w.limit, _ = strconv.Atoi(q.Get("limit"))
	}
	if !w.begin(q.Get("after")) {
		return listing{}, invalidArgument(fieldError{"after", "is not the next of a page with this sort"})
	}
	matches, counts := matching(q.Get("q"), keep), q.Get("total") == "true"
	if w.sort != newest || counts {
		found, complete, err := r.scan(list, &w, sorts[w.sort], matches)
		if !complete || !counts {
			found.total = nil
		}
		if err != nil || complete || w.sort != newest {
			return found, err
		}
	}
	p, err := r.collect(list, auth.Page{After: q.Get("after"), Limit: w.limit}, matches)
	found := listing{records: p.records}
	if err == nil && p.next != "" {
		found.next = &p.next
	}
	return found, err
}

// scan reads all records, or the newest maxRead, and reports whether there are no others.
func (r *request) scan(list lister, w *window, key sortKey, matches func(auth.Credential) bool) (found listing, complete bool, err error) {
	page, total := auth.Page{Limit: maxShown}, 0
	for read := 0; read <= maxRead; {
		batch, err := list(r.Context(), r.id.UserID, page)
		if err != nil {
			return listing{}, false, err
		}
		complete = len(batch) < maxShown
		if read == maxRead { // one more, to know whether there are others
			complete = len(batch) == 0
			break
		}
		for i := range batch {
			c := &batch[i]
			if !matches(*c) {
				continue
			}
			total++
			p := position{id: c.ID}
			if key != nil {
				p.key = key(*c, r.now)
			}
			w.add(p, c)
		}
		if complete {
			break
		}
		read += len(batch)
		page.After = batch[len(batch)-1].ID
	}
	found = w.listing()
	found.total = &total
	return found, complete, nil
}

// A window keeps the first limit records behind a position, and one more, which shows that there
// is a next page.
type window struct {
	sort    string
	limit   int
	after   *position // nil for the first page
	entries []entry   // sorted
}

type entry struct {
	position
	record *auth.Credential
}

// begin sets the position from the value of after. It reports false if that is none.
func (w *window) begin(after string) bool {
	if after == "" {
		return true
	}
	p, ok := position{id: after}, true
	if w.sort != newest {
		p, ok = parseCursor(after, w.sort)
	}
	w.after = &p
	return ok
}

func (w *window) add(p position, c *auth.Credential) {
	full := len(w.entries) > w.limit
	if w.after != nil && p.compare(*w.after) <= 0 || full && p.compare(w.entries[w.limit].position) > 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(w.entries, p, func(e entry, p position) int { return e.compare(p) })
	if full {
		w.entries = w.entries[:w.limit]
	}
	w.entries = slices.Insert(w.entries, i, entry{p, c})
}

func (w *window) listing() (found listing) {
	for _, e := range w.entries[:min(w.limit, len(w.entries))] {
		found.records = append(found.records, *e.record)
	}
	if len(w.entries) > w.limit {
		last := w.entries[w.limit-1].position
		next := last.id
		if w.sort != newest {
			next = last.cursor(w.sort)
		}
		found.next = &next
	}
	return found
}

// minHint is how many characters of a hint a search must have: users see the last four.
const minHint = 4

// matching returns keep for the records that match a search too: it is a part of the name, or the
// end of the hint, whatever the case. All hints begin with the same prefix.
func matching(search string, keep func(auth.Credential) bool) func(auth.Credential) bool {
	search = strings.ToLower(strings.TrimSpace(search))
	if search == "" {
		return keep
	}
	return func(c auth.Credential) bool {
		if !keep(c) {
			return false
		}
		byHint := utf8.RuneCountInString(search) >= minHint && strings.HasSuffix(strings.ToLower(c.Hint), search)
		return byHint || strings.Contains(strings.ToLower(c.Name), search)
	}
}

// inStates returns a function that accepts the tokens in the states that the query names, or in
// any if it names none.
func (r *request) inStates() func(auth.Credential) bool {
	states := r.URL.Query()["state"]
	return func(t auth.Credential) bool {
		return states == nil || slices.Contains(states, string(stateOf(t, r.now)))
	}
}
