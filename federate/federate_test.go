package federate_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/federate"
)

func TestNew_listsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := federate.New(federate.Config{Bearer: new(auth.Bearer), Clients: map[string]*http.Client{"http://issuer.example": nil}})
	for _, fault := range []string{
		"federate: Config.Bearer is required: use auth.NewBearer",
		"federate: Config.Store is required: use that of Bearer",
		"federate: Config.Rule is required: without rules no JWT can be exchanged",
		`federate: Config.Clients names the issuer "http://issuer.example", which is not an https URL`,
		`federate: Config.Clients has no client for "http://issuer.example"`,
	} {
		require.ErrorContains(t, err, fault)
	}
	_, err = federate.New(federate.Config{})
	require.ErrorContains(t, err, "federate: Config.Bearer is required")
}

// The rule of the package documentation is complete.
func TestGitHubActions_exampleOfThePackage(t *testing.T) {
	t.Parallel()
	rule, err := federate.GitHubActions(federate.GitHubJob{
		Audience: "https://notes.example", RepositoryID: "724381", OwnerID: "9919", Workflow: "deploy.yml", Refs: []string{"refs/heads/main"},
	})
	require.NoError(t, err)
	rule.UserID, rule.Scopes = "acme", []string{"notes:write"}
	require.NoError(t, rule.Check())
}

// Without an Observer, outages are logged and other rejections are not.
func TestNew_withoutObserver(t *testing.T) { // not parallel: it replaces the default logger
	var log strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	var outage error
	f := newFixture(t, func(cfg *federate.Config) {
		cfg.Observe = nil
		cfg.Rule = func(context.Context, string) (federate.Rule, error) { return federate.Rule{}, outage }
	})
	outage = auth.ErrNotFound
	require.Equal(t, 400, f.exchange(jwt(nil)).Code)
	require.Empty(t, log.String())
	outage = errors.New("the database is gone")
	require.Equal(t, 503, f.exchange(jwt(nil)).Code)
	require.Contains(t, log.String(), "the database is gone")
}
