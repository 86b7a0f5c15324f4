// Headless is a note service whose user interface, in React, uses the session cookie: on the
// origin of the API, on another origin of the same site, or on another site.
//
//	make headless                # builds the user interface, and runs the service
//	go run ./examples/headless   # runs it with what was built
//
// See -h for the flags of the other deployments, and docs/guides/ui-on-another-origin.md.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// options are the flags.
type options struct {
	deployment
	addr, uiAddr, uiOrigin, dist string
	maxAge                       time.Duration
}

func parseFlags(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("headless", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "localhost:8080", "`address` of the API")
	flags.StringVar(&o.uiAddr, "ui-addr", "", "`address` to serve the user interface on; if empty, the API's")
	flags.StringVar(&o.uiOrigin, "ui-origin", "", "`origin` of the user interface if another server has it, such as https://app.example.com")
	flags.StringVar(&o.apiOrigin, "api-origin", "", "`origin` of the API as browsers see it, if a proxy is in front, such as https://api.example.com")
	flags.BoolVar(&o.crossSite, "cross-site", false, "the user interface is on another site: SameSite=None and Partitioned")
	flags.BoolVar(&o.unpartitioned, "unpartitioned", false, "with -cross-site: leave out Partitioned, to see what browsers do")
	flags.StringVar(&o.dist, "ui", filepath.Join("examples", "headless", "ui", "dist"), "`folder` of the built user interface")
	flags.DurationVar(&o.maxAge, "max-age", 10*time.Minute, "how recent a sign-in must be to create a token")
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, err
}

func main() {
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err == nil {
		err = run(ctx, o, log.Printf)
	}
	if err != nil {
		log.Fatal("headless: ", err)
	}
}

// run serves until ctx is done.
func run(ctx context.Context, o options, printf func(format string, args ...any)) error {
	api, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	defer api.Close()
	listeners, handlers := []net.Listener{api}, make([]http.Handler, 1, 2)
	page := o.complete(api)
	if o.uiAddr != "" {
		ui, err := net.Listen("tcp", o.uiAddr)
		if err != nil {
			return err
		}
		defer ui.Close()
		page = "http://" + hostOf(o.uiAddr, ui)
		o.uiOrigins = append(o.uiOrigins, page)
		listeners, handlers = append(listeners, ui), append(handlers, newUI(o.dist, o.apiOrigin))
	}

	key, password := make([]byte, 32), rand.Text() // a real service loads a permanent key
	rand.Read(key)
	s, err := newService(auth.NewMemoryStore(), auth.Keys{key}, map[string]string{"ada": password}, o.deployment, o.maxAge)
	if err != nil {
		return err
	}
	handlers[0] = s.routes(newUI(o.dist, ""))
	printf("Open %s and sign in as ada with the password %s", page, password)
	if !isBuilt(o.dist) {
		printf("The user interface is not built: run make headless, which needs npm")
	}
	return errors.Join(serve(ctx, listeners, handlers), s.close())
}

// complete adds what follows from the flags, and returns the address of the page.
func (o *options) complete(api net.Listener) (page string) {
	page = "http://" + hostOf(o.addr, api)
	if o.apiOrigin == "" {
		o.apiOrigin = page
	} else {
		page = o.apiOrigin
	}
	if o.uiOrigin != "" {
		o.uiOrigins, page = append(o.uiOrigins, o.uiOrigin), o.uiOrigin
	}
	return page
}

// hostOf returns the host of an address as it was given, and the port that l has.
func hostOf(addr string, l net.Listener) string {
	host, _, _ := net.SplitHostPort(addr) // net.Listen has accepted it
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if host == "" {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// serve serves each handler on its listener until ctx is done or one of them stops.
func serve(ctx context.Context, listeners []net.Listener, handlers []http.Handler) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	servers := make([]*http.Server, len(listeners))
	for i, l := range listeners {
		servers[i] = &http.Server{Handler: handlers[i], ReadTimeout: 10 * time.Second}
		go func() { stop(servers[i].Serve(l)) }()
	}
	<-ctx.Done()
	// Shutdown waits five seconds for connections that browsers have opened in advance.
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for _, srv := range servers {
		errs = append(errs, srv.Shutdown(end))
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		errs = append(errs, cause)
	}
	return errors.Join(errs...)
}
