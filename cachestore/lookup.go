package cachestore

import (
	"context"
	"errors"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A key identifies what Lookup is asked for.
type key struct {
	kind   auth.Kind
	digest auth.Digest
}

// An entry is a credential that was in the store and had not expired.
type entry struct {
	c       *auth.Credential
	slot    uint32        // of its user
	version uint64        // when its call began
	expires time.Duration // since Store.started
}

// A negative is an answer that authenticates no request: an ErrNotFound, an ErrRevoked with
// what is left of the record, or an expired credential.
type negative struct {
	c       *auth.Credential
	err     error
	version uint64
	expires time.Duration
}

// Lookup implements auth.Store.
func (s *Store) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	now := time.Since(s.started)
	if e, ok := s.known.GetIfPresent(d); ok && now < e.expires && !s.versions.changedSince(e.slot, e.version) {
		if e.c.Kind != kind {
			return nil, auth.ErrNotFound
		}
		return e.c, nil
	}
	k := key{kind, d}
	if n, ok := s.unknown.GetIfPresent(k); ok && now < n.expires && !s.outdated(k, n.c, n.version) {
		return n.c, n.err
	}
	return s.load(ctx, k, now)
}

// load waits for a call, which may have begun before this request came, at now. If
// something was revoked or created since the call began, or it took so long that its
// answer is older than MaxStale, load waits for the next call: that one began after the
// request came.
func (s *Store) load(ctx context.Context, k key, now time.Duration) (*auth.Credential, error) {
	c, err := s.do(ctx, k)
	if err == nil && (s.outdated(k, c.c, c.version) || now >= c.start+s.cfg.MaxStale) {
		c, err = s.do(ctx, k)
	}
	if err != nil {
		return nil, err
	}
	return c.c, c.err
}

// outdated reports whether an answer may have changed since the given version: because
// the credentials of its user have changed, or a credential with its digest was created.
// The latter may belong to another user, if the old one had expired and was purged.
func (s *Store) outdated(k key, c *auth.Credential, version uint64) bool {
	return s.versions.changedSince(s.versions.digestSlot(k.digest), version) ||
		c != nil && s.versions.changedSince(s.versions.userSlot(c.Kind, c.UserID), version)
}

// fetch calls the store, and caches its answer.
func (s *Store) fetch(k key, c *call) {
	wall := time.Now()
	c.c, c.err = s.store.Lookup(c.ctx, k.kind, k.digest)
	expires := c.start + s.cfg.MaxStale
	s.added()
	switch {
	case s.outdated(k, c.c, c.version): // a cached answer would never be served
	case c.c != nil && (c.c.Kind != k.kind || c.c.Digest != k.digest): // a different record than requested
	case isNotFound(c.err):
		s.unknown.Set(k, negative{c.c, c.err, c.version, expires})
	case c.err != nil || c.c == nil: // an outage
	case c.c.Expired(wall):
		s.unknown.Set(k, negative{c.c, nil, c.version, expires})
	default:
		if !c.c.ExpiresAt.IsZero() {
			expires = c.start + min(s.cfg.MaxStale, c.c.ExpiresAt.Sub(wall))
		}
		s.known.Set(k.digest, entry{c.c, s.versions.userSlot(c.c.Kind, c.c.UserID), c.version, expires})
	}
}

// isNotFound reports whether the store has no such credential, rather than being
// unavailable.
func isNotFound(err error) bool {
	return errors.Is(err, auth.ErrNotFound) && !errors.Is(err, auth.ErrUnavailable)
}
