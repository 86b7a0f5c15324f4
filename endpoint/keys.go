package endpoint

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/keycache"
)

const (
	maxKeyID     = 200
	maxKeys      = 100
	maxKeysBody  = 1 << 20
	maxRedirects = 3
	keysLifetime = 24 * time.Hour
	fetchPause   = 5 * time.Minute // GitHub answers 60 requests an hour, to all processes behind one address
	failedPause  = time.Minute
)

// keysName begins errors about the keys.
const keysName = "endpoint: leak report: the keys"

// newKeyCache returns a cache of the public keys of a URL.
func newKeyCache(url string, client *http.Client) *keycache.Cache[*ecdsa.PublicKey] {
	client = safeRedirects(client)
	cfg := keycache.Config{Name: keysName, Lifetime: keysLifetime, Stale: keysLifetime, Pause: fetchPause, FailedPause: failedPause}
	return keycache.New(cfg, func(ctx context.Context) (map[string]*ecdsa.PublicKey, error) { return fetchKeys(ctx, client, url) })
}

func fetchKeys(ctx context.Context, client *http.Client, url string) (map[string]*ecdsa.PublicKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf(keysName+": %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf(keysName+": the response has status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeysBody+1))
	if err != nil {
		return nil, fmt.Errorf(keysName+": %w", err)
	}
	return parseKeys(body)
}

// safeRedirects returns a copy of client that follows redirects only to what KeysURL may be, since a
// redirect to plain HTTP would let anyone on the network path choose the keys.
func safeRedirects(client *http.Client) *http.Client {
	c := new(http.Client)
	if client != nil {
		*c = *client
	}
	own := c.CheckRedirect
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if _, err := parseURL(r.URL.String()); err != nil {
			return fmt.Errorf("the URL of a redirect %w", err)
		}
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		if own != nil {
			return own(r, via)
		}
		return nil
	}
	return c
}

// parseKeys leaves out keys of other kinds: a new one must not make the others useless.
func parseKeys(body []byte) (map[string]*ecdsa.PublicKey, error) {
	var document struct {
		Keys []struct {
			ID  string `json:"key_identifier"`
			Key string `json:"key"`
		} `json:"public_keys"`
	}
	if err := json.Unmarshal(body, &document); err != nil || len(body) > maxKeysBody || len(document.Keys) > maxKeys {
		return nil, errors.New(keysName + ": the response is no list of keys")
	}
	keys := make(map[string]*ecdsa.PublicKey)
	for _, k := range document.Keys {
		block, _ := pem.Decode([]byte(k.Key))
		if block == nil {
			continue
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if key, ok := parsed.(*ecdsa.PublicKey); err == nil && ok && key.Curve == elliptic.P256() {
			keys[k.ID] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New(keysName + ": there is none for ECDSA P-256")
	}
	return keys, nil
}
