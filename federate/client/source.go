package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

const maxJWT = 32 << 10

// ErrNoIdentity means that the program does not run where a Source finds a JWT.
var ErrNoIdentity = errors.New("federate/client: no identity in this environment")

// A Source finds the JWT that says what the program is. Those of this package are for GitHub
// Actions, GitLab CI and Kubernetes; others may ask a metadata server, for example.
type Source interface {
	// JWT returns a JWT for the audience. It returns an error that wraps [ErrNoIdentity] if the
	// program does not run where it would find one, and the next Source is asked. Calls for one
	// Client do not overlap. ctx ends after at most 15 seconds. The error must not contain the JWT.
	JWT(ctx context.Context, audience string) (string, error)
}

// checkSource reports mistakes that New can know of.
func checkSource(s Source) error {
	switch s := s.(type) {
	case nil:
		return errors.New("is nil")
	case variable:
		if s == "" {
			return errors.New("is Variable without a name")
		}
	case file:
		if s == "" {
			return errors.New("is File without a path")
		}
	}
	return nil
}

// identity returns the JWT of the first Source that has one that was not exchanged before, and the
// index of the Source.
func (c *Client) identity(ctx context.Context) (jwt string, source int, err error) {
	var missing []error
	spent := false
	for i, s := range c.sources {
		jwt, err := s.JWT(ctx, c.audience)
		switch {
		case err == nil && slices.Contains(c.spent, sha256.Sum256([]byte(jwt))):
			spent = true
		case err == nil:
			return jwt, i, checkAudience(jwt, c.audience)
		case errors.Is(err, ErrNoIdentity):
			missing = append(missing, err)
		default:
			return "", i, err
		}
	}
	if spent {
		return "", 0, ErrSpent
	}
	return "", 0, errors.Join(missing...)
}

// checkAudience keeps a JWT that is for another service from being sent to this one, which could use
// it there: the default JWT of a pod, for example, is for the API server of its cluster. Nothing else
// is read, and nothing verified, which is up to the service.
func checkAudience(jwt, audience string) error {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 || !isVisible(jwt) || len(jwt) > maxJWT {
		return errors.New("federate/client: what the Source has found is not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Audience audiences `json:"aud"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return errors.New("federate/client: what the Source has found is not a JWT")
	}
	if !slices.Equal(claims.Audience, audiences{audience}) {
		return fmt.Errorf("federate/client: the JWT is not for the audience %q alone, and was not sent", audience)
	}
	return nil
}

// audiences are a string or several (RFC 7519 section 4.1.3).
type audiences []string

func (a *audiences) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// GitHubActions asks GitHub for a JWT in the name that the job has. The workflow must have
//
//	permissions:
//	  id-token: write
//
// Forgejo has the same interface.
func GitHubActions() Source { return gitHubActions{} }

type gitHubActions struct{}

var gitHubClient = withoutRedirects(nil)

// JWT asks the URL in ACTIONS_ID_TOKEN_REQUEST_URL, which has a query already, with the credential in
// ACTIONS_ID_TOKEN_REQUEST_TOKEN.
func (gitHubActions) JWT(ctx context.Context, audience string) (string, error) {
	location, credential := os.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), os.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	switch {
	case location != "" && credential != "":
	case os.Getenv("GITHUB_ACTIONS") == "true":
		return "", fmt.Errorf("%w: GitHub Actions: the job does not have the permission id-token: write", ErrNoIdentity)
	default:
		return "", fmt.Errorf("%w: ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN are not set", ErrNoIdentity)
	}
	u, err := parseURL(location)
	if err != nil {
		return "", fmt.Errorf("federate/client: ACTIONS_ID_TOKEN_REQUEST_URL %w", err)
	}
	u.RawQuery = strings.TrimPrefix(u.RawQuery+"&audience="+url.QueryEscape(audience), "&")
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+credential)
	r.Header.Set("Accept", "application/json")
	status, header, body, err := send(gitHubClient, r)
	if err != nil {
		return "", &temporaryError{err: fmt.Errorf("federate/client: GitHub Actions: %w", without(err, credential))}
	}
	return gitHubAnswer(status, header, body)
}

func gitHubAnswer(status int, header http.Header, body []byte) (string, error) {
	if status != http.StatusOK {
		err := fmt.Errorf("federate/client: GitHub Actions: the response to the request for a JWT has status %d", status)
		if isTemporary(status) || status == http.StatusInternalServerError {
			return "", &temporaryError{err: err, after: retryAfter(header)}
		}
		return "", err
	}
	var response struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(body, &response); err != nil || response.Value == "" {
		return "", errors.New("federate/client: GitHub Actions: the response has no JWT")
	}
	return response.Value, nil
}

// Variable reads the JWT from an environment variable, such as one of id_tokens in .gitlab-ci.yml:
//
//	id_tokens:
//	  NOTES_ID_TOKEN:
//	    aud: https://notes.example
func Variable(name string) Source { return variable(name) }

type variable string

func (v variable) JWT(context.Context, string) (string, error) {
	jwt := os.Getenv(string(v))
	if jwt == "" {
		return "", fmt.Errorf("%w: %s is not set", ErrNoIdentity, string(v))
	}
	return strings.TrimSpace(jwt), nil
}

// File reads the JWT from a file each time. It may be in a projected volume of Kubernetes, where the
// kubelet replaces it:
//
//	volumes:
//	  - name: notes-identity
//	    projected:
//	      sources:
//	        - serviceAccountToken: {path: token, audience: "https://notes.example", expirationSeconds: 600}
//
// The default file of a service account is for the API server of the cluster, and is not sent.
func File(path string) Source { return file(path) }

type file string

func (f file) JWT(context.Context, string) (string, error) {
	opened, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: there is no file %s", ErrNoIdentity, string(f))
	}
	if err != nil {
		return "", fmt.Errorf("federate/client: the file with the JWT: %w", err)
	}
	defer opened.Close()
	jwt, err := io.ReadAll(io.LimitReader(opened, maxJWT+2)) // a line break may follow
	if err != nil {
		return "", fmt.Errorf("federate/client: the file with the JWT: %w", err)
	}
	return strings.TrimSpace(string(jwt)), nil
}
