package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/federate"
)

// audience is what the service is called in JWTs.
const audience = "https://notes.example"

// rules stands for a table, in which users choose the jobs that may act for them.
func rules(_ context.Context, name string) (federate.Rule, error) {
	if name != "acme-deploy" {
		return federate.Rule{}, auth.ErrNotFound
	}
	rule, err := federate.GitHubActions(federate.GitHubJob{
		Audience:     audience,
		RepositoryID: "724381", OwnerID: "9919", // of acme/notes
		Workflow: "deploy.yml", Refs: []string{"refs/heads/main"},
	})
	rule.UserID, rule.Scopes = "alice", []string{"notes:write"}
	rule.Lifetime = 5 * time.Minute
	return rule, err
}

// routes returns the notes API. A real service has no simulated client: GitHub has a public address.
func routes(store auth.Store, simulated *http.Client, observe auth.Observer) (http.Handler, error) {
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat", Observe: observe})
	if err != nil {
		return nil, err
	}
	exchange, err := federate.New(federate.Config{
		Bearer: bearer, Store: store, Rule: rules, Observe: observe,
		Clients: map[string]*http.Client{federate.GitHubIssuer: simulated},
	})
	if err != nil {
		return nil, err
	}
	m := &auth.Middleware{Observe: observe}
	notes := func(scope string) http.Handler {
		return m.Require(bearer)(m.RequireScope(scope)(http.HandlerFunc(changeNotes)))
	}
	mux := http.NewServeMux()
	mux.Handle("POST /oauth/token", exchange)
	mux.Handle("POST /notes", notes("notes:write"))
	mux.Handle("DELETE /notes", notes("notes:delete"))
	return mux, nil
}

// changeNotes stands for the handlers of the API.
func changeNotes(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// observer writes what the service knows of each request.
func observer(out io.Writer) auth.Observer {
	return func(ctx context.Context, e auth.Event) {
		switch e.Type {
		case auth.EventIssued:
			fmt.Fprintf(out, "service: issued a token of %s, for five minutes at most\n", e.UserID)
		case auth.EventAccepted:
			id, _ := auth.FromContext(ctx)
			fmt.Fprintf(out, "service: accepted the token of %s: repository %s, scope %s\n",
				e.UserID, id.Metadata.Get("workload.repository_id"), strings.Join(id.Scopes.List(), " "))
		case auth.EventRefused:
			fmt.Fprintf(out, "service: rejected: %s%s\n", e.Reason, mismatch(e.Err))
		}
	}
}

// mismatch returns which claim of a JWT is not that of the rule, if it is that. Clients do not learn it.
func mismatch(err error) string {
	var mismatch *federate.MismatchError
	if !errors.As(err, &mismatch) {
		return ""
	}
	return fmt.Sprintf(": the claim %s is %q", mismatch.Claim, mismatch.Value)
}
