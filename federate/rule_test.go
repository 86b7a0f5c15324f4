package federate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/federate"
)

func goodRule() federate.Rule {
	return federate.Rule{
		Issuer: "https://issuer.example", Audience: audience, Claims: map[string]string{"project": "17"}, UserID: "acme", Scopes: []string{"notes:read"},
	}
}

func TestRule_Check(t *testing.T) {
	t.Parallel()
	rule := goodRule()
	require.NoError(t, rule.Check())
	for _, test := range []struct {
		change func(r *federate.Rule)
		fault  string // empty: there is none
	}{
		{func(r *federate.Rule) { r.Issuer = "" }, "Rule.Issuer is not an https URL"},
		{func(r *federate.Rule) { r.Issuer = "http://issuer.example" }, "Rule.Issuer is not an https URL"},
		{func(r *federate.Rule) { r.Issuer = "issuer.example" }, "Rule.Issuer is not an https URL"},
		{func(r *federate.Rule) { r.Issuer = "https:issuer.example" }, "Rule.Issuer is not a URL"},
		{func(r *federate.Rule) { r.Issuer = "https://" }, "Rule.Issuer is not an https URL"},
		{func(r *federate.Rule) { r.Issuer = "https://:443" }, "Rule.Issuer is not an https URL"},
		{func(r *federate.Rule) { r.Issuer = "https://a:b@issuer.example" }, "Rule.Issuer has a user, a query or a fragment"},
		{func(r *federate.Rule) { r.Issuer = "https://issuer.example?x" }, "Rule.Issuer has a user, a query or a fragment"},
		{func(r *federate.Rule) { r.Issuer = "https://issuer.example?" }, "Rule.Issuer has a user, a query or a fragment"},
		{func(r *federate.Rule) { r.Issuer = "https://issuer.example#" }, "Rule.Issuer has a user, a query or a fragment"},
		{func(r *federate.Rule) { r.Issuer = "https://issuer.example/\x00" }, "Rule.Issuer is not a URL"},
		{func(r *federate.Rule) { r.Issuer = "https://" + strings.Repeat("a", 250) }, "Rule.Issuer is not a URL of at most 256 bytes"},
		{func(r *federate.Rule) { r.Issuer = "https://issuer.example/tenant/" }, ""},
		{func(r *federate.Rule) { r.Audience = "" }, "Rule.Audience must be 1 to 256 bytes"},
		{func(r *federate.Rule) { r.Audience = strings.Repeat("a", 257) }, "Rule.Audience must be 1 to 256 bytes"},
		{func(r *federate.Rule) { r.Audience = r.Issuer }, "Rule.Audience is the issuer"},
		{func(r *federate.Rule) { r.Claims = nil }, "Rule.Claims is empty"},
		{func(r *federate.Rule) { r.Claims = nil; r.Patterns = map[string][]string{"project": {"1*"}} }, "Rule.Claims is empty"},
		{func(r *federate.Rule) { r.Claims["project"] = "" }, "a value that is not 1 to 256 bytes"},
		{func(r *federate.Rule) { r.Claims["exp"] = "1" }, "has exp, which is always checked"},
		{func(r *federate.Rule) { r.Claims[""] = "1" }, `names the claim "", which is no name`},
		{func(r *federate.Rule) { r.Claims["/"] = "1" }, `names the claim "/", which is no name`},
		{func(r *federate.Rule) { r.Claims["/a//b"] = "1" }, `names the claim "/a//b", which is no name`},
		{func(r *federate.Rule) { r.Claims["/a/b"], r.Claims["a.b"] = "1", "1" }, "would both be recorded as workload.a.b"},
		{func(r *federate.Rule) { r.Claims["https://example.com/Role"] = "1" }, ""},
		{func(r *federate.Rule) { r.Claims[strings.Repeat("c", 55)] = "1" }, ""},
		{func(r *federate.Rule) { r.Claims[strings.Repeat("c", 56)] = "1" }, "is longer than 55 bytes"},
		{func(r *federate.Rule) { r.Patterns = map[string][]string{"project": {"1"}} }, `Rule.Patterns has "project", which Claims has too`},
		{func(r *federate.Rule) { r.Patterns = map[string][]string{"ref": nil} }, `has no pattern for "ref"`},
		{func(r *federate.Rule) { r.Patterns = map[string][]string{"ref": {"*"}} }, `has for "ref" the pattern "*", which is too wide`},
		{func(r *federate.Rule) { r.Patterns = map[string][]string{"ref": {"main", "**"}} }, `the pattern "**", which is too wide`},
		{func(r *federate.Rule) { r.Record = []string{"sub", "iss", "project"} }, ""}, // each is recorded once
		{func(r *federate.Rule) { r.Record = []string{strings.Repeat("x", 60)} }, "is longer than 55 bytes"},
		{func(r *federate.Rule) { r.Record = many(13) }, ""},
		{func(r *federate.Rule) { r.Record = many(14) }, "are 17 entries: a token has at most 16"},
		{func(r *federate.Rule) { r.Record = many(13); r.Metadata = map[string]string{"tenant": "acme"} }, "are 17 entries"},
		{func(r *federate.Rule) { r.Metadata = map[string]string{"workload.sub": "admin"} }, `Rule.Metadata has the key "workload.sub"`},
		{func(r *federate.Rule) { r.UserID = "" }, "Rule.UserID is required"},
		{func(r *federate.Rule) { r.Scopes = nil }, "Rule.Scopes are invalid"},
		{func(r *federate.Rule) { r.Scopes = []string{"*", "x"} }, "Rule.Scopes are invalid"},
		{func(r *federate.Rule) { r.Lifetime = time.Second }, "Rule.Lifetime is 1s: use 1m0s to 15m0s"},
		{func(r *federate.Rule) { r.Lifetime = 16 * time.Minute }, "Rule.Lifetime is 16m0s: use 1m0s to 15m0s"},
		{func(r *federate.Rule) { r.Lifetime = -time.Minute }, "Rule.Lifetime is -1m0s"},
	} {
		rule := goodRule()
		test.change(&rule)
		if err := rule.Check(); test.fault == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, test.fault)
		}
	}
	err := new(federate.Rule).Check()
	for _, field := range []string{"Issuer", "Audience", "Claims", "UserID", "Scopes"} {
		require.ErrorContains(t, err, "federate: Rule."+field)
	}
}

func many(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint("claim", i))
	}
	return names
}

// Anyone can get a JWT of GitHub or GitLab.com, so a rule that is written by hand must not only have names.
func TestRule_Check_publicIssuers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		issuer   string
		claims   map[string]string
		patterns map[string][]string
		fault    string // empty: there is none
	}{
		{federate.GitHubIssuer, map[string]string{"repository": "acme/notes", "event_name": "push"}, nil, "must have a number for repository_id or repository_owner_id"},
		{federate.GitHubIssuer, map[string]string{"repository_id": "acme/notes", "event_name": "push"}, nil, "must have a number for repository_id"},
		{federate.GitHubIssuer + "/acme", map[string]string{"enterprise": "acme", "event_name": "push"}, nil, "must have a number for repository_id"},
		{federate.GitHubIssuer, map[string]string{"environment": "prod", "event_name": "push"}, map[string][]string{"repository_id": {"7*"}}, "must have a number for repository_id"},
		{federate.GitHubIssuer, map[string]string{"repository_id": "17"}, nil, "must name the values of event_name"},
		{federate.GitHubIssuer, map[string]string{"repository_id": "17"}, map[string][]string{"event_name": {"push", "pull*"}}, "must name the values of event_name"},
		{federate.GitHubIssuer, map[string]string{"repository_owner_id": "17", "event_name": "push"}, map[string][]string{"sub": {"repo:*"}}, "which is too wide: it matches other repositories"},
		{federate.GitHubIssuer, map[string]string{"repository_owner_id": "17", "event_name": "push"}, map[string][]string{"sub": {"repo:acme/*:ref:refs/heads/main"}}, "which is too wide"},
		{federate.GitHubIssuer, map[string]string{"repository_owner_id": "17", "event_name": "push"}, map[string][]string{"sub": {"repo:acme/notes:ref:refs/heads/*"}}, ""},
		{federate.GitHubIssuer, map[string]string{"repository_id": "17", "event_name": "push"}, nil, ""},
		{federate.GitLabIssuer, map[string]string{"project_path": "acme/notes", "pipeline_source": "push"}, nil, "must have a number for project_id or namespace_id"},
		{federate.GitLabIssuer, map[string]string{"project_id": "17"}, nil, "must name the values of pipeline_source"},
		{federate.GitLabIssuer, map[string]string{"project_id": "17", "pipeline_source": "push"}, map[string][]string{"sub": {"project_path:acme/**"}}, "which is too wide"},
		{federate.GitLabIssuer, map[string]string{"project_id": "17"}, map[string][]string{"pipeline_source": {"push", "web"}}, ""},
	} {
		rule := goodRule()
		rule.Issuer, rule.Claims, rule.Patterns = test.issuer, test.claims, test.patterns
		if err := rule.Check(); test.fault == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, test.fault)
		}
	}
	rule := goodRule()
	rule.Issuer, rule.Claims = federate.GitHubIssuer, map[string]string{"repository_id": "17", "event_name": "push"}
	rule.Audience = "https://github.com/acme"
	require.ErrorContains(t, rule.Check(), "Rule.Audience is the one that jobs get without asking")
}

// Nested claims are found by their path, and only by it.
func TestExchange_nestedClaims(t *testing.T) {
	t.Parallel()
	const path = "/kubernetes.io/serviceaccount/uid"
	for name, test := range map[string]struct {
		claims object
		ok     bool
	}{
		"nested":          {object{"kubernetes.io": object{"serviceaccount": object{"uid": "u1"}}}, true},
		"another":         {object{"kubernetes.io": object{"serviceaccount": object{"uid": "u2"}}}, false},
		"a flat key":      {object{path: "u1"}, false},
		"without a slash": {object{path[1:]: "u1"}, false},
		"in a list":       {object{"kubernetes.io": []object{{"serviceaccount": object{"uid": "u1"}}}}, false},
		"a text above":    {object{"kubernetes.io": object{"serviceaccount": "u1"}}, false},
		"an object":       {object{"kubernetes.io": object{"serviceaccount": object{"uid": object{"u1": "u1"}}}}, false},
		"missing":         {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.change(func(r *federate.Rule) { r.Claims[path] = "u1" })
			w := f.exchange(jwt(test.claims))
			if !test.ok {
				requireError(t, w, 400, "invalid_grant", noMatch)
				return
			}
			id := f.identity(requireToken(t, w).Token)
			require.Equal(t, "u1", id.Metadata.Get("workload.kubernetes.io.serviceaccount.uid"))
		})
	}
}
