package integration

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

func TestSQLStore_contract(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		storetest.Run(t, func(t *testing.T) auth.Store {
			store, _ := d.store(t)
			return store
		})
	})
}

func TestMigrate_tenAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		source := d.make(t)
		// Several handles, like several processes, and several calls with each.
		handles := []*sql.DB{source.open(t), source.open(t), source.open(t)}
		errs := make(chan error, 10)
		for i := range cap(errs) {
			go func() {
				store, err := sqlstore.New(handles[i%len(handles)], d.dialect, sqlstore.Config{})
				if err == nil {
					err = store.Migrate(t.Context())
				}
				errs <- err
			}()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		// Migrate again, with the tables in place, and use the result.
		for _, db := range handles {
			store := d.over(t, db)
			require.NoError(t, store.Create(t.Context(), record(auth.KindToken, "alice"), 10))
		}
	})
}
