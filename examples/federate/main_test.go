package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

const printed = `GitHub is simulated at http://127.0.0.1:PORT, the API is at http://127.0.0.1:PORT.

1. A job of the repository acme/notes
job:     the environment has GitHub's ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN, and no secret of the API
service: issued a token of alice, for five minutes at most
service: accepted the token of alice: repository 724381, scope notes:write
job:     POST /notes: 204 No Content
service: accepted the token of alice: repository 724381, scope notes:write
job:     POST /notes: 204 No Content
service: accepted the token of alice: repository 724381, scope notes:write
service: rejected: scope
job:     DELETE /notes: 403 Forbidden

2. A job of a fork, with the same names in its workflow
service: rejected: forbidden: the claim repository_id is "815162"
job:     Post "http://127.0.0.1:PORT/notes": federate/client: the endpoint rejected the exchange with status 400: invalid_request: The JWT is invalid, or does not match the rule.

3. An intruder, who has read the JWT of the first job
service: rejected: repeated
job:     400 Bad Request: {"error":"invalid_request","error_description":"The JWT was used before."}
`

func TestRun(t *testing.T) {
	// The program sets these, as the runner of GitHub Actions does.
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
	var out bytes.Buffer
	require.NoError(t, run(&out))
	require.Equal(t, printed, regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(out.String(), "127.0.0.1:PORT"))
}

func TestRules(t *testing.T) {
	t.Parallel()
	rule, err := rules(t.Context(), "acme-deploy")
	require.NoError(t, err)
	require.NoError(t, rule.Check())
	_, err = rules(t.Context(), "mallory-deploy")
	require.ErrorIs(t, err, auth.ErrNotFound)
}
