package client

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxAttempts    = 5
	attemptTimeout = 15 * time.Second
	firstBackoff   = 500 * time.Millisecond
	maxWait        = 20 * time.Second // between two attempts, if the endpoint asks for it
	maxResponse    = 64 << 10
	maxToken       = 4096
	maxExpiresIn   = 24 * 60 * 60 // a token that lives longer is none of package federate

	grantType = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693 section 2.1
	jwtType   = "urn:ietf:params:oauth:token-type:jwt"            // RFC 8693 section 3
)

// ErrSpent means that the environment still has the JWT that was exchanged last, which the service
// does not accept again. A job of GitLab CI gets no other.
var ErrSpent = errors.New("federate/client: the JWT has been exchanged already, and the environment has no other yet")

// An Error is how the endpoint has rejected an exchange.
type Error struct {
	StatusCode int
	// Code is one of RFC 6749 section 5.2, such as invalid_grant. It is empty if the response has
	// none, for example because a proxy in front of the service has sent it.
	Code string
	// Description is for people. It may be empty.
	Description string
}

// Error returns the status, the code and the description.
func (e *Error) Error() string {
	text := fmt.Sprintf("federate/client: the endpoint rejected the exchange with status %d", e.StatusCode)
	if e.StatusCode/100 == 3 {
		text += ": redirects are not followed"
	}
	for _, part := range []string{e.Code, e.Description} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

// A temporaryError is one after which the exchange is tried again.
type temporaryError struct {
	err   error
	after time.Duration // what Retry-After asks for
	lost  bool          // the endpoint may have used up the JWT
}

func (e *temporaryError) Error() string { return e.err.Error() }
func (e *temporaryError) Unwrap() error { return e.err }

// backoff returns how long to wait after an attempt, the first being 1. It varies by a half, so
// that jobs that have started together do not return together.
func (e *temporaryError) backoff(attempt int) time.Duration {
	wait := firstBackoff << (attempt - 1)
	return max(wait/2+rand.N(wait), e.after)
}

// exchange tries until it has a token, or an error that will not go away by itself. Each attempt
// asks for the JWT again: GitHub Actions issues another.
func (c *Client) exchange(ctx context.Context) (issued, error) {
	var lost error
	for attempt := 1; ; attempt++ {
		token, err := c.attempt(ctx)
		var temporary *temporaryError
		if !errors.As(err, &temporary) {
			return token, afterLost(err, lost)
		}
		if temporary.lost {
			lost = temporary.err
		}
		wait := temporary.backoff(attempt)
		if attempt == maxAttempts || wait > maxWait || !sleep(ctx, wait) {
			return issued{}, err
		}
	}
}

// afterLost explains a rejection that follows an attempt without a response.
func afterLost(err, lost error) error {
	if rejected := (*Error)(nil); lost != nil && errors.As(err, &rejected) {
		return fmt.Errorf("%w; an earlier attempt got no response, and may have used up the JWT: %w", err, lost)
	}
	return err
}

// sleep reports whether the time has passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Client) attempt(ctx context.Context) (issued, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	jwt, source, err := c.identity(ctx)
	if err != nil {
		return issued{}, err
	}
	began := time.Now() // the token is older than its response
	a, err := c.post(ctx, jwt)
	if err != nil {
		return issued{}, err
	}
	c.spent[source] = sha256.Sum256([]byte(jwt))
	return a.token(began)
}

// An answer is a response of RFC 6749 sections 5.1 and 5.2.
type answer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`

	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// post sends the JWT and returns the response to it, if its status is 200.
func (c *Client) post(ctx context.Context, jwt string) (*answer, error) {
	form := url.Values{"grant_type": {grantType}, "subject_token": {jwt}, "subject_token_type": {jwtType}, "rule": {c.rule}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, without(err, jwt)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	status, header, body, err := send(c.http, r)
	if err != nil {
		return nil, &temporaryError{err: fmt.Errorf("federate/client: the exchange: %w", without(err, jwt)), lost: true}
	}
	a := new(answer)
	if err := json.Unmarshal(body, a); err != nil {
		a = new(answer) // the page of a proxy, which need not be JSON
	}
	if status == http.StatusOK {
		return a, nil
	}
	rejected := &Error{StatusCode: status, Code: printable(a.Error, 100, jwt), Description: printable(a.Description, 500, jwt)}
	if isTemporary(status) {
		return nil, &temporaryError{err: rejected, after: retryAfter(header)}
	}
	return nil, rejected
}

// send returns the response, whose body is complete.
func send(c *http.Client, r *http.Request) (status int, header http.Header, body []byte, err error) {
	resp, err := c.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	return resp.StatusCode, resp.Header, body, err
}

// isTemporary reports whether the same request may succeed later. 502 and 504 are those of a proxy in
// front of the service.
func isTemporary(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter returns zero for a date, which package federate does not send.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// token returns the token, which is replaced when four fifths of its lifetime have passed, and not
// used in its last ten seconds: a request takes time, and clocks differ.
func (a *answer) token(began time.Time) (issued, error) {
	switch {
	case !strings.EqualFold(a.TokenType, "Bearer"):
		return issued{}, errors.New("federate/client: the response has no token of the type Bearer")
	case !isVisible(a.AccessToken) || len(a.AccessToken) > maxToken:
		return issued{}, errors.New("federate/client: the token in the response cannot be part of a header")
	case a.ExpiresIn < 1 || a.ExpiresIn > maxExpiresIn:
		return issued{}, errors.New("federate/client: expires_in in the response is not between a second and a day")
	}
	lifetime := time.Duration(a.ExpiresIn) * time.Second
	return issued{
		plaintext: a.AccessToken,
		refresh:   began.Add(lifetime * 4 / 5),
		end:       began.Add(lifetime - min(lifetime/10, 10*time.Second)),
	}, nil
}

func isVisible(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// printable returns s, or "" if it is long, has other characters than RFC 6749 section 5.2 allows
// or repeats a part of the secret.
func printable(s string, most int, secret string) string {
	if len(s) > most || repeats(s, secret) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return s
}

// without returns err, unless its text repeats a part of the secret, as an error of a Transport that
// quotes the request would.
func without(err error, secret string) error {
	if !repeats(err.Error(), secret) {
		return err
	}
	return errors.New("the error is left out, since it has a part of the credential")
}

// repeats reports whether s has a part of a JWT, or another secret.
func repeats(s, secret string) bool {
	const shortest = 8 // to be worth anything, and no word of a message
	for part := range strings.SplitSeq(secret, ".") {
		if len(part) >= shortest && strings.Contains(s, part) {
			return true
		}
	}
	return false
}
