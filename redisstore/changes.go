package redisstore

import (
	"context"
	"fmt"
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
	_, err = s.change(ctx, createScript, kindDigit(c.Kind), c.UserID, c.ID, string(c.Digest[:]), record,
		digits(c.CreatedAt), s.drop(c.ExpiresAt), strconv.Itoa(max(limit, 0)), s.retentionSeconds())
	if err == nil {
		s.fences.set(c.Digest, there, time.Time{})
	}
	return err
}

// Rotate implements auth.Store.
func (s *Store) Rotate(ctx context.Context, old auth.Ref, next auth.Credential, oldUntil time.Time) error {
	record, err := encode(next)
	if err != nil {
		return err
	}
	until, drop := "", ""
	if oldUntil.After(next.CreatedAt) {
		until, drop = digits(oldUntil), s.drop(oldUntil)
	}
	ended, err := s.change(ctx, rotateScript, kindDigit(old.Kind), old.UserID, next.ID, string(next.Digest[:]), record,
		digits(next.CreatedAt), s.drop(next.ExpiresAt), old.ID, until, drop, digits(next.CreatedAt))
	if err != nil {
		return err
	}
	if len(ended) == 0 {
		return errReply
	}
	s.fences.set(next.Digest, there, time.Time{})
	s.fences.set(ended[0], superseded, time.Time{})
	s.fenceGone(ended[1:])
	return nil
}

// Revoke implements auth.Store.
func (s *Store) Revoke(ctx context.Context, ref auth.Ref) error {
	ended, err := s.change(ctx, revokeScript, kindDigit(ref.Kind), ref.UserID, ref.ID, digits(time.Now()))
	s.fenceGone(ended)
	return err
}

// RevokeAll implements auth.Store.
func (s *Store) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	args := append([]string{kindDigit(kind), userID, digits(time.Now())}, except...)
	ended, err := s.change(ctx, revokeAllScript, args...)
	s.fenceGone(ended)
	return len(ended), err
}

// batch bounds how long Redis is busy with one script, which keeps all others
// waiting.
const batch = 500

// Touch implements auth.Store, in batches.
func (s *Store) Touch(ctx context.Context, uses []auth.Use) error {
	if len(uses) == 0 {
		return ctx.Err()
	}
	for some := range slices.Chunk(uses, batch) {
		var args []string
		for _, u := range some {
			args = append(args, kindDigit(u.Kind), u.UserID, u.ID, string(u.Digest[:]), digits(u.At))
		}
		if err := s.touch(ctx, args); err != nil {
			return err
		}
		for _, u := range some {
			s.fences.set(u.Digest, touched, u.At.Truncate(time.Microsecond))
		}
	}
	return nil
}

func (s *Store) touch(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.run(ctx, touchScript, args...).Error()
}

// Purge implements auth.Store, in batches: what was removed before an error stays
// so.
func (s *Store) Purge(ctx context.Context, before time.Time) (int, error) {
	purged := 0
	for {
		looked, removed, err := s.purgeSome(ctx, before)
		purged += removed
		if err != nil || looked == 0 {
			return purged, err
		}
	}
}

func (s *Store) purgeSome(ctx context.Context, before time.Time) (looked, removed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reply, err := s.run(ctx, purgeScript, digits(before), strconv.Itoa(batch)).AsStrSlice()
	if err != nil {
		return 0, 0, err
	}
	if len(reply) < 2 {
		return 0, 0, errReply
	}
	looked, errLooked := strconv.Atoi(reply[0])
	removed, errRemoved := strconv.Atoi(reply[1])
	gone, ok := digestsOf(reply[2:])
	if errLooked != nil || errRemoved != nil || !ok {
		return 0, 0, errReply
	}
	s.fenceGone(gone)
	return looked, removed, nil
}

var errReply = fmt.Errorf("redisstore: a script's reply cannot be read")

// change runs a script that answers with a word, and the digests of what it has
// ended behind "done".
func (s *Store) change(ctx context.Context, script *rueidis.Lua, args ...string) ([]auth.Digest, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reply, err := s.run(ctx, script, args...).AsStrSlice()
	if err != nil {
		s.unknown(err)
		return nil, err
	}
	if len(reply) == 0 {
		return nil, errReply
	}
	switch reply[0] {
	case "done":
		ended, ok := digestsOf(reply[1:])
		if !ok {
			return nil, errReply
		}
		return ended, nil
	case "not found":
		return nil, auth.ErrNotFound
	case "conflict":
		return nil, auth.ErrConflict
	case "limit":
		return nil, auth.ErrLimit
	}
	return nil, errReply
}

// unknown takes care of a change that may have been made although there was an
// error. What Redis itself refuses it has not begun. A use or a purge lets nobody
// in or out: those fence nothing, or a failing last use would cost good credentials
// their cache.
func (s *Store) unknown(err error) {
	if _, refused := rueidis.IsRedisErr(err); !refused {
		s.fences.setAll()
	}
}

func (s *Store) fenceGone(digests []auth.Digest) {
	for _, d := range digests {
		s.fences.set(d, gone, time.Time{})
	}
}

func digestsOf(reply []string) ([]auth.Digest, bool) {
	digests := make([]auth.Digest, len(reply))
	for i, text := range reply {
		if len(text) != len(digests[i]) {
			return nil, false
		}
		copy(digests[i][:], text)
	}
	return digests, true
}

// drop is when Redis removes a record that expires, in its milliseconds.
func (s *Store) drop(expires time.Time) string {
	if expires.IsZero() {
		return ""
	}
	return strconv.FormatInt(max(expires.Add(s.retention).UnixMilli(), 1), 10)
}

func (s *Store) retentionSeconds() string {
	return strconv.FormatInt(int64(s.retention/time.Second), 10)
}
