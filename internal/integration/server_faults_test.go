package integration

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// A server that is killed has what it has acknowledged, once it is up again.
func TestServerThatIsKilled(t *testing.T) {
	t.Parallel()
	eachOwnServer(t, func(t *testing.T, s *ownServer) {
		store, _ := s.store(t)
		killAmongWriters(t, store, s.kill, func() { s.start(t) })
	})
}

// killAmongWriters kills the server while eight goroutines write. What was
// acknowledged has to be there after its start; what was not, whole or not at all.
func killAmongWriters(t *testing.T, store auth.Store, kill, start func()) {
	t.Helper()
	ctx := t.Context()
	const writers = 8
	var wg sync.WaitGroup
	var once sync.Once
	made, ended, unknown := make([][]auth.Credential, writers), make([][]auth.Credential, writers), make([][]auth.Credential, writers)
	for i := range writers {
		wg.Go(func() {
			for n := 0; ; n++ {
				c := record(auth.KindToken, fmt.Sprint("user-", i))
				if err := store.Create(ctx, c, 0); err != nil {
					unknown[i] = append(unknown[i], c)
					return
				}
				if n%2 == 0 {
					made[i] = append(made[i], c)
					continue
				}
				if err := store.Revoke(ctx, c.Ref()); err != nil {
					unknown[i] = append(unknown[i], c)
					return
				}
				ended[i] = append(ended[i], c)
				if i == 0 && n >= 51 {
					once.Do(kill)
				}
			}
		})
	}
	wg.Wait()
	once.Do(kill) // where the first writer met another fault
	start()
	recoversSoon(t, store)

	for i := range writers {
		listed := ids(t, store, fmt.Sprint("user-", i))
		for _, c := range made[i] {
			_, err := store.Lookup(ctx, c.Kind, c.Digest)
			require.NoError(t, err)
			require.True(t, listed[c.ID])
		}
		for _, c := range ended[i] {
			_, err := store.Lookup(ctx, c.Kind, c.Digest)
			require.ErrorIs(t, err, auth.ErrRevoked)
			require.False(t, listed[c.ID])
		}
		for _, c := range unknown[i] {
			_, err := store.Lookup(ctx, c.Kind, c.Digest)
			require.True(t, err == nil || errors.Is(err, auth.ErrNotFound), err)
			require.Equal(t, err == nil, listed[c.ID])
			_, err = store.Get(ctx, c.Ref())
			require.Equal(t, listed[c.ID], err == nil)
		}
		require.NoError(t, store.Create(ctx, record(auth.KindToken, fmt.Sprint("user-", i)), 100_000))
	}
	require.NotEmpty(t, made[0])
	require.NotEmpty(t, ended[0])
}

// A server can refuse to write and still answer. Then nobody is kept out who has
// a credential, and no change is told as made.
func TestServerThatDoesNotWrite(t *testing.T) {
	t.Parallel()
	eachOwnServer(t, func(t *testing.T, s *ownServer) {
		store, db := s.store(t)
		a := newAccount(t, store)
		if s.isPostgres() { // a standby
			s.kill()
			require.NoError(t, os.WriteFile(filepath.Join(s.dir, "data", "standby.signal"), nil, 0o644))
			s.start(t)
		} else {
			run(t, db, "SET GLOBAL read_only = 1")
			run(t, db, "CREATE USER app IDENTIFIED BY 'app'")
			run(t, db, "GRANT ALL ON test.* TO app")
			limited := source{s.driver, strings.Replace(s.dsn, "root@", "app:app@", 1)}
			var err error
			store, err = sqlstore.New(limited.open(t), s.dialect, sqlstore.Config{})
			require.NoError(t, err)
		}
		recoversSoon(t, store)
		writesNothing(t, store, a)
		if s.isPostgres() {
			run(t, db, "SELECT pg_promote()")
		} else {
			run(t, db, "SET GLOBAL read_only = 0")
		}
		writesAll(t, store)
	})
}

// writesNothing calls every method of a store that can only read.
func writesNothing(t *testing.T, store auth.Store, a *account) {
	t.Helper()
	before := a.state(t, store)
	for _, m := range methods {
		if err := m.call(t.Context(), store, a); m.reads {
			require.NoError(t, err, m.name)
		} else {
			outage(t, err)
		}
		require.Equal(t, before, a.state(t, store), m.name)
	}
}

func writesAll(t *testing.T, store auth.Store) {
	t.Helper()
	for _, m := range methods {
		require.NoError(t, m.call(t.Context(), store, newAccount(t, store)), m.name)
	}
}

// A file that this process may only read, from another system say.
func TestSQLiteFileThatIsReadOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if !d.isSQLite() {
			t.Skip("is another test's")
		}
		s := d.make(t)
		a := newAccount(t, d.over(t, s.open(t)))
		store, err := sqlstore.New(source{s.driver, s.dsn + "&mode=ro"}.open(t), d.dialect, sqlstore.Config{})
		require.NoError(t, err)
		t.Cleanup(func() { store.Close() })
		writesNothing(t, store, a)
	})
}

// A disk that is full takes nothing more, keeps what it has, and is good again
// when there is room.
func TestDiskThatIsFull(t *testing.T) {
	t.Parallel()
	t.Run("of a server", func(t *testing.T) {
		eachOwnServer(t, func(t *testing.T, s *ownServer) {
			disk := smallDisk(t, s)
			store, db := s.store(t, sqlstore.Config{Timeout: 10 * time.Second})
			if s.isPostgres() {
				// Tables alone: where its log finds no room PostgreSQL ends, and that
				// is a server that was killed.
				run(t, db, "CREATE TABLESPACE small LOCATION '"+disk+"'")
				run(t, db, "ALTER TABLE auth_credentials SET TABLESPACE small")
			}
			fillUp(t, store, func() { fill(t, disk) }, func() {
				require.NoError(t, os.Remove(filepath.Join(disk, "junk")))
			})
		})
	})
	t.Run("of SQLite", func(t *testing.T) {
		each(t, func(t *testing.T, d database) {
			if !d.isSQLite() {
				t.Skip("is another test's")
			}
			db := d.make(t).open(t)
			db.SetMaxOpenConns(1) // the setting is the connection's
			store := d.over(t, db)
			fillUp(t, store, func() { run(t, db, "PRAGMA max_page_count = 50") }, func() {
				run(t, db, "PRAGMA max_page_count = 1000000")
			})
		})
	})
}

// fillUp creates records until there is no more room.
func fillUp(t *testing.T, store auth.Store, full, free func()) {
	t.Helper()
	ctx := t.Context()
	a := newAccount(t, store)
	before := a.state(t, store)
	full()
	large := record(auth.KindToken, "large")
	var err error
	for n := 0; err == nil; n++ {
		require.Less(t, n, 20_000, "the disk does not get full")
		large = record(auth.KindToken, "large")
		large.Name = strings.Repeat("x", 200)
		err = store.Create(ctx, large, 0)
	}
	outage(t, err)
	_, err = store.Lookup(ctx, large.Kind, large.Digest)
	require.ErrorIs(t, err, auth.ErrNotFound)
	require.Equal(t, before, a.state(t, store), "what is there is there")
	// A revocation may find room or not; it is told which.
	err = store.Revoke(ctx, a.session.Ref())
	_, found := store.Lookup(ctx, a.session.Kind, a.session.Digest)
	require.Equal(t, err == nil, errors.Is(found, auth.ErrNotFound), "%v, %v", err, found)
	free()
	recoversSoon(t, store)
	require.NoError(t, store.Create(ctx, large, 0))
	writesAll(t, store)
}

// smallDisk mounts one where the server keeps its tables.
func smallDisk(t *testing.T, s *ownServer) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("a small disk is a tmpfs, which takes Linux and root")
	}
	disk := filepath.Join(s.dir, "disk")
	require.NoError(t, os.Mkdir(disk, 0o755))
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=160m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		s.kill()
		require.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH)) // the last of its processes may still be ending
	})
	if s.isPostgres() {
		owner := s.cmd.SysProcAttr.Credential
		require.NoError(t, os.Chown(disk, int(owner.Uid), int(owner.Gid)))
		return disk
	}
	s.kill()
	s.run(t, nil, "cp", "-a", filepath.Join(s.dir, "data"), disk)
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "data")))
	require.NoError(t, os.Symlink(filepath.Join(disk, "data"), filepath.Join(s.dir, "data")))
	s.start(t)
	return disk
}

// fill leaves no room.
func fill(t *testing.T, disk string) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "junk"))
	require.NoError(t, err)
	defer f.Close()
	junk := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(junk)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
}

// Another transaction may hold an account's lock for longer than anybody waits, or
// wait itself for what the store has locked.
func TestLocksOfOthers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("has one lock, which another test holds")
		}
		ctx := t.Context()
		db := d.make(t).open(t)
		store := d.over(t, db, sqlstore.Config{Timeout: time.Second})
		hold := func(t *testing.T, query string) (other func(query string) error, end func()) {
			t.Helper()
			conn, err := db.Conn(ctx)
			require.NoError(t, err)
			t.Cleanup(func() { // nothing could be dropped while it is held
				_ = conn.Raw(func(any) error { return driver.ErrBadConn })
			})
			exec := func(query string) error {
				_, err := conn.ExecContext(ctx, query)
				return err
			}
			require.NoError(t, exec("START TRANSACTION"))
			require.NoError(t, exec(query))
			return exec, func() {
				require.NoError(t, exec("ROLLBACK"))
				require.NoError(t, conn.Close())
			}
		}
		patient := d.over(t, db)
		t.Run("an account's lock", func(t *testing.T) {
			for _, m := range methods {
				if m.reads || m.name == "Create without one" || m.name == "Touch" || m.name == "Purge" {
					continue // they take no such lock
				}
				a := newAccount(t, store)
				for _, c := range []auth.Credential{a.session, a.secret} { // so that there is a lock to hold
					_, err := store.RevokeAll(ctx, c.Kind, a.userID, c.ID)
					require.NoError(t, err)
				}
				before := a.state(t, store)
				_, end := hold(t, "UPDATE auth_user_locks SET changes = changes + 1 WHERE user_id = '"+a.userID+"'")
				start := time.Now()
				outage(t, m.call(ctx, store, a))
				require.Less(t, time.Since(start), 5*time.Second, m.name)
				require.Equal(t, before, a.state(t, store), m.name)
				end()
				require.NoError(t, m.call(ctx, patient, a), m.name)
			}
		})
		t.Run("in a circle", func(t *testing.T) {
			a := newAccount(t, store)
			before := a.state(t, store)
			other, end := hold(t, "UPDATE auth_credentials SET name = 'x' WHERE id = '"+a.token.ID+"'")
			revoked := make(chan error, 1)
			go func() { revoked <- patient.Revoke(ctx, a.token.Ref()) }()
			require.Eventually(t, func() bool { // it holds the account, and waits for the record
				return store.Create(ctx, record(auth.KindToken, a.userID), 100) != nil
			}, 15*time.Second, time.Millisecond)
			errOther := other("UPDATE auth_user_locks SET changes = changes + 1 WHERE user_id = '" + a.userID + "'")
			if errOther != nil { // the database has ended the other one
				end()
				require.NoError(t, <-revoked)
				_, err := store.Lookup(ctx, a.token.Kind, a.token.Digest)
				require.ErrorIs(t, err, auth.ErrRevoked)
				return
			}
			outage(t, <-revoked)
			end()
			require.Equal(t, before, a.state(t, store))
			require.NoError(t, store.Revoke(context.WithoutCancel(ctx), a.token.Ref()))
		})
	})
}
