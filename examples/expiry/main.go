// Expiry mails the owner of each token and client secret 14 and 3 days before it expires.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// notices are the days before the expiry on which a mail is sent, in ascending order.
var notices = []int{3, 14}

const (
	day   = 24 * time.Hour
	lease = 30 * time.Minute // how long a claim of a notice lasts: much longer than mailTimeout
)

// A source is a store of credentials: those of sqlstore and redisstore, and auth.MemoryStore.
type source interface {
	auth.Scanner
	Get(ctx context.Context, ref auth.Ref) (auth.Credential, error)
}

type service struct {
	credentials source
	outbox      *outbox
	address     func(ctx context.Context, userID string) (string, error) // "" if the user gets no mail
	mailer      mailer
	now         func() time.Time
}

// run does one pass. Any number of processes can do so at the same time.
func (s *service) run(ctx context.Context) error {
	err := errors.Join(s.scan(ctx), s.send(ctx)) // if the scan fails, earlier notices are sent
	return errors.Join(err, s.outbox.purge(ctx, s.now().Add(-30*day)))
}

// scan puts the notices that are due into the outbox. It covers all credentials that expire
// soon, not only those since the last scan: a scan that failed or was missed loses nothing.
func (s *service) scan(ctx context.Context) error {
	now := s.now() // once: all pages must be of the same query
	for _, kind := range []auth.Kind{auth.KindToken, auth.KindSecret} {
		before := now.Add(time.Duration(notices[len(notices)-1]) * day)
		q := auth.ScanQuery{Kind: kind, ExpiresFrom: now, ExpiresBefore: before}
		for {
			page, err := s.credentials.Scan(ctx, q)
			if err != nil {
				return err
			}
			for _, c := range page.Credentials {
				if days, ok := due(&c, now); ok {
					if err := s.outbox.add(ctx, &c, days, now); err != nil {
						return err
					}
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" { // a page without records need not be the last
				break
			}
		}
	}
	return nil
}

// due returns the notice that c is to have had by now: the last one, if several were
// missed. Credentials that never expire have none, nor do those that were rotated. A
// credential has no notice of 14 days if it was valid for less than 28 days in all.
func due(c *auth.Credential, now time.Time) (days int, ok bool) {
	if c.ExpiresAt.IsZero() || c.Expired(now) || c.Superseded || c.Kind == auth.KindSession {
		return 0, false
	}
	for _, days := range notices {
		before := time.Duration(days) * day
		if at := c.ExpiresAt.Add(-before); !at.After(now) {
			return days, at.Sub(c.CreatedAt) >= before
		}
	}
	return 0, false
}

// send sends the notices in the outbox. It tries each of them once.
func (s *service) send(ctx context.Context) error {
	start := s.now()
	for {
		pending, err := s.outbox.pending(ctx, start)
		if err != nil || len(pending) == 0 {
			return err
		}
		for _, n := range pending {
			if err := ctx.Err(); err != nil {
				return err
			}
			// A process that gets SIGTERM finishes this mail, and records that it did.
			if err := s.deliver(context.WithoutCancel(ctx), n); err != nil {
				return err
			}
		}
	}
}

// deliver claims a notice, sends it and records that. Of several processes, one gets the
// claim. If that one dies before the last step, the notice is sent again when the claim has
// ended, perhaps as a second mail with the same Message-ID.
func (s *service) deliver(ctx context.Context, n notice) error {
	ctx, cancel := context.WithTimeout(ctx, lease/2) // it sends nothing after the claim has ended
	defer cancel()
	claimed, err := s.outbox.claim(ctx, n, s.now().Add(lease))
	if err != nil || !claimed {
		return err
	}
	m, applies, err := s.compose(ctx, n)
	if err == nil && !applies {
		return s.outbox.finish(ctx, n, "dropped")
	}
	if err == nil {
		err = s.mailer.send(ctx, m)
	}
	switch {
	case errors.Is(err, errRejected):
		log.Printf("notice %s: %v", n.id, err)
		return s.outbox.finish(ctx, n, "rejected")
	case errors.Is(err, errDeferred): // for this mail: others may be accepted
		log.Printf("notice %s: %v", n.id, err)
		return nil
	case err != nil:
		return err
	}
	return s.outbox.finish(ctx, n, "sent")
}

// compose reports false if the notice does not apply anymore. Since the scan, the credential
// may have been rotated, revoked or extended, or a later notice may be due.
func (s *service) compose(ctx context.Context, n notice) (mail, bool, error) {
	c, err := s.credentials.Get(ctx, n.ref)
	if errors.Is(err, auth.ErrNotFound) {
		return mail{}, false, nil
	}
	if err != nil {
		return mail{}, false, err
	}
	if days, ok := due(&c, s.now()); !ok || noticeID(&c, days) != n.id {
		return mail{}, false, nil
	}
	to, err := s.address(ctx, c.UserID)
	if err != nil || to == "" {
		return mail{}, false, err
	}
	m, err := newMail(to, n.id, &c, s.now())
	return m, err == nil, err
}

func main() {
	file := flag.String("db", "expiry.db", "the SQLite `file`; a new one gets a token that expires in 2 days")
	server := flag.String("smtp", "", "`host:port` of a mail server that accepts mail without a password; by default, mails are printed")
	once := flag.Bool("once", false, "do one pass and exit, for cron; otherwise there is one in 15 minutes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := open(ctx, *file, *server)
	if err != nil {
		log.Fatal(err)
	}
	for {
		err := s.run(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case *once && err != nil:
			log.Fatal(err)
		case *once:
			return
		case err != nil:
			log.Print(err) // the next pass tries again
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(15 * time.Minute):
		}
	}
}

func open(ctx context.Context, file, server string) (*service, error) {
	db, err := sql.Open("sqlite3", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	o, err := newOutbox(ctx, db)
	if err != nil {
		return nil, err
	}
	var m mailer = printer{os.Stdout}
	if server != "" {
		m = smtpServer(server)
	}
	return &service{store, o, address, m, time.Now}, seed(ctx, store)
}

// address stands for the service's table of users.
func address(_ context.Context, userID string) (string, error) {
	return map[string]string{"alice": "alice@example.com"}[userID], nil
}

// seed imports a token of alice that expires soon. No plaintext with this digest is known.
func seed(ctx context.Context, store auth.Store) error {
	bearer, err := auth.NewBearer(store, auth.BearerConfig{})
	if err != nil {
		return err
	}
	now := time.Now()
	_, err = bearer.ImportDigest(ctx, "alice", auth.Digest{1}, auth.ImportOptions{
		TokenOptions: auth.TokenOptions{Name: "backup script", Scopes: []string{auth.FullAccess}},
		CreatedAt:    now.Add(-88 * day), ExpiresAt: now.Add(2 * day),
	})
	if errors.Is(err, auth.ErrConflict) { // it has been imported, now or at an earlier start
		return nil
	}
	return err
}
