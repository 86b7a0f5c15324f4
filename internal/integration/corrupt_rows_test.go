package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

var corruptions = []struct {
	name string
	set  string
	want error
}{
	{"scopes as a JSON list", `scopes = '["*"]'`, auth.ErrUnavailable},
	{"a wildcard among others", `scopes = '* notes:read'`, auth.ErrUnavailable},
	{"a wildcard with a space", `scopes = ' *'`, auth.ErrUnavailable},
	{"a line break in the scopes", "scopes = '*\n'", auth.ErrUnavailable},
	{"no user ID", `user_id = ''`, auth.ErrUnavailable},
	{"an expiry before 1970", `expires_at = -1`, auth.ErrInvalidCredential},
	{"the lowest expiry", `expires_at = -9223372036854775808`, auth.ErrInvalidCredential},
	{"an expiry of zero", `expires_at = 0`, auth.ErrInvalidCredential},
	{"another kind", `kind = 3`, auth.ErrInvalidCredential},
	{"no kind", `kind = 0`, auth.ErrInvalidCredential},
	{"a negative kind", `kind = -1`, auth.ErrUnavailable},
	{"revoked is neither 0 nor 1", `revoked = 2`, auth.ErrUnavailable},
	{"superseded is neither 0 nor 1", `superseded = -1`, auth.ErrUnavailable},
	{"an invalid address", `created_from = '10.0.0'`, auth.ErrUnavailable},
	{"non_persistent is neither 0 nor 1", `non_persistent = 2`, auth.ErrUnavailable},
	{"no digest", `digest = ''`, auth.ErrInvalidCredential},
}

// authenticateToken returns the error of Middleware.Authenticate.
func authenticateToken(b *auth.Bearer, plaintext string) error {
	_, err := new(auth.Middleware).Authenticate(bearerRequest(plaintext), b)
	return err
}

// Rows that another program or a migration has corrupted authenticate no request, and
// never grant full access.
func TestAuthenticate_corruptRow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		store, db := d.store(t)
		bearer := newBearer(t, store)
		for _, tt := range corruptions {
			t.Run(tt.name, func(t *testing.T) {
				plaintext, c := issue(t, bearer, "notes:read")
				require.NoError(t, authenticateToken(bearer, plaintext))
				run(t, db, "UPDATE auth_credentials SET "+tt.set+" WHERE id = '"+c.ID+"'")
				require.ErrorIs(t, authenticateToken(bearer, plaintext), tt.want)
				run(t, db, "DELETE FROM auth_credentials")
			})
		}

		// The column has 32 bytes in MariaDB and MySQL, and any number in the others.
		t.Run("a digest of another length", func(t *testing.T) {
			plaintext, c := issue(t, bearer, "notes:read")
			_, err := db.ExecContext(t.Context(), "UPDATE auth_credentials SET digest = '0123456789' WHERE id = '"+c.ID+"'")
			if err == nil {
				require.ErrorIs(t, authenticateToken(bearer, plaintext), auth.ErrInvalidCredential)
				_, err = store.Get(t.Context(), c.Ref())
				if d.name != "MariaDB or MySQL" { // which pads it
					requireOutage(t, err)
				}
			}
			run(t, db, "DELETE FROM auth_credentials")
		})

		// The columns do not accept NULL, so it needs no interpretation.
		t.Run("NULL", func(t *testing.T) {
			_, c := issue(t, bearer, "notes:read")
			for column := range strings.FieldsSeq(`kind user_id id name hint scopes networks metadata digest created_at
				expires_at last_used_at created_from last_used_from actor non_persistent superseded revoked previous`) {
				_, err := db.ExecContext(t.Context(), "UPDATE auth_credentials SET "+column+" = NULL WHERE id = '"+c.ID+"'")
				require.Error(t, err, column)
			}
		})
	})
}
