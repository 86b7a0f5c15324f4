package publicnet_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/federate/internal/publicnet"
)

func TestContains(t *testing.T) {
	t.Parallel()
	for text := range strings.FieldsSeq("1.1.1.1 140.82.112.3 172.15.0.1 172.32.0.1 192.167.0.1 100.63.0.1 100.128.0.1 2606:4700::1111 2a00:1450::1 ::ffff:1.1.1.1") {
		require.True(t, publicnet.Contains(netip.MustParseAddr(text)), text)
	}
	for text := range strings.FieldsSeq(`127.0.0.1 127.255.0.1 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
		192.0.0.192 198.18.0.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 ff02::1 fec0::1
		::ffff:127.0.0.1 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::a00:1 2002:7f00:1:: 2001::1 2001:db8::1
		::ffff:0:127.0.0.1 ::ffff:0:a00:1 64:ff9b:2::7f00:1 200::1 400::1 4000::1 c000::1 fe00::1`) {
		require.False(t, publicnet.Contains(netip.MustParseAddr(text)), text)
	}
	require.False(t, publicnet.Contains(netip.Addr{}))
}

// A name that resolves to the service's own machine reaches nothing there.
func TestClient_doesNotConnectToThisMachine(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		_, err := publicnet.Client(time.Second).Get("http://" + host + ":" + port)
		require.ErrorContains(t, err, "is not a public address", host)
	}
	require.Zero(t, requests.Load())
}
