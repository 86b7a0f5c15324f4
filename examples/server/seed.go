package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A seeded holds what the start prints. Nothing else keeps these plaintexts.
type seeded struct {
	at        time.Time // when that was, if it was at an earlier start or by another process
	otherKeys bool      // whether the store is used with others than ours

	names     []string
	passwords map[string]string
	adaToken  string
	adaSecret string
}

// The store is marked with a word and a time, and in the end with the fingerprint
// of the key that it is used with. Seeding is claimed first, so that of
// several processes that start at once one does it; the mark that it is done comes
// last. A process that dies in between leaves a claim, which another takes over
// when it is old, and clears away what was made under it.
const (
	claimed  = "claimed"
	done     = "done"
	seedTime = 10 * time.Second // for the whole of it
	claimEnd = 15 * time.Second // when others take it over: clocks may differ a little
)

// seed makes the accounts where that has not been done. With reset, all that was
// made earlier ends, and is made anew.
func (s *server) seed(ctx context.Context, reset bool) (*seeded, error) {
	claim, earlier, err := s.claim(ctx, reset)
	if err != nil || claim == "" {
		return earlier, err
	}
	ctx, cancel := context.WithTimeout(ctx, seedTime)
	defer cancel()
	if err := s.clear(ctx); err != nil {
		return nil, err
	}
	made, err := s.makeAccounts(ctx)
	if err != nil {
		return nil, err
	}
	if swapped, err := s.state.swapMark(ctx, claim, s.doneMark(time.Now())); err != nil || !swapped {
		return nil, errors.Join(errors.New("another process has reset the store meanwhile"), err)
	}
	return made, nil
}

// claim returns the mark under which this process is to seed, or what was done
// earlier. While another process is at it, it waits.
func (s *server) claim(ctx context.Context, reset bool) (claim string, earlier *seeded, err error) {
	for waits := 0; ; waits++ {
		mark, err := s.state.mark(ctx)
		if err != nil {
			return "", nil, err
		}
		word, at, fingerprint := readMark(mark)
		if word == done && !reset {
			earlier, err := s.earlier(ctx, mark, at, fingerprint)
			return "", earlier, err
		}
		if word != claimed || time.Since(at) > claimEnd {
			claim = newMark(claimed, time.Now())
			if swapped, err := s.state.swapMark(ctx, mark, claim); err != nil || swapped {
				return claim, nil, err
			}
		}
		if waits == 0 {
			s.log.Info("another process is making the accounts, or was cut off", "wait", claimEnd-time.Since(at))
		}
		select {
		case <-ctx.Done():
			return "", nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// earlier tells of what is there. A new key in front of the one in the mark takes
// its place, as that one may be dropped some day.
func (s *server) earlier(ctx context.Context, mark string, at time.Time, fingerprint string) (*seeded, error) {
	place := slices.Index(s.fingerprints, fingerprint)
	if place <= 0 {
		return &seeded{at: at, otherKeys: place < 0}, nil
	}
	_, err := s.state.swapMark(ctx, mark, s.doneMark(at))
	return &seeded{at: at}, err
}

func newMark(word string, at time.Time) string {
	return word + " " + at.UTC().Format(time.RFC3339Nano)
}

func (s *server) doneMark(at time.Time) string { return newMark(done, at) + " " + s.fingerprints[0] }

// readMark reads no mark as one of long ago.
func readMark(mark string) (word string, at time.Time, fingerprint string) {
	word, rest, _ := strings.Cut(mark, " ")
	text, fingerprint, _ := strings.Cut(rest, " ")
	at, _ = time.Parse(time.RFC3339Nano, text)
	return word, at, fingerprint
}

var people = []string{"ada", "grace"}

// userID is not the name: people change those.
func userID(person int) string { return fmt.Sprintf("user-%d", person+1) }

// clear removes what was made earlier: the accounts first, so that nobody signs in
// meanwhile. What is revoked first, and not only purged, other processes are told of.
func (s *server) clear(ctx context.Context) error {
	if err := s.state.clear(ctx); err != nil {
		return err
	}
	for i := range people {
		for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
			if _, err := s.store.RevokeAll(ctx, kind, userID(i)); err != nil {
				return err
			}
		}
	}
	_, err := s.store.Purge(ctx, time.Now().Add(time.Millisecond)) // what was revoked before that
	return err
}

// makeAccounts makes two accounts, each with a client secret, and ada's token.
func (s *server) makeAccounts(ctx context.Context) (*seeded, error) {
	made := &seeded{names: people, passwords: make(map[string]string)}
	for i, name := range people {
		made.passwords[name] = rand.Text()
		a := &account{ID: userID(i), Name: name, hash: newPasswordHash(made.passwords[name])}
		if err := s.state.addAccount(ctx, a); err != nil {
			return nil, err
		}
		secret, _, err := s.secret.Assign(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		if name == "ada" {
			made.adaSecret = secret
		}
	}
	var err error
	made.adaToken, _, err = s.bearer.Issue(ctx, userID(0), auth.NewToken{
		Name: "Made at start", Scopes: []string{readNotes, writeNotes},
	})
	return made, err
}

// text is what stdout gets: the first time the credentials, and commands to paste.
func (made *seeded) text(url string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listening on %s\n", url)
	if !made.at.IsZero() {
		fmt.Fprintf(&b, "passwords, token and secret were printed at %s; start with -reset to get new ones\n", made.at.Format(time.RFC3339))
		if made.otherKeys {
			b.WriteString("these are not the keys that the store is used with: sessions made with those are refused here; see AUTH_KEYS in the text of -h\n")
		}
		return b.String()
	}
	for _, name := range made.names {
		fmt.Fprintf(&b, "account %s / %s\n", name, made.passwords[name])
	}
	fmt.Fprintf(&b, "token %s\n", made.adaToken)
	fmt.Fprintf(&b, "secret %s\n", made.adaSecret)
	fmt.Fprintf(&b, "curl -sS -H 'Authorization: Bearer %s' %s/api/v1/me\n", made.adaToken, url)
	fmt.Fprintf(&b, "curl -sS -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{\"text\": \"Buy milk\"}' %s/api/v1/notes\n", made.adaToken, url)
	fmt.Fprintf(&b, "curl -sS -H 'Authorization: Secret %s' %s/api/v1/usage\n", made.adaSecret, url)
	return b.String()
}
