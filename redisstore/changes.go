package redisstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
)

// Create implements auth.Store.
func (s *Store) Create(ctx context.Context, c auth.Credential, limit int) error {
	record, err := encode(c)
	if err != nil {
		return err
	}
	revoked, err := s.change(ctx, createScript, kindDigit(c.Kind), c.UserID, c.ID, string(c.Digest[:]), record,
		formatTime(time.Now()), s.dropTime(c.ExpiresAt), strconv.Itoa(max(limit, 0)), s.retentionSeconds())
	if err != nil {
		return err
	}
	s.guards.set(c.Digest, created, time.Time{})
	s.guards.setRemoved(revoked)
	return nil
}

// Rotate implements auth.Store.
func (s *Store) Rotate(ctx context.Context, old auth.Ref, next auth.Credential, oldUntil time.Time) error {
	record, err := encode(next)
	if err != nil {
		return err
	}
	until, drop := "", ""
	if oldUntil.After(next.CreatedAt) {
		until, drop = formatTime(oldUntil), s.dropTime(oldUntil)
	}
	changed, err := s.change(ctx, rotateScript, kindDigit(old.Kind), old.UserID, next.ID, string(next.Digest[:]), record,
		formatTime(next.CreatedAt), s.dropTime(next.ExpiresAt), old.ID, until, drop)
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		return errReply
	}
	s.guards.set(next.Digest, created, time.Time{})
	s.guards.set(changed[0], superseded, time.Time{})
	s.guards.setRemoved(changed[1:])
	return nil
}

// Revoke implements auth.Store.
func (s *Store) Revoke(ctx context.Context, ref auth.Ref) error {
	revoked, err := s.change(ctx, revokeScript, kindDigit(ref.Kind), ref.UserID, ref.ID, formatTime(time.Now()))
	s.guards.setRemoved(revoked)
	return err
}

// RevokeAll implements auth.Store.
func (s *Store) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	args := append([]string{kindDigit(kind), userID, formatTime(time.Now())}, except...)
	revoked, err := s.change(ctx, revokeAllScript, args...)
	s.guards.setRemoved(revoked)
	return len(revoked), err
}

// batch bounds how long one script keeps Redis from serving other requests.
const batch = 500

// Touch implements auth.Store, in batches.
func (s *Store) Touch(ctx context.Context, uses []auth.Use) error {
	if len(uses) == 0 {
		return ctx.Err()
	}
	for chunk := range slices.Chunk(uses, batch) {
		var args []string
		for _, u := range chunk {
			args = append(args, kindDigit(u.Kind), u.UserID, u.ID, string(u.Digest[:]), formatTime(u.At))
		}
		if err := s.touch(ctx, args); err != nil {
			return err
		}
		for _, u := range chunk {
			s.guards.set(u.Digest, touched, u.At.Truncate(time.Microsecond))
		}
	}
	return nil
}

func (s *Store) touch(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.run(ctx, touchScript, args...).Error()
}

// Purge implements auth.Store. It removes in batches: after an error, the records of
// the batches before it remain removed.
func (s *Store) Purge(ctx context.Context, before time.Time) (int, error) {
	purged := 0
	for {
		examined, removed, err := s.purgeSome(ctx, before)
		purged += removed
		if err != nil || examined == 0 {
			return purged, err
		}
	}
}

func (s *Store) purgeSome(ctx context.Context, before time.Time) (examined, removed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reply, err := s.run(ctx, purgeScript, formatTime(before), strconv.Itoa(batch)).AsStrSlice()
	if err != nil {
		return 0, 0, err
	}
	if len(reply) < 2 {
		return 0, 0, errReply
	}
	examined, errExamined := strconv.Atoi(reply[0])
	removed, errRemoved := strconv.Atoi(reply[1])
	digests, ok := parseDigests(reply[2:])
	if errExamined != nil || errRemoved != nil || !ok {
		return 0, 0, errReply
	}
	s.guards.setRemoved(digests)
	return examined, removed, nil
}

var errReply = errors.New("redisstore: invalid reply of a script")

// change runs a script whose reply is a word and, after "done", the digests of the
// records that it has changed.
func (s *Store) change(ctx context.Context, script *rueidis.Lua, args ...string) ([]auth.Digest, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reply, err := s.run(ctx, script, args...).AsStrSlice()
	if err != nil {
		s.guardUnknown(err)
		return nil, err
	}
	if len(reply) == 0 {
		return nil, errReply
	}
	switch reply[0] {
	case "done":
		digests, ok := parseDigests(reply[1:])
		if !ok {
			return nil, errReply
		}
		return digests, nil
	case "not found":
		return nil, auth.ErrNotFound
	case "conflict":
		return nil, auth.ErrConflict
	case "limit":
		return nil, auth.ErrLimit
	}
	return nil, errReply
}

// guardUnknown guards all records if a change may have been made despite err. A
// script that Redis itself rejects has not run. Touch and Purge need no such guard,
// because they do not change who has access: otherwise a failed Touch would make valid
// credentials bypass the cache.
func (s *Store) guardUnknown(err error) {
	if _, rejected := rueidis.IsRedisErr(err); !rejected {
		s.guards.setAll()
	}
}

func parseDigests(reply []string) ([]auth.Digest, bool) {
	digests := make([]auth.Digest, len(reply))
	for i, text := range reply {
		if len(text) != len(digests[i]) {
			return nil, false
		}
		copy(digests[i][:], text)
	}
	return digests, true
}

// dropTime is when Redis removes a record that expires, in milliseconds since 1970.
// It is empty for a record that does not expire.
func (s *Store) dropTime(expires time.Time) string {
	if expires.IsZero() {
		return ""
	}
	return strconv.FormatInt(max(expires.Add(s.retention).UnixMilli(), 1), 10)
}

func (s *Store) retentionSeconds() string {
	return strconv.FormatInt(int64(s.retention/time.Second), 10)
}
