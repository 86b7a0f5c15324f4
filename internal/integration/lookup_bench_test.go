package integration

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// BenchmarkLookup_pgxAlone compares a lookup with the same query by the driver alone. The
// calls alternate, so that what else runs on the machine slows both. It reports the medians,
// in microseconds, and their ratio to that of database/sql with pgx.
//
//	go test -run '^$' -bench Lookup_pgxAlone -benchtime 20000x ./internal/integration
func BenchmarkLookup_pgxAlone(b *testing.B) {
	f, d := new(faults), databases[slices.IndexFunc(databases, database.isPostgres)]
	source := d.make(b)
	db := source.open(b)
	store := d.over(b, db)
	records := makeRecords("user-", 0, 10_000)
	insert(b, db, true, records)
	recorded, err := source.faulty(f)
	require.NoError(b, err)
	defer recorded.Close()
	_, err = d.over(b, recorded).Lookup(b.Context(), auth.KindToken, records[0].Digest)
	require.NoError(b, err)
	query, _ := f.asked()
	native, err := pgx.Connect(b.Context(), source.dsn)
	require.NoError(b, err)
	defer native.Close(context.Background())
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour) // as lookups have
	defer cancel()
	ways := []struct {
		name string
		call func(d []byte) error
	}{
		{"sql", func(d []byte) error { return scanAlone(db.QueryRowContext(ctx, query, d)) }},
		{"store", func(d []byte) error {
			_, err := store.Lookup(ctx, auth.KindToken, auth.Digest(d))
			return err
		}},
		{"pgx", func(d []byte) error { return scanAlone(native.QueryRow(ctx, query, d)) }},
	}
	times := make([][]time.Duration, len(ways))
	for b.Loop() {
		d := records[rand.IntN(1000)].Digest
		for _, i := range rand.Perm(len(ways)) {
			start := time.Now()
			if err := ways[i].call(d[:]); err != nil {
				b.Fatal(err)
			}
			times[i] = append(times[i], time.Since(start))
		}
	}
	median := func(i int) float64 {
		slices.Sort(times[i])
		return float64(times[i][len(times[i])/2]) / float64(time.Microsecond)
	}
	for i, way := range ways {
		b.ReportMetric(median(i), way.name+"-us")
	}
	b.ReportMetric(median(1)/median(0), "ratio")
}

// scanAlone reads the columns of a lookup.
func scanAlone(row interface{ Scan(...any) error }) error {
	var text [11]string
	var kind, created, expires, used, nonPersistent, superseded, revoked int64
	var digest, sealed sql.NullString
	return row.Scan(&kind, &text[0], &text[1], &text[2], &text[3], &text[4], &text[5], &text[6], &digest, &sealed,
		&created, &expires, &used, &text[7], &text[8], &text[9], &nonPersistent, &superseded, &text[10], &revoked)
}
