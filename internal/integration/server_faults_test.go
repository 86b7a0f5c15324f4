package integration

import (
	"context"
	"database/sql"
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

// A killed server has all changes that it has acknowledged when it runs again.
func TestSQLStore_killedServer(t *testing.T) {
	t.Parallel()
	eachOwnServer(t, func(t *testing.T, s *ownServer) {
		store, _ := s.store(t)
		killDuringWrites(t, store, s.kill, func() { s.start(t) })
	})
}

// A writer creates records of one user and revokes every second one, until an error.
type writer struct {
	userID                    string
	created, revoked, unknown []auth.Credential // unknown: the call has returned an error
}

// write calls full when it has made about fifty changes.
func (w *writer) write(ctx context.Context, store auth.Store, full func()) {
	for n := 0; ; n++ {
		c := record(auth.KindToken, w.userID)
		if err := store.Create(ctx, c, 0); err != nil {
			w.unknown = append(w.unknown, c)
			return
		}
		if n%2 == 0 {
			w.created = append(w.created, c)
			continue
		}
		if err := store.Revoke(ctx, c.Ref()); err != nil {
			w.unknown = append(w.unknown, c)
			return
		}
		w.revoked = append(w.revoked, c)
		if n >= 51 {
			full()
		}
	}
}

// check requires all changes that were acknowledged. One that was not is complete or has had
// no effect.
func (w *writer) check(t *testing.T, store auth.Store) {
	t.Helper()
	listed := ids(t, store, w.userID)
	for _, c := range w.created {
		require.NoError(t, lookup(t, store, c))
		require.True(t, listed[c.ID])
	}
	for _, c := range w.revoked {
		require.ErrorIs(t, lookup(t, store, c), auth.ErrRevoked)
		require.False(t, listed[c.ID])
	}
	for _, c := range w.unknown {
		err := lookup(t, store, c)
		require.True(t, err == nil || errors.Is(err, auth.ErrNotFound), err)
		require.Equal(t, err == nil, listed[c.ID])
		_, err = store.Get(t.Context(), c.Ref())
		require.Equal(t, listed[c.ID], err == nil)
	}
	require.NoError(t, store.Create(t.Context(), record(auth.KindToken, w.userID), 100_000))
}

// killDuringWrites kills the server while eight goroutines write, and checks their changes
// when it runs again.
func killDuringWrites(t *testing.T, store auth.Store, kill, start func()) {
	t.Helper()
	var wg sync.WaitGroup
	var once sync.Once
	writers := make([]writer, 8)
	for i := range writers {
		writers[i].userID = fmt.Sprint("user-", i)
		full := func() {}
		if i == 0 {
			full = func() { once.Do(kill) }
		}
		wg.Go(func() { writers[i].write(t.Context(), store, full) })
	}
	wg.Wait()
	once.Do(kill) // if another error has stopped the first writer
	start()
	awaitRecovery(t, store)
	for i := range writers {
		writers[i].check(t, store)
	}
	require.NotEmpty(t, writers[0].created)
	require.NotEmpty(t, writers[0].revoked)
}

// A server that cannot write still answers. Credentials remain valid, and every change
// returns an outage.
func TestSQLStore_readOnlyServer(t *testing.T) {
	t.Parallel()
	eachOwnServer(t, func(t *testing.T, s *ownServer) {
		store, db := s.store(t)
		u := newUser(t, store)
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
		awaitRecovery(t, store)
		requireReadOnly(t, store, u)
		if s.isPostgres() {
			run(t, db, "SELECT pg_promote()")
		} else {
			run(t, db, "SET GLOBAL read_only = 0")
		}
		requireWritable(t, store)
	})
}

// requireReadOnly calls every method of a store that can only read.
func requireReadOnly(t *testing.T, store auth.Store, u *testUser) {
	t.Helper()
	before := u.state(t, store)
	for _, m := range methods {
		if err := m.call(t.Context(), store, u); m.reads {
			require.NoError(t, err, m.name)
		} else {
			requireOutage(t, err)
		}
		require.Equal(t, before, u.state(t, store), m.name)
	}
}

// requireWritable calls every method.
func requireWritable(t *testing.T, store auth.Store) {
	t.Helper()
	for _, m := range methods {
		require.NoError(t, m.call(t.Context(), store, newUser(t, store)), m.name)
	}
}

// This process has no permission to write to the file.
func TestSQLStore_readOnlyFile(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if !d.isSQLite() {
			t.Skip("has a test of its own")
		}
		s := d.make(t)
		u := newUser(t, d.over(t, s.open(t)))
		store, err := sqlstore.New(source{s.driver, s.dsn + "&mode=ro"}.open(t), d.dialect, sqlstore.Config{})
		require.NoError(t, err)
		t.Cleanup(func() { store.Close() })
		requireReadOnly(t, store, u)
	})
}

// A full disk accepts no changes and keeps its data. The store recovers when there is space.
func TestSQLStore_fullDisk(t *testing.T) {
	t.Parallel()
	t.Run("server", func(t *testing.T) {
		eachOwnServer(t, func(t *testing.T, s *ownServer) {
			disk := smallDisk(t, s)
			store, db := s.store(t)
			if s.isPostgres() {
				// Only the tables: without space for its log PostgreSQL exits, which
				// is the test of a killed server.
				run(t, db, "CREATE TABLESPACE small LOCATION '"+disk+"'")
				run(t, db, "ALTER TABLE auth_credentials SET TABLESPACE small")
			}
			fillUp(t, store, func() { fill(t, disk) }, func() {
				require.NoError(t, os.Remove(filepath.Join(disk, "junk")))
			})
		})
	})
	t.Run("SQLite", func(t *testing.T) {
		each(t, func(t *testing.T, d database) {
			if !d.isSQLite() {
				t.Skip("has a test of its own")
			}
			db := d.make(t).open(t)
			db.SetMaxOpenConns(1) // the setting applies to one connection
			store := d.over(t, db)
			fillUp(t, store, func() { run(t, db, "PRAGMA max_page_count = 50") }, func() {
				run(t, db, "PRAGMA max_page_count = 1000000")
			})
		})
	})
}

// fillUp creates records until the disk is full.
func fillUp(t *testing.T, store auth.Store, full, free func()) {
	t.Helper()
	ctx := t.Context()
	u := newUser(t, store)
	before := u.state(t, store)
	full()
	large := record(auth.KindToken, "large")
	var err error
	for n := 0; err == nil; n++ {
		require.Less(t, n, 20_000, "the disk is not full")
		large = record(auth.KindToken, "large")
		large.Name = strings.Repeat("x", 200)
		err = store.Create(ctx, large, 0)
	}
	requireOutage(t, err)
	_, err = store.Lookup(ctx, large.Kind, large.Digest)
	require.ErrorIs(t, err, auth.ErrNotFound)
	require.Equal(t, before, u.state(t, store), "existing records are unchanged")
	// A revocation may find space or not. Its error says which.
	err = store.Revoke(ctx, u.session.Ref())
	_, found := store.Lookup(ctx, u.session.Kind, u.session.Digest)
	require.Equal(t, err == nil, errors.Is(found, auth.ErrNotFound), "%v, %v", err, found)
	free()
	awaitRecovery(t, store)
	require.NoError(t, store.Create(ctx, large, 0))
	requireWritable(t, store)
}

// smallDisk mounts a small file system for the tables of the server.
func smallDisk(t *testing.T, s *ownServer) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("mounting a tmpfs requires Linux and root")
	}
	disk := filepath.Join(s.dir, "disk")
	require.NoError(t, os.Mkdir(disk, 0o755))
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=160m"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		s.kill()
		require.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH)) // some of its processes may still be exiting
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

// fill fills the disk.
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

// Another transaction can hold a user's lock for longer than the timeout, or itself wait for
// a lock of the store.
func TestSQLStore_lockedByAnotherTransaction(t *testing.T) {
	t.Parallel()
	inCI(t)
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("has a single lock, which another test holds")
		}
		db := d.make(t).open(t)
		store, patient := d.overWithin(t, db, time.Second), d.over(t, db)
		t.Run("a user's lock", func(t *testing.T) {
			for _, m := range methods {
				if m.reads || m.name == "Create without a limit" || m.name == "Touch" || m.name == "Purge" {
					continue // they do not lock the user
				}
				callWhileLocked(t, m, db, store, patient)
			}
		})
		t.Run("a deadlock", func(t *testing.T) { revokeInDeadlock(t, db, store, patient) })
	})
}

// lockUser is a statement that locks all rows of a user in auth_user_locks.
func lockUser(u *testUser) string {
	return "UPDATE auth_user_locks SET changes = changes + 1 WHERE user_id = '" + u.userID + "'"
}

// callWhileLocked calls a method while another transaction holds the user's lock.
func callWhileLocked(t *testing.T, m method, db *sql.DB, store, patient auth.Store) {
	t.Helper()
	ctx, u := t.Context(), newUser(t, store)
	for _, c := range []auth.Credential{u.session, u.secret} { // so that there are locks to hold
		_, err := store.RevokeAll(ctx, c.Kind, u.userID, c.ID)
		require.NoError(t, err)
	}
	before := u.state(t, store)
	tx := beginOther(t, db, lockUser(u))
	start := time.Now()
	requireOutage(t, m.call(ctx, store, u))
	require.Less(t, time.Since(start), 5*time.Second, m.name)
	require.Equal(t, before, u.state(t, store), m.name)
	tx.rollback(t)
	require.NoError(t, m.call(ctx, patient, u), m.name)
}

// A writer that does not take the user's lock, such as one at another node of a Galera
// cluster, can create a secret at the same time.
func TestSQLStore_secretOfAnotherWriter(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("has a single lock")
		}
		ctx := t.Context()
		db := d.make(t).open(t)
		store, impatient := d.over(t, db), d.overWithin(t, db, 300*time.Millisecond)
		c := record(auth.KindSecret, "alice")
		require.NoError(t, store.Create(ctx, c, 0))
		run(t, db, "UPDATE auth_credentials SET current_secret = NULL")
		tx := beginOther(t, db, "UPDATE auth_credentials SET current_secret = user_id") // not visible yet
		created := make(chan error, 1)
		go func() { created <- store.Create(ctx, record(auth.KindSecret, c.UserID), 0) }()
		require.Eventually(t, func() bool { // Create holds the user's lock
			return !errors.Is(impatient.Revoke(ctx, auth.Ref{Kind: c.Kind, UserID: c.UserID, ID: "another"}), auth.ErrNotFound)
		}, 15*time.Second, time.Millisecond)
		require.NoError(t, tx.exec(ctx, "COMMIT"))
		require.ErrorIs(t, <-created, auth.ErrConflict)
		require.NoError(t, lookup(t, store, c))
	})
}

// revokeInDeadlock revokes a token whose row another transaction has locked, which then
// waits for the user's lock. The database aborts one of the two.
func revokeInDeadlock(t *testing.T, db *sql.DB, store, patient auth.Store) {
	t.Helper()
	ctx, u := t.Context(), newUser(t, store)
	before := u.state(t, store)
	tx := beginOther(t, db, "UPDATE auth_credentials SET name = 'x' WHERE id = '"+u.token.ID+"'")
	revoked := make(chan error, 1)
	go func() { revoked <- patient.Revoke(ctx, u.token.Ref()) }()
	require.Eventually(t, func() bool { // Revoke holds the user's lock and waits for the row
		return store.Create(ctx, record(auth.KindToken, u.userID), 100) != nil
	}, 15*time.Second, time.Millisecond)
	if err := tx.exec(ctx, lockUser(u)); err != nil { // the other transaction was aborted
		tx.rollback(t)
		require.NoError(t, <-revoked)
		require.ErrorIs(t, lookup(t, store, u.token), auth.ErrRevoked)
		return
	}
	requireOutage(t, <-revoked)
	tx.rollback(t)
	require.Equal(t, before, u.state(t, store))
	require.NoError(t, store.Revoke(ctx, u.token.Ref()))
}

// An otherTx is a transaction of another program.
type otherTx struct{ conn *sql.Conn }

// beginOther begins a transaction with a statement.
func beginOther(t *testing.T, db *sql.DB, query string) otherTx {
	t.Helper()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { // while it is open, the tables cannot be dropped
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	})
	tx := otherTx{conn}
	require.NoError(t, tx.exec(t.Context(), "START TRANSACTION"))
	require.NoError(t, tx.exec(t.Context(), query))
	return tx
}

func (tx otherTx) exec(ctx context.Context, query string) error {
	_, err := tx.conn.ExecContext(ctx, query)
	return err
}

func (tx otherTx) rollback(t *testing.T) {
	t.Helper()
	require.NoError(t, tx.exec(t.Context(), "ROLLBACK"))
	require.NoError(t, tx.conn.Close())
}
