package integration

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A filled store is one whose costs are measured with many records in it.
type filled struct {
	store auth.Store
	fill  func(b *testing.B, records []auth.Credential)
	bytes func(b *testing.B) int64 // size of the records and their indexes
}

// BenchmarkStore uses AUTH_BENCH_RECORDS records, 10,000 by default. The figures in the
// documentation of the packages come from
//
//	AUTH_BENCH_RECORDS=1000000 go test -run '^$' -bench 'Store$' -timeout 60m ./internal/integration
func BenchmarkStore(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) { measure(b, filledDatabase(b, d)) })
	}
	b.Run("Redis", func(b *testing.B) { measure(b, filledRedis(b)) })
	for _, d := range databases {
		b.Run("cachestore over "+d.name, func(b *testing.B) {
			f := filledDatabase(b, d)
			cached, err := cachestore.New(f.store, cachestore.Config{})
			require.NoError(b, err)
			b.Cleanup(func() { cached.Close() })
			f.store = cached
			measure(b, f)
		})
	}
}

func measure(b *testing.B, f filled) {
	size := 10_000
	if text := os.Getenv("AUTH_BENCH_RECORDS"); text != "" {
		var err error
		size, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	const chunk = 10_000
	for from := 0; from < size; from += chunk {
		f.fill(b, makeRecords("user-", from, min(chunk, size-from)))
	}
	perRecord := float64(f.bytes(b)) / float64(size)
	digests := make([]auth.Digest, size)
	for i := range digests {
		digests[i] = digestOf("user-", i)
	}
	f.measureLookup(b, "cold", digests, perRecord)
	f.measureLookup(b, "hot", digests[:1000], perRecord)
	f.measureTouch(b, size)
	f.measureCreate(b)
	f.measureRevokeAll(b)
	f.measurePurge(b)
}

func (f filled) measureLookup(b *testing.B, name string, digests []auth.Digest, perRecord float64) {
	lookups := func(b *testing.B, next func() bool) {
		// A cancelable context, as requests of a server have.
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		for next() {
			if _, err := f.store.Lookup(ctx, auth.KindToken, digests[rand.IntN(len(digests))]); err != nil {
				b.Error(err)
				return
			}
		}
	}
	b.Run("lookup/"+name+"/alone", func(b *testing.B) {
		b.ReportAllocs()
		lookups(b, b.Loop)
		b.ReportMetric(perRecord, "B/record")
	})
	b.Run("lookup/"+name+"/16 in flight", func(b *testing.B) {
		b.SetParallelism(8) // times two cores
		b.RunParallel(func(pb *testing.PB) { lookups(b, pb.Next) })
	})
}

// measureTouch records uses in batches as large as those of an authenticator in use.
func (f filled) measureTouch(b *testing.B, size int) {
	b.Run("touch of 64", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			uses := make([]auth.Use, 64)
			for i := range uses {
				c := makeRecords("user-", rand.IntN(size), 1)[0]
				uses[i] = auth.Use{Ref: c.Ref(), Digest: c.Digest, At: time.Now().UTC().Truncate(time.Microsecond)}
			}
			b.StartTimer()
			require.NoError(b, f.store.Touch(b.Context(), uses))
		}
	})
}

func (f filled) measureCreate(b *testing.B) {
	var created atomic.Int64
	create := func() error {
		return f.store.Create(b.Context(), record(auth.KindToken, fmt.Sprint("new-", created.Add(1)/10)), 50)
	}
	b.Run("create/alone", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, create())
		}
	})
	b.Run("create/16 in flight", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := create(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func (f filled) measureRevokeAll(b *testing.B) {
	b.Run("revoke all of 10,000", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			userID := fmt.Sprint("rich-", n)
			records := makeRecords(userID, 0, 10_000)
			for i := range records {
				records[i].UserID = userID
			}
			f.fill(b, records)
			b.StartTimer()
			revoked, err := f.store.RevokeAll(b.Context(), auth.KindToken, userID)
			require.NoError(b, err)
			require.Equal(b, 10_000, revoked)
		}
	})
}

func (f filled) measurePurge(b *testing.B) {
	b.Run("purge of 10,000", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			series := fmt.Sprint("expired-", n)
			records := makeRecords(series, 0, 10_000)
			for i := range records {
				records[i].UserID = series + "-" + records[i].UserID
				records[i].ExpiresAt = records[i].CreatedAt.Add(-2 * time.Hour)
			}
			f.fill(b, records)
			b.StartTimer()
			purged, err := f.store.Purge(b.Context(), time.Now().Add(-time.Hour))
			require.NoError(b, err)
			require.Equal(b, 10_000, purged)
		}
	})
}

func digestOf(series string, i int) auth.Digest {
	return sha256.Sum256(strconv.AppendInt([]byte(series+"/"), int64(i), 10))
}

// makeRecords returns tokens like those of a service: ten for each user.
func makeRecords(series string, from, n int) []auth.Credential {
	now := time.Now().UTC().Truncate(time.Microsecond)
	records := make([]auth.Credential, n)
	for i := range records {
		records[i] = auth.Credential{
			ID: fmt.Sprintf("%026d", from+i), Kind: auth.KindToken, UserID: fmt.Sprint("user-", (from+i)/10), Name: "deploy to production",
			Hint: "acme_pat_...x3Yz", Scopes: "notes:read notes:write", Digest: digestOf(series, from+i),
			CreatedAt: now, ExpiresAt: now.AddDate(0, 0, 90),
		}
	}
	return records
}

func filledDatabase(b *testing.B, d database) filled {
	b.Helper()
	db := d.make(b).open(b)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	return filled{
		store: d.over(b, db),
		fill:  func(b *testing.B, records []auth.Credential) { insert(b, db, d.isPostgres(), records) },
		bytes: func(b *testing.B) int64 { return databaseSize(b, d, db) },
	}
}

func databaseSize(b *testing.B, d database, db *sql.DB) (bytes int64) {
	b.Helper()
	query := "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
	switch {
	case d.isPostgres():
		query = "SELECT pg_total_relation_size('auth_credentials')"
	case !d.isSQLite():
		_, err := db.ExecContext(b.Context(), "ANALYZE TABLE auth_credentials")
		require.NoError(b, err)
		query = `SELECT data_length + index_length FROM information_schema.tables
			WHERE table_schema = DATABASE() AND table_name = 'auth_credentials'`
	}
	require.NoError(b, db.QueryRowContext(b.Context(), query).Scan(&bytes))
	return bytes
}

// insert is faster than Create: it inserts many rows per statement, in one transaction.
func insert(b testing.TB, db *sql.DB, numbered bool, records []auth.Credential) {
	b.Helper()
	const columns, rows = 21, 100
	tx, err := db.BeginTx(b.Context(), nil)
	require.NoError(b, err)
	defer tx.Rollback()
	for len(records) > 0 {
		batch := records[:min(rows, len(records))]
		records = records[len(batch):]
		var values strings.Builder
		var args []any
		for i, c := range batch {
			for n := range columns {
				before, mark := ",", "?"
				if n == 0 {
					before = ",("
				}
				if numbered {
					mark = fmt.Sprint("$", i*columns+n+1)
				}
				values.WriteString(before + mark)
			}
			values.WriteByte(')')
			args = append(args, int(c.Kind), c.UserID, c.ID, c.Name, c.Hint, string(c.Scopes), "", "", c.Digest[:], nil,
				c.CreatedAt.UnixMicro(), c.ExpiresAt.UnixMicro(), 0, "", "", "", 0, 0, 0, "", nil)
		}
		_, err := tx.ExecContext(b.Context(), "INSERT INTO auth_credentials (kind, user_id, id, name, hint, scopes, networks, metadata,"+
			" digest, sealed, created_at, expires_at, last_used_at, created_from, last_used_from, actor, non_persistent, superseded,"+
			" revoked, previous, current_secret) VALUES "+values.String()[1:], args...)
		require.NoError(b, err)
	}
	require.NoError(b, tx.Commit())
}

func filledRedis(b *testing.B) filled {
	b.Helper()
	server := startRedis(b)
	store, client := server.store(b, redisstore.Config{Timeout: time.Minute})
	empty := redisInfo(b, client, "memory", "used_memory")
	return filled{
		store: store,
		fill: func(b *testing.B, records []auth.Credential) {
			var wg sync.WaitGroup
			running := make(chan struct{}, 64) // concurrent calls share round trips
			for _, c := range records {
				running <- struct{}{}
				wg.Go(func() {
					defer func() { <-running }()
					if err := store.Create(b.Context(), c, 0); err != nil {
						b.Error(err)
					}
				})
			}
			wg.Wait()
		},
		bytes: func(b *testing.B) int64 { return redisInfo(b, client, "memory", "used_memory") - empty },
	}
}
