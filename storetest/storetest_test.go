package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/storetest"
)

// broken is the environment variable that tells this test binary which broken store
// to run the suite over.
const broken = "AUTH_STORETEST_BROKEN"

// Each of these stores breaks one rule of the contract, which the suite must report.
var brokenStores = map[string]struct {
	rule string // the subtest that fails; others may fail, too
	make func() auth.Store
}{
	"Create keeps the caller's slice":               {"Store_sharesNoSlice", func() auth.Store { return &sharing{MemoryStore: auth.NewMemoryStore()} }},
	"Create counts and inserts in two steps":        {"Create_concurrentLimit", func() auth.Store { return &counting{auth.NewMemoryStore(), presentTime} }},
	"Create overwrites a record with the same ID":   {"Create_idTaken", func() auth.Store { return &overwriting{auth.NewMemoryStore()} }},
	"Create forgets the IDs of revoked records":     {"Create_idRevoked", func() auth.Store { return &reusing{auth.NewMemoryStore()} }},
	"Create forgets the IDs of expired records":     {"Create_idExpired", func() auth.Store { return &reusing{auth.NewMemoryStore()} }},
	"Create reserves an ID for all users":           {"Create_idOfOthers", func() auth.Store { return &global{MemoryStore: auth.NewMemoryStore()} }},
	"Create checks the ID in a step of its own":     {"Create_concurrentID", func() auth.Store { return &racing{auth.NewMemoryStore()} }},
	"Create checks the limit first":                 {"Create_conflictBeforeLimit", func() auth.Store { return &counting{auth.NewMemoryStore(), presentTime} }},
	"Rotate checks the ID in a step of its own":     {"Rotate_concurrentID", func() auth.Store { return &racing{auth.NewMemoryStore()} }},
	"Purge keeps the IDs":                           {"Purge_freesID", func() auth.Store { return &global{MemoryStore: auth.NewMemoryStore()} }},
	"Create ignores the limit":                      {"Create_limit", func() auth.Store { return &unlimited{auth.NewMemoryStore()} }},
	"Create counts the limit at CreatedAt":          {"Create_countsLimitNow", func() auth.Store { return &counting{auth.NewMemoryStore(), creationTime} }},
	"Create rejects a secret after an expired one":  {"Create_replacesExpiredSecret", func() auth.Store { return &occupied{auth.NewMemoryStore()} }},
	"Create leaves the expired secret":              {"Create_replacesExpiredSecret", func() auth.Store { return &remembering{MemoryStore: auth.NewMemoryStore()} }},
	"Create replaces a secret that is still valid":  {"Create_replacesOnlyExpired", func() auth.Store { return &replacing{auth.NewMemoryStore(), creationTime} }},
	"Create revokes the expired secret, then fails": {"Create_failureKeepsExpiredSecret", func() auth.Store { return &replacing{auth.NewMemoryStore(), presentTime} }},
	"Create replaces what a replica has":            {"Create_concurrentReplacements", func() auth.Store { return &lagging{MemoryStore: auth.NewMemoryStore()} }},
	"Create leaves the previous secret":             {"Create_revokesPreviousOfExpiredSecret", func() auth.Store { return &remembering{MemoryStore: auth.NewMemoryStore()} }},
	"Lookup ignores the kind":                       {"Lookup_kindsAreSeparate", func() auth.Store { return &kindless{auth.NewMemoryStore()} }},
	"Lookup hides expired records":                  {"Lookup_findsExpired", func() auth.Store { return &strict{auth.NewMemoryStore()} }},
	"Create rounds times to seconds":                {"Create_keepsEveryField", func() auth.Store { return &rounding{auth.NewMemoryStore()} }},
	"Create sets CreatedAt":                         {"Create_countsLimitNow", func() auth.Store { return &ownClock{auth.NewMemoryStore()} }},
	"Get ignores case and spaces of the user":       {"Get_comparesUsersByteByByte", func() auth.Store { return &folding{auth.NewMemoryStore()} }},
	"List is oldest first":                          {"List_newestFirst", func() auth.Store { return &reversed{auth.NewMemoryStore()} }},
	"List pages by offset":                          {"List_pagesNeitherSkipNorRepeat", func() auth.Store { return &offset{MemoryStore: auth.NewMemoryStore()} }},
	"List sorts by CreatedAt":                       {"List_ordersByID", func() auth.Store { return &byTime{auth.NewMemoryStore()} }},
	"Rotate has two steps":                          {"Rotate_concurrentWithGracePeriod", func() auth.Store { return &twoSteps{auth.NewMemoryStore()} }},
	"Rotate extends the grace period":               {"Rotate_gracePeriod", func() auth.Store { return &lenient{auth.NewMemoryStore()} }},
	"Rotate accepts expired records":                {"Rotate_expired", func() auth.Store { return &reviving{auth.NewMemoryStore()} }},
	"Rotate leaves the previous record":             {"Rotate_revokesPrevious", func() auth.Store { return &leaving{auth.NewMemoryStore()} }},
	"Revoke leaves the previous record":             {"Revoke_inGracePeriod", func() auth.Store { return &forgetful{auth.NewMemoryStore()} }},
	"Revoke forgets the digest":                     {"Revoke_isPermanent", func() auth.Store { return &amnesiac{auth.NewMemoryStore()} }},
	"RevokeAll ignores except":                      {"RevokeAll_except", func() auth.Store { return &thorough{auth.NewMemoryStore()} }},
	"RevokeAll skips expired records":               {"RevokeAll_includesExpired", func() auth.Store { return &sparing{auth.NewMemoryStore()} }},
	"Touch moves backward":                          {"Touch_onlyForward", func() auth.Store { return &backward{MemoryStore: auth.NewMemoryStore()} }},
	"Touch stops at an expired record":              {"Touch_changesNothingElse", func() auth.Store { return &picky{auth.NewMemoryStore()} }},
	"Purge removes what expires at the time":        {"Purge_expired", func() auth.Store { return &eager{auth.NewMemoryStore()} }},
	"Lookup compares half of the digest":            {"Lookup_comparesWholeDigest", func() auth.Store { return &half{MemoryStore: auth.NewMemoryStore()} }},
	"Lookup returns ErrNotFound if canceled":        {"Lookup_canceled", func() auth.Store { return &canceledLookup{auth.NewMemoryStore()} }},
	"Revoke returns ErrNotFound if canceled":        {"Store_canceledChange", func() auth.Store { return &canceledRevoke{auth.NewMemoryStore()} }},
	"Create returns the driver's error":             {"Create_uniqueDigest", func() auth.Store { return &vague{auth.NewMemoryStore()} }},
}

// TestRun_brokenStore is run by TestRun_reportsBrokenStores, as another process.
func TestRun_brokenStore(t *testing.T) {
	name, ok := os.LookupEnv(broken)
	if !ok {
		t.Skip("only runs in a process that TestRun_reportsBrokenStores starts")
	}
	storetest.Run(t, func(*testing.T) auth.Store { return brokenStores[name].make() })
}

func TestRun_reportsBrokenStores(t *testing.T) {
	t.Parallel()
	for name, store := range brokenStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestRun_brokenStore$", "-test.v", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), broken+"="+name)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "the suite passed:\n%s", out)
			failed := "--- FAIL: TestRun_brokenStore/" + store.rule + " "
			require.Contains(t, string(out), failed, "another rule failed, or none:\n%s", out)
			require.Contains(t, string(out), "The rule: ")
		})
	}
}

type sharing struct {
	*auth.MemoryStore
	sealed sync.Map
}

func (s *sharing) Create(ctx context.Context, c auth.Credential, limit int) error {
	s.sealed.Store(c.ID, c.Sealed)
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *sharing) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	c, err := s.MemoryStore.Get(ctx, ref)
	if sealed, ok := s.sealed.Load(ref.ID); ok && err == nil {
		c.Sealed = sealed.([]byte)
	}
	return c, err
}

// at returns a time at which a broken Create checks which records have expired.
type at func(auth.Credential) time.Time

func presentTime(auth.Credential) time.Time    { return time.Now() }
func creationTime(c auth.Credential) time.Time { return c.CreatedAt }

type counting struct {
	*auth.MemoryStore
	at at
}

func (s *counting) Create(ctx context.Context, c auth.Credential, limit int) error {
	live := 0
	list, err := s.List(ctx, c.Kind, c.UserID, auth.Page{Limit: 1000})
	if err != nil {
		return err
	}
	for _, other := range list {
		if !other.Superseded && !other.Expired(s.at(c)) {
			live++
		}
	}
	if limit > 0 && live >= limit {
		return auth.ErrLimit
	}
	time.Sleep(time.Millisecond) // a round trip to the database
	return s.MemoryStore.Create(ctx, c, 0)
}

type occupied struct{ *auth.MemoryStore }

func (s *occupied) Create(ctx context.Context, c auth.Credential, limit int) error {
	list, err := s.List(ctx, c.Kind, c.UserID, auth.Page{})
	if err != nil {
		return err
	}
	if c.Kind == auth.KindSecret && slices.ContainsFunc(list, func(c auth.Credential) bool { return !c.Superseded }) {
		return auth.ErrConflict
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

type remembering struct {
	*auth.MemoryStore
	secrets sync.Map
}

func (s *remembering) Create(ctx context.Context, c auth.Credential, limit int) error {
	list, err := s.List(ctx, auth.KindSecret, c.UserID, auth.Page{})
	if err != nil {
		return err
	}
	for _, secret := range list {
		s.secrets.Store(secret.Digest, secret)
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *remembering) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if secret, ok := s.secrets.Load(d); ok && kind == auth.KindSecret {
		c := secret.(auth.Credential)
		return &c, nil
	}
	return s.MemoryStore.Lookup(ctx, kind, d)
}

type replacing struct {
	*auth.MemoryStore
	at at
}

func (s *replacing) Create(ctx context.Context, c auth.Credential, limit int) error {
	list, err := s.List(ctx, c.Kind, c.UserID, auth.Page{})
	if err != nil {
		return err
	}
	if c.Kind == auth.KindSecret && len(list) == 1 && list[0].Expired(s.at(c)) {
		if _, err := s.RevokeAll(ctx, c.Kind, c.UserID); err != nil {
			return err
		}
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

// lagging reads expired secrets from a replica that never catches up.
type lagging struct {
	*auth.MemoryStore
	expired sync.Map // users
}

func (s *lagging) Create(ctx context.Context, c auth.Credential, limit int) error {
	if _, ok := s.expired.Load(c.UserID); ok && c.Kind == auth.KindSecret {
		if _, err := s.RevokeAll(ctx, c.Kind, c.UserID); err != nil {
			return err
		}
	}
	if c.Expired(time.Now()) {
		s.expired.Store(c.UserID, true)
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

type overwriting struct{ *auth.MemoryStore }

func (s *overwriting) Create(ctx context.Context, c auth.Credential, limit int) error {
	if old, err := s.Get(ctx, c.Ref()); err == nil && old.Digest != c.Digest {
		if err := s.Revoke(ctx, c.Ref()); err != nil {
			return err
		}
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

// reusing accepts the ID of a record that was revoked or has expired.
type reusing struct{ *auth.MemoryStore }

func (s *reusing) Create(ctx context.Context, c auth.Credential, limit int) error {
	old, errGet := s.Get(ctx, c.Ref())
	_, errLookup := s.Lookup(ctx, c.Kind, c.Digest)
	err := s.MemoryStore.Create(ctx, c, limit)
	free := errGet != nil || old.Expired(time.Now())
	if c.Kind != auth.KindSecret && free && errors.Is(errLookup, auth.ErrNotFound) && errors.Is(err, auth.ErrConflict) {
		return nil
	}
	return err
}

// global has one unique index on the IDs of all records, which it never removes.
type global struct {
	*auth.MemoryStore
	ids sync.Map
}

func (s *global) Create(ctx context.Context, c auth.Credential, limit int) error {
	if _, taken := s.ids.LoadOrStore(c.ID, true); taken {
		return auth.ErrConflict
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

// racing looks for the ID and then inserts.
type racing struct{ *auth.MemoryStore }

func (s *racing) Create(ctx context.Context, c auth.Credential, limit int) error {
	if err := s.free(ctx, c); err != nil {
		return err
	}
	err := s.MemoryStore.Create(ctx, c, limit)
	if c.Kind != auth.KindSecret && errors.Is(err, auth.ErrConflict) {
		return nil
	}
	return err
}

func (s *racing) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	if err := s.free(ctx, next); err != nil {
		return err
	}
	err := s.MemoryStore.Rotate(ctx, old, next, until)
	if _, errNext := s.Get(ctx, next.Ref()); errNext == nil && errors.Is(err, auth.ErrConflict) {
		return nil
	}
	return err
}

func (s *racing) free(ctx context.Context, c auth.Credential) error {
	_, err := s.Get(ctx, c.Ref())
	time.Sleep(time.Millisecond) // a round trip to the database
	if err == nil {
		return auth.ErrConflict
	}
	return nil
}

type unlimited struct{ *auth.MemoryStore }

func (s *unlimited) Create(ctx context.Context, c auth.Credential, _ int) error {
	return s.MemoryStore.Create(ctx, c, 0)
}

type kindless struct{ *auth.MemoryStore }

func (s *kindless) Lookup(ctx context.Context, _ auth.Kind, d auth.Digest) (c *auth.Credential, err error) {
	for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
		if c, err = s.MemoryStore.Lookup(ctx, kind, d); err == nil {
			break
		}
	}
	return c, err
}

type strict struct{ *auth.MemoryStore }

func (s *strict) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	c, err := s.MemoryStore.Lookup(ctx, kind, d)
	if err == nil && c.Expired(time.Now()) {
		return nil, auth.ErrNotFound
	}
	return c, err
}

type rounding struct{ *auth.MemoryStore }

func (s *rounding) Create(ctx context.Context, c auth.Credential, limit int) error {
	c.CreatedAt, c.ExpiresAt = c.CreatedAt.Truncate(time.Second), c.ExpiresAt.Truncate(time.Second)
	return s.MemoryStore.Create(ctx, c, limit)
}

type folding struct{ *auth.MemoryStore }

func (s *folding) fold(user string) string { return strings.ToLower(strings.TrimSpace(user)) }

func (s *folding) Create(ctx context.Context, c auth.Credential, limit int) error {
	c.UserID = s.fold(c.UserID)
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *folding) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	ref.UserID = s.fold(ref.UserID)
	return s.MemoryStore.Get(ctx, ref)
}

func (s *folding) List(ctx context.Context, kind auth.Kind, user string, page auth.Page) ([]auth.Credential, error) {
	return s.MemoryStore.List(ctx, kind, s.fold(user), page)
}

type reversed struct{ *auth.MemoryStore }

func (s *reversed) List(ctx context.Context, kind auth.Kind, user string, page auth.Page) ([]auth.Credential, error) {
	list, err := s.MemoryStore.List(ctx, kind, user, page)
	slices.Reverse(list)
	return list, err
}

type offset struct {
	*auth.MemoryStore
	mu   sync.Mutex
	seen map[string]int
}

func (s *offset) List(ctx context.Context, kind auth.Kind, user string, page auth.Page) ([]auth.Credential, error) {
	all, err := s.MemoryStore.List(ctx, kind, user, auth.Page{Limit: 1000})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[string]int)
	}
	if page.After == "" {
		s.seen[user] = 0
	}
	from := min(s.seen[user], len(all))
	to := min(from+page.Max(), len(all))
	s.seen[user] = to
	return all[from:to], err
}

type twoSteps struct{ *auth.MemoryStore }

func (s *twoSteps) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	c, err := s.Get(ctx, old.Ref())
	if err != nil {
		return err
	}
	if c.Superseded {
		return auth.ErrConflict
	}
	time.Sleep(time.Millisecond)
	if err := s.MemoryStore.Create(ctx, next, 0); err != nil {
		return err
	}
	if err := s.MemoryStore.Rotate(ctx, old, withID(next), until); err != nil && !errors.Is(err, auth.ErrConflict) {
		return err
	}
	return nil
}

func withID(c auth.Credential) auth.Credential {
	c.ID += "-2"
	c.Digest[0] ^= 1
	return c
}

type lenient struct{ *auth.MemoryStore }

func (s *lenient) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	return s.MemoryStore.Rotate(ctx, old, next, until.Add(time.Hour))
}

type reviving struct{ *auth.MemoryStore }

func (s *reviving) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	if c, err := s.Get(ctx, old.Ref()); err == nil && c.Expired(next.CreatedAt) {
		return s.MemoryStore.Create(ctx, next, 0)
	}
	return s.MemoryStore.Rotate(ctx, old, next, until)
}

type forgetful struct{ *auth.MemoryStore }

func (s *forgetful) Revoke(ctx context.Context, ref auth.Ref) error {
	list, err := s.List(ctx, ref.Kind, ref.UserID, auth.Page{Limit: 1000})
	if err != nil {
		return err
	}
	except := make([]string, 0, len(list))
	for _, c := range list {
		if c.ID != ref.ID {
			except = append(except, c.ID)
		}
	}
	n, err := s.MemoryStore.RevokeAll(ctx, ref.Kind, ref.UserID, except...)
	if err == nil && n == 0 {
		return auth.ErrNotFound
	}
	return err
}

type amnesiac struct{ *auth.MemoryStore }

func (s *amnesiac) Revoke(ctx context.Context, ref auth.Ref) error {
	if err := s.MemoryStore.Revoke(ctx, ref); err != nil {
		return err
	}
	_, err := s.MemoryStore.Purge(ctx, time.Now().Add(time.Minute))
	return err
}

type thorough struct{ *auth.MemoryStore }

func (s *thorough) RevokeAll(ctx context.Context, kind auth.Kind, user string, _ ...string) (int, error) {
	return s.MemoryStore.RevokeAll(ctx, kind, user)
}

type backward struct {
	*auth.MemoryStore
	last sync.Map
}

func (s *backward) Touch(_ context.Context, uses []auth.Use) error {
	for _, u := range uses {
		s.last.Store(u.ID, u.At)
	}
	return nil
}

func (s *backward) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	c, err := s.MemoryStore.Lookup(ctx, kind, d)
	if err != nil {
		return nil, err
	}
	clone := *c
	if at, ok := s.last.Load(c.ID); ok {
		clone.LastUsedAt = at.(time.Time)
	}
	return &clone, nil
}

type eager struct{ *auth.MemoryStore }

func (s *eager) Purge(ctx context.Context, before time.Time) (int, error) {
	return s.MemoryStore.Purge(ctx, before.Add(time.Microsecond))
}

type canceledRevoke struct{ *auth.MemoryStore }

func (s *canceledRevoke) Revoke(ctx context.Context, ref auth.Ref) error {
	if ctx.Err() != nil {
		return auth.ErrNotFound
	}
	return s.MemoryStore.Revoke(ctx, ref)
}

type vague struct{ *auth.MemoryStore }

func (s *vague) Create(ctx context.Context, c auth.Credential, limit int) error {
	err := s.MemoryStore.Create(ctx, c, limit)
	if errors.Is(err, auth.ErrConflict) {
		return errors.New("UNIQUE constraint failed")
	}
	return err
}

type ownClock struct{ *auth.MemoryStore }

func (s *ownClock) Create(ctx context.Context, c auth.Credential, limit int) error {
	c.CreatedAt = time.Now()
	return s.MemoryStore.Create(ctx, c, limit)
}

type half struct {
	*auth.MemoryStore
	digests sync.Map
}

func (s *half) Create(ctx context.Context, c auth.Credential, limit int) error {
	s.digests.LoadOrStore([16]byte(c.Digest[:16]), c.Digest)
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *half) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if whole, ok := s.digests.Load([16]byte(d[:16])); ok {
		d = whole.(auth.Digest)
	}
	return s.MemoryStore.Lookup(ctx, kind, d)
}

type canceledLookup struct{ *auth.MemoryStore }

func (s *canceledLookup) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if ctx.Err() != nil {
		return nil, auth.ErrNotFound
	}
	return s.MemoryStore.Lookup(ctx, kind, d)
}

type byTime struct{ *auth.MemoryStore }

func (s *byTime) List(ctx context.Context, kind auth.Kind, user string, page auth.Page) ([]auth.Credential, error) {
	list, err := s.MemoryStore.List(ctx, kind, user, page)
	slices.SortStableFunc(list, func(a, b auth.Credential) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list, err
}

type leaving struct{ *auth.MemoryStore }

func (s *leaving) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	c, err := s.Get(ctx, old.Ref())
	if err != nil || c.Previous == "" || until.After(next.CreatedAt) {
		return s.MemoryStore.Rotate(ctx, old, next, until)
	}
	previous, err := s.Get(ctx, auth.Ref{Kind: old.Kind, UserID: old.UserID, ID: c.Previous})
	if err != nil {
		return err
	}
	if err := s.MemoryStore.Rotate(ctx, old, next, until); err != nil {
		return err
	}
	previous.ID += "-left"
	previous.Digest[0] ^= 1
	return s.MemoryStore.Create(ctx, previous, 0)
}

type sparing struct{ *auth.MemoryStore }

func (s *sparing) RevokeAll(ctx context.Context, kind auth.Kind, user string, except ...string) (int, error) {
	list, err := s.List(ctx, kind, user, auth.Page{Limit: 1000})
	if err != nil {
		return 0, err
	}
	for _, c := range list {
		if c.Expired(time.Now()) {
			except = append(except, c.ID)
		}
	}
	return s.MemoryStore.RevokeAll(ctx, kind, user, except...)
}

type picky struct{ *auth.MemoryStore }

func (s *picky) Touch(ctx context.Context, uses []auth.Use) error {
	for _, u := range uses {
		if c, err := s.Get(ctx, u.Ref); err == nil && c.Expired(time.Now()) {
			return errors.New("the record has expired")
		}
	}
	return s.MemoryStore.Touch(ctx, uses)
}
