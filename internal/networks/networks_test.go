package networks_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/networks"
)

func TestContain(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "fe80::1": true,
		"192.0.3.7": false, "::192.0.2.7": false,
		"fe80::1%eth0": false, "::ffff:192.0.2.7%eth0": false,
	} {
		require.Equal(t, want, networks.Contain("192.0.2.0/24 fe80::/10", netip.MustParseAddr(addr)), addr)
	}
	require.False(t, networks.Contain("0.0.0.0/0 ::/0", netip.Addr{}))
}
