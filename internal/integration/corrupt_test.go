package integration

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Rows that another program has written, or a migration has spoilt, let nobody
// in, and are never taken for full access.
func TestCorruptRowsLetNobodyIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  string
		want error
	}{
		{"scopes as a JSON list", `scopes = '["*"]'`, auth.ErrUnavailable},
		{"a wildcard among others", `scopes = '* notes:read'`, auth.ErrUnavailable},
		{"a wildcard with a space", `scopes = ' *'`, auth.ErrUnavailable},
		{"a line break in the scopes", "scopes = '*\n'", auth.ErrUnavailable},
		{"no owner", `user_id = ''`, auth.ErrUnavailable},
		{"an expiry before 1970", `expires_at = -1`, auth.ErrInvalidCredential},
		{"the lowest expiry", `expires_at = -9223372036854775808`, auth.ErrInvalidCredential},
		{"an expiry of zero", `expires_at = 0`, auth.ErrInvalidCredential},
		{"another kind", `kind = 3`, auth.ErrInvalidCredential},
		{"no kind", `kind = 0`, auth.ErrInvalidCredential},
		{"a kind that does not fit", `kind = -1`, auth.ErrUnavailable},
		{"revoked by a number of its own", `revoked = 2`, auth.ErrUnavailable},
		{"superseded by one", `superseded = -1`, auth.ErrUnavailable},
		{"no digest", `digest = ''`, auth.ErrInvalidCredential},
	}
	each(t, func(t *testing.T, d database) {
		store, db := d.store(t)
		bearer, err := auth.NewBearer(store, auth.BearerConfig{})
		require.NoError(t, err)
		issue := func(t *testing.T) (plaintext string, c auth.Credential) {
			t.Helper()
			plaintext, c, err := bearer.Issue(t.Context(), "alice", auth.NewToken{Name: "script", Scopes: []string{"notes:read"}})
			require.NoError(t, err)
			return plaintext, c
		}
		authenticate := func(plaintext string) error {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+plaintext)
			_, err := new(auth.Middleware).Authenticate(r, bearer)
			return err
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				plaintext, c := issue(t)
				require.NoError(t, authenticate(plaintext))
				run(t, db, "UPDATE auth_credentials SET "+tt.set+" WHERE id = '"+c.ID+"'")
				require.ErrorIs(t, authenticate(plaintext), tt.want)
				run(t, db, "DELETE FROM auth_credentials")
			})
		}

		// MariaDB and MySQL have a column of 32 bytes; the others keep any.
		t.Run("a digest of another length", func(t *testing.T) {
			plaintext, c := issue(t)
			_, err := db.ExecContext(t.Context(), "UPDATE auth_credentials SET digest = '0123456789' WHERE id = '"+c.ID+"'")
			if err == nil {
				require.ErrorIs(t, authenticate(plaintext), auth.ErrInvalidCredential)
				_, err = store.Get(t.Context(), c.Ref())
				if d.name != "MariaDB or MySQL" { // which has filled it up
					outage(t, err)
				}
			}
			run(t, db, "DELETE FROM auth_credentials")
		})

		// What a missing value would mean never has to be decided.
		t.Run("nothing at all", func(t *testing.T) {
			_, c := issue(t)
			for column := range strings.FieldsSeq(`kind user_id id name hint scopes digest created_at expires_at
				last_used_at superseded revoked previous`) {
				_, err := db.ExecContext(t.Context(), "UPDATE auth_credentials SET "+column+" = NULL WHERE id = '"+c.ID+"'")
				require.Error(t, err, column)
			}
		})
	})
}
