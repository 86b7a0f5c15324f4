package integration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

func TestSQLStoreKeepsTheContract(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		storetest.Run(t, func(t *testing.T) auth.Store {
			store, _ := d.store(t, sqlstore.WithTimeout(20*time.Second))
			return store
		})
	})
}

func TestMigrateByTenAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		errs := make(chan error, 10)
		for range 10 {
			go func() {
				store, err := sqlstore.New(db, d.dialect)
				if err == nil {
					err = store.Migrate(t.Context())
				}
				errs <- err
			}()
		}
		for range 10 {
			require.NoError(t, <-errs)
		}
		store, err := sqlstore.New(db, d.dialect)
		require.NoError(t, err)
		require.NoError(t, store.Migrate(t.Context()))
	})
}
