package federate_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/federate"
)

// presetFixture returns a fixture with the rule of a preset, and an issuer with the URL of the rule.
func presetFixture(t *testing.T, rule federate.Rule, err error) *fixture {
	t.Helper()
	require.NoError(t, err)
	rule.UserID, rule.Scopes = "acme", []string{"notes:write"}
	require.NoError(t, rule.Check())
	f := newFixture(t, func(cfg *federate.Config) {
		cfg.Clients = map[string]*http.Client{rule.Issuer: newIssuer(rule.Issuer).client()}
	})
	f.rules["deploy"] = rule
	return f
}

// requirePreset checks which of a platform's JWTs a rule accepts: base, and base with each of the accepted
// changes, but with none of the rejected ones.
func requirePreset(t *testing.T, rule federate.Rule, err error, base object, accepted, rejected map[string]object) {
	t.Helper()
	for name, changes := range accepted {
		f := presetFixture(t, rule, err)
		w := f.exchange(jwt(base.with(object{"iss": rule.Issuer}).with(changes)))
		require.Equal(t, 200, w.Code, "%s: %s", name, f.takeEvents())
	}
	for name, changes := range rejected {
		f := presetFixture(t, rule, err)
		w := f.exchange(jwt(base.with(object{"iss": rule.Issuer}).with(changes)))
		require.Equal(t, 400, w.Code, name)
		var wrong *federate.MismatchError
		require.ErrorAs(t, f.takeEvents()[0].Err, &wrong, name)
		require.Contains(t, changes, wrong.Claim, name)
	}
}

// gitHubClaims are those of a job, as GitHub documents them.
var gitHubClaims = object{
	"sub": "repo:acme/notes:ref:refs/heads/main", "aud": audience,
	"environment": "production", "ref": "refs/heads/main", "ref_type": "branch", "ref_protected": "true", "sha": "0f3c",
	"repository": "acme/notes", "repository_id": "724381", "repository_owner": "acme", "repository_owner_id": "9919", "repository_visibility": "private",
	"run_id": "1234", "run_number": "10", "run_attempt": "2", "actor": "ada", "actor_id": "12", "workflow": "Deploy", "head_ref": "", "base_ref": "",
	"event_name": "push", "runner_environment": "github-hosted",
	"workflow_ref":     "acme/notes/.github/workflows/deploy.yml@refs/heads/main",
	"job_workflow_ref": "acme/notes/.github/workflows/deploy.yml@refs/heads/main",
}

func TestGitHubActions(t *testing.T) {
	t.Parallel()
	job := federate.GitHubJob{
		Audience: audience, RepositoryID: "724381", OwnerID: "9919", Workflow: "deploy.yml", Refs: []string{"refs/heads/main", "refs/tags/v*"},
	}
	rule, err := federate.GitHubActions(job)
	tag := object{"ref": "refs/tags/v1.2.3", "workflow_ref": "acme/notes/.github/workflows/deploy.yml@refs/tags/v1.2.3"}
	requirePreset(t, rule, err, gitHubClaims, map[string]object{
		"a push":                   {},
		"a tag":                    tag,
		"by hand":                  {"event_name": "workflow_dispatch"},
		"on a schedule":            {"event_name": "schedule"},
		"a release":                tag.with(object{"event_name": "release"}),
		"a renamed repository":     {"repository": "acme/papers", "sub": "repo:acme/papers:ref:refs/heads/main", "workflow_ref": "acme/papers/.github/workflows/deploy.yml@refs/heads/main"},
		"a called workflow":        {"job_workflow_ref": "octo/shared/.github/workflows/publish.yml@refs/tags/v1"},
		"on a self-hosted machine": {"runner_environment": "self-hosted"},
	}, map[string]object{
		"a repository that took over the name":   {"repository_id": "999"},
		"an owner who took over the name":        {"repository_owner_id": "999"},
		"the repository, given to another owner": {"repository_owner_id": "999", "repository_owner": "mallory"},
		"a fork":                                 {"repository": "mallory/notes", "repository_id": "999", "repository_owner_id": "999"},
		"a pull request":                         {"event_name": "pull_request", "ref": "refs/pull/1/merge"},
		"a pull request, on main":                {"event_name": "pull_request"},
		"pull_request_target, which is on main":  {"event_name": "pull_request_target"},
		"a comment":                              {"event_name": "issue_comment"},
		"a run after another workflow":           {"event_name": "workflow_run"},
		"a review":                               {"event_name": "pull_request_review"},
		"no event":                               {"event_name": deleted},
		"another branch":                         {"ref": "refs/heads/feature"},
		"a branch that is called like the tag":   {"ref": "refs/heads/v1"},
		"another workflow":                       {"workflow_ref": "acme/notes/.github/workflows/test.yml@refs/heads/main"},
		"a workflow that ends with the name":     {"workflow_ref": "acme/notes/.github/workflows/xdeploy.yml@refs/heads/main"},
		"a workflow that begins with the name":   {"workflow_ref": "acme/notes/.github/workflows/deploy.yml@x.yml@refs/heads/main"},
		"another called workflow with the name":  {"workflow_ref": "acme/notes/.github/workflows/test.yml@refs/heads/main", "job_workflow_ref": "mallory/x/.github/workflows/deploy.yml@refs/heads/main"},
		"another service's audience":             {"aud": "https://github.com/acme"},
	})

	job.Refs, job.Environment, job.Events = nil, "production", []string{"deployment"}
	rule, err = federate.GitHubActions(job)
	requirePreset(t, rule, err, gitHubClaims.with(object{"event_name": "deployment"}), map[string]object{
		"the environment": {}, "on any branch": {"ref": "refs/heads/x/y", "workflow_ref": "acme/notes/.github/workflows/deploy.yml@refs/heads/x/y"},
	}, map[string]object{
		"another environment": {"environment": "staging"}, "none": {"environment": deleted}, "a push": {"event_name": "push"},
	})
	rule.Claims["runner_environment"] = "github-hosted"
	requirePreset(t, rule, err, gitHubClaims.with(object{"event_name": "deployment"}),
		map[string]object{"GitHub's machine": {}}, map[string]object{"another": {"runner_environment": "self-hosted"}})
}

func TestGitHubActions_rejectsWideRules(t *testing.T) {
	t.Parallel()
	for fault, change := range map[string]func(j *federate.GitHubJob){
		`GitHubJob.RepositoryID "acme/notes" is not a number`:                    func(j *federate.GitHubJob) { j.RepositoryID = "acme/notes" },
		`GitHubJob.RepositoryID "" is not a number`:                              func(j *federate.GitHubJob) { j.RepositoryID = "" },
		`GitHubJob.RepositoryID "*" is not a number`:                             func(j *federate.GitHubJob) { j.RepositoryID = "*" },
		`GitHubJob.OwnerID "acme" is not a number`:                               func(j *federate.GitHubJob) { j.OwnerID = "acme" },
		`GitHubJob.Workflow "" is not the name`:                                  func(j *federate.GitHubJob) { j.Workflow = "" },
		`GitHubJob.Workflow "*.yml" is not the name`:                             func(j *federate.GitHubJob) { j.Workflow = "*.yml" },
		`GitHubJob.Workflow ".github/workflows/x.yml" is`:                        func(j *federate.GitHubJob) { j.Workflow = ".github/workflows/x.yml" },
		`GitHubJob.Workflow "x.yml@refs/heads/main" is`:                          func(j *federate.GitHubJob) { j.Workflow = "x.yml@refs/heads/main" },
		"GitHubJob.Refs are required, or an Environment":                         func(j *federate.GitHubJob) { j.Refs = nil },
		`GitHubJob.Refs have "refs/heads/*", which is too wide`:                  func(j *federate.GitHubJob) { j.Refs = []string{"refs/heads/*"} },
		`GitHubJob.Refs have "refs/heads/**", which is too wide`:                 func(j *federate.GitHubJob) { j.Refs = []string{"refs/heads/main", "refs/heads/**"} },
		`GitHubJob.Refs have "refs/tags/*/*", which is too wide`:                 func(j *federate.GitHubJob) { j.Refs = []string{"refs/tags/*/*"} },
		`GitHubJob.Refs have "refs/pull/*/merge", which begins`:                  func(j *federate.GitHubJob) { j.Refs = []string{"refs/pull/*/merge"} },
		`GitHubJob.Refs have "refs/**", which begins`:                            func(j *federate.GitHubJob) { j.Refs = []string{"refs/**"} },
		`GitHubJob.Refs have "main", which begins`:                               func(j *federate.GitHubJob) { j.Refs = []string{"main"} },
		`GitHubJob.Refs have "*/heads/main", which begins`:                       func(j *federate.GitHubJob) { j.Refs = []string{"*/heads/main"} },
		`Events or Sources have "pull_request", which is too wide`:               func(j *federate.GitHubJob) { j.Events = []string{"push", "pull_request"} },
		`Events or Sources have "pull_request_target", which is too wide`:        func(j *federate.GitHubJob) { j.Events = []string{"pull_request_target"} },
		`Events or Sources have "workflow_run", which is too wide`:               func(j *federate.GitHubJob) { j.Events = []string{"workflow_run"} },
		`Events or Sources have "*", which is too wide`:                          func(j *federate.GitHubJob) { j.Events = []string{"*"} },
		"Events or Sources are empty":                                            func(j *federate.GitHubJob) { j.Events = []string{} },
		"Rule.Audience must be 1 to 256 bytes":                                   func(j *federate.GitHubJob) { j.Audience = "" },
		"Rule.Audience is the one that jobs get without asking":                  func(j *federate.GitHubJob) { j.Audience = "https://github.com/acme" },
		"Rule.Issuer is not an https URL":                                        func(j *federate.GitHubJob) { j.Issuer = "http://github.example" },
		"the pattern \"refs/heads/a*********\", which has more than 8 asterisks": func(j *federate.GitHubJob) { j.Refs = []string{"refs/heads/a*********"} },
	} {
		job := federate.GitHubJob{Audience: audience, RepositoryID: "724381", OwnerID: "9919", Workflow: "deploy.yml", Refs: []string{"refs/heads/main"}}
		change(&job)
		rule, err := federate.GitHubActions(job)
		require.ErrorContains(t, err, fault)
		require.Zero(t, rule)
	}
	_, err := federate.GitHubActions(federate.GitHubJob{})
	for _, field := range []string{"RepositoryID", "OwnerID", "Workflow", "Refs"} {
		require.ErrorContains(t, err, "federate: GitHubJob."+field)
	}
}

// The audience that jobs get without asking for one is the URL of the owner, at each instance.
func TestGitHubActions_defaultAudiences(t *testing.T) {
	t.Parallel()
	for issuer, audiences := range map[string]map[string]bool{
		"":                                       {"https://github.com/acme": false, "https://notes.example": true},
		federate.GitHubIssuer + "/x":             {"https://github.com/acme": false, "https://notes.example": true},
		"https://github.example/_services/token": {"https://github.example/acme": false, "https://github.example.org/acme": true},
		"https://token.actions.acme.ghe.com":     {"https://acme.ghe.com/acme": false, "https://ghe.com/acme": true},
		"https://github.example:8443/_services/token": {"https://github.example:8443/acme": false, "https://notes.example": true},
	} {
		for audience, accepted := range audiences {
			_, err := federate.GitHubActions(federate.GitHubJob{
				Audience: audience, RepositoryID: "724381", OwnerID: "9919", Workflow: "deploy.yml", Refs: []string{"refs/heads/main"}, Issuer: issuer,
			})
			if accepted {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "Audience is the one that jobs get without asking", audience)
			}
		}
	}
}

// GitHub Enterprise Server has another issuer, and the same rules.
func TestGitHubActions_enterpriseServer(t *testing.T) {
	t.Parallel()
	rule, err := federate.GitHubActions(federate.GitHubJob{
		Audience: audience, RepositoryID: "724381", OwnerID: "9919", Workflow: "deploy.yml", Environment: "production",
		Issuer: "https://github.example/_services/token",
	})
	requirePreset(t, rule, err, gitHubClaims, map[string]object{"a push": {}},
		map[string]object{"pull_request_target": {"event_name": "pull_request_target"}, "github.com": {"iss": federate.GitHubIssuer}})
}

// gitLabClaims are those of a job, as GitLab documents them.
var gitLabClaims = object{
	"sub": "project_path:acme/team/notes:ref_type:branch:ref:main", "aud": audience,
	"project_id": "4711", "project_path": "acme/team/notes", "namespace_id": "72", "namespace_path": "acme/team", "user_id": "1", "user_login": "ada",
	"pipeline_id": "1", "pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
	"environment": "production", "environment_protected": "true", "runner_id": 1, "runner_environment": "gitlab-hosted", "sha": "714a",
	"ci_config_ref_uri": "gitlab.com/acme/team/notes//.gitlab-ci.yml@refs/heads/main", "groups_direct": []string{"acme"},
}

func TestGitLab(t *testing.T) {
	t.Parallel()
	job := federate.GitLabJob{Audience: audience, ProjectID: "4711", NamespaceID: "72", Refs: []string{"refs/heads/main"}, ConfigFile: ".gitlab-ci.yml"}
	rule, err := federate.GitLab(job)
	requirePreset(t, rule, err, gitLabClaims, map[string]object{
		"a push": {}, "by hand": {"pipeline_source": "web"}, "on a schedule": {"pipeline_source": "schedule"}, "by the API": {"pipeline_source": "api"},
		"a renamed project": {"project_path": "acme/papers", "ci_config_ref_uri": "gitlab.com/acme/papers//.gitlab-ci.yml@refs/heads/main"},
	}, map[string]object{
		"a project that took over the name":   {"project_id": "999"},
		"a namespace that took over the name": {"namespace_id": "999"},
		"a fork":                              {"project_id": "999", "namespace_id": "999"},
		"a merge request of a fork":           {"pipeline_source": "merge_request_event"},
		"a child pipeline":                    {"pipeline_source": "parent_pipeline"},
		"an external pull request":            {"pipeline_source": "external_pull_request_event"},
		"another project's pipeline":          {"pipeline_source": "pipeline"},
		"another branch":                      {"ref_path": "refs/heads/feature", "ref": "feature"},
		"a merge request's ref":               {"ref_path": "refs/merge-requests/1/head"},
		"an unprotected branch":               {"ref_protected": "false"},
		"another file":                        {"ci_config_ref_uri": "gitlab.com/acme/team/notes//evil/.gitlab-ci.yml@refs/heads/main"},
		"another instance":                    {"ci_config_ref_uri": "evil.example/gitlab.com/acme//.gitlab-ci.yml@refs/heads/main"},
		"the default audience":                {"aud": federate.GitLabIssuer},
	})
	rule, err = federate.GitLab(federate.GitLabJob{
		Audience: audience, ProjectID: "4711", NamespaceID: "72", Environment: "production", Unprotected: true, Sources: []string{"trigger"},
		Issuer: "https://example.com/gitlab/", ConfigFile: "ci/deploy.yml",
	})
	own := gitLabClaims.with(object{"pipeline_source": "trigger", "ref_protected": "false", "ci_config_ref_uri": "example.com/gitlab/acme/notes//ci/deploy.yml@refs/heads/x"})
	requirePreset(t, rule, err, own, map[string]object{"a trigger": {}}, map[string]object{
		"a push": {"pipeline_source": "push"}, "another environment": {"environment": "review"}, "no environment": {"environment": deleted},
		"GitLab.com": {"iss": federate.GitLabIssuer},
	})
}

func TestGitLab_rejectsWideRules(t *testing.T) {
	t.Parallel()
	for fault, change := range map[string]func(j *federate.GitLabJob){
		`GitLabJob.ProjectID "acme/notes" is not a number`:                func(j *federate.GitLabJob) { j.ProjectID = "acme/notes" },
		`GitLabJob.NamespaceID "" is not a number`:                        func(j *federate.GitLabJob) { j.NamespaceID = "" },
		"GitLabJob.Refs are required, or an Environment":                  func(j *federate.GitLabJob) { j.Refs = nil },
		`GitLabJob.Refs have "refs/heads/*", which is too wide`:           func(j *federate.GitLabJob) { j.Refs = []string{"refs/heads/*"} },
		`GitLabJob.Refs have "refs/merge-requests/**", which begins`:      func(j *federate.GitLabJob) { j.Refs = []string{"refs/merge-requests/**"} },
		`Events or Sources have "merge_request_event", which is too wide`: func(j *federate.GitLabJob) { j.Sources = []string{"merge_request_event"} },
		`Events or Sources have "parent_pipeline", which is too wide`:     func(j *federate.GitLabJob) { j.Sources = []string{"parent_pipeline"} },
		"Rule.Audience is the issuer":                                     func(j *federate.GitLabJob) { j.Audience = federate.GitLabIssuer },
		`GitLabJob.ConfigFile "**" is not the path`:                       func(j *federate.GitLabJob) { j.ConfigFile = "**" },
		`GitLabJob.ConfigFile "/x.yml" is not the path`:                   func(j *federate.GitLabJob) { j.ConfigFile = "/x.yml" },
		`GitLabJob.ConfigFile "x.yml@acme/other:refs/heads/main" is not`:  func(j *federate.GitLabJob) { j.ConfigFile = "x.yml@acme/other:refs/heads/main" },
		"federate: Rule.Issuer is not an https URL":                       func(j *federate.GitLabJob) { j.Issuer = "gitlab.example" },
		"federate: Rule.Issuer has a user, a query or a fragment":         func(j *federate.GitLabJob) { j.Issuer = "https://gitlab.example?x" },
		"federate: Rule.Issuer is not a URL of at most 256 bytes":         func(j *federate.GitLabJob) { j.Issuer = "https://gitlab.example/%zz" },
	} {
		job := federate.GitLabJob{Audience: audience, ProjectID: "4711", NamespaceID: "72", Refs: []string{"refs/heads/main"}, ConfigFile: ".gitlab-ci.yml"}
		change(&job)
		rule, err := federate.GitLab(job)
		require.ErrorContains(t, err, fault)
		require.Zero(t, rule)
	}
}

// kubernetesClaims are those of a projected token, as Kubernetes documents them.
var kubernetesClaims = object{
	"aud": []string{audience}, "sub": "system:serviceaccount:apps:deployer", "kubernetes.io": object{
		"namespace": "apps", "node": object{"name": "n1", "uid": "3a0f"}, "pod": object{"name": "deployer-0", "uid": "0d8b"},
		"serviceaccount": object{"name": "deployer", "uid": "a709ef71-30e2-489a-bd19-ade97031b9db"}, "warnafter": 1,
	},
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	const clusterURL = "https://kubernetes.default.svc.cluster.local"
	account := federate.KubernetesAccount{
		Issuer: clusterURL, Audience: audience, Namespace: "apps", Name: "deployer", UID: "a709ef71-30e2-489a-bd19-ade97031b9db",
	}
	rule, err := federate.Kubernetes(account)
	with := func(changes object) object {
		inner := maps.Clone(kubernetesClaims["kubernetes.io"].(object)).with(changes)
		return object{"kubernetes.io": inner, "/kubernetes.io/serviceaccount/uid": deleted}
	}
	requirePreset(t, rule, err, kubernetesClaims, map[string]object{"a pod": {}, "no pod": with(object{"pod": deleted})}, map[string]object{
		"another account": {"sub": "system:serviceaccount:apps:other"}, "another namespace": {"sub": "system:serviceaccount:other:deployer"},
		"the API server's token":    {"aud": []string{clusterURL}},
		"the API server's and ours": {"aud": []string{audience, clusterURL}},
	})
	f := presetFixture(t, rule, err)
	changes := with(object{"serviceaccount": object{"name": "deployer", "uid": "0c3d6cc4-0000-4000-8000-000000000000"}})
	requireError(t, f.exchange(jwt(kubernetesClaims.with(object{"iss": clusterURL}).with(changes))), 400, "invalid_grant", noMatch)
	f = presetFixture(t, rule, err)
	got := f.identity(requireToken(t, f.exchange(jwt(kubernetesClaims.with(object{"iss": clusterURL})))).Token)
	require.Equal(t, "deployer-0", got.Metadata.Get("workload.kubernetes.io.pod.name"))

	for fault, change := range map[string]func(a *federate.KubernetesAccount){
		`KubernetesAccount.Namespace "" is not the name`:    func(a *federate.KubernetesAccount) { a.Namespace = "" },
		`KubernetesAccount.Namespace "a:b" is not the name`: func(a *federate.KubernetesAccount) { a.Namespace = "a:b" },
		`KubernetesAccount.Name "*" is not the name`:        func(a *federate.KubernetesAccount) { a.Name = "*" },
		"KubernetesAccount.Name is too wide":                func(a *federate.KubernetesAccount) { a.Name = "default" },
		`KubernetesAccount.UID "" is not a UID`:             func(a *federate.KubernetesAccount) { a.UID = "" },
		"Rule.Issuer is not an https URL":                   func(a *federate.KubernetesAccount) { a.Issuer = "kubernetes/serviceaccount" },
		"Rule.Audience is the issuer":                       func(a *federate.KubernetesAccount) { a.Audience = clusterURL },
	} {
		wide := account
		change(&wide)
		_, err := federate.Kubernetes(wide)
		require.ErrorContains(t, err, fault)
	}
}
