package redisstore

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// The methods here visit many records. Each of their steps is one script, which visits a
// bounded number.

// RevokeAll implements auth.Store. If the user has more than 100 records, it works in
// steps, each bounded by Config.Timeout. After an error, some records may be revoked and
// others not. It ends with a step that has revoked all that were left, so it also revokes
// the records that were created before that. If others create as many records meanwhile as a
// step revokes, the steps grow, up to 1,000 records.
func (s *Store) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	revoked, left, size := 0, math.MaxInt, writeStep
	for {
		args := append([]string{kindDigit(kind), userID, formatTime(time.Now()), strconv.Itoa(size)}, except...)
		words, digests, err := s.changeSome(ctx, revokeAllScript, 1, args...)
		if err != nil {
			return revoked, err
		}
		s.guards.setEach(digests, removed)
		revoked += len(digests)
		if words[0] == "" {
			return revoked, nil
		}
		before := left
		if left, err = strconv.Atoi(words[0]); err != nil {
			return revoked, errReply
		}
		if left >= before {
			size = min(2*size, maxWriteStep)
		}
	}
}

// Purge implements auth.Store. It works in steps, each bounded by Config.Timeout: after an
// error, the records of the steps before it remain removed.
func (s *Store) Purge(ctx context.Context, before time.Time) (int, error) {
	purged := 0
	for {
		more, removed, err := s.purgeSome(ctx, before)
		purged += removed
		if err != nil || !more {
			return purged, err
		}
	}
}

func (s *Store) purgeSome(ctx context.Context, before time.Time) (more bool, count int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reply, err := s.run(ctx, purgeScript, formatTime(before), formatTime(time.Now()), strconv.Itoa(writeStep)).AsStrSlice()
	if err != nil {
		return false, 0, err
	}
	if len(reply) < 3 {
		return false, 0, errReply
	}
	count, err = strconv.Atoi(reply[2])
	digests, ok := parseDigests(reply[3:])
	if err != nil || !ok {
		return false, 0, errReply
	}
	s.guards.setEach(digests, removed)
	return reply[1] != "", count, nil
}

// List implements auth.Store. A page of more than 250 records takes several steps.
func (s *Store) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	list, after := []auth.Credential{}, page.After
	if after != "" {
		after += "\x00" // no member of this ID is below
	}
	for {
		missing := strconv.Itoa(page.Max() - len(list))
		texts, err := s.run(ctx, listScript, kindDigit(kind), userID, after, missing, strconv.Itoa(step)).AsStrSlice()
		if err != nil {
			return nil, err
		}
		if len(texts) == 0 {
			return nil, errReply
		}
		if list, err = appendRecords(list, texts[1:]); err != nil {
			return nil, err
		}
		if after = texts[0]; after == "" || len(list) >= page.Max() {
			return list, nil
		}
	}
}

func appendRecords(list []auth.Credential, texts []string) ([]auth.Credential, error) {
	for _, text := range texts {
		c, err := decode(text)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

var _ auth.Scanner = (*Store)(nil)

// Scan implements auth.Scanner, in the order of expiry; records that never expire are last.
// A page has at most 250 records, and one that visits only records of other kinds has none.
func (s *Store) Scan(ctx context.Context, q auth.ScanQuery) (auth.ScanPage, error) {
	last, digest, err := parseCursor(q)
	if err != nil {
		return auth.ScanPage{}, err
	}
	from, to := "-inf", "+inf"
	if !q.ExpiresFrom.IsZero() {
		from = formatTime(q.ExpiresFrom)
	}
	if !q.ExpiresBefore.IsZero() {
		to = formatTime(q.ExpiresBefore)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reply, err := s.run(ctx, scanScript, from, to, last, digest, strconv.Itoa(min(step, q.Max()))).AsStrSlice()
	if err != nil {
		return auth.ScanPage{}, err
	}
	if len(reply) < 2 {
		return auth.ScanPage{}, errReply
	}
	list, err := appendRecords(nil, reply[2:])
	if err != nil {
		return auth.ScanPage{}, err
	}
	var page auth.ScanPage
	for _, c := range list {
		if q.Matches(&c) { // scores of times after 2255 are rounded
			page.Credentials = append(page.Credentials, c)
		}
	}
	if reply[0] != "" {
		page.Next = formatCursor(q, reply[0], reply[1])
	}
	return page, nil
}

// A cursor names the query and the last entry of a page.
func formatCursor(q auth.ScanQuery, score, digest string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorPrefix(q) + score + "," + digest))
}

func cursorPrefix(q auth.ScanQuery) string {
	return fmt.Sprintf("%d,%s,%s,", q.Kind, formatTime(q.ExpiresFrom), formatExpiry(q.ExpiresBefore))
}

var errCursor = &auth.ArgumentError{Argument: "Cursor", Fault: "is not from a page of this query"}

func parseCursor(q auth.ScanQuery) (score, digest string, err error) {
	if q.Cursor == "" {
		return "", "", nil
	}
	text, errText := base64.RawURLEncoding.DecodeString(q.Cursor)
	rest, _ := strings.CutPrefix(string(text), cursorPrefix(q))
	score, digest, _ = strings.Cut(rest, ",")
	number, errScore := strconv.ParseFloat(score, 64)
	switch {
	case errText != nil, errScore != nil, math.IsNaN(number), len(digest) != len(auth.Digest{}),
		q.Cursor != formatCursor(q, score, digest): // the decoder ignores line breaks
		return "", "", errCursor
	}
	return score, digest, nil
}
