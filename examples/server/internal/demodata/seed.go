package demodata

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

// SeedOptions say what Seed creates credentials with. All but Reset are required.
type SeedOptions struct {
	Bearer *auth.Bearer
	Secret *auth.Secret
	Scopes []string  // of the token
	Keys   auth.Keys // those that Bearer and Secret are used with, newest first
	Reset  bool      // whether to remove all existing data first
}

// A Seeded contains the plaintexts that the first start prints. They are not kept
// anywhere else.
type Seeded struct {
	Passwords map[string]string // by user name; nil if an earlier start has printed them
	Token     string            // ada's
	Secret    string            // ada's

	at        time.Time // of an earlier start or another process, which seeded
	otherKeys bool      // whether the store is in use with other keys
}

// While a process seeds, the mark is "claimed" and the time; afterwards it is
// "done", the time, and the fingerprint of the key in use. So of several processes
// that start at once, one seeds. If it dies, its claim ends after claimEnd: another
// process then removes what was made, and seeds again.
const (
	claimed  = "claimed"
	done     = "done"
	seedTime = 10 * time.Second // timeout for seeding
	claimEnd = 15 * time.Second // longer, because clocks may differ
)

// Seed creates the users and their credentials, unless an earlier start has.
func (s *Storage) Seed(ctx context.Context, o SeedOptions) (*Seeded, error) {
	if err := s.replaceOther(ctx); err != nil {
		return nil, err
	}
	sd := &seeder{s, o, fingerprints(o.Keys)}
	claim, earlier, err := sd.claim(ctx)
	if err != nil || claim == "" {
		return earlier, err
	}
	ctx, cancel := context.WithTimeout(ctx, seedTime)
	defer cancel()
	if err := sd.removeAll(ctx); err != nil {
		return nil, err
	}
	seeded, err := sd.create(ctx)
	if err != nil {
		return nil, err
	}
	if swapped, err := s.swapMark(ctx, claim, sd.doneMark(time.Now())); err != nil || !swapped {
		return nil, errors.Join(errors.New("another process has reset the store in the meantime"), err)
	}
	return seeded, nil
}

type seeder struct {
	*Storage
	SeedOptions
	fingerprints []string // of Keys
}

// claim returns the mark under which this process seeds, or else the result of an
// earlier start. While another process is seeding, it waits.
func (sd *seeder) claim(ctx context.Context) (claim string, earlier *Seeded, err error) {
	for logged := false; ; logged = true {
		mark, err := sd.mark(ctx)
		if err != nil {
			return "", nil, err
		}
		word, at, fingerprint := readMark(mark)
		if word == done && !sd.Reset {
			earlier, err := sd.earlier(ctx, mark, at, fingerprint)
			return "", earlier, err
		}
		if err := sd.checkUnknown(ctx, word); err != nil {
			return "", nil, err
		}
		if word != claimed || time.Since(at) > claimEnd {
			claim = newMark(claimed, time.Now())
			if swapped, err := sd.swapMark(ctx, mark, claim); err != nil || swapped {
				return claim, nil, err
			}
		}
		if !logged {
			sd.log.Info("waiting for another process that is creating the users", "at most", claimEnd-time.Since(at))
		}
		select {
		case <-ctx.Done():
			return "", nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// errOtherData: the tables, or the keys in Redis, are as we know them, but not the data.
var errOtherData = errors.New("the data is of another version of this program, or of another program; " +
	"start with -reset, which removes it, or use another -store")

// checkUnknown returns an error for data that no process of this version has made. To
// replace it by new users and credentials takes a -reset.
func (sd *seeder) checkUnknown(ctx context.Context, word string) error {
	if sd.Reset || word == claimed || word == done {
		return nil
	}
	if word != "" {
		return errOtherData
	}
	_, err := sd.UserByID(ctx, userID(0))
	if errors.Is(err, auth.ErrNotFound) {
		return nil
	}
	mark, errMark := sd.mark(ctx) // another process may have begun to seed
	if errMark != nil || mark != "" {
		return errMark
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errOtherData, err)
	}
	return errOtherData
}

// earlier returns the result of an earlier start. If a newer key precedes the one in
// the mark, it replaces it there, because the older one may be removed later.
func (sd *seeder) earlier(ctx context.Context, mark string, at time.Time, fingerprint string) (*Seeded, error) {
	index := slices.Index(sd.fingerprints, fingerprint)
	if index <= 0 {
		return &Seeded{at: at, otherKeys: index < 0}, nil
	}
	_, err := sd.swapMark(ctx, mark, sd.doneMark(at))
	return &Seeded{at: at}, err
}

func newMark(word string, at time.Time) string {
	return word + " " + at.UTC().Format(time.RFC3339Nano)
}

func (sd *seeder) doneMark(at time.Time) string {
	return newMark(done, at) + " " + sd.fingerprints[0]
}

// readMark parses a mark. The time of an empty one is zero.
func readMark(mark string) (word string, at time.Time, fingerprint string) {
	word, rest, _ := strings.Cut(mark, " ")
	text, fingerprint, _ := strings.Cut(rest, " ")
	at, _ = time.Parse(time.RFC3339Nano, text)
	return word, at, fingerprint
}

var names = []string{"ada", "grace"}

// HasUser reports whether Seed creates a user with this name.
func HasUser(name string) bool { return slices.Contains(names, name) }

// userID returns the ID of a user in names. It is not the name, which can change.
func userID(index int) string { return fmt.Sprintf("user-%d", index+1) }

// removeAll removes all existing data: the users first, so that none of them can
// sign in meanwhile. Credentials are revoked before they are purged, because other
// processes are notified of revocations.
func (sd *seeder) removeAll(ctx context.Context) error {
	if err := sd.clear(ctx); err != nil {
		return err
	}
	for i := range names {
		for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
			if _, err := sd.Credentials.RevokeAll(ctx, kind, userID(i)); err != nil {
				return err
			}
		}
	}
	_, err := sd.Credentials.Purge(ctx, time.Now().Add(time.Millisecond)) // those revoked before that time
	return err
}

// create creates the users, a client secret for each, and a token for ada.
func (sd *seeder) create(ctx context.Context) (*Seeded, error) {
	seeded := &Seeded{Passwords: make(map[string]string)}
	for i, name := range names {
		seeded.Passwords[name] = rand.Text()
		u := &User{ID: userID(i), Name: name, Password: password.New(seeded.Passwords[name])}
		if err := sd.AddUser(ctx, u); err != nil {
			return nil, err
		}
		secret, _, err := sd.Secret.Issue(ctx, u.ID, auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
		if err != nil {
			return nil, err
		}
		if name == "ada" {
			seeded.Secret = secret
		}
	}
	var err error
	seeded.Token, _, err = sd.Bearer.Issue(ctx, userID(0), auth.TokenOptions{
		Name: "Made at start", Scopes: sd.Scopes, Lifetime: auth.NoExpiry,
	})
	return seeded, err
}

// An Address is how clients reach the server.
type Address struct {
	URL     string // where it listens
	Browser string // for users: where a proxy listens, if there is one
	Curl    string // more arguments for curl, each followed by a space
	Notes   string // sentences for users, each followed by a newline
}

// Text returns what the start prints: what to do first, and then lines for programs,
// which begin with "listening on". The first time they contain the credentials, and
// commands to paste into a shell.
func (s *Seeded) Text(a Address) string {
	var b strings.Builder
	b.WriteString(s.invitation(a.Browser) + a.Notes)
	fmt.Fprintf(&b, "listening on %s\n", a.URL)
	if !s.at.IsZero() {
		fmt.Fprintf(&b, "passwords, token and secret were printed at %s; start with -reset to get new ones\n", s.at.Format(time.RFC3339))
		if s.otherKeys {
			b.WriteString("these are not the keys that the store is used with: sessions made with those are refused here; see AUTH_KEYS in the text of -h\n")
		}
	}
	for _, name := range names {
		if password, known := s.Passwords[name]; known {
			fmt.Fprintf(&b, "account %s / %s\n", name, password)
		}
	}
	if s.Token != "" {
		s.commands(&b, a)
	}
	return b.String()
}

func (s *Seeded) invitation(url string) string {
	for _, name := range names {
		if password, known := s.Passwords[name]; known {
			return fmt.Sprintf("Open %s in a browser and sign in as %s with the password %s\n", url, name, password)
		}
	}
	return fmt.Sprintf("Open %s in a browser and sign in as ada or grace. If you have lost a password, start with -password ada to get a new one.\n", url)
}

func (s *Seeded) commands(b *strings.Builder, a Address) {
	fmt.Fprintf(b, "token %s\n", s.Token)
	fmt.Fprintf(b, "secret %s\n", s.Secret)
	curl := "curl -sS " + a.Curl
	fmt.Fprintf(b, "%s-H 'Authorization: Bearer %s' %s/api/v1/me\n", curl, s.Token, a.URL)
	fmt.Fprintf(b, "%s-H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{\"text\": \"Buy milk\"}' %s/api/v1/notes\n", curl, s.Token, a.URL)
	fmt.Fprintf(b, "%s-H 'Authorization: Secret %s' %s/api/v1/usage\n", curl, s.Secret, a.URL)
}
