package sqlstore

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestScan_cursor(t *testing.T) {
	t.Parallel()
	query := auth.ScanQuery{ExpiresBefore: time.UnixMicro(1)}
	for _, p := range []position{
		{kind: auth.KindToken},
		{kind: auth.KindSecret, inside: true, expires: never, id: "id", userID: "alice"},
		{kind: auth.KindSession, inside: true, expires: math.MinInt64},
		{kind: auth.KindToken, inside: true, id: strings.Repeat("i", 300), userID: "\xff\x00\n"},
	} {
		q := query
		q.Cursor, q.Limit = p.cursor(query), 7
		got, err := startScan(q)
		require.NoError(t, err)
		require.Equal(t, p, got)
		for _, other := range []auth.ScanQuery{
			{},
			{Kind: p.kind, ExpiresBefore: query.ExpiresBefore},
			{ExpiresFrom: time.UnixMicro(1), ExpiresBefore: query.ExpiresBefore},
			{ExpiresBefore: time.UnixMicro(2)},
		} {
			other.Cursor = q.Cursor
			_, err := startScan(other)
			require.ErrorIs(t, err, errCursor)
		}
	}
}

// A cursor of this version remains valid in later ones.
func TestScan_cursorOfVersion1(t *testing.T) {
	t.Parallel()
	got, err := startScan(auth.ScanQuery{Cursor: "AQEAAAAAAAAAKgJpZGFsaWNl"})
	require.Error(t, err, "%v", got) // it has no checksum
	const cursor = "AQEAAAAAAAAAKgJpZGFsaWNlkGjakw"
	got, err = startScan(auth.ScanQuery{Cursor: cursor})
	require.NoError(t, err)
	require.Equal(t, position{kind: auth.KindToken, inside: true, expires: 42, id: "id", userID: "alice"}, got)
}

func FuzzScan_cursor(f *testing.F) {
	f.Add(position{kind: auth.KindToken, inside: true, expires: 42, id: "id", userID: "alice"}.cursor(auth.ScanQuery{}))
	f.Add(position{kind: auth.KindSecret}.cursor(auth.ScanQuery{}))
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, cursor string) {
		p, err := startScan(auth.ScanQuery{Cursor: cursor})
		if err == nil && cursor != "" {
			require.Equal(t, cursor, p.cursor(auth.ScanQuery{}))
		}
	})
}
