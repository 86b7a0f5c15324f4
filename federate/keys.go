package federate

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-31c5bcb2/auth/federate/internal/publicnet"
	"github.com/seed-31c5bcb2/auth/internal/keycache"
)

const (
	maxKeys    = 100
	maxSameID  = 4 // each is a check of the signature
	maxIssuers = 1000
	minRSA     = 2048 // go-jose rejects keys above 4096 bits
	maxError   = 500

	keysLifetime  = time.Hour
	staleLifetime = 6 * time.Hour // while the issuer is unavailable
	fetchPause    = time.Minute
	failedPause   = 10 * time.Second
)

// algorithms are asymmetric. With a symmetric one, an issuer's public key could be taken for a secret.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// A publicKey is one that an issuer publishes for signatures. It has no more than what is used: keys of many
// issuers are kept, and a jose.JSONWebKey may be as long as the document.
type publicKey struct {
	key       any
	algorithm string // if empty, all that fit the key
}

// allows reports whether the key is for an algorithm.
func (k publicKey) allows(alg string) bool {
	if k.algorithm != "" && k.algorithm != alg {
		return false
	}
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return alg[:2] == "RS" || alg[:2] == "PS"
	case *ecdsa.PublicKey:
		return alg == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// A keyring has the keys of the issuers that were used last.
type keyring struct {
	clients  map[string]*http.Client
	guarded  *http.Client // for all other issuers: a rule, and so its issuer, may be chosen by a user of the service
	mu       sync.Mutex
	issuers  map[string]*issuerKeys
	sequence int64 // of the last use
}

func newKeyring(clients map[string]*http.Client) *keyring {
	k := &keyring{clients: make(map[string]*http.Client), guarded: limitRedirects(publicnet.Client(dialTimeout)), issuers: make(map[string]*issuerKeys)}
	for issuer, client := range clients {
		k.clients[issuer] = limitRedirects(client)
	}
	return k
}

// of returns the keys of an issuer. The service's users may write rules, and so name any number of issuers:
// the one that was not used for the longest time is forgotten.
func (k *keyring) of(issuer string) *issuerKeys {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys, ok := k.issuers[issuer]
	if !ok {
		if len(k.issuers) >= maxIssuers {
			k.evict()
		}
		client := k.clients[issuer]
		if client == nil {
			client = k.guarded
		}
		keys = newIssuerKeys(issuer, client)
		k.issuers[issuer] = keys
	}
	k.sequence++
	keys.used = k.sequence
	return keys
}

// evict forgets an issuer. k.mu is held.
func (k *keyring) evict() {
	var oldest *issuerKeys
	for _, keys := range k.issuers {
		if oldest == nil || keys.used < oldest.used {
			oldest = keys
		}
	}
	delete(k.issuers, oldest.issuer)
}

// issuerKeys are the public keys of an issuer. JWTs that name unknown keys, which anyone can make, must not
// cause more requests: the keys are fetched at most every minute, or every 10 seconds if that
// fails. They are used for an hour, so that a key that the issuer has withdrawn is no longer trusted then,
// and for up to six while the issuer is unavailable.
type issuerKeys struct {
	*keycache.Cache[[]publicKey]
	issuer string
	used   int64 // guarded by the keyring's mu
}

func newIssuerKeys(issuer string, client *http.Client) *issuerKeys {
	cfg := keycache.Config{Name: "federate", Lifetime: keysLifetime, Stale: staleLifetime, Pause: fetchPause, FailedPause: failedPause}
	fetch := func(ctx context.Context) (map[string][]publicKey, error) { return fetchKeys(ctx, client, issuer) }
	return &issuerKeys{Cache: keycache.New(cfg, fetch), issuer: issuer}
}

func fetchKeys(ctx context.Context, client *http.Client, issuer string) (map[string][]publicKey, error) {
	url, err := discover(ctx, client, issuer)
	if err != nil {
		return nil, fmt.Errorf("federate: discovery: %w", briefly(err))
	}
	body, err := download(ctx, client, url)
	if err != nil {
		return nil, fmt.Errorf("federate: %w", briefly(err))
	}
	return parseKeys(body)
}

// briefly returns err, or one with the beginning of its text: the issuer decides on what some errors quote,
// which are kept, and reported for each request.
func briefly(err error) error {
	if text := err.Error(); len(text) > maxError {
		return errors.New(shorten(text, maxError))
	}
	return err
}

var errNoKeys = errors.New("federate: the issuer has no key for signatures")

// parseKeys leaves out keys that cannot be used: one of a new kind must not make the others useless. Of keys
// with the same ID, the first few are used.
func parseKeys(body []byte) (map[string][]publicKey, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &document); err != nil || len(document.Keys) > maxKeys {
		return nil, errors.New("federate: the response is no set of keys")
	}
	keys := make(map[string][]publicKey)
	for _, text := range document.Keys {
		if id, key, ok := parseKey(text); ok && len(keys[id]) < maxSameID {
			keys[id] = append(keys[id], key)
		}
	}
	if len(keys) == 0 {
		return keys, errNoKeys // which makes the cache forget those of before
	}
	return keys, nil
}

// parseKey leaves out a private key, since it is not private anymore. It does so first: go-jose would take
// long to check a large one.
func parseKey(text []byte) (id string, key publicKey, ok bool) {
	var own struct {
		Private    json.RawMessage `json:"d"`
		Operations []string        `json:"key_ops"`
	}
	if err := json.Unmarshal(text, &own); err != nil || own.Private != nil {
		return "", publicKey{}, false
	}
	if own.Operations != nil && !slices.Contains(own.Operations, "verify") { // RFC 7517 section 4.3
		return "", publicKey{}, false
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(text); err != nil || !usable(&parsed) {
		return "", publicKey{}, false
	}
	return parsed.KeyID, publicKey{parsed.Key, parsed.Algorithm}, true
}

func usable(k *jose.JSONWebKey) bool {
	switch {
	case k.KeyID == "" || len(k.KeyID) > maxKeyID || k.Use != "" && k.Use != "sig" || !k.Valid():
		return false
	case k.Algorithm != "" && !slices.Contains(algorithms, k.Algorithm):
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}
