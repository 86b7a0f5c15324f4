package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

const connections = 64

// A load is a kind of requests to a server over loopback.
type load struct {
	name    string
	handler http.Handler
	tokens  []string
	expect  map[string]bool       // allowed statuses
	during  func(context.Context) // runs until the load ends
}

func loads() ([]load, error) {
	l, err := newLibrary(auth.NewMemoryStore(), prefix)
	if err == nil {
		err = l.importTokens(users())
	}
	if err != nil {
		return nil, err
	}
	all := tokens()
	mixed := slices.Clone(all)
	for i := 0; i < len(mixed); i += 100 {
		mixed[i] = token.New(prefix) // 1 % are unknown
	}
	empty := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	guarded := auth.Require(l.bearer, l.cookie)(empty)
	ok := map[string]bool{"204": true}
	return []load{
		{"an empty handler", empty, all, ok, nil},
		{"behind Require", guarded, all, ok, nil},
		{"1 % unknown tokens", guarded, mixed, map[string]bool{"204": true, "401": true}, nil},
		{"while others are revoked", guarded, all, ok, l.issueAndRevoke},
	}, nil
}

// issueAndRevoke issues and revokes a thousand tokens per second, until ctx is done.
func (l *library) issueAndRevoke(ctx context.Context) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, c, err := l.bearer.Issue(context.Background(), "revoker", tokenOptions)
			if err == nil {
				err = l.bearer.Revoke(context.Background(), "revoker", c.ID)
			}
			if err != nil {
				panic(err)
			}
		}
	}
}

// rotations is how often the loads alternate, so that other work of the machine affects all
// of them.
const rotations = 3

// printLoopback runs each load for the total duration, and prints its throughput and
// latencies.
func printLoopback(w io.Writer, total time.Duration) error {
	loads, err := loads()
	if err != nil {
		return err
	}
	metrics := make([]vegeta.Metrics, len(loads))
	throughput := make([]float64, len(loads))
	for range rotations {
		for i := range loads {
			served, err := loads[i].attack(total/rotations, &metrics[i])
			if err != nil {
				return err
			}
			throughput[i] += served / rotations
		}
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\nOver loopback, %d connections, %v each\trequests/s\tratio\tp50\tratio\tp99\tratio\tp99.9\tratio\t\n", connections, total)
	for i := range loads {
		metrics[i].Close()
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t", loads[i].name, throughput[i], throughput[i]/throughput[0])
		for _, q := range []float64{0.5, 0.99, 0.999} {
			took, baseline := metrics[i].Latencies.Quantile(q), metrics[0].Latencies.Quantile(q)
			fmt.Fprintf(t, "%v\t%.2f\t", took.Round(time.Microsecond), float64(took)/float64(baseline))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// attack sends requests as fast as they are answered, and returns their number per second.
func (l *load) attack(d time.Duration, m *vegeta.Metrics) (float64, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	srv := &http.Server{Handler: l.handler}
	go srv.Serve(listener)
	defer srv.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if l.during != nil {
		go l.during(ctx)
	}
	attacker := vegeta.NewAttacker(vegeta.Workers(connections), vegeta.MaxWorkers(connections), vegeta.Connections(connections), vegeta.KeepAlive(true))
	served := 0
	for r := range attacker.Attack(l.targeter("http://"+listener.Addr().String()), vegeta.Rate{}, d, l.name) {
		if !l.expect[fmt.Sprint(r.Code)] {
			return 0, fmt.Errorf("%s: status %d: %s", l.name, r.Code, r.Error)
		}
		m.Add(r)
		served++
	}
	return float64(served) / d.Seconds(), nil
}

// targeter uses the tokens in turn.
func (l *load) targeter(url string) vegeta.Targeter {
	targets := make([]vegeta.Target, len(l.tokens))
	for i, token := range l.tokens {
		targets[i] = vegeta.Target{Method: http.MethodGet, URL: url, Header: http.Header{"Authorization": {"Bearer " + token}}}
	}
	return vegeta.NewStaticTargeter(targets...)
}
