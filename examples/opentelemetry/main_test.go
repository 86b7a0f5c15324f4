package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

// A recorded service keeps its spans and metrics in memory.
type recorded struct {
	*service
	store  *failingStore
	spans  *tracetest.SpanRecorder
	reader *sdkmetric.ManualReader
}

func newRecorded(t *testing.T) *recorded {
	t.Helper()
	r := &recorded{
		store: &failingStore{Store: auth.NewMemoryStore()},
		spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader(),
	}
	var err error
	r.service, err = newService(r.store,
		sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans)),
		sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader)))
	require.NoError(t, err)
	return r
}

// send sends a request, with headers as alternating names and values. It returns the status
// and the request's span.
func (s *recorded) send(ctx context.Context, t *testing.T, method, target string, header ...string) (int, sdktrace.ReadOnlySpan) {
	t.Helper()
	s.spans.Reset()
	r := httptest.NewRequestWithContext(ctx, method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.routes.ServeHTTP(w, r)
	ended := s.spans.Ended()
	require.Len(t, ended, 1)
	return w.Code, ended[0]
}

// ours returns the attributes of a span that the example sets.
func ours(span sdktrace.ReadOnlySpan) map[string]string {
	attributes := map[string]string{}
	for _, kv := range span.Attributes() {
		if key := string(kv.Key); strings.HasPrefix(key, "acme.") || key == "user.id" {
			attributes[key] = kv.Value.AsString()
		}
	}
	return attributes
}

// counts returns the values of a counter by its attributes.
func (s *recorded) counts(t *testing.T, name string) map[string]int64 {
	t.Helper()
	var metrics metricdata.ResourceMetrics
	require.NoError(t, s.reader.Collect(t.Context(), &metrics))
	counts := map[string]int64{}
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
				counts[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Value
			}
		}
	}
	return counts
}

func TestSpans_describeDecisions(t *testing.T) {
	t.Parallel()
	s := newRecorded(t)
	full := exampletest.Issue(t, s.bearer, auth.FullAccess)
	reader := exampletest.Issue(t, s.bearer, "notes:read")
	for _, tt := range []struct {
		name, method, authorization string
		outage                      error

		status int
		code   codes.Code
		span   string
		ours   map[string]string
	}{
		{
			"accepted", "GET", "Bearer " + full, nil,
			200, codes.Unset, "GET /notes/{id}",
			map[string]string{"user.id": "alice", "acme.auth.type": "accepted", "acme.auth.scheme": "Bearer", "acme.auth.reason": ""},
		},
		{
			"no credential", "GET", "", nil,
			401, codes.Unset, "GET",
			map[string]string{"acme.auth.type": "refused", "acme.auth.scheme": "", "acme.auth.reason": "missing"},
		},
		{
			"unknown token", "GET", "Bearer " + strings.Repeat("x", len(full)), nil,
			401, codes.Unset, "GET",
			map[string]string{"acme.auth.type": "refused", "acme.auth.scheme": "Bearer", "acme.auth.reason": "prefix"},
		},
		{
			"a check inside replaces the first decision", "DELETE", "Bearer " + reader, nil,
			403, codes.Unset, "DELETE /notes/{id}",
			map[string]string{"user.id": "alice", "acme.auth.type": "refused", "acme.auth.scheme": "Bearer", "acme.auth.reason": "scope"},
		},
		{
			"an outage is an error", "GET", "Bearer " + full, errors.New("disk full"),
			503, codes.Error, "GET",
			map[string]string{"acme.auth.type": "refused", "acme.auth.scheme": "Bearer", "acme.auth.reason": "unavailable"},
		},
		{
			"and so is a request whose client went away", "GET", "Bearer " + full, context.Canceled,
			503, codes.Error, "GET",
			map[string]string{"acme.auth.type": "refused", "acme.auth.scheme": "Bearer", "acme.auth.reason": "canceled"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) { // one after the other: they share the store
			s.store.err = tt.outage
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if errors.Is(tt.outage, context.Canceled) {
				cancel()
			}
			status, span := s.send(ctx, t, tt.method, "/notes/7", "Authorization", tt.authorization)
			require.Equal(t, tt.status, status)
			require.Equal(t, tt.code, span.Status().Code)
			require.Equal(t, tt.span, span.Name())
			require.Equal(t, tt.ours, ours(span))
			require.NotContains(t, fmt.Sprint(span.Attributes()), "disk full", "errors of a store are for the log")
		})
	}
}

// TestSpans_haveNoCredential sends a token in the places where clients put one by mistake.
func TestSpans_haveNoCredential(t *testing.T) {
	t.Parallel()
	s := newRecorded(t)
	token := exampletest.Issue(t, s.bearer, auth.FullAccess)
	for _, tt := range []struct {
		name, target string
		header       []string
		byOthers     bool // otelhttp records it
	}{
		{"Authorization", "/notes/7", []string{"Authorization", "Bearer " + token}, false},
		{"as its scheme", "/notes/7", []string{"Authorization", token + " x"}, false},
		{"in the query", "/notes/7?access_token=" + token, nil, false},
		{"in the query, with a valid one", "/notes/7?access_token=" + token, []string{"Authorization", "Bearer " + token}, false},
		{"as a cookie", "/notes/7", []string{"Cookie", "__Host-session=" + token}, false},
		{"in the path", "/notes/" + token, []string{"Authorization", "Bearer " + token}, true},
		{"in the user agent", "/notes/7", []string{"User-Agent", token}, true},
		{"as the client's address", "/notes/7", []string{"X-Forwarded-For", token}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, span := s.send(t.Context(), t, "GET", tt.target, tt.header...)
			require.NotEmpty(t, ours(span))
			require.NotContains(t, fmt.Sprint(ours(span)), token)
			all := fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Links())
			require.Equal(t, tt.byOthers, strings.Contains(all, token), all)
		})
	}
	var metrics metricdata.ResourceMetrics
	require.NoError(t, s.reader.Collect(t.Context(), &metrics))
	text, err := json.Marshal(metrics.ScopeMetrics)
	require.NoError(t, err)
	require.Contains(t, string(text), "/notes/{id}")
	require.NotContains(t, string(text), token)
}

func TestSpans_clientsDoNotChoose(t *testing.T) {
	t.Parallel()
	s := newRecorded(t)
	_, span := s.send(t.Context(), t, "GET", "/notes/7",
		"X-Forwarded-For", "203.0.113.9", "Traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	require.Contains(t, span.Attributes(), attribute.String("client.address", "192.0.2.1"), "httptest's, not the client's word")
	require.False(t, span.Parent().IsValid())
	require.NotEqual(t, "0123456789abcdef0123456789abcdef", span.SpanContext().TraceID().String())
}

// TestMetrics_areBounded sends requests of many users with many tokens: the number of time
// series does not grow with them.
func TestMetrics_areBounded(t *testing.T) {
	t.Parallel()
	s := newRecorded(t)
	for i := range 100 {
		token, c, err := s.bearer.Issue(t.Context(), fmt.Sprintf("user-%d", i), auth.TokenOptions{
			Name: "script", Scopes: []string{"notes:read"}, Lifetime: auth.NoExpiry,
		})
		require.NoError(t, err)
		s.send(t.Context(), t, "GET", fmt.Sprintf("/notes/%d", i), "Authorization", "Bearer "+token)
		s.send(t.Context(), t, "DELETE", fmt.Sprintf("/notes/%d", i), "Authorization", "Bearer "+token)
		s.send(t.Context(), t, "GET", fmt.Sprintf("/notes/%d", i), "Authorization", fmt.Sprintf("Bearer made-up-%d", i))
		s.send(t.Context(), t, "GET", fmt.Sprintf("/notes/%d", i), "Authorization", fmt.Sprintf("Scheme-%d x", i))
		require.NoError(t, s.bearer.Revoke(t.Context(), c.UserID, c.ID))
	}
	require.ErrorIs(t, s.bearer.Revoke(t.Context(), "user-1", "not-an-id"), auth.ErrNotFound)
	require.Equal(t, map[string]int64{
		"acme.auth.reason=,acme.auth.scheme=Bearer,acme.auth.type=accepted":      200,
		"acme.auth.reason=scope,acme.auth.scheme=Bearer,acme.auth.type=refused":  100,
		"acme.auth.reason=prefix,acme.auth.scheme=Bearer,acme.auth.type=refused": 100,
		"acme.auth.reason=missing,acme.auth.scheme=,acme.auth.type=refused":      100,
	}, s.counts(t, "acme.auth.decisions"))
	require.Equal(t, map[string]int64{
		"acme.auth.operation=issue,acme.auth.reason=,acme.auth.scheme=Bearer,acme.auth.type=issued":           100,
		"acme.auth.operation=revoke,acme.auth.reason=revoked,acme.auth.scheme=Bearer,acme.auth.type=revoked":  100,
		"acme.auth.operation=revoke,acme.auth.reason=not_found,acme.auth.scheme=Bearer,acme.auth.type=failed": 1,
	}, s.counts(t, "acme.auth.changes"))
}

func TestMetrics_prometheus(t *testing.T) {
	t.Parallel()
	page, meters, err := metrics()
	require.NoError(t, err)
	s, err := newService(auth.NewMemoryStore(), sdktrace.NewTracerProvider(), meters)
	require.NoError(t, err)
	token := exampletest.Issue(t, s.bearer, auth.FullAccess)
	for range 2 {
		r := httptest.NewRequest("GET", "/notes/7", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		s.routes.ServeHTTP(httptest.NewRecorder(), r)
	}

	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, 200, w.Code)
	var lines []string
	for line := range bytes.Lines(w.Body.Bytes()) {
		if bytes.HasPrefix(line, []byte("acme_")) {
			lines = append(lines, string(line))
		}
	}
	scope := `otel_scope_name="github.com/seed-31c5bcb2/auth/examples/opentelemetry",otel_scope_schema_url="",otel_scope_version=""`
	require.Equal(t, []string{
		`acme_auth_changes_total{acme_auth_operation="issue",acme_auth_reason="",acme_auth_scheme="Bearer",acme_auth_type="issued",` + scope + "} 1\n",
		`acme_auth_decisions_total{acme_auth_reason="",acme_auth_scheme="Bearer",acme_auth_type="accepted",` + scope + "} 2\n",
	}, lines)
	require.NotContains(t, w.Body.String(), "alice")
}

// A failingStore cannot look up while err is set.
type failingStore struct {
	auth.Store
	err error
}

func (s *failingStore) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.Lookup(ctx, kind, d)
}
