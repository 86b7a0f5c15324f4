package cachestore

import (
	"context"
	"errors"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// An entry is a credential that the store knows, and that had not expired.
type entry struct {
	c     *auth.Credential
	mark  uint32 // of its account
	began uint64 // when its load did, by the clock of marks
	until time.Duration
}

// A question is what Lookup is asked.
type question struct {
	kind   auth.Kind
	digest auth.Digest
}

// A refusal is the answer to a question that lets nobody in: an ErrNotFound, or
// an expired credential.
type refusal struct {
	c     *auth.Credential
	err   error
	began uint64
	until time.Duration
}

// Lookup implements auth.Store.
func (s *Store) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	now := time.Since(s.started)
	if e, ok := s.known.GetIfPresent(d); ok && now < e.until && !s.marks.since(e.mark, e.began) {
		if e.c.Kind != kind {
			return nil, auth.ErrNotFound
		}
		return e.c, nil
	}
	q := question{kind, d}
	if r, ok := s.unknown.GetIfPresent(q); ok && now < r.until && !s.outdated(q, r.c, r.began) {
		return r.c, r.err
	}
	return s.ask(ctx, q, now)
}

// ask waits for the answer of a load that may have begun before this request, which
// came at now. If something was revoked or created since then, or the load was as old
// as no answer may be, it takes the answer of the next load, which has begun since: the
// first could be older than the request.
func (s *Store) ask(ctx context.Context, q question, now time.Duration) (*auth.Credential, error) {
	f, err := s.answer(ctx, q)
	if err == nil && (s.outdated(q, f.c, f.began) || now >= f.start+s.cfg.MaxStale) {
		f, err = s.answer(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	return f.c, f.err
}

// outdated reports whether an answer may have changed since its load began: by whoever
// changes the account of a credential that is there, and by whoever creates one. That
// one may stand in the place of another account's, which had expired and was purged.
func (s *Store) outdated(q question, c *auth.Credential, began uint64) bool {
	return s.marks.since(s.marks.ofDigest(q.digest), began) ||
		c != nil && s.marks.since(s.marks.ofAccount(c.Kind, c.UserID), began)
}

// load asks the store, and keeps the answer.
func (s *Store) load(q question, f *flight) {
	wall := time.Now()
	f.c, f.err = s.store.Lookup(f.within, q.kind, q.digest)
	until := f.start + s.cfg.MaxStale
	switch {
	case s.outdated(q, f.c, f.began): // it is nobody's answer any more
	case refuses(f.err):
		s.unknown.Set(q, refusal{f.c, f.err, f.began, until})
	case f.err != nil || f.c == nil || f.c.Kind != q.kind || f.c.Digest != q.digest:
		// An outage, or a record that nobody asked for.
	case expired(f.c, wall):
		s.unknown.Set(q, refusal{f.c, nil, f.began, until})
	default:
		if !f.c.ExpiresAt.IsZero() {
			until = min(until, f.start+f.c.ExpiresAt.Sub(wall))
		}
		s.known.Set(q.digest, entry{f.c, s.marks.ofAccount(f.c.Kind, f.c.UserID), f.began, until})
	}
}

// refuses reports whether a store says that there is no such credential, and not
// that it is out.
func refuses(err error) bool {
	return errors.Is(err, auth.ErrNotFound) && !errors.Is(err, auth.ErrUnavailable)
}

func expired(c *auth.Credential, now time.Time) bool {
	return !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt)
}
