// Federate is a job of GitHub Actions that calls an API without a stored secret. GitHub is simulated
// by the program itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// run starts the simulated GitHub and the service, and runs jobs. It writes what each of them does.
func run(w io.Writer) error {
	out := &lockedWriter{w: w}
	github, err := newSimulatedGitHub()
	if err != nil {
		return err
	}
	github.url, err = serve(github)
	if err != nil {
		return err
	}
	handler, err := routes(auth.NewMemoryStore(), github.client(), observer(out))
	if err != nil {
		return err
	}
	service, err := serve(handler)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "GitHub is simulated at %s, the API is at %s.\n", github.url, service)

	fmt.Fprintf(out, "\n1. A job of the repository acme/notes\n")
	if err := github.start(deploy); err != nil {
		return err
	}
	fmt.Fprintln(out, "job:     the environment has GitHub's ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN, and no secret of the API")
	report(out, job(context.Background(), service, out))

	fmt.Fprintf(out, "\n2. A job of a fork, with the same names in its workflow\n")
	if err := github.start(fork); err != nil {
		return err
	}
	report(out, job(context.Background(), service, out))

	fmt.Fprintf(out, "\n3. An intruder, who has read the JWT of the first job\n")
	report(out, replay(context.Background(), service, github.first()))
	return nil
}

// A lockedWriter is written to by the job and by the service.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func report(out io.Writer, err error) {
	if err != nil {
		fmt.Fprintln(out, "job:    ", err)
	}
}

// serve serves h on a free port of the loopback address, until the program exits.
func serve(h http.Handler) (url string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Print(err)
		}
	}()
	return "http://" + listener.Addr().String(), nil
}

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}
