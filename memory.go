package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/listeners"
)

// A MemoryStore is a [Store] in the memory of this process, which loses everything when
// the process ends. It is for tests, for development, and for services that load their
// tokens at start. It is made by [NewMemoryStore] and safe for concurrent use.
type MemoryStore struct {
	// digests is what Lookup reads. It has shards, so that requests on several cores
	// seldom wait for one lock.
	digests [shardCount]shard

	// mu orders all changes. users is what changes and lists read.
	mu        sync.Mutex
	users     map[owner][]*memoryRecord // not revoked, lowest ID first
	revoked   map[Ref]bool              // the tokens and secrets whose remains are in digests
	listeners listeners.List[Kind]
}

var (
	_ Store    = (*MemoryStore)(nil)
	_ Scanner  = (*MemoryStore)(nil)
	_ Notifier = (*MemoryStore)(nil)
)

// A memoryRecord is immutable once it is in the store. A change replaces it, so that
// callers of Lookup can share it.
type memoryRecord struct {
	Credential
	revokedAt time.Time // if not zero, only the Ref and Digest are set
}

type owner struct {
	kind   Kind
	userID string
}

const shardCount = 64

type shard struct {
	mu      sync.RWMutex
	records map[Digest]*memoryRecord
}

// matching returns the records that q asks for, in the order of their digests.
func (sh *shard) matching(q ScanQuery) []*memoryRecord {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	var found []*memoryRecord
	for _, r := range sh.records {
		if r.revokedAt.IsZero() && q.Matches(&r.Credential) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *memoryRecord) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	return found
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	s := &MemoryStore{
		users:   make(map[owner][]*memoryRecord),
		revoked: make(map[Ref]bool),
	}
	for i := range s.digests {
		s.digests[i].records = make(map[Digest]*memoryRecord)
	}
	return s
}

// Lookup implements [Store].
func (s *MemoryStore) Lookup(ctx context.Context, kind Kind, d Digest) (*Credential, error) {
	r := s.byDigest(d)
	if r == nil || r.Kind != kind {
		return nil, ErrNotFound
	}
	if !r.revokedAt.IsZero() {
		return &r.Credential, ErrRevoked
	}
	return &r.Credential, nil
}

// Create implements [Store].
func (s *MemoryStore) Create(ctx context.Context, c Credential, limit int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	live, expiredSecret, now := 0, (*memoryRecord)(nil), time.Now()
	if limit > 0 || c.Kind == KindSecret {
		for _, r := range s.users[owner{c.Kind, c.UserID}] {
			switch {
			case r.Superseded:
			case !r.Expired(now):
				live++
			case c.Kind == KindSecret:
				expiredSecret = r
			}
		}
	}
	if c.Kind == KindSecret && live > 0 {
		return ErrConflict
	}
	if s.taken(c) {
		return ErrConflict
	}
	if limit > 0 && live >= limit {
		return ErrLimit
	}
	if expiredSecret != nil {
		s.revoke(expiredSecret)
		s.revokePrevious(expiredSecret)
		s.notify(c.Kind, c.UserID)
	}
	s.add(c)
	return nil
}

// Get implements [Store].
func (s *MemoryStore) Get(ctx context.Context, ref Ref) (Credential, error) {
	if err := ctx.Err(); err != nil {
		return Credential{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byRef(ref)
	if r == nil {
		return Credential{}, ErrNotFound
	}
	return r.clone(), nil
}

// List implements [Store].
func (s *MemoryStore) List(ctx context.Context, kind Kind, userID string, page Page) ([]Credential, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	records := s.users[owner{kind, userID}]
	end := len(records)
	if page.After != "" {
		end, _ = slices.BinarySearchFunc(records, page.After, byID)
	}
	list := make([]Credential, 0, min(end, page.Max()))
	for i := end - 1; i >= 0 && len(list) < page.Max(); i-- {
		list = append(list, records[i].clone())
	}
	return list, nil
}

// Update implements [Store].
func (s *MemoryStore) Update(ctx context.Context, old, next Credential) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byRef(old.Ref())
	switch {
	case r == nil:
		return ErrNotFound
	case r.Superseded || !r.sameSettings(&old):
		return ErrConflict
	}
	s.change(r, func(c *Credential) {
		c.Name, c.Scopes, c.Networks, c.Metadata = next.Name, next.Scopes, next.Networks, next.Metadata
	})
	s.notify(r.Kind, r.UserID)
	return nil
}

// Rotate implements [Store].
func (s *MemoryStore) Rotate(ctx context.Context, old, next Credential, oldUntil time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byRef(old.Ref())
	switch {
	case r == nil || r.Expired(next.CreatedAt):
		return ErrNotFound
	case r.Superseded || !r.sameSettings(&old) || s.taken(next):
		return ErrConflict
	}
	defer s.notify(r.Kind, r.UserID)
	s.add(next)
	s.revokePrevious(r)
	if !oldUntil.After(next.CreatedAt) {
		s.revoke(r)
		return nil
	}
	if !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(oldUntil) {
		oldUntil = r.ExpiresAt
	}
	s.change(r, func(c *Credential) { c.Superseded, c.ExpiresAt = true, oldUntil })
	return nil
}

// Revoke implements [Store].
func (s *MemoryStore) Revoke(ctx context.Context, ref Ref) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byRef(ref)
	if r == nil {
		return ErrNotFound
	}
	s.revoke(r)
	s.revokePrevious(r)
	s.notify(r.Kind, r.UserID)
	return nil
}

// RevokeAll implements [Store].
func (s *MemoryStore) RevokeAll(ctx context.Context, kind Kind, userID string, except ...string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	revoked := 0
	// Backward, so that removing one does not move the others.
	for _, r := range slices.Backward(slices.Clone(s.users[owner{kind, userID}])) {
		if !slices.Contains(except, r.ID) {
			s.revoke(r)
			revoked++
		}
	}
	if revoked > 0 {
		s.notify(kind, userID)
	}
	return revoked, nil
}

// Touch implements [Store].
func (s *MemoryStore) Touch(ctx context.Context, uses []Use) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, use := range uses {
		if r := s.byRef(use.Ref); r != nil && use.At.After(r.LastUsedAt) {
			s.change(r, func(c *Credential) { c.LastUsedAt, c.LastUsedFrom = use.At, use.From })
		}
	}
	return nil
}

// Purge implements [Store].
func (s *MemoryStore) Purge(ctx context.Context, before time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	purged := 0
	for i := range s.digests {
		if err := ctx.Err(); err != nil {
			return purged, err
		}
		for d, r := range s.digests[i].records {
			switch {
			case !r.revokedAt.IsZero():
				if !r.revokedAt.Before(before) {
					continue
				}
				delete(s.revoked, r.Ref())
			case r.ExpiresAt.IsZero() || !r.ExpiresAt.Before(before):
				continue
			default:
				s.unlist(r)
			}
			s.put(d, nil)
			purged++
		}
	}
	return purged, nil
}

// Scan implements [Scanner]. It goes from shard to shard, and in each by digest.
func (s *MemoryStore) Scan(ctx context.Context, q ScanQuery) (ScanPage, error) {
	if err := ctx.Err(); err != nil {
		return ScanPage{}, err
	}
	after, ok := q.parseCursor()
	if !ok {
		return ScanPage{}, argumentError("Cursor", "is not from a page of this query")
	}
	first := int(after[0] % shardCount)
	var page ScanPage
	for i := first; i < shardCount; i++ {
		for _, r := range s.digests[i].matching(q) {
			if q.Cursor != "" && i == first && bytes.Compare(r.Digest[:], after[:]) <= 0 {
				continue
			}
			if len(page.Credentials) == q.Max() {
				page.Next = q.cursorAfter(page.Credentials[len(page.Credentials)-1].Digest)
				return page, nil
			}
			page.Credentials = append(page.Credentials, r.clone())
		}
	}
	return page, nil
}

// cursorAfter returns the cursor of the page after a record, which has a hash of the query.
func (q ScanQuery) cursorAfter(d Digest) string {
	hash := fnv.New64a()
	fmt.Fprint(hash, q.Kind, q.ExpiresFrom.UnixMicro(), q.ExpiresBefore.UnixMicro())
	return hex.EncodeToString(hash.Sum(d[:]))
}

// parseCursor returns the digest of the last record of the page before. The zero Digest is
// before all others.
func (q ScanQuery) parseCursor() (after Digest, ok bool) {
	if q.Cursor == "" {
		return after, true
	}
	b, err := hex.DecodeString(q.Cursor)
	if err != nil || len(b) < len(after) {
		return after, false
	}
	copy(after[:], b)
	return after, q.Cursor == q.cursorAfter(after)
}

// Notify implements [Notifier]. It never returns an error, and no change is missed.
func (s *MemoryStore) Notify(f func(kind Kind, userID string)) (stop func(), err error) {
	stop, _ = s.listeners.Add(f) // the list is never closed
	return stop, nil
}

// byDigest returns the record with that digest, of any kind and even if revoked, or nil.
func (s *MemoryStore) byDigest(d Digest) *memoryRecord {
	sh := &s.digests[d[0]%shardCount]
	sh.mu.RLock()
	r := sh.records[d]
	sh.mu.RUnlock()
	return r
}

// put sets what byDigest returns. If r is nil, it removes it.
func (s *MemoryStore) put(d Digest, r *memoryRecord) {
	sh := &s.digests[d[0]%shardCount]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if r == nil {
		delete(sh.records, d)
		return
	}
	sh.records[d] = r
}

// The methods below are called with s.mu held.

// notify calls the functions of Notify in the order of the changes.
func (s *MemoryStore) notify(kind Kind, userID string) { s.listeners.Call(kind, userID) }

// byRef returns the record, or nil if there is none or it is revoked.
func (s *MemoryStore) byRef(ref Ref) *memoryRecord {
	records := s.users[owner{ref.Kind, ref.UserID}]
	if i, ok := slices.BinarySearchFunc(records, ref.ID, byID); ok {
		return records[i]
	}
	return nil
}

// taken reports whether a record has the digest or the ID of c, even if it was revoked.
func (s *MemoryStore) taken(c Credential) bool {
	return s.byDigest(c.Digest) != nil || s.byRef(c.Ref()) != nil || s.revoked[c.Ref()]
}

func (s *MemoryStore) add(c Credential) {
	r := &memoryRecord{Credential: c}
	r.Sealed = slices.Clone(c.Sealed)
	of := owner{c.Kind, c.UserID}
	records := s.users[of]
	i, _ := slices.BinarySearchFunc(records, c.ID, byID)
	s.users[of] = slices.Insert(records, i, r)
	s.put(c.Digest, r)
}

// change replaces r with a changed copy.
func (s *MemoryStore) change(r *memoryRecord, edit func(*Credential)) {
	next := *r
	edit(&next.Credential)
	records := s.users[owner{r.Kind, r.UserID}]
	i, _ := slices.BinarySearchFunc(records, r.ID, byID)
	records[i] = &next
	s.put(r.Digest, &next)
}

func (s *MemoryStore) revoke(r *memoryRecord) {
	s.unlist(r)
	if r.Kind == KindSession {
		s.put(r.Digest, nil) // sessions cannot be imported
		return
	}
	s.revoked[r.Ref()] = true
	s.put(r.Digest, &memoryRecord{
		Credential: Credential{Kind: r.Kind, UserID: r.UserID, ID: r.ID, Digest: r.Digest},
		revokedAt:  time.Now(),
	})
}

func (s *MemoryStore) revokePrevious(r *memoryRecord) {
	if r.Previous == "" {
		return
	}
	if previous := s.byRef(Ref{r.Kind, r.UserID, r.Previous}); previous != nil {
		s.revoke(previous)
	}
}

func (s *MemoryStore) unlist(r *memoryRecord) {
	of := owner{r.Kind, r.UserID}
	records := s.users[of]
	i, _ := slices.BinarySearchFunc(records, r.ID, byID)
	if records = slices.Delete(records, i, i+1); len(records) > 0 {
		s.users[of] = records
		return
	}
	delete(s.users, of)
}

func (r *memoryRecord) clone() Credential {
	c := r.Credential
	c.Sealed = slices.Clone(c.Sealed)
	return c
}

func byID(r *memoryRecord, id string) int { return cmp.Compare(r.ID, id) }
