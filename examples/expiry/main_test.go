package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/teststores"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// TestMain runs the program itself if a test has started this process for that.
func TestMain(m *testing.M) {
	if os.Getenv("EXPIRY_TEST_PROGRAM") != "" {
		main()
		return
	}
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}

// program returns one pass of the program over a file, as a process.
func program(t *testing.T, file, server string) *exec.Cmd {
	executable, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), executable, "-once", "-db", file, "-smtp", server)
	cmd.Env = append(os.Environ(), "EXPIRY_TEST_PROGRAM=1")
	return cmd
}

// A testStore is what the tests need of a store of credentials.
type testStore interface {
	auth.Store
	auth.Scanner
}

// A fixture is a service with a clock that the test moves.
type fixture struct {
	*service
	store  testStore
	server *mailServer
	clock  time.Time
}

func newFixture(t *testing.T, create func(*testing.T) (testStore, *sql.DB)) *fixture {
	store, db := create(t)
	o, err := newOutbox(t.Context(), db)
	require.NoError(t, err)
	f := &fixture{store: store, server: newMailServer(t), clock: time.Now().UTC().Truncate(time.Microsecond)}
	f.service = &service{
		credentials: store, outbox: o, mailer: smtpServer(f.server.address),
		address: func(_ context.Context, userID string) (string, error) { return userID + "@example.com", nil },
		now:     func() time.Time { return f.clock },
	}
	return f
}

// sqlite opens a file as the program does, and revokes the token that it imports.
func sqlite(file string) func(*testing.T) (testStore, *sql.DB) {
	return func(t *testing.T) (testStore, *sql.DB) {
		s, err := open(t.Context(), file, "")
		require.NoError(t, err)
		t.Cleanup(func() { s.outbox.db.Close() })
		store := s.credentials.(*sqlstore.Store)
		n, err := store.RevokeAll(t.Context(), auth.KindToken, "alice")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		return store, s.outbox.db
	}
}

func newSQLite(t *testing.T) (testStore, *sql.DB) {
	return sqlite(filepath.Join(t.TempDir(), "expiry.db"))(t)
}

func newPostgreSQL(t *testing.T) (testStore, *sql.DB) {
	db, err := sql.Open("pgx", teststores.PostgreSQL(t))
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context()))
	return store, db
}

func newRedis(t *testing.T) (testStore, *sql.DB) {
	url, prefix := teststores.RedisPrefix(t)
	option, err := rueidis.ParseURL(url)
	require.NoError(t, err)
	client, err := rueidis.NewClient(option)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	store, err := redisstore.New(client, redisstore.Config{Prefix: prefix})
	require.NoError(t, err)
	_, db := newSQLite(t)
	return store, db
}

func newMemory(t *testing.T) (testStore, *sql.DB) {
	_, db := newSQLite(t)
	return auth.NewMemoryStore(), db
}

var stores = map[string]func(*testing.T) (testStore, *sql.DB){
	"memory": newMemory, "SQLite": newSQLite, "PostgreSQL": newPostgreSQL, "Redis": newRedis,
}

// record returns a credential that was created a year ago.
func record(kind auth.Kind, userID string, expires time.Time) auth.Credential {
	return auth.Credential{
		ID: strings.ToUpper(rand.Text()), Kind: kind, UserID: userID, Name: "script", Hint: "…abcd", Scopes: auth.FullAccess,
		Digest: sha256.Sum256([]byte(rand.Text())), CreatedAt: time.Now().UTC().AddDate(-1, 0, 0).Truncate(time.Microsecond), ExpiresAt: expires,
	}
}

func (f *fixture) create(t *testing.T, c auth.Credential) auth.Credential {
	t.Helper()
	require.NoError(t, f.store.Create(t.Context(), c, 0))
	return c
}

// sent does a pass, and returns the recipients of its mails in order, and their Message-IDs.
func (f *fixture) sent(t *testing.T) (to, ids []string) {
	t.Helper()
	require.NoError(t, f.run(t.Context()))
	return f.taken()
}

func (f *fixture) taken() (to, ids []string) {
	for _, m := range f.server.take() {
		to = append(to, strings.Trim(m.Header.Get("To"), "<>"))
		ids = append(ids, m.Header.Get("Message-ID"))
	}
	slices.Sort(to)
	return to, ids
}

func (f *fixture) outcomes(t *testing.T) map[string]int {
	t.Helper()
	rows, err := f.outbox.db.QueryContext(t.Context(), "SELECT outcome, count(*) FROM expiry_notices GROUP BY outcome")
	require.NoError(t, err)
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var outcome string
		var n int
		require.NoError(t, rows.Scan(&outcome, &n))
		counts[outcome] = n
	}
	require.NoError(t, rows.Err())
	return counts
}

func TestDue(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tt := range map[string]struct {
		kind          auth.Kind
		lives, passed time.Duration // passed of its lifetime

		days int // 0 means none
	}{
		"too early":                       {auth.KindToken, 90 * day, 76*day - 1, 0},
		"14 days":                         {auth.KindToken, 90 * day, 76 * day, 14},
		"until the next":                  {auth.KindToken, 90 * day, 87*day - 1, 14},
		"3 days":                          {auth.KindToken, 90 * day, 87 * day, 3},
		"until the end":                   {auth.KindToken, 90 * day, 90*day - 1, 3},
		"expired":                         {auth.KindToken, 90 * day, 90 * day, 0},
		"a secret":                        {auth.KindSecret, 90 * day, 87 * day, 3},
		"a session":                       {auth.KindSession, 90 * day, 87 * day, 0},
		"just long enough for 14 days":    {auth.KindToken, 28 * day, 14 * day, 14},
		"too short for 14 days":           {auth.KindToken, 28*day - 1, 14 * day, 0},
		"short, then 3 days":              {auth.KindToken, 7 * day, 4 * day, 3},
		"too short for any: just created": {auth.KindToken, day, 0, 0},
		"too short for any: at the end":   {auth.KindToken, 5 * day, 5*day - 1, 0},
	} {
		c := auth.Credential{Kind: tt.kind, CreatedAt: now, ExpiresAt: now.Add(tt.lives)}
		days, ok := due(&c, now.Add(tt.passed))
		require.Equal(t, tt.days > 0, ok, name)
		if ok {
			require.Equal(t, tt.days, days, name)
		}
		c.Superseded = true
		_, ok = due(&c, now.Add(tt.passed))
		require.False(t, ok, "%s: rotated", name)
	}
	_, ok := due(&auth.Credential{Kind: auth.KindToken, CreatedAt: now}, now)
	require.False(t, ok, "never expires")
}

// Over 30 days, with three passes a day, by a service that is started again for each.
func TestRun_sendsEachNoticeOnce(t *testing.T) {
	t.Parallel()
	for name, create := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, create)
			start := f.clock
			for kind, user := range map[auth.Kind]string{auth.KindToken: "token", auth.KindSecret: "secret", auth.KindSession: "session"} {
				f.create(t, record(kind, user, start.Add(20*day)))
			}
			f.create(t, record(auth.KindToken, "endless", time.Time{}))
			f.create(t, record(auth.KindToken, "expired", start.Add(-day)))
			f.create(t, record(auth.KindToken, "late", start.Add(2*day)))
			revoked := f.create(t, record(auth.KindToken, "revoked", start.Add(20*day)))
			require.NoError(t, f.store.Revoke(t.Context(), revoked.Ref()))
			got := map[int][]string{}
			for i := range 90 {
				f.clock = start.Add(time.Duration(i) * 8 * time.Hour)
				restarted := *f.service
				f.service = &restarted
				if to, _ := f.sent(t); len(to) > 0 {
					got[i/3] = append(got[i/3], to...)
				}
			}
			require.Equal(t, map[int][]string{
				0: {"late@example.com"}, 6: {"secret@example.com", "token@example.com"}, 17: {"secret@example.com", "token@example.com"},
			}, got)
		})
	}
}

// A credential may change between the scan and the mail.
func TestSend_dropsWhatNoLongerApplies(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *fixture, auth.Credential){
		"revoked": func(t *testing.T, f *fixture, c auth.Credential) {
			require.NoError(t, f.store.Revoke(t.Context(), c.Ref()))
		},
		"rotated": func(t *testing.T, f *fixture, c auth.Credential) {
			next := record(auth.KindToken, "alice", f.clock.Add(365*day))
			next.CreatedAt = f.clock
			require.NoError(t, f.store.Rotate(t.Context(), c, next, f.clock))
		},
		"rotated with a grace period": func(t *testing.T, f *fixture, c auth.Credential) {
			next := record(auth.KindToken, "alice", f.clock.Add(365*day))
			next.CreatedAt = f.clock
			require.NoError(t, f.store.Rotate(t.Context(), c, next, f.clock.Add(7*day)))
		},
		"extended": func(t *testing.T, f *fixture, c auth.Credential) {
			_, err := f.outbox.db.ExecContext(t.Context(), "UPDATE auth_credentials SET expires_at = $1", f.clock.Add(13*day).UnixMicro())
			require.NoError(t, err)
		},
		"later than the next notice": func(_ *testing.T, f *fixture, _ auth.Credential) { f.clock = f.clock.Add(8 * day) },
		"expired":                    func(_ *testing.T, f *fixture, _ auth.Credential) { f.clock = f.clock.Add(11 * day) },
		"disabled user": func(_ *testing.T, f *fixture, _ auth.Credential) {
			f.address = func(context.Context, string) (string, error) { return "", nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, newSQLite)
			c := f.create(t, record(auth.KindToken, "alice", f.clock.Add(10*day)))
			require.NoError(t, f.scan(t.Context()))
			require.Equal(t, map[string]int{"": 1}, f.outcomes(t))
			change(t, f, c)
			require.NoError(t, f.send(t.Context()))
			require.Empty(t, f.server.take())
			require.Equal(t, map[string]int{"dropped": 1}, f.outcomes(t))
		})
	}
}

func TestRun_extendedGetsNoticesAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newSQLite)
	f.create(t, record(auth.KindToken, "alice", f.clock.Add(2*day)))
	_, before := f.sent(t)
	require.Len(t, before, 1)
	_, err := f.outbox.db.ExecContext(t.Context(), "UPDATE auth_credentials SET expires_at = $1", f.clock.Add(60*day).UnixMicro())
	require.NoError(t, err)
	_, ids := f.sent(t)
	require.Empty(t, ids)
	f.clock = f.clock.Add(58 * day)
	_, after := f.sent(t)
	require.Len(t, after, 1)
	require.NotEqual(t, before, after)
}

// Several processes, on one file, do a pass at the same time.
func TestRun_processes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "expiry.db")
	f := newFixture(t, sqlite(file))
	for range 40 {
		f.create(t, record(auth.KindToken, "alice", f.clock.Add(2*day)))
	}
	for range 2 { // the second time is a restart
		var processes []*exec.Cmd
		for range 3 {
			cmd := program(t, file, f.server.address)
			cmd.Stderr = t.Output()
			require.NoError(t, cmd.Start())
			processes = append(processes, cmd)
		}
		for _, cmd := range processes {
			require.NoError(t, cmd.Wait())
		}
	}
	to, ids := f.taken()
	require.Len(t, to, 40)
	slices.Sort(ids)
	require.Len(t, slices.Compact(ids), 40)
}

// A process is killed while it sends a mail. Until its claim has ended, no other sends it.
func TestRun_killed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		afterMail bool
		mails     int // that the mail server has accepted in the end
	}{
		"between the claim and the mail":  {false, 1},
		"between the mail and its record": {true, 2}, // the same mail: with the same Message-ID
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "expiry.db")
			f := newFixture(t, sqlite(file))
			f.create(t, record(auth.KindToken, "alice", f.clock.Add(2*day)))
			reached, killed := make(chan struct{}), make(chan struct{})
			hang := func() string {
				close(reached)
				<-killed
				return "421 closing"
			}
			if tt.afterMail {
				f.server.on(nil, hang)
			} else {
				f.server.on(func(string) string { return hang() }, nil)
			}
			cmd := program(t, file, f.server.address)
			require.NoError(t, cmd.Start())
			<-reached
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())
			close(killed)
			f.server.on(nil, nil)
			f.clock = time.Now()

			_, ids := f.sent(t)
			f.clock = f.clock.Add(lease - time.Minute)
			_, more := f.sent(t)
			ids = append(ids, more...)
			require.Len(t, ids, tt.mails-1, "the claim has not ended")
			f.clock = f.clock.Add(2 * time.Minute)
			for range 2 {
				_, more = f.sent(t)
				ids = append(ids, more...)
			}
			require.Len(t, ids, tt.mails)
			require.Len(t, slices.Compact(ids), 1)
		})
	}
}

// A process that gets SIGTERM while it sends a mail records that it has sent it.
func TestRun_stopped(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newSQLite)
	for _, user := range []string{"alice", "bob"} {
		f.create(t, record(auth.KindToken, user, f.clock.Add(2*day)))
	}
	ctx, stop := context.WithCancel(t.Context())
	f.server.on(nil, func() string {
		stop()
		return "250 ok"
	})
	require.ErrorIs(t, f.run(ctx), context.Canceled)
	_, before := f.taken()
	require.Len(t, before, 1)
	require.Equal(t, map[string]int{"sent": 1, "": 1}, f.outcomes(t))
	_, after := f.sent(t)
	require.Len(t, after, 1, "the other one, at once")
	require.NotEqual(t, before, after)
}

func TestSend_mailServerRejects(t *testing.T) {
	t.Parallel()
	for response, tt := range map[string]struct {
		outcome string
		later   []string // recipients of the next pass
	}{
		"550 no such user": {"rejected", nil},
		"450 try later":    {"", []string{"bad@example.com"}},
	} {
		t.Run(response, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, newSQLite)
			for _, user := range []string{"alice", "bad", "bob"} {
				f.create(t, record(auth.KindToken, user, f.clock.Add(2*day)))
			}
			f.server.on(func(line string) string {
				if strings.Contains(line, "bad@") {
					return response
				}
				return "250 ok"
			}, nil)
			to, _ := f.sent(t)
			require.Equal(t, []string{"alice@example.com", "bob@example.com"}, to, "others get theirs")
			require.Equal(t, map[string]int{"sent": 2, tt.outcome: 1}, f.outcomes(t))
			f.server.on(nil, nil)
			f.clock = f.clock.Add(lease)
			to, _ = f.sent(t)
			require.Equal(t, tt.later, to)
		})
	}
}

// While the mail server is down for ten days, the first notice becomes pointless.
func TestSend_mailServerDown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newSQLite)
	f.create(t, record(auth.KindToken, "alice", f.clock.Add(12*day)))
	f.mailer = smtpServer("127.0.0.1:1")
	require.Error(t, f.run(t.Context()))
	f.clock = f.clock.Add(10 * day)
	require.Error(t, f.run(t.Context()))
	f.clock = f.clock.Add(lease)
	f.mailer = smtpServer(f.server.address)
	require.NoError(t, f.run(t.Context()))
	require.Len(t, f.server.take(), 1)
	require.Equal(t, map[string]int{"dropped": 1, "sent": 1}, f.outcomes(t))
}

// changing makes changes between the pages of a scan, and limits pages to 7 records.
type changing struct {
	testStore
	between func(page int)
	pages   int
}

func (s *changing) Scan(ctx context.Context, q auth.ScanQuery) (auth.ScanPage, error) {
	q.Limit = 7
	page, err := s.testStore.Scan(ctx, q)
	s.pages++
	s.between(s.pages)
	return page, err
}

func TestScan_whileCredentialsChange(t *testing.T) {
	t.Parallel()
	for name, create := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, create)
			var stay, change []auth.Credential
			for i := range 60 {
				c := record(auth.KindToken, fmt.Sprintf("%02d", i), f.clock.Add(2*day+time.Duration(i/5)*time.Second))
				if i%2 == 0 {
					stay = append(stay, f.create(t, c))
				} else {
					change = append(change, f.create(t, c))
				}
			}
			created := 0
			f.credentials = &changing{testStore: f.store, between: func(page int) {
				if page > 6 {
					return
				}
				require.NoError(t, f.store.Revoke(t.Context(), change[2*page].Ref()))
				next := record(auth.KindToken, change[2*page+1].UserID, f.clock.Add(90*day))
				next.CreatedAt = f.clock
				require.NoError(t, f.store.Rotate(t.Context(), change[2*page+1], next, f.clock.Add(day)))
				f.create(t, record(auth.KindToken, fmt.Sprint("new", page), f.clock.Add(2*day+time.Duration(page%3)*time.Second)))
				created++
			}}
			to, _ := f.sent(t)
			for _, c := range stay {
				require.Contains(t, to, c.UserID+"@example.com")
			}
			more, _ := f.sent(t)
			to = append(to, more...)
			slices.Sort(to)
			require.Equal(t, slices.Compact(slices.Clone(to)), to, "each has one mail")
			require.Equal(t, 6, created)
			require.Len(t, to, 60-12+6, "those created during the scan have theirs after the next, those that changed have none")
		})
	}
}

// A pass sends more than one page of the outbox, and ends if none can be sent.
func TestSend_pages(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newMemory)
	for i := range 250 {
		f.create(t, record(auth.KindToken, fmt.Sprint("user", i), f.clock.Add(2*day)))
	}
	count := 0
	f.mailer = mailerFunc(func(mail) error { count++; return errDeferred })
	require.NoError(t, f.run(t.Context()))
	require.Equal(t, 250, count)
	require.Equal(t, map[string]int{"": 250}, f.outcomes(t))
	f.mailer = mailerFunc(func(mail) error { count++; return nil })
	f.clock = f.clock.Add(lease)
	require.NoError(t, f.run(t.Context()))
	require.Equal(t, 500, count)
	require.Equal(t, map[string]int{"sent": 250}, f.outcomes(t))
	f.clock = f.clock.Add(31 * day)
	require.NoError(t, f.run(t.Context()))
	require.Equal(t, map[string]int{"sent": 250}, f.outcomes(t), "they expired 29 days ago")
	f.clock = f.clock.Add(2 * day)
	require.NoError(t, f.run(t.Context()))
	require.Empty(t, f.outcomes(t))
}

type mailerFunc func(mail) error

func (f mailerFunc) send(_ context.Context, m mail) error { return f(m) }

// failing is a source whose store is unavailable.
type failing struct{ testStore }

var errStore = errors.New("the store is unavailable")

func (failing) Scan(context.Context, auth.ScanQuery) (auth.ScanPage, error) {
	return auth.ScanPage{}, errStore
}

func TestRun_scanFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newMemory)
	f.create(t, record(auth.KindToken, "alice", f.clock.Add(2*day)))
	require.NoError(t, f.scan(t.Context()))
	f.credentials = failing{f.store}
	require.ErrorIs(t, f.run(t.Context()), errStore)
	require.Len(t, f.server.take(), 1, "earlier notices are sent")
}

// An attacker who has a user's session can create tokens with any name.
func TestNewMail_hostileName(t *testing.T) {
	t.Parallel()
	f := newFixture(t, newMemory)
	c := record(auth.KindToken, "alice", f.clock.Add(2*day))
	c.Name = "x\r\nBcc: eve@example.com\r\n\r\n.\r\nMAIL FROM:<eve@example.com>\nYour account is locked, see http://evil.example"
	f.create(t, c)
	require.NoError(t, f.run(t.Context()))
	mails := f.server.take()
	require.Len(t, mails, 1)
	m := mails[0]
	require.Equal(t, "Your access token expires soon", m.Header.Get("Subject"))
	require.Empty(t, m.Header.Get("Bcc"))
	require.Len(t, m.Header, 9)
	plain := strings.ReplaceAll(strings.ReplaceAll(m.body, "=\n", ""), "\r", "")
	require.Len(t, strings.Split(strings.TrimSpace(plain), "\n"), 2, "the name stays in its line: %s", plain)
	require.Contains(t, plain, `\r\nBcc: eve`)
}

func TestNewMail_address(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"alice@example.com\r\nBcc: eve@example.com", "alice@example.com>\r\nRCPT TO:<eve@example.com", "alice", " ", "Alice <alice@example.com>",
		"alice@example.com, eve@example.com",
	} {
		f := newFixture(t, newMemory)
		f.create(t, record(auth.KindToken, "alice", f.clock.Add(2*day)))
		f.address = func(context.Context, string) (string, error) { return address, nil }
		require.NoError(t, f.run(t.Context()), address)
		require.Empty(t, f.server.take(), address)
		require.Equal(t, map[string]int{"rejected": 1}, f.outcomes(t), address)
	}
}
