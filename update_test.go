package auth_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func ptr(s string) *string { return &s }

// A field that is not named stays, so a new name cannot lift a restriction.
func TestUpdate_keepsTheRest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	o := auth.TokenOptions{
		Name: "x", Scopes: []string{"read"}, Lifetime: time.Hour,
		Networks: prefixes("192.0.2.0/24"), Metadata: map[string]string{"tenant": "acme", "role": "admin"},
	}
	token, before, err := f.bearer.Issue(ctx, "ada", o)
	require.NoError(t, err)
	want := before
	update := func(u auth.TokenUpdate) {
		t.Helper()
		got, err := f.bearer.Update(ctx, "ada", before.ID, u)
		require.NoError(t, err)
		require.Equal(t, want, withoutUse(got))
		stored, err := f.bearer.Get(ctx, "ada", before.ID)
		require.NoError(t, err)
		require.Equal(t, want, withoutUse(stored))
	}
	update(auth.TokenUpdate{})
	want.Name = "y"
	update(auth.TokenUpdate{Name: ptr("y")})
	want.Scopes = "read write"
	update(auth.TokenUpdate{Scopes: &[]string{"read", "write"}})
	want.Metadata = "role=user\nseat=4\ntenant=acme"
	update(auth.TokenUpdate{Metadata: map[string]*string{"role": ptr("user"), "seat": ptr("4"), "missing": nil}})
	want.Metadata = "role=user\ntenant=acme"
	update(auth.TokenUpdate{Metadata: map[string]*string{"seat": nil}})
	want.Networks = "198.51.100.0/24"
	update(auth.TokenUpdate{Networks: &[]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	h := f.all()
	require.Equal(t, 401, h.get(authorization("Bearer "+token), from("192.0.2.7")).Code)
	require.Equal(t, 200, h.get(authorization("Bearer "+token), from("198.51.100.7")).Code)
	want.Networks = ""
	update(auth.TokenUpdate{Networks: new([]netip.Prefix)})
	require.Equal(t, 200, h.get(authorization("Bearer "+token)).Code)
}

// Another program may have written metadata that this package would not. A new name neither
// fails because of it nor changes it.
func TestUpdate_keepsForeignMetadata(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	for _, metadata := range []auth.Metadata{"Tenant=acme", "z=1\na=2", "a=1\na=2", "no separator", auth.Metadata("a=" + repeated("v", 257))} {
		foreign := c
		foreign.Metadata = metadata
		require.NoError(t, f.store.Update(t.Context(), c, foreign))
		got, err := f.bearer.Update(t.Context(), "ada", c.ID, auth.TokenUpdate{Name: ptr("y")})
		require.NoError(t, err)
		require.Equal(t, metadata, got.Metadata)
		c, err = f.bearer.Get(t.Context(), "ada", c.ID)
		require.NoError(t, err)
		require.Equal(t, metadata, c.Metadata)
	}
}

func TestUpdate_errors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.bearer.Scopes = []string{"read", "write"} })
	ctx := t.Context()
	_, c, err := f.bearer.Issue(ctx, "ada", auth.TokenOptions{Name: "x", Scopes: []string{"read"}, Lifetime: time.Hour})
	require.NoError(t, err)
	for _, test := range []struct {
		argument string
		u        auth.TokenUpdate
	}{
		{"Name", auth.TokenUpdate{Name: ptr("")}},
		{"Scopes", auth.TokenUpdate{Scopes: &[]string{}}},
		{"Scopes", auth.TokenUpdate{Scopes: new([]string)}},
		{"Scopes", auth.TokenUpdate{Scopes: &[]string{"admin"}}},
		{"Networks", auth.TokenUpdate{Networks: &[]netip.Prefix{}}},
		{"Metadata", auth.TokenUpdate{Metadata: map[string]*string{"A": ptr("x")}}},
	} {
		_, err := f.bearer.Update(ctx, "ada", c.ID, test.u)
		var argument *auth.ArgumentError
		require.ErrorAs(t, err, &argument)
		require.Equal(t, test.argument, argument.Argument)
	}
	for _, test := range []struct{ userID, id string }{{"eve", c.ID}, {"ada", "01M8HZ7W3YH1B0QNZ06K015XPB"}, {"ada", "\x00"}} {
		_, err := f.bearer.Update(ctx, test.userID, test.id, auth.TokenUpdate{Name: ptr("y")})
		require.ErrorIs(t, err, auth.ErrNotFound)
	}
	_, err = f.bearer.Update(ctx, "", c.ID, auth.TokenUpdate{})
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
	stored, err := f.bearer.Get(ctx, "ada", c.ID)
	require.NoError(t, err)
	require.Equal(t, c, stored, "nothing is half done")

	_, _, err = f.bearer.Rotate(ctx, "ada", c.ID, time.Minute)
	require.NoError(t, err)
	_, err = f.bearer.Update(ctx, "ada", c.ID, auth.TokenUpdate{Name: ptr("y")})
	require.ErrorIs(t, err, auth.ErrConflict, "its successor has what Update would change")
}

// withoutUse leaves out the last use, which is recorded in the background.
func withoutUse(c auth.Credential) auth.Credential {
	c.LastUsedAt, c.LastUsedFrom = time.Time{}, netip.Addr{}
	return c
}

// Calls that change different fields at the same time do not undo each other.
func TestUpdate_concurrently(t *testing.T) {
	t.Parallel()
	for range 50 {
		f := newFixture(t)
		_, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
		require.NoError(t, err)
		var wg sync.WaitGroup
		for _, u := range []auth.TokenUpdate{
			{Name: ptr("y")},
			{Scopes: &[]string{"read"}},
			{Networks: &[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			{Metadata: map[string]*string{"a": ptr("1")}},
			{Metadata: map[string]*string{"b": ptr("2")}},
		} {
			wg.Go(func() {
				_, err := f.bearer.Update(context.Background(), "ada", c.ID, u)
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		c.Name, c.Scopes, c.Networks, c.Metadata = "y", "read", "192.0.2.0/24", "a=1\nb=2"
		stored, err := f.bearer.Get(t.Context(), "ada", c.ID)
		require.NoError(t, err)
		require.Equal(t, c, stored)
	}
}

// A caller that has decided by what it read changes nothing else.
func TestUpdate_old(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	_, old, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
	require.NoError(t, err)
	_, other, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
	require.NoError(t, err)
	for _, change := range []auth.TokenUpdate{
		{Name: ptr("y")},
		{Scopes: &[]string{"read"}},
		{Networks: &[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		{Metadata: map[string]*string{"a": ptr("1")}},
	} {
		change.Old = &old
		next, err := f.bearer.Update(ctx, "ada", old.ID, change)
		require.NoError(t, err)
		for _, stale := range []auth.Credential{old, other} {
			_, err = f.bearer.Update(ctx, "ada", old.ID, auth.TokenUpdate{Name: ptr("lost"), Old: &stale})
			require.ErrorIs(t, err, auth.ErrConflict)
		}
		stored, err := f.bearer.Get(ctx, "ada", old.ID)
		require.NoError(t, err)
		require.Equal(t, next, stored)
		old = next
	}
	used := old
	used.LastUsedAt, used.LastUsedFrom = time.Now(), netip.MustParseAddr("192.0.2.7")
	_, err = f.bearer.Update(ctx, "ada", old.ID, auth.TokenUpdate{Name: ptr("z"), Old: &used})
	require.NoError(t, err, "a use changes none of these")
}

// A change between the comparison and the store's update is a conflict too.
func TestUpdate_oldMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, old, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	narrowed := old
	narrowed.Networks = "192.0.2.1/32"
	changed := false
	f.store.fail = func(method string) error {
		if method == "Update" && !changed {
			changed = true
			return f.store.Store.Update(t.Context(), old, narrowed)
		}
		return nil
	}
	_, err = f.bearer.Update(t.Context(), "ada", old.ID, auth.TokenUpdate{
		Networks: &[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Old: &old,
	})
	require.ErrorIs(t, err, auth.ErrConflict)
	stored, err := f.bearer.Get(t.Context(), "ada", old.ID)
	require.NoError(t, err)
	require.Equal(t, narrowed, stored)
}

// A store on which every call conflicts does not keep the caller forever.
func TestUpdate_endlessConflict(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	calls := 0
	f.store.fail = func(method string) error {
		if method != "Update" {
			return nil
		}
		calls++
		return auth.ErrConflict
	}
	_, err = f.bearer.Update(t.Context(), "ada", c.ID, auth.TokenUpdate{Name: ptr("y")})
	require.ErrorIs(t, err, auth.ErrConflict)
	require.Equal(t, 10, calls)
}

// The last use is written by others meanwhile, and an Update does not undo it.
func TestUpdate_keepsTheLastUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		token, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
		require.NoError(t, err)
		f.store.after = func(method string) {
			if method == "Get" {
				f.store.after = nil
				require.Equal(t, 200, f.all().get(authorization("Bearer "+token)).Code)
				synctest.Wait()
			}
		}
		_, err = f.bearer.Update(t.Context(), "ada", c.ID, auth.TokenUpdate{Name: ptr("y")})
		require.NoError(t, err)
		stored, err := f.bearer.Get(t.Context(), "ada", c.ID)
		require.NoError(t, err)
		require.False(t, stored.LastUsedAt.IsZero())
		require.Equal(t, "y", stored.Name)
	})
}

func TestUpdate_event(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	f.events.take()
	_, err = f.bearer.Update(t.Context(), "ada", c.ID, auth.TokenUpdate{Name: ptr("y")})
	require.NoError(t, err)
	require.Equal(t, []auth.Event{{Type: auth.EventUpdated, Operation: "update", Scheme: auth.SchemeBearer, UserID: "ada", CredentialID: c.ID}}, f.events.take())
}
