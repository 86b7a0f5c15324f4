package integration

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Two server processes share a store, and real HTTP clients use and change credentials
// through both, while connections to the store are cut. Each second, each connection is cut
// with a probability of 1 %, and if that cuts none, one is. No answer may be wrong: see
// [soakCredential.verdict]. By default the test only shows that it works.
//
// AUTH_TEST_SOAK is how long it runs for each store, and AUTH_TEST_SOAK_RATE the number of
// requests per second, 300 by default. Over 10 minutes, less than 0.02 % of the requests may
// be answered with 503. Over 20 minutes, memory must be flat: the medians of the last 5
// minutes are at most 5 % above those of minutes 6 to 10, and 4 goroutines, 1 MiB of heap or 3 MiB
// of memory that the heap had once. They are measured between requests, and the cache of
// decrypted cookies is filled before.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := soak{duration: 6 * time.Second, rate: 300}
	if text := os.Getenv("AUTH_TEST_SOAK"); text == "" {
		inCI(t)
	} else {
		duration, err := time.ParseDuration(text)
		require.NoError(t, err)
		rate, err := strconv.Atoi(cmp.Or(os.Getenv("AUTH_TEST_SOAK_RATE"), "300"))
		require.NoError(t, err)
		s = soak{duration: duration, rate: rate}
	}
	key := make([]byte, 32)
	rand.Read(key)
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		source := postgresDatabase(t)
		database{dialect: "postgres"}.over(t, source.open(t))
		s := s
		s.proxy = source.behind(t)
		s.config = soakConfig{Postgres: source.through(t, s.proxy).dsn, Key: key}
		s.run(t)
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		server := startRedis(t)
		s := s
		s.proxy = proxyTo(t, "tcp", server.option().InitAddress[0])
		s.config = soakConfig{Redis: s.proxy.address(), Prefix: "soak:", Key: key}
		s.run(t)
	})
}

type soak struct {
	duration time.Duration
	rate     int // requests per second
	proxy    *proxy
	config   soakConfig
	client   *soakClient
	reports  []soakReport
}

// A soakReport is a line of the table: the counts since the start, and what the servers hold.
type soakReport struct {
	at                             time.Duration
	requests, outages, wrong, cuts int
	median, p99, slowest           time.Duration // since the last report
	memory                         []soakMemory  // of each server
}

const soakUsers = 200

func (s *soak) run(t *testing.T) {
	s.client = &soakClient{
		http:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second}, Timeout: 30 * time.Second},
		pace:   &pacer{interval: time.Second / time.Duration(s.rate)},
		past:   make([]*soakCredential, 1000),
		counts: soakCounts{answers: make(map[string]int)},
	}
	s.config.FillCaches = s.duration >= time.Minute
	for range 2 {
		s.client.servers = append(s.client.servers, startSoakServer(t, s.config))
	}
	for i := range soakUsers {
		s.client.users = append(s.client.users, &soakUser{name: userName(i), live: make(map[string][]*soakCredential)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), s.duration)
	defer cancel()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() { s.client.run(ctx) })
	}
	t.Log(soakHeader)
	s.disturb(ctx, t)
	wg.Wait()
	s.report(t, s.duration)
	s.client.counts.log(t)
	s.judge(t)
}

// disturb cuts connections, calls Purge, and reports once a minute, until ctx is done.
func (s *soak) disturb(ctx context.Context, t *testing.T) {
	start := time.Now()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
		}
		cuts := s.proxy.cutSome(0.01)
		s.client.counts.mu.Lock()
		s.client.counts.cuts += cuts
		s.client.counts.mu.Unlock()
		if n%20 == 4 {
			wg.Go(func() { s.client.post(ctx, n/20%2, "purge", nil, "") })
		}
		if n%60 == 0 && time.Duration(n)*time.Second < s.duration {
			s.report(t, time.Since(start))
		}
	}
}

// startSoakServer starts a process and returns its address.
func startSoakServer(t *testing.T, cfg soakConfig) (address string) {
	t.Helper()
	text, err := json.Marshal(cfg)
	require.NoError(t, err)
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), soakVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close() // ends the server
		require.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

const soakHeader = "minute  requests  503 (share)  wrong  cuts | median  p99  slowest | of each server: heap KiB, RSS KiB, goroutines"

func (s *soak) report(t *testing.T, at time.Duration) {
	t.Helper()
	r := soakReport{at: at}
	s.client.quiet.Lock()
	defer s.client.quiet.Unlock()
	s.client.http.CloseIdleConnections()
	for _, address := range s.client.servers {
		res, err := s.client.http.Get("http://" + address + "/memory")
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		require.NoError(t, err)
		var m soakMemory
		require.NoError(t, json.Unmarshal(body, &m))
		r.memory = append(r.memory, m)
	}
	n := &s.client.counts
	n.mu.Lock()
	defer n.mu.Unlock()
	r.requests, r.outages, r.wrong, r.cuts = n.requests, n.outages, n.wrong, n.cuts
	if slices.Sort(n.latencies); len(n.latencies) > 0 {
		last := len(n.latencies) - 1
		r.median, r.p99, r.slowest = n.latencies[last/2], n.latencies[last*99/100], n.latencies[last]
	}
	n.latencies = n.latencies[:0]
	s.reports = append(s.reports, r)
	t.Log(r)
}

func (r soakReport) String() string {
	text := fmt.Sprintf("%6.1f %9d %4d (%.4f%%) %5d %5d | %v %v %v |", r.at.Minutes(), r.requests, r.outages,
		100*r.share(), r.wrong, r.cuts, r.median.Round(10*time.Microsecond), r.p99.Round(10*time.Microsecond), r.slowest.Round(time.Millisecond))
	for _, m := range r.memory {
		text += fmt.Sprintf("  %d %d %d", m.Heap>>10, m.RSS>>10, m.Goroutines)
	}
	return text
}

func (r soakReport) share() float64 { return float64(r.outages) / float64(max(r.requests, 1)) }

func (n *soakCounts) log(t *testing.T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, text := range n.faults {
		t.Error(text)
	}
	answers := make([]string, 0, len(n.answers))
	for name, count := range n.answers {
		answers = append(answers, fmt.Sprint(name, ": ", count))
	}
	slices.Sort(answers)
	t.Log(strings.Join(answers, "\n"))
}

// judge decides whether the soak has passed.
func (s *soak) judge(t *testing.T) {
	last := s.reports[len(s.reports)-1]
	for i, m := range last.memory {
		for text, n := range m.Faults {
			t.Logf("server %d: %d times %s", i, n, text)
		}
	}
	require.Zero(t, last.wrong)
	require.NotZero(t, last.cuts)
	paths := []string{"use", "recheck", "session/start", "token/start", "secret/start", "purge"}
	if s.duration >= time.Minute { // a short run may leave out others, which are rare
		paths = append(paths, "session/end", "token/rotate", "token/revoke")
	}
	for _, path := range paths {
		require.NotZero(t, s.client.counts.answers[path+" 200"], path)
	}
	require.NotZero(t, s.client.counts.answers["use 401"])
	if s.duration < 10*time.Minute {
		require.Less(t, last.share(), 0.01)
		return
	}
	require.Less(t, last.share(), 0.0002)
	if s.duration >= 20*time.Minute {
		s.judgeMemory(t)
	}
}

// judgeMemory compares the medians of the last 5 minutes with those of minutes 6 to 10.
func (s *soak) judgeMemory(t *testing.T) {
	for i := range s.client.servers {
		for _, part := range []struct {
			name  string
			of    func(m soakMemory) int
			noise int
		}{
			{"heap", func(m soakMemory) int { return int(m.Heap) }, 1 << 20},
			{"RSS", func(m soakMemory) int { return int(m.RSS) }, 3 << 20},
			{"goroutines", func(m soakMemory) int { return m.Goroutines }, 4},
		} {
			early, late := median(s.reports[5:10], i, part.of), median(s.reports[len(s.reports)-5:], i, part.of)
			t.Logf("server %d: %s %d in minutes 6 to 10, %d in the last 5", i, part.name, early, late)
			require.LessOrEqual(t, float64(late), 1.05*float64(early)+float64(part.noise), "%s of server %d grows", part.name, i)
		}
	}
}

func median(reports []soakReport, server int, of func(m soakMemory) int) int {
	var values []int
	for _, r := range reports {
		values = append(values, of(r.memory[server]))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
