package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestHeaderCredential(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		fields []string
		want   string
		err    error
	}{
		{"none", nil, "", auth.ErrNoCredential},
		{"another scheme", []string{"Basic YTpi"}, "", auth.ErrNoCredential},
		{"ours", []string{"legacy abc"}, "abc", nil},
		{"a JSON Web Token", []string{"Legacy " + repeated("a", 900) + "." + repeated("b", 900) + "._-"}, repeated("a", 900) + "." + repeated("b", 900) + "._-", nil},
		{"two fields", []string{"Legacy a", "Legacy a"}, "", auth.ErrMalformed},
		{"nothing behind it", []string{"Legacy"}, "", auth.ErrMalformed},
		{"not a token68", []string{"Legacy a b"}, "", auth.ErrMalformed},
		{"too long", []string{"Legacy " + repeated("a", 64<<10)}, "", auth.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := auth.HeaderCredential(request("GET", authorization(test.fields...)), "Legacy")
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.want, got)
		})
	}
}
