package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/gob"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// A victim is a process that makes one change and is killed during it.
type victim struct {
	Database, Driver, DSN string
	Method                string
	At                    int // number of the driver call after which it is killed
	User                  exportedUser
}

// exportedUser is a testUser that gob can encode.
type exportedUser struct {
	UserID                                                 string
	Previous, Token, Other, Expired, Session, Secret, Next auth.Credential
}

func (u *testUser) export() exportedUser {
	return exportedUser{u.userID, u.previous, u.token, u.other, u.expired, u.session, u.secret, u.next}
}

func (e exportedUser) testUser() *testUser {
	return &testUser{e.UserID, e.Previous, e.Token, e.Other, e.Expired, e.Session, e.Secret, e.Next}
}

const victimVariable = "AUTH_TEST_VICTIM"

func TestMain(m *testing.M) {
	for variable, be := range map[string]func(text string) error{
		victimVariable: beVictim, soakVariable: beSoakServer, exchangeVariable: beExchange,
	} {
		if text := os.Getenv(variable); text != "" {
			if err := be(text); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	// Outages without an Observer are logged, a line for each request. Package log, which
	// slog.SetDefault redirects, keeps writing to stderr.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	log.SetOutput(os.Stderr)
	log.SetFlags(log.LstdFlags)
	shareWaits()
	os.Exit(m.Run())
}

// shareWaits runs at least five tests at a time, unless -parallel says otherwise: most of them
// wait for servers to start, and to notice that another one has failed.
func shareWaits() {
	flag.Parse()
	chosen := runtime.GOMAXPROCS(0) >= 5
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", "5")
	}
}

func beVictim(text string) error {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	var v victim
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&v); err != nil {
		return err
	}
	f := new(faults)
	db, err := source{v.Driver, v.DSN}.faulty(f)
	if err != nil {
		return err
	}
	d := databases[slices.IndexFunc(databases, func(d database) bool { return d.name == v.Database })]
	m := methods[slices.IndexFunc(methods, func(m method) bool { return m.name == v.Method })]
	store, err := sqlstore.New(db, d.dialect, sqlstore.Config{})
	if err != nil {
		return err
	}
	f.arm(v.At, 1, errKilled, true)
	if err := m.call(context.Background(), store, v.User.testUser()); err != nil {
		return err
	}
	f.disarm()
	return nil
}

// A process can be killed at any point of a change. The change is then complete or has no
// effect, and does not block others.
func TestSQLStore_killedProcess(t *testing.T) {
	t.Parallel()
	longSeries(t)
	each(t, func(t *testing.T, d database) {
		for _, m := range methods {
			if m.reads {
				continue
			}
			t.Run(m.name, func(t *testing.T) {
				ctx, source := t.Context(), d.make(t)
				store := d.over(t, source.open(t))
				model := newUser(t, store)
				untouched := model.state(t, store)
				require.NoError(t, m.call(ctx, store, model))
				done := model.state(t, store)
				for n, killed := 1, true; killed; n++ {
					require.Less(t, n, 100, "the number of calls is unbounded")
					u := newUser(t, store)
					u.next.Kind = model.next.Kind // as set by the call
					killed = runVictim(t, victim{d.name, source.driver, source.dsn, m.name, n, u.export()})
					state := u.state(t, store)
					if !killed {
						require.Equal(t, done, state)
					}
					require.Contains(t, []string{untouched, done}, state, "after call %d", n)
					require.Eventually(t, func() bool { // its lock has been released
						return store.Create(ctx, record(auth.KindToken, u.userID), 100) == nil
					}, 15*time.Second, time.Millisecond)
					if state != untouched {
						continue
					}
					require.NoError(t, m.call(ctx, store, u), "after call %d", n)
					if m.name == "Purge" {
						// It leaves out what the server has locked until it notices that the victim is gone.
						require.Eventually(t, func() bool {
							return m.call(ctx, store, u) == nil && u.state(t, store) == done
						}, 15*time.Second, 10*time.Millisecond, "after call %d", n)
					}
					require.Equal(t, done, u.state(t, store), "after call %d", n)
				}
			})
		}
	})
}

// runVictim reports whether the victim was killed.
func runVictim(t *testing.T, v victim) bool {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, gob.NewEncoder(&b).Encode(v))
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), victimVariable+"="+base64.StdEncoding.EncodeToString(b.Bytes()))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	require.Equal(t, "signal: killed", err.Error(), "%s", out)
	return true
}
