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
	records := makeRecords("user-", 0, 10_000)
	ways := lookupWays(b, records)
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
	for i, way := range ways {
		b.ReportMetric(medianMicros(times[i]), way.name+"-us")
	}
	b.ReportMetric(medianMicros(times[1])/medianMicros(times[0]), "ratio")
}

// A lookupWay is one of several that are compared.
type lookupWay struct {
	name string
	call func(d []byte) error
}

func lookupWays(b *testing.B, records []auth.Credential) []lookupWay {
	b.Helper()
	f, d := new(faults), databases[slices.IndexFunc(databases, database.isPostgres)]
	source := d.make(b)
	db := source.open(b)
	store := d.over(b, db)
	insert(b, db, true, records)
	recorded, err := source.faulty(f)
	require.NoError(b, err)
	b.Cleanup(func() { recorded.Close() })
	_, err = d.over(b, recorded).Lookup(b.Context(), auth.KindToken, records[0].Digest)
	require.NoError(b, err)
	query, _ := f.asked()
	native, err := pgx.Connect(b.Context(), source.dsn)
	require.NoError(b, err)
	b.Cleanup(func() { native.Close(context.Background()) })
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour) // as lookups have
	b.Cleanup(cancel)
	return []lookupWay{
		{"sql", func(d []byte) error { return scanAlone(db.QueryRowContext(ctx, query, d)) }},
		{"store", func(d []byte) error {
			_, err := store.Lookup(ctx, auth.KindToken, auth.Digest(d))
			return err
		}},
		{"pgx", func(d []byte) error { return scanAlone(native.QueryRow(ctx, query, d)) }},
	}
}

func medianMicros(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2]) / float64(time.Microsecond)
}

// scanAlone reads the columns of a lookup.
func scanAlone(row interface{ Scan(...any) error }) error {
	var text [11]string
	var kind, created, expires, used, nonPersistent, superseded, revoked int64
	var digest, sealed sql.NullString
	return row.Scan(&kind, &text[0], &text[1], &text[2], &text[3], &text[4], &text[5], &text[6], &digest, &sealed,
		&created, &expires, &used, &text[7], &text[8], &text[9], &nonPersistent, &superseded, &text[10], &revoked)
}
