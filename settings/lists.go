package settings

import (
	"context"

	"github.com/seed-31c5bcb2/auth"
)

// This file reads the records of a user: for the lists of the page and the API, and for what is
// found or counted among the records.

// maxBatch is how many records a store returns at most, and maxRead how many are read to answer a
// request.
const (
	maxBatch = 1000
	maxRead  = 10_000
)

// A lister is the List of an authenticator.
type lister func(ctx context.Context, userID string, page auth.Page) ([]auth.Credential, error)

// read calls use for the user's records behind page.After, the newest first, until it returns false:
// it does not want that record. The first batch has page.Limit records, for callers that need few, and
// each other one twice as many as the one before.
// next is the ID behind which the records begin that use has not accepted. It is empty if there are
// none.
func (r *request) read(list lister, page auth.Page, use func(*auth.Credential) bool) (next string, err error) {
	for n := 0; n < maxRead; {
		page.Limit = min(page.Limit, maxBatch, maxRead-n)
		batch, err := list(r.Context(), r.id.UserID, page)
		if err != nil {
			return "", err
		}
		for i := range batch {
			if !use(&batch[i]) {
				return page.After, nil
			}
			page.After = batch[i].ID
		}
		if len(batch) < page.Limit {
			return "", nil
		}
		n += len(batch)
		page.Limit *= 2
	}
	others, err := list(r.Context(), r.id.UserID, auth.Page{After: page.After, Limit: 1})
	if len(others) == 0 {
		return "", err
	}
	return page.After, err
}

// A part is a part of a user's records, the newest first.
type part struct {
	records []*auth.Credential
	next    string // the ID behind which the next part begins; empty if there is none
}

// collect returns the first page.Limit records behind page.After that keep accepts. Those that it
// leaves out, such as expired sessions, must not hide others behind them, so they do not count.
// If they are so many that maxRead ends the part, it has fewer records, even none, and a next part.
func (r *request) collect(list lister, page auth.Page, keep func(*auth.Credential) bool) (p part, err error) {
	limit := page.Limit
	page.Limit++ // one more shows whether there is a next part
	p.next, err = r.read(list, page, func(c *auth.Credential) bool {
		switch {
		case !keep(c):
			return true
		case len(p.records) == limit:
			return false
		}
		p.records = append(p.records, c)
		return true
	})
	return p, err
}
