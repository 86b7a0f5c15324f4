package federate_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/federate"
)

// A service lets a job of GitHub Actions act for the user acme.
func Example() {
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		panic(err)
	}
	exchange, err := federate.New(federate.Config{
		Bearer: bearer, Store: store,
		Rule: func(_ context.Context, name string) (federate.Rule, error) {
			if name != "acme-deploy" { // usually: a row of a table that acme can edit
				return federate.Rule{}, auth.ErrNotFound
			}
			rule, err := federate.GitHubActions(federate.GitHubJob{
				Audience:     "https://notes.example",
				RepositoryID: "724381", OwnerID: "9919",
				Workflow: "deploy.yml", Refs: []string{"refs/heads/main"},
			})
			rule.UserID, rule.Scopes = "acme", []string{"notes:write"}
			return rule, err
		},
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /oauth/token", exchange)
	mux.Handle("POST /notes", auth.Require(bearer)(auth.RequireScope("notes:write")(http.NotFoundHandler())))
}

// A rule that would let strangers in is rejected.
func ExampleGitHubActions_tooWide() {
	_, err := federate.GitHubActions(federate.GitHubJob{
		Audience: "https://notes.example", RepositoryID: "acme/notes", OwnerID: "9919",
		Workflow: "deploy.yml", Refs: []string{"refs/heads/*"}, Events: []string{"pull_request_target"},
	})
	fmt.Println(err)
	// Output:
	// federate: GitHubJob.RepositoryID "acme/notes" is not a number: a name can be taken over
	// federate: GitHubJob.Events or Sources have "pull_request_target", which is too wide: strangers may start a job by it. Use some of push, workflow_dispatch, schedule, release, repository_dispatch, create, deployment
	// federate: GitHubJob.Refs have "refs/heads/*", which is too wide: it matches every branch or tag
}
