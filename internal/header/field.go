package header

import (
	"net/http"
	"strings"
)

// ParseField reads a header that holds a credential and no scheme, such as X-Api-Key. The
// rules are those of ParseAuthorization, except that a blank header is malformed, as a scheme
// without a credential is. The name is in the form of http.CanonicalHeaderKey. The Scheme of a
// is empty. If found is false, there is no such header.
func ParseField(h http.Header, name string) (a Authorization, found bool) {
	fields := h[name]
	if len(fields) == 0 {
		return a, false
	}
	field := fields[0]
	unreadable := Authorization{Malformed: true, Unreadable: true}
	if len(fields) > 1 || len(field) > maxAuthorization {
		return unreadable, true
	}
	if isPadded(field) {
		if field = trimSome(field); isPadded(field) {
			return unreadable, true
		}
	}
	return Authorization{Credential: field, Malformed: field == ""}, true
}

// IsReserved reports whether something other than the code of a client gives a request the
// header, in any case: HTTP, browsers, or proxies. The list of proxies' headers is not
// complete, as anybody can invent one.
func IsReserved(name string) bool {
	// Gateways that pass headers on as variables, as CGI does, take "_" for "-".
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return reserved[name]
}

var reservedPrefixes = []string{
	"accept-", "access-control-", "content-", "if-", "proxy-", "sec-",
	"attribution-reporting-", "cf-", "cloudfront-", "fastly-", "fly-", "ssl-client-", "x-amz-cf-", "x-amzn-", "x-appengine-", "x-arr-",
	"x-auth-request-", "x-azure-", "x-b3-", "x-datadog-", "x-envoy-", "x-forwarded-", "x-goog-authenticated-user-", "x-goog-iap-",
	"x-ms-client-principal", "x-nf-", "x-original-", "x-ssl-", "x-vercel-",
}

var reserved = func() map[string]bool {
	set := make(map[string]bool)
	for _, names := range [...]string{
		// Requests in RFC 9110, RFC 9111 and RFC 9112, with those that end at each hop.
		`accept authorization cache-control connection date expect from host keep-alive max-forwards pragma
		range referer te trailer transfer-encoding upgrade user-agent via warning www-authenticate`,
		// Its extensions: RFC 7540, RFC 7838, RFC 8470, RFC 8586, RFC 9218 and RFC 9440.
		`alt-used cdn-loop client-cert client-cert-chain early-data http2-settings priority`,
		// What browsers and their libraries set.
		`available-dictionary cookie cookie2 device-memory dictionary-id dnt downlink dpr ect last-event-id origin ping-from ping-to purpose rtt
		save-data service-worker service-worker-navigation-preload set-cookie set-cookie2 upgrade-insecure-requests
		viewport-width width x-http-method x-http-method-override x-method-override x-moz x-purpose x-requested-with`,
		// What proxies set: the address of the client, its user, the original request, and traces.
		`b3 baggage client-ip forwarded remote-user sentry-trace traceparent tracestate true-client-ip uber-trace-id
		x-client-ip x-cloud-trace-context x-cluster-client-ip x-correlation-id x-forwarded x-real-ip x-remote-user
		x-request-id x-rewrite-url x-trace-id x-varnish`,
	} {
		for name := range strings.FieldsSeq(names) {
			set[name] = true
		}
	}
	return set
}()
