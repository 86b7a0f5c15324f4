package storetest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

func lower(s string) string { return strings.ToLower(s) }
func unpad(s string) string { return strings.TrimRight(s, " ") }

// similarUsers treats users as one whose IDs a collation treats as equal.
type similarUsers struct {
	*auth.MemoryStore
	fold    func(string) string
	secrets bool // otherwise the limit
	mu      sync.Mutex
	users   map[string][]string
}

func (s *similarUsers) Create(ctx context.Context, c auth.Credential, limit int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	live, key := 0, s.fold(c.UserID)
	for _, user := range s.users[key] {
		list, err := s.List(ctx, c.Kind, user, auth.Page{})
		if err != nil {
			return err
		}
		live += len(list)
	}
	switch {
	case s.secrets && c.Kind == auth.KindSecret && live > 0:
		return auth.ErrConflict
	case !s.secrets && limit > 0 && live >= limit:
		return auth.ErrLimit
	}
	if s.users == nil {
		s.users = make(map[string][]string)
	}
	s.users[key] = append(s.users[key], c.UserID)
	return s.MemoryStore.Create(ctx, c, limit)
}

// similarIDs treats IDs as one that a collation treats as equal.
type similarIDs struct {
	*auth.MemoryStore
	fold func(string) string
}

func (s *similarIDs) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	list, err := s.List(ctx, ref.Kind, ref.UserID, auth.Page{})
	for _, c := range list {
		if s.fold(c.ID) == s.fold(ref.ID) {
			return c, nil
		}
	}
	return auth.Credential{}, errors.Join(err, auth.ErrNotFound)
}

// similarExceptions is similarIDs for RevokeAll alone.
type similarExceptions struct{ *auth.MemoryStore }

func (s *similarExceptions) RevokeAll(ctx context.Context, kind auth.Kind, user string, except ...string) (int, error) {
	list, err := s.List(ctx, kind, user, auth.Page{})
	if err != nil {
		return 0, err
	}
	for _, c := range list {
		for _, id := range except {
			if strings.EqualFold(c.ID, id) {
				except = append(except, c.ID)
			}
		}
	}
	return s.MemoryStore.RevokeAll(ctx, kind, user, except...)
}

// textual keeps digests in a form that is not theirs alone.
type textual struct {
	*auth.MemoryStore
	form    func(auth.Digest) string
	digests sync.Map
}

func padded(d auth.Digest) string { return strings.TrimRight(string(d[:]), " \x00") }
func folded(d auth.Digest) string {
	return strings.ToLower(base64.StdEncoding.EncodeToString(d[:]))
}

func (s *textual) Create(ctx context.Context, c auth.Credential, limit int) error {
	s.digests.LoadOrStore(s.form(c.Digest), c.Digest)
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *textual) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if first, ok := s.digests.Load(s.form(d)); ok {
		d = first.(auth.Digest)
	}
	return s.MemoryStore.Lookup(ctx, kind, d)
}

// loose compares old with the record in a way of its own, in Update or in Rotate.
type loose struct {
	*auth.MemoryStore
	same func(record, old *auth.Credential) bool
	in   string
}

func always(_, _ *auth.Credential) bool          { return true }
func onlyName(record, old *auth.Credential) bool { return record.Name == old.Name }

func foldedFields(record, old *auth.Credential) bool {
	return strings.EqualFold(record.Name, old.Name) && strings.EqualFold(string(record.Scopes), string(old.Scopes)) &&
		record.Networks == old.Networks && record.Metadata == old.Metadata
}

func joinedFields(record, old *auth.Credential) bool {
	join := func(c *auth.Credential) string {
		return c.Name + string(c.Scopes) + string(c.Networks) + string(c.Metadata)
	}
	return join(record) == join(old)
}

// present returns the record instead of old, if they are the same to s.
func (s *loose) present(ctx context.Context, old auth.Credential) auth.Credential {
	if c, err := s.Get(ctx, old.Ref()); err == nil && s.same(&c, &old) {
		return c
	}
	return old
}

func (s *loose) Update(ctx context.Context, old, next auth.Credential) error {
	if s.in == "Update" {
		old = s.present(ctx, old)
	}
	return s.MemoryStore.Update(ctx, old, next)
}

func (s *loose) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	if s.in == "Rotate" {
		time.Sleep(time.Millisecond) // a round trip to the database
		old = s.present(ctx, old)
	}
	return s.MemoryStore.Rotate(ctx, old, next, until)
}

// stale compares, and then writes, in two steps.
type stale struct{ *auth.MemoryStore }

func (s *stale) Update(ctx context.Context, old, next auth.Credential) error {
	c, err := s.Get(ctx, old.Ref())
	if err != nil {
		return err
	}
	if c.Superseded || c.Name != old.Name || c.Scopes != old.Scopes || c.Networks != old.Networks || c.Metadata != old.Metadata {
		return auth.ErrConflict
	}
	time.Sleep(time.Millisecond) // a round trip to the database
	if c, err = s.Get(ctx, old.Ref()); err != nil {
		return err
	}
	return s.MemoryStore.Update(ctx, c, next)
}

// affected counts the rows that an Update changed, as MySQL does.
type affected struct{ *auth.MemoryStore }

func (s *affected) Update(ctx context.Context, old, next auth.Credential) error {
	if old.Name == next.Name && old.Scopes == next.Scopes && old.Networks == next.Networks && old.Metadata == next.Metadata {
		return auth.ErrConflict
	}
	return s.MemoryStore.Update(ctx, old, next)
}

// trusting believes old about more than it should.
type trusting struct{ *auth.MemoryStore }

func (s *trusting) Update(ctx context.Context, old, next auth.Credential) error {
	if old.Superseded {
		return auth.ErrConflict
	}
	return s.MemoryStore.Update(ctx, old, next)
}

// edited changes records after certain calls.
type edited struct {
	*auth.MemoryStore
	update func(old, next auth.Credential) func(c *auth.Credential)
	rotate func(old auth.Credential) func(next *auth.Credential)
	edits  sync.Map
}

func losesTouch(old, _ auth.Credential) func(*auth.Credential) {
	return func(c *auth.Credential) { c.LastUsedAt, c.LastUsedFrom = old.LastUsedAt, old.LastUsedFrom }
}

func prolongs(_, next auth.Credential) func(*auth.Credential) {
	return func(c *auth.Credential) { c.ExpiresAt = next.ExpiresAt }
}

func inheritsUse(old auth.Credential) func(*auth.Credential) {
	return func(next *auth.Credential) { next.LastUsedAt = old.LastUsedAt }
}

func (s *edited) Update(ctx context.Context, old, next auth.Credential) error {
	if err := s.MemoryStore.Update(ctx, old, next); err != nil || s.update == nil {
		return err
	}
	s.edits.Store(old.Digest, s.update(old, next))
	return nil
}

func (s *edited) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	c, err := s.Get(ctx, old.Ref())
	if err == nil && s.rotate != nil {
		s.edits.Store(next.Digest, s.rotate(c))
	}
	return s.MemoryStore.Rotate(ctx, old, next, until)
}

func (s *edited) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	found, err := s.MemoryStore.Lookup(ctx, kind, d)
	if edit, ok := s.edits.Load(d); ok && err == nil {
		c := *found
		edit.(func(*auth.Credential))(&c)
		return &c, nil
	}
	return found, err
}

// touching changes uses before it stores them.
type touching struct {
	*auth.MemoryStore
	edit func(present auth.Credential, use *auth.Use)
}

func ignoresFrom(_ auth.Credential, use *auth.Use) { use.From = netip.Addr{} }

func keepsFrom(present auth.Credential, use *auth.Use) {
	if !use.From.IsValid() {
		use.From = present.LastUsedFrom
	}
}

func (s *touching) Touch(ctx context.Context, uses []auth.Use) error {
	for _, use := range uses {
		if c, err := s.Get(ctx, use.Ref); err == nil {
			s.edit(c, &use)
		}
		if err := s.MemoryStore.Touch(ctx, []auth.Use{use}); err != nil {
			return err
		}
	}
	return nil
}

// creating changes records before it stores them.
type creating struct {
	*auth.MemoryStore
	edit func(c *auth.Credential)
}

func milliseconds(c *auth.Credential) {
	c.CreatedAt, c.ExpiresAt = c.CreatedAt.Truncate(time.Millisecond), c.ExpiresAt.Truncate(time.Millisecond)
}

func localTime(c *auth.Credential) {
	c.CreatedAt = c.CreatedAt.In(time.FixedZone("local", 3600))
}

func shifted(c *auth.Credential) {
	if !c.ExpiresAt.IsZero() {
		c.ExpiresAt = c.ExpiresAt.Add(time.Hour)
	}
}

func (s *creating) Create(ctx context.Context, c auth.Credential, limit int) error {
	s.edit(&c)
	return s.MemoryStore.Create(ctx, c, limit)
}

// listing lists the records and then revokes them, one by one.
type listing struct {
	*auth.MemoryStore
	unchanged bool // revokes those alone that are as they were in the list
}

func (s *listing) RevokeAll(ctx context.Context, kind auth.Kind, user string, _ ...string) (int, error) {
	list, err := s.List(ctx, kind, user, auth.Page{Limit: 1000})
	if err != nil {
		return 0, err
	}
	time.Sleep(time.Millisecond) // a round trip to the database
	n := 0
	for _, c := range list {
		now, err := s.Get(ctx, c.Ref())
		if err != nil || s.unchanged && (!now.LastUsedAt.Equal(c.LastUsedAt) || now.Name != c.Name) {
			continue
		}
		if s.Revoke(ctx, c.Ref()) == nil {
			n++
		}
	}
	return n, nil
}

// tidy purges superseded records.
type tidy struct{ *auth.MemoryStore }

func (s *tidy) Purge(ctx context.Context, before time.Time) (int, error) {
	page, err := s.Scan(ctx, auth.ScanQuery{Limit: 1000})
	if err != nil {
		return 0, err
	}
	for _, c := range page.Credentials {
		if c.Superseded {
			if err := s.Revoke(ctx, c.Ref()); err != nil {
				return 0, err
			}
		}
	}
	return s.MemoryStore.Purge(ctx, before)
}

// indexed has an index of expiries by digest, which it only ever adds to.
type indexed struct {
	*auth.MemoryStore
	expiries sync.Map
}

func (s *indexed) Create(ctx context.Context, c auth.Credential, limit int) error {
	if !c.ExpiresAt.IsZero() {
		s.expiries.Store(c.Digest, c.ExpiresAt)
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *indexed) Purge(ctx context.Context, before time.Time) (int, error) {
	n, err := s.MemoryStore.Purge(ctx, before)
	s.expiries.Range(func(d, expires any) bool {
		for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
			if c, errLookup := s.Lookup(ctx, kind, d.(auth.Digest)); errLookup == nil && expires.(time.Time).Before(before) {
				n, err = n+1, s.Revoke(ctx, c.Ref())
			}
		}
		return err == nil
	})
	return n, err
}

// talkative returns more, or something else, beside ErrRevoked.
type talkative struct {
	*auth.MemoryStore
	edit func(c *auth.Credential)
}

func noOwner(c *auth.Credential)  { c.UserID = "" }
func unsealed(c *auth.Credential) { c.Sealed = []byte{1} }

func (s *talkative) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	found, err := s.MemoryStore.Lookup(ctx, kind, d)
	if errors.Is(err, auth.ErrRevoked) {
		c := *found
		s.edit(&c)
		return &c, err
	}
	return found, err
}
