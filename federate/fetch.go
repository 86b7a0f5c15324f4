package federate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	dialTimeout   = 5 * time.Second
	maxDocument   = 512 << 10
	maxURL        = 1024
	maxRedirects  = 3
	discoveryPath = "/.well-known/openid-configuration"
)

// discover returns the URL of an issuer's keys (OpenID Connect Discovery 1.0, section 4).
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	body, err := download(ctx, client, strings.TrimSuffix(issuer, "/")+discoveryPath)
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return "", errors.New("the response is not JSON")
	}
	if document.Issuer != issuer { // section 4.3: otherwise one issuer could speak for another
		return "", fmt.Errorf("the response is that of the issuer %.100q", document.Issuer)
	}
	if u, err := url.Parse(document.Keys); err != nil || len(document.Keys) > maxURL || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "", fmt.Errorf("jwks_uri is %.100q, which is not an https URL of at most %d bytes", document.Keys, maxURL)
	}
	return document.Keys, nil
}

func download(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the response of %s has status %d", r.URL.Redacted(), resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxDocument:
		return nil, fmt.Errorf("the response of %s is longer than %d bytes", r.URL.Redacted(), maxDocument)
	}
	return body, nil
}

// limitRedirects returns a copy of client that stays at the host that it was sent to: an open redirect at
// the issuer must not let others choose the keys.
func limitRedirects(client *http.Client) *http.Client {
	c := *client
	own := c.CheckRedirect
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		switch {
		case r.URL.Scheme != "https" || !strings.EqualFold(r.URL.Host, via[0].URL.Host):
			return errors.New("the redirect leads to another host, or away from https")
		case len(via) > maxRedirects:
			return errors.New("too many redirects")
		case own != nil:
			return own(r, via)
		}
		return nil
	}
	return &c
}
