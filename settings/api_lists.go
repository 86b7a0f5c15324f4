package settings

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// This file has the lists of the API, with their pages and totals.

// A listing is the answer to the query of a list.
type listing struct {
	records []*auth.Credential
	next    *string // the value of after for the following page, nil for the last page
	total   *int    // how many records match, nil if that was not asked or is not known
}

// listPage lists the page that the query asks for, of the records that keep accepts. All records
// have to be read for a total and for an order that is not that of the store, and then maxRead are:
// if there are more, they are the newest ones, and the total is not known.
func (r *request) listPage(list lister, sorts map[string]order, keep func(*auth.Credential) bool) (listing, error) {
	q := r.URL.Query()
	f, page := parseFilter(q), auth.Page{After: q.Get("after"), Limit: maxPage}
	if q.Has("limit") {
		page.Limit, _ = strconv.Atoi(q.Get("limit"))
	}
	sorted := sorting{f.Sort, sorts[f.Sort], r.now}
	start, known := sorted.parse(page.After)
	if !known {
		return listing{}, invalidArgument(fieldError{"after", "is not the next of a page with this sort"})
	}
	finds, counts := f.matcher(r.now), q.Get("total") == "true"
	matches := func(c *auth.Credential) bool { return keep(c) && finds(c) }
	if sorted.by != nil || counts {
		all, err := r.collect(list, auth.Page{Limit: maxRead}, matches)
		if err != nil {
			return listing{}, err
		}
		complete := all.next == ""
		if complete || sorted.by != nil {
			return sorted.cut(all.records, start, page.Limit, counts && complete), nil
		}
	}
	p, err := r.collect(list, page, matches)
	return listing{records: p.records, next: stringOrNull(p.next)}, err
}

// A sorting is the order that a query names.
type sorting struct {
	name string
	by   order
	now  time.Time
}

// cut sorts all records of a list, and returns the page behind a position, with their number if
// that is known.
func (s sorting) cut(records []*auth.Credential, after position, limit int, known bool) (found listing) {
	if total := len(records); known {
		found.total = &total
	}
	s.by.sort(records, s.now)
	if after.id != "" {
		i, present := slices.BinarySearchFunc(records, after, func(c *auth.Credential, p position) int { return s.at(c).compare(p) })
		if present {
			i++
		}
		records = records[i:]
	}
	found.records = records[:min(limit, len(records))]
	if len(records) > limit {
		next := s.cursor(s.at(records[limit-1]))
		found.next = &next
	}
	return found
}

// A position is where a record stands in a sorted list, even if it does not exist anymore. The zero
// value is the beginning.
type position struct {
	sortKey
	id string
}

func (s sorting) at(c *auth.Credential) position {
	if s.by == nil {
		return position{id: c.ID}
	}
	return position{s.by(c, s.now), c.ID}
}

func (p position) compare(other position) int {
	if order := p.sortKey.compare(other.sortKey); order != 0 {
		return order
	}
	return strings.Compare(other.id, p.id)
}

// cursor returns the value of after for the records behind p. In the order of the stores it is an
// ID, as in auth.Page.
func (s sorting) cursor(p position) string {
	if s.by == nil {
		return p.id
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join([]string{s.name, p.id, strconv.FormatInt(p.number, 10), p.text}, "\n")))
}

func (s sorting) parse(cursor string) (p position, ok bool) {
	if s.by == nil || cursor == "" {
		return position{id: cursor}, true
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	fields := strings.SplitN(string(text), "\n", 4)
	if err != nil || len(fields) < 4 || fields[0] != s.name || fields[1] == "" {
		return position{}, false
	}
	number, err := strconv.ParseInt(fields[2], 10, 64)
	return position{sortKey{number, fields[3]}, fields[1]}, err == nil
}
