package integration

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A redisServer is a server for one test, which may fill it, stop it and kill it. It runs
// redis-server, or the program in AUTH_TEST_REDIS_SERVER, for example valkey-server.
type redisServer struct {
	dir     string
	port    int
	options []string
	cmd     *exec.Cmd
}

func startRedis(t testing.TB, options ...string) *redisServer {
	t.Helper()
	binary, err := exec.LookPath(cmp.Or(os.Getenv("AUTH_TEST_REDIS_SERVER"), "redis-server"))
	if err != nil {
		const text = "redis-server is missing: install it (apt-get install redis-server)"
		if ci() {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	s := &redisServer{dir: t.TempDir(), port: freePort(t), options: append([]string{binary}, options...)}
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

// start can be called again after kill. The server then reads its files.
func (s *redisServer) start(t testing.TB) {
	t.Helper()
	args := slices.Concat(s.options[1:], []string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", ""})
	s.cmd = exec.Command(s.options[0], args...)
	log, err := os.OpenFile(filepath.Join(s.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	require.NoError(t, s.cmd.Start())
	option := s.option()
	option.ForceSingleClient, option.DisableCache = true, true // Sentinel has no client-side caching
	require.Eventually(t, func() bool {
		client, err := rueidis.NewClient(option)
		if err == nil {
			defer client.Close()
			err = client.Do(context.Background(), client.B().Ping().Build()).Error()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond, "Redis does not start: see %s", log.Name())
}

func (s *redisServer) option() rueidis.ClientOption {
	return rueidis.ClientOption{InitAddress: []string{fmt.Sprint("127.0.0.1:", s.port)}, ConnWriteTimeout: 2 * time.Second}
}

// setRedis changes settings of a running server: names and values alternate.
func setRedis(t *testing.T, client rueidis.Client, nameValue ...string) {
	t.Helper()
	config := client.B().Arbitrary("CONFIG", "SET").Args(nameValue...).Build()
	require.NoError(t, client.Do(t.Context(), config).Error())
}

func (s *redisServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// store returns a store with its own client.
func (s *redisServer) store(t testing.TB, cfg redisstore.Config) (*redisstore.Store, rueidis.Client) {
	t.Helper()
	client := openRedis(t, s.option())
	store, err := redisstore.New(client, cfg)
	require.NoError(t, err)
	return store, client
}

// redisInfo returns a number from the server's INFO.
func redisInfo(t testing.TB, client rueidis.Client, section, name string) int64 {
	t.Helper()
	text, err := client.Do(t.Context(), client.B().Info().Section(section).Build()).ToString()
	require.NoError(t, err)
	_, text, _ = strings.Cut(text, "\n"+name+":")
	text, _, _ = strings.Cut(text, "\r\n")
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err, name)
	return n
}
