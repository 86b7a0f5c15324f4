package main

import (
	"context"
	"errors"

	"github.com/seed-31c5bcb2/auth"
)

const pageSize = 1000

// scan calls f with the credentials of all users that match. One that is used or changed
// meanwhile may come twice.
func (a *app) scan(q auth.ScanQuery, f func(*auth.Credential) error) error {
	s, err := a.open(false)
	if err != nil {
		return err
	}
	scanner, ok := s.Store.(auth.Scanner)
	if !ok {
		return errors.New("this store cannot list the credentials of all users: name a user")
	}
	p := a.start("reading credentials")
	defer p.stop()
	for q.Limit = pageSize; ; {
		page, err := scanner.Scan(a.ctx, q)
		if err != nil {
			return unavailable(err)
		}
		for i := range page.Credentials {
			if page.Credentials[i].UserID < " " {
				continue // a JWT that module federate has seen, which belongs to no user
			}
			p.count.Add(1)
			if err := f(&page.Credentials[i]); err != nil {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" { // a page without records need not be the last
			return nil
		}
	}
}

// each calls f with a user's credentials of a kind, newest first.
func (a *app) each(kind auth.Kind, userID string, f func(*auth.Credential) error) error {
	m, err := a.manager(kind)
	if err != nil {
		return err
	}
	for page := (auth.Page{Limit: pageSize}); ; {
		list, err := m.List(a.ctx, userID, page)
		if err != nil {
			return err
		}
		for i := range list {
			if err := f(&list[i]); err != nil {
				return err
			}
		}
		if len(list) < pageSize {
			return nil
		}
		page.After = list[len(list)-1].ID
	}
}

func (a *app) manager(kind auth.Kind) (manager, error) {
	s, err := a.open(false)
	if err != nil {
		return nil, err
	}
	return s.manager(kind)
}

// list writes the credentials of a user, or of all.
func (a *app) list(kind auth.Kind, userID string) error {
	n := 0
	write := func(c *auth.Credential) error {
		n++
		return a.out.credential(c)
	}
	var err error
	if userID == "" {
		err = a.scan(auth.ScanQuery{Kind: kind}, write)
	} else {
		err = a.each(kind, userID, write)
	}
	return nothingIf(err, n == 0, "there is no %v", kind)
}

// nothingIf returns err, or that nothing matched.
func nothingIf(err error, nothing bool, format string, args ...any) error {
	if err == nil && nothing {
		return fault(exitNothing, format, args...)
	}
	return err
}

// errFound ends a scan.
var errFound = errors.New("found")

// find returns a credential by its ID. Without the user, it reads all credentials of the kind.
// Its errors do not contain the ID, which may be a plaintext by mistake.
func (a *app) find(kind auth.Kind, id, userID string) (found auth.Credential, err error) {
	found, err = a.findRecord(kind, id, userID)
	var missing *codeError
	isMissing := errors.As(err, &missing) && missing.code == exitNothing
	if kind == auth.KindSession && (isMissing || err == nil && found.Superseded) {
		return a.findBound(id, userID, found, err)
	}
	return found, err
}

// findBound returns the session by which one was replaced when it was bound to its device. Logs may
// have the ID of before, whose record is of no use anymore. If there is none, it returns what
// findRecord did.
func (a *app) findBound(id, userID string, found auth.Credential, notFound error) (auth.Credential, error) {
	match := func(c *auth.Credential) error {
		if c.Previous != id || !c.Bound() {
			return nil
		}
		found = *c
		return errFound
	}
	var err error
	if userID != "" {
		err = a.each(auth.KindSession, userID, match)
	} else {
		err = a.scan(auth.ScanQuery{Kind: auth.KindSession}, match)
	}
	switch err {
	case errFound:
		return found, nil
	case nil:
		return found, notFound
	}
	return found, err
}

func (a *app) findRecord(kind auth.Kind, id, userID string) (found auth.Credential, err error) {
	if userID != "" {
		m, err := a.manager(kind)
		if err != nil {
			return found, err
		}
		found, err = m.Get(a.ctx, userID, id)
		if isNotFound(err) {
			return found, fault(exitNothing, "user %s has no %v with this ID", quote(userID), kind)
		}
		return found, err
	}
	err = a.scan(auth.ScanQuery{Kind: kind}, func(c *auth.Credential) error {
		if c.ID != id {
			return nil
		}
		found = *c
		return errFound
	})
	switch {
	case err == nil:
		return found, fault(exitNothing, "there is no %v with this ID", kind)
	case err == errFound:
		return found, nil
	}
	return found, err
}

func isNotFound(err error) bool {
	return errors.Is(err, auth.ErrNotFound) && !errors.Is(err, auth.ErrUnavailable)
}

func (a *app) show(kind auth.Kind, id, userID string) error {
	c, err := a.find(kind, id, userID)
	if err != nil {
		return err
	}
	return a.out.details(&c)
}

// A revocation is the result of a revoke in JSON.
type revocation struct {
	Status string `json:"status"`
	record
}

func (a *app) revoke(kind auth.Kind, id, userID string) error {
	c, err := a.find(kind, id, userID)
	if err != nil {
		return err
	}
	if err := a.confirm("revoke", "Revoke %s?", describe(&c)); err != nil {
		return err
	}
	m, err := a.manager(kind)
	if err != nil {
		return err
	}
	if err := m.Revoke(a.uninterrupted(), c.UserID, c.ID); err != nil {
		return err
	}
	return a.revoked("revoked", &c)
}

func (a *app) revoked(status string, c *auth.Credential) error {
	if a.out.json {
		return a.out.document(revocation{status, newRecord(c)})
	}
	return a.out.line("%s: %s", status, describe(c))
}

// uninterrupted is the context of one change, which a signal does not leave in doubt. Stores
// have timeouts of their own.
func (a *app) uninterrupted() context.Context { return context.WithoutCancel(a.ctx) }
