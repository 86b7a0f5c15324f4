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

func TestNewReportsEveryFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		url     string
		options []pgnotify.Option
		want    []string
	}{
		{"no URL", "", nil, []string{"is empty"}},
		{"a URL that is none", "postgres://app:canary@db.example.com:x/app", nil, []string{"cannot be read"}},
		{"another scheme", "mysql://app:canary@db.example.com/app", nil, []string{"cannot be read"}},
		{"a setting that is none", "host=db.example.com password=canary sslmode=perhaps", nil, []string{"cannot be read"}},
		{"no function", "postgres://db.example.com", []pgnotify.Option{pgnotify.WithErrorLog(nil)}, []string{"function is nil"}},
		{"all of it", "", []pgnotify.Option{nil, pgnotify.WithErrorLog(nil)}, []string{"is empty", "option is nil", "function is nil"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source, err := pgnotify.New(tt.url, tt.options...)
			require.Nil(t, source)
			for _, text := range tt.want {
				require.ErrorContains(t, err, text)
			}
			require.NotContains(t, err.Error(), "canary")
		})
	}
}

func TestSubscribeNeedsItsFunctions(t *testing.T) {
	t.Parallel()
	source, err := pgnotify.New("postgres://127.0.0.1:1/app")
	require.NoError(t, err)
	require.Error(t, source.Subscribe(t.Context(), nil, func() {}))
	require.Error(t, source.Subscribe(t.Context(), func(auth.Kind, string) {}, nil))
}

// A server that is not there is tried again and again, told of without the
// password, and left when nobody listens any more.
func TestServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	errs := make(chan error)
	source, err := pgnotify.New("postgres://app:canary@127.0.0.1:1/app", pgnotify.WithErrorLog(func(err error) { errs <- err }))
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- source.Subscribe(ctx, func(auth.Kind, string) {}, func() { t.Error("nothing was lost") })
	}()
	for range 3 {
		err := <-errs
		require.ErrorContains(t, err, "pgnotify: ")
		require.NotContains(t, err.Error(), "canary")
	}
	over := errors.New("the service ends")
	cancel(over)
	require.ErrorIs(t, <-ended, over)
}

// One that takes connections and says nothing keeps nobody.
func TestServerThatSaysNothing(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	errs := make(chan error)
	source, err := pgnotify.New("postgres://app:canary@"+l.Addr().String()+"/app?sslmode=disable",
		pgnotify.WithErrorLog(func(err error) { errs <- err }))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- source.Subscribe(ctx, func(auth.Kind, string) {}, func() { t.Error("nothing was lost") })
	}()
	select {
	case err := <-errs:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case <-ctx.Done():
		t.Fatal("it waits for ever")
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}
