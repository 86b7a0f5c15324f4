package redisstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
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
	now := time.Now()
	revoked, err := s.change(ctx, createScript, kindDigit(c.Kind), c.UserID, c.ID, string(c.Digest[:]), record,
		formatTime(now), s.dropTime(c.ExpiresAt), strconv.Itoa(max(limit, 0)), formatTime(now.Add(-s.retention)), strconv.Itoa(step))
	if err != nil {
		return err
	}
	s.guards.set(c.Digest, created, time.Time{})
	s.guards.setEach(revoked, removed)
	return nil
}

// Update implements auth.Store.
func (s *Store) Update(ctx context.Context, old, next auth.Credential) error {
	before, err := encodeSettings(&old)
	if err != nil {
		return auth.ErrConflict // no record has such settings
	}
	after, err := encodeSettings(&next)
	if err != nil {
		return err
	}
	digests, err := s.change(ctx, updateScript, kindDigit(old.Kind), old.UserID, old.ID, before, after)
	s.guards.setEach(digests, changed)
	return err
}

// Rotate implements auth.Store.
func (s *Store) Rotate(ctx context.Context, old, next auth.Credential, oldUntil time.Time) error {
	record, err := encode(next)
	if err != nil {
		return err
	}
	settings, err := encodeSettings(&old)
	if err != nil {
		return auth.ErrConflict // no record has such settings
	}
	until, drop := "", ""
	if oldUntil.After(next.CreatedAt) {
		until, drop = formatTime(oldUntil), s.dropTime(oldUntil)
	}
	digests, err := s.change(ctx, rotateScript, kindDigit(old.Kind), old.UserID, next.ID, string(next.Digest[:]), record,
		formatTime(next.CreatedAt), s.dropTime(next.ExpiresAt), old.ID, settings, until, drop)
	if err != nil {
		return err
	}
	if len(digests) == 0 {
		return errReply
	}
	s.guards.set(next.Digest, created, time.Time{})
	if until != "" {
		s.guards.set(digests[0], changed, time.Time{})
	}
	s.guards.setEach(digests[1:], removed)
	return nil
}

// Revoke implements auth.Store.
func (s *Store) Revoke(ctx context.Context, ref auth.Ref) error {
	revoked, err := s.change(ctx, revokeScript, kindDigit(ref.Kind), ref.UserID, ref.ID, formatTime(time.Now()))
	s.guards.setEach(revoked, removed)
	return err
}

// Touch implements auth.Store, in steps.
func (s *Store) Touch(ctx context.Context, uses []auth.Use) error {
	if len(uses) == 0 {
		return ctx.Err()
	}
	for chunk := range slices.Chunk(uses, step) {
		args := make([]string, 0, 5*len(chunk))
		for _, u := range chunk {
			args = append(args, kindDigit(u.Kind), u.UserID, u.ID, string(u.Digest[:]), formatTime(u.At)+formatAddress(u.From))
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

var errReply = errors.New("redisstore: invalid reply of a script")

// change runs a script whose reply is a word and, after "done", the digests of the
// records that it has changed.
func (s *Store) change(ctx context.Context, script *rueidis.Lua, args ...string) ([]auth.Digest, error) {
	_, digests, err := s.changeSome(ctx, script, 0, args...)
	return digests, err
}

// changeSome runs a script whose reply has some words before the digests.
func (s *Store) changeSome(ctx context.Context, script *rueidis.Lua, words int, args ...string) ([]string, []auth.Digest, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reply, err := s.run(ctx, script, args...).AsStrSlice()
	if err != nil {
		s.guardUnknown(err)
		return nil, nil, err
	}
	if len(reply) == 0 {
		return nil, nil, errReply
	}
	switch reply[0] {
	case "done":
		if reply = reply[1:]; len(reply) < words {
			return nil, nil, errReply
		}
		digests, ok := parseDigests(reply[words:])
		if !ok {
			return nil, nil, errReply
		}
		return reply[:words], digests, nil
	case "not found":
		return nil, nil, auth.ErrNotFound
	case "conflict":
		return nil, nil, auth.ErrConflict
	case "limit":
		return nil, nil, auth.ErrLimit
	}
	return nil, nil, errReply
}

// guardUnknown guards all records if a change may have been made despite err. Touch and
// Purge need no such guard, because they do not change who has access: otherwise a failed
// Touch would make valid credentials bypass the cache.
func (s *Store) guardUnknown(err error) {
	if e, ok := rueidis.IsRedisErr(err); !ok || !isRefusal(e.Error()) {
		s.guards.setAll()
	}
}

// isRefusal reports whether an error means that Redis has not run the script. Redis checks
// these conditions before a script starts, and not after its first write (script.c of
// Redis 7.0: scriptPrepareForRun, and SCRIPT_WRITE_DIRTY). Other errors may come from a
// command in the script, after it has written.
func isRefusal(message string) bool {
	word, _, _ := strings.Cut(message, " ")
	switch word {
	case "READONLY", "NOREPLICAS", "MISCONF", "OOM", "LOADING", "MASTERDOWN", "BUSY":
		return true
	}
	return false
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
