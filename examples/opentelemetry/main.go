// Opentelemetry is a service whose traces say who sent a request, and whose metrics count the
// decisions on requests and the changes to credentials.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-31c5bcb2/auth"
)

// Attributes that the semantic conventions do not have. They start with the name of the
// application, so that a later version of the conventions cannot give them another meaning.
const (
	typeKey      = attribute.Key("acme.auth.type")
	operationKey = attribute.Key("acme.auth.operation")
	schemeKey    = attribute.Key("acme.auth.scheme")
	reasonKey    = attribute.Key("acme.auth.reason")
)

// A telemetry has the Observers of the middleware and of the authenticators.
type telemetry struct {
	decisions, changes metric.Int64Counter
}

func newTelemetry(meters metric.MeterProvider) (*telemetry, error) {
	meter := meters.Meter("github.com/seed-31c5bcb2/auth/examples/opentelemetry")
	decisions, err := meter.Int64Counter("acme.auth.decisions",
		metric.WithUnit("{decision}"), metric.WithDescription("Decisions on requests."))
	if err != nil {
		return nil, err
	}
	changes, err := meter.Int64Counter("acme.auth.changes",
		metric.WithUnit("{change}"), metric.WithDescription("Changes to credentials, and calls that failed."))
	if err != nil {
		return nil, err
	}
	return &telemetry{decisions, changes}, nil
}

// decision describes a decision in the span of the request, which ctx has, and counts it. Users
// are in spans only: their number is unlimited, and each would be a time series of its own. A
// check inside of Require that rejects a request is a second decision, and replaces the first
// one in the span.
func (t *telemetry) decision(ctx context.Context, e auth.Event) {
	outcome := []attribute.KeyValue{
		typeKey.String(string(e.Type)), schemeKey.String(string(e.Scheme)), reasonKey.String(string(e.Reason)),
	}
	t.decisions.Add(ctx, 1, metric.WithAttributes(outcome...))
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(outcome...)
	if e.UserID != "" {
		span.SetAttributes(semconv.UserID(e.UserID))
	}
	if e.ClientAddr.IsValid() { // otelhttp takes what X-Forwarded-For says
		span.SetAttributes(semconv.ClientAddress(e.ClientAddr.String()))
	}
}

// change counts a change to a credential, or a call that failed.
func (t *telemetry) change(ctx context.Context, e auth.Event) {
	t.changes.Add(ctx, 1, metric.WithAttributes(
		typeKey.String(string(e.Type)), operationKey.String(e.Operation),
		schemeKey.String(string(e.Scheme)), reasonKey.String(string(e.Reason)),
	))
}

// withClientAddr is for a service with no proxy in front.
func withClientAddr(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), auth.RemoteAddr(r))))
	})
}

type service struct {
	bearer *auth.Bearer
	routes http.Handler
}

func newService(store auth.Store, traces trace.TracerProvider, meters metric.MeterProvider) (*service, error) {
	t, err := newTelemetry(meters)
	if err != nil {
		return nil, err
	}
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat", Observe: t.change})
	if err != nil {
		return nil, err
	}
	m := &auth.Middleware{Observe: t.decision}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /notes/{id}", note)
	mux.Handle("DELETE /notes/{id}", m.RequireScope("notes:write")(http.HandlerFunc(note)))
	traced := otelhttp.NewMiddleware("http",
		otelhttp.WithTracerProvider(traces), otelhttp.WithMeterProvider(meters),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }), // a client's trace is linked, not joined
	)
	// Require is next to otelhttp, which names the span after the route that mux has found.
	return &service{bearer, withClientAddr(traced(m.Require(bearer)(mux)))}, nil
}

func note(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintf(w, "note %s of %s\n", r.PathValue("id"), id.UserID)
}

// metrics serves what meters has, in the text format of Prometheus.
func metrics() (http.Handler, *sdkmetric.MeterProvider, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, nil, err
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)), nil
}

func main() {
	page, meters, err := metrics()
	if err != nil {
		log.Fatal(err)
	}
	traces := sdktrace.NewTracerProvider() // add sdktrace.WithBatcher and your exporter
	s, err := newService(auth.NewMemoryStore(), traces, meters)
	if err != nil {
		log.Fatal(err)
	}
	// Metrics have a listener of their own, which the Internet does not reach.
	go func() { log.Fatal(http.ListenAndServe("127.0.0.1:9464", page)) }()
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes))
}
