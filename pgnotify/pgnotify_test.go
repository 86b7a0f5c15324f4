package pgnotify_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/pgnotify"
)

func TestNew_reportsEveryFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		url  string
		want []string
	}{
		{"no URL", "", []string{"is empty"}},
		{"an invalid port", "postgres://app:canary@db.example.com:x/app", []string{"is invalid"}},
		{"another scheme", "mysql://app:canary@db.example.com/app", []string{"is invalid"}},
		{"an invalid setting", "host=db.example.com password=canary sslmode=perhaps", []string{"is invalid"}},
		{"settings of pgxpool", "postgres://app:canary@db.example.com/app?pool_max_conns=4&pool_min_conns=1",
			[]string{"pool_max_conns, which has no effect", "pool_min_conns, which has no effect"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source, err := pgnotify.New(tt.url, pgnotify.Config{})
			require.Nil(t, source)
			for _, text := range tt.want {
				require.ErrorContains(t, err, text)
			}
			require.NotContains(t, err.Error(), "canary")
		})
	}
}

func TestSubscribe_requiresItsFunctions(t *testing.T) {
	t.Parallel()
	source, err := pgnotify.New("postgres://127.0.0.1:1/app", pgnotify.Config{})
	require.NoError(t, err)
	require.Error(t, source.Subscribe(t.Context(), nil, func() {}))
	require.Error(t, source.Subscribe(t.Context(), func(auth.Kind, string) {}, nil))
}

// subscribe starts a subscription that never connects, and returns the errors that
// ErrorLog receives and the result of Subscribe.
func subscribe(ctx context.Context, t *testing.T, url string) (errs, result chan error) {
	t.Helper()
	errs, result = make(chan error), make(chan error, 1)
	source, err := pgnotify.New(url, pgnotify.Config{ErrorLog: func(err error) { errs <- err }})
	require.NoError(t, err)
	go func() {
		result <- source.Subscribe(ctx, func(auth.Kind, string) {}, func() { t.Error("nothing was lost") })
	}()
	return errs, result
}

// Subscribe retries, reports each failure without the password, and ends with its
// context.
func TestSubscribe_serverIsAbsent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	errs, result := subscribe(ctx, t, "postgres://app:canary@127.0.0.1:1/app")
	for range 3 {
		err := <-errs
		require.ErrorContains(t, err, "pgnotify: ")
		require.NotContains(t, err.Error(), "canary")
	}
	stopped := errors.New("the service stops")
	cancel(stopped)
	require.ErrorIs(t, <-result, stopped)
}

func TestSubscribe_serverIsSilent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	errs, result := subscribe(ctx, t, "postgres://app:canary@"+l.Addr().String()+"/app?sslmode=disable")
	select {
	case err := <-errs:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case <-ctx.Done():
		t.Fatal("the attempt to connect does not time out")
	}
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
}
