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
	"runtime/debug"
	"sync"
	"time"
)

const (
	maxKeyID     = 200
	maxKeys      = 100
	maxKeysBody  = 1 << 20
	maxRedirects = 3
	fetchTimeout = 10 * time.Second
	keysLifetime = 24 * time.Hour
	fetchPause   = 5 * time.Minute // GitHub answers 60 requests an hour, to all processes behind one address
	failedPause  = time.Minute
)

// A keyCache has the public keys of a URL. Junk requests, each with another name of a key, must not
// make it a source of requests: it fetches at most every five minutes, every minute if that
// fails, and one fetch at a time.
type keyCache struct {
	url    string
	client *http.Client

	mu       sync.Mutex
	keys     map[string]*ecdsa.PublicKey
	fetched  time.Time     // when keys was set
	tried    time.Time     // when the last fetch began
	err      error         // of the last fetch
	fetching chan struct{} // closed at the end of the fetch under way; nil if there is none
}

// find returns the key with a name, or nil if there is none. It waits for one fetch at most, which is
// not the request's: a client that goes away must not make others wait again.
func (c *keyCache) find(id string) (*ecdsa.PublicKey, error) {
	key, fetching := c.lookup(id)
	if key != nil {
		return key, nil
	}
	if fetching != nil {
		<-fetching
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if key = c.fresh(id); key != nil {
		return key, nil
	}
	return nil, c.err // nil if the keys have just been fetched without this one
}

// lookup returns the key with a name. If there is none, it starts a fetch if one is due, and returns
// the one under way, or nil if there is none.
func (c *keyCache) lookup(id string) (key *ecdsa.PublicKey, fetching chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key = c.fresh(id); key != nil {
		return key, nil
	}
	if c.fetching == nil && c.due() {
		c.fetching, c.tried = make(chan struct{}), time.Now()
		go c.fetch(c.fetching)
	}
	return nil, c.fetching
}

// fresh returns the key with a name, or nil if there is none or the keys are old. c.mu is held.
func (c *keyCache) fresh(id string) *ecdsa.PublicKey {
	if time.Since(c.fetched) >= keysLifetime {
		return nil
	}
	return c.keys[id]
}

// due reports whether the last fetch is long enough ago. c.mu is held.
func (c *keyCache) due() bool {
	pause := fetchPause
	if c.err != nil {
		pause = failedPause
	}
	return time.Since(c.tried) >= pause
}

func (c *keyCache) fetch(done chan struct{}) {
	keys, err := c.get()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = err; err == nil {
		c.keys, c.fetched = keys, time.Now()
	}
	c.fetching = nil
	close(done)
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

// get recovers a panic of the client's Transport. On this goroutine it would end the process. Its
// value may be anything and is left out.
func (c *keyCache) get() (keys map[string]*ecdsa.PublicKey, err error) {
	defer func() {
		if v := recover(); v != nil {
			keys, err = nil, fmt.Errorf("endpoint: leak report: the keys: the Client panicked with a %T\n%s", v, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("endpoint: leak report: the keys: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("endpoint: leak report: the keys: the response has status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeysBody+1))
	if err != nil {
		return nil, fmt.Errorf("endpoint: leak report: the keys: %w", err)
	}
	return parseKeys(body)
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
		return nil, errors.New("endpoint: leak report: the keys: the response is no list of keys")
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
		return nil, errors.New("endpoint: leak report: the keys: there is none for ECDSA P-256")
	}
	return keys, nil
}
