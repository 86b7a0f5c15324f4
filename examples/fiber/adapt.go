package main

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v3"
)

// around wraps a net/http middleware around the rest of fiber's chain. If the middleware does
// not call its next handler, the remaining handlers are skipped.
func around(middleware func(http.Handler) http.Handler) fiber.Handler {
	return func(c fiber.Ctx) error {
		r, err := request(c)
		if err != nil {
			return fiber.ErrBadRequest
		}
		w, called := newResponse(c), false
		middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			called = true
			w.copyHeader()
			c.SetContext(r.Context()) // carries the identity
			err = c.Next()
		})).ServeHTTP(w, r)
		if !called {
			w.WriteHeader(http.StatusOK) // unless it has written another status
		}
		return err
	}
}

// serve is a fiber handler that serves requests by a net/http handler.
func serve(h http.Handler) fiber.Handler {
	return func(c fiber.Ctx) error {
		r, err := request(c)
		if err != nil {
			return fiber.ErrBadRequest
		}
		w := newResponse(c)
		h.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK) // unless h has written another status
		return nil
	}
}

// request returns a copy of a request. All of its strings are copies too, because fasthttp uses
// their memory again for the next request. Headers that the client has sent twice are there twice.
func request(c fiber.Ctx) (*http.Request, error) {
	uri := string(c.Request().RequestURI())
	target, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	body := bytes.Clone(c.BodyRaw())
	r, err := http.NewRequestWithContext(c.Context(), strings.Clone(c.Method()), "/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.URL, r.RequestURI, r.Host = target, uri, string(c.Request().Host())
	r.RemoteAddr, r.TLS = c.RequestCtx().RemoteAddr().String(), c.RequestCtx().TLSConnectionState()
	for name, value := range c.Request().Header.All() {
		r.Header.Add(string(name), string(value))
	}
	r.Header.Del("Host") // as net/http does
	r.Pattern = c.Route().Path
	for _, name := range c.Route().Params {
		r.SetPathValue(name, strings.Clone(c.Params(name)))
	}
	return r, nil
}

// A response is the http.ResponseWriter over a fiber response, which has no Flush.
type response struct {
	c      fiber.Ctx
	header http.Header
	wrote  bool
}

// newResponse returns a response that has those headers already to which middleware adds.
func newResponse(c fiber.Ctx) *response {
	w := &response{c: c, header: make(http.Header)}
	for _, name := range []string{"Vary", "Cache-Control"} {
		for _, value := range c.Response().Header.PeekAll(name) {
			w.header.Add(name, string(value))
		}
	}
	return w
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if !w.wrote {
		w.wrote = true
		w.copyHeader()
		w.c.Status(status)
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.c.Write(b)
}

func (w *response) copyHeader() {
	to := &w.c.Response().Header
	for name, values := range w.header {
		if name != "Set-Cookie" { // Add replaces a cookie of the same name, and the others stay
			to.Del(name)
		}
		for _, value := range values {
			to.Add(name, value)
		}
	}
}
