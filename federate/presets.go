package federate

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const (
	// GitHubIssuer is the issuer of GitHub Actions at github.com. An enterprise may have one of its own,
	// which begins with it.
	GitHubIssuer = "https://token.actions.githubusercontent.com"
	// GitLabIssuer is the issuer of GitLab.com.
	GitLabIssuer = "https://gitlab.com"
)

// A GitHubJob describes the jobs of GitHub Actions that may use a rule. Audience, RepositoryID, OwnerID,
// Workflow, and one of Refs and Environment are required.
type GitHubJob struct {
	// Audience is the one that the job asks GitHub for: the URL of this service.
	Audience string
	// RepositoryID and OwnerID are the numbers of the repository and of its owner, which
	// "gh api repos/OWNER/NAME --jq .id,.owner.id" prints. A name can be taken over after the repository
	// or its owner is renamed or deleted. The owner's keeps the rule from following the
	// repository to a new owner.
	RepositoryID, OwnerID string
	// Workflow is the file name of the workflow that is started, such as "deploy.yml". It is below
	// .github/workflows.
	Workflow string
	// Refs are patterns for the full name of the branch or tag, such as "refs/heads/main" or
	// "refs/tags/v*". See Rule.Patterns.
	Refs []string
	// Environment is the exact name of the environment of the job, if not empty. Environments can
	// require the approval of a reviewer.
	Environment string
	// Events are the events that may start the workflow. If nil, they are push, workflow_dispatch,
	// schedule and release. These, and repository_dispatch, create and deployment, need
	// write access to the repository. Others are rejected: a pull request or a comment of a stranger can
	// start a workflow by them, in some cases with the stranger's code.
	Events []string
	// Issuer is the one of your GitHub Enterprise Server or enterprise. If empty, it is [GitHubIssuer].
	Issuer string
}

var (
	gitHubEvents     = []string{"push", "workflow_dispatch", "schedule", "release"}
	moreGitHubEvents = []string{"repository_dispatch", "create", "deployment"}
	workflowFile     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\.ya?ml$`)
)

// GitHubActions returns a rule for jobs of GitHub Actions, without UserID and Scopes. It returns an
// error that lists everything that is wrong with job, or would make the rule too wide.
//
// To accept jobs on GitHub's own machines only, set Claims["runner_environment"] of the rule to
// "github-hosted".
func GitHubActions(job GitHubJob) (Rule, error) {
	faults := &ruleErrors{subject: "GitHubJob"}
	faults.requireID("RepositoryID", job.RepositoryID)
	faults.requireID("OwnerID", job.OwnerID)
	if !workflowFile.MatchString(job.Workflow) {
		faults.add("Workflow", "%.100q is not the name of a file of workflows, such as deploy.yml", job.Workflow)
	}
	rule := Rule{
		Issuer: orDefault(job.Issuer, GitHubIssuer), Audience: job.Audience,
		Claims:   map[string]string{"repository_id": job.RepositoryID, "repository_owner_id": job.OwnerID},
		Patterns: map[string][]string{"event_name": faults.events(job.Events, gitHubEvents, moreGitHubEvents)},
		Record:   []string{"repository", "ref", "sha", "run_id", "actor"},
	}
	faults.restrict(&rule, "ref", job.Refs, job.Environment)
	faults.checkGitHubAudience(&rule)
	// The names of owner and repository may change, and their IDs are checked. None of them, and no
	// file name, has a slash, so that the ref begins after the first "@refs/".
	rule.Patterns["workflow_ref"] = []string{"*/*/.github/workflows/" + job.Workflow + "@refs/**"}
	return faults.finish(rule)
}

// checkGitHubAudience rejects the URL of an owner at another instance than github.com, which Rule.Check knows.
// The issuer of a server is below its own URL, and that of an enterprise at ghe.com has a host of its own.
func (e *ruleErrors) checkGitHubAudience(rule *Rule) {
	u, err := url.Parse(rule.Issuer)
	if err == nil && strings.HasPrefix(rule.Audience, "https://"+strings.TrimPrefix(u.Host, "token.actions.")+"/") {
		e.add("Audience", "is the one that jobs get without asking for one, so other services may have the JWT: use the URL of this service")
	}
}

// A GitLabJob describes the jobs of GitLab CI that may use a rule. Audience, ProjectID, NamespaceID, and
// one of Refs and Environment are required.
type GitLabJob struct {
	// Audience is the aud of the job's id_tokens: the URL of this service.
	Audience string
	// ProjectID and NamespaceID are the numbers of the project and of its namespace. A name can be
	// taken over after the project or its group is renamed or deleted.
	ProjectID, NamespaceID string
	// Refs are patterns for the full name of the branch or tag, such as "refs/heads/main" or
	// "refs/tags/v*". See Rule.Patterns.
	Refs []string
	// Unprotected also accepts branches and tags that are not protected, to which every developer of
	// the project can push.
	Unprotected bool
	// Environment is the exact name of the environment of the job, if not empty.
	Environment string
	// ConfigFile is the path of the file that configures the pipeline, such as ".gitlab-ci.yml". If
	// empty, it is not checked.
	ConfigFile string
	// Sources are what may start the pipeline. If nil, they are push, web, schedule and api. These, and
	// trigger and pipeline, need a role in the project. Others are rejected: merge requests run
	// the code of a fork, and child pipelines do not say what has started their parent.
	Sources []string
	// Issuer is the URL of another GitLab instance. If empty, it is [GitLabIssuer].
	Issuer string
}

var (
	gitLabSources     = []string{"push", "web", "schedule", "api"}
	moreGitLabSources = []string{"trigger", "pipeline"}
)

// GitLab returns a rule for jobs of GitLab CI, without UserID and Scopes. It returns an error that lists
// everything that is wrong with job, or would make the rule too wide.
func GitLab(job GitLabJob) (Rule, error) {
	faults := &ruleErrors{subject: "GitLabJob"}
	faults.requireID("ProjectID", job.ProjectID)
	faults.requireID("NamespaceID", job.NamespaceID)
	rule := Rule{
		Issuer: orDefault(job.Issuer, GitLabIssuer), Audience: job.Audience,
		Claims:   map[string]string{"project_id": job.ProjectID, "namespace_id": job.NamespaceID},
		Patterns: map[string][]string{"pipeline_source": faults.events(job.Sources, gitLabSources, moreGitLabSources)},
		Record:   []string{"project_path", "ref_path", "sha", "job_id", "user_login"},
	}
	if !job.Unprotected {
		rule.Claims["ref_protected"] = "true"
	}
	faults.restrict(&rule, "ref_path", job.Refs, job.Environment)
	if job.ConfigFile != "" {
		if strings.ContainsAny(job.ConfigFile, "*@:") || strings.HasPrefix(job.ConfigFile, "/") {
			faults.add("ConfigFile", "%.100q is not the path of a file in the project", job.ConfigFile)
		}
		host := rule.Issuer
		if u, err := url.Parse(rule.Issuer); err == nil {
			host = u.Host + strings.TrimSuffix(u.Path, "/")
		}
		rule.Patterns["ci_config_ref_uri"] = []string{host + "/**//" + job.ConfigFile + "@refs/**"}
	}
	return faults.finish(rule)
}

// A KubernetesAccount describes the pods of Kubernetes that may use a rule: those of a service account. All
// fields are required.
type KubernetesAccount struct {
	// Issuer is that of the cluster, which "kubectl get --raw /.well-known/openid-configuration" prints.
	Issuer string
	// Audience is the one of the projected token: the URL of this service.
	Audience string
	// Namespace and Name are those of the service account. It must not be "default", which pods have
	// that name none.
	Namespace, Name string
	// UID is the ID of the service account, which "kubectl get serviceaccount NAME -n NAMESPACE
	// -o jsonpath={.metadata.uid}" prints. One that is deleted and created again has another.
	UID string
}

var (
	kubernetesName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	uuid           = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// Kubernetes returns a rule for pods of Kubernetes, without UserID and Scopes. It returns an error that
// lists everything that is wrong with account, or would make the rule too wide.
//
// Kubernetes writes a projected token into a file, and replaces it after 80 percent of its lifetime.
// Each can be exchanged once. With an expirationSeconds of 600, which is the least, a pod
// always has a token: a new JWT is there every 8 minutes.
func Kubernetes(account KubernetesAccount) (Rule, error) {
	faults := &ruleErrors{subject: "KubernetesAccount"}
	if !kubernetesName.MatchString(account.Namespace) {
		faults.add("Namespace", "%.100q is not the name of a namespace", account.Namespace)
	}
	switch {
	case !kubernetesName.MatchString(account.Name):
		faults.add("Name", "%.100q is not the name of a service account", account.Name)
	case account.Name == "default":
		faults.add("Name", "is too wide: every pod of the namespace has the account default unless it names another")
	}
	if !uuid.MatchString(account.UID) {
		faults.add("UID", "%.100q is not a UID: a name can be taken over by another service account", account.UID)
	}
	return faults.finish(Rule{
		Issuer: account.Issuer, Audience: account.Audience,
		Claims: map[string]string{
			"sub":                               "system:serviceaccount:" + account.Namespace + ":" + account.Name,
			"/kubernetes.io/serviceaccount/uid": account.UID,
		},
		Record: []string{"/kubernetes.io/pod/name", "/kubernetes.io/pod/uid"},
	})
}

func orDefault(s, standard string) string {
	if s == "" {
		return standard
	}
	return s
}

func (e *ruleErrors) requireID(field, id string) {
	if !isNumber(id) {
		e.add(field, "%.100q is not a number: a name can be taken over", id)
	}
}

// events returns the events of a rule, all of which must be among the known ones.
func (e *ruleErrors) events(chosen, standard, more []string) []string {
	if chosen == nil {
		return slices.Clone(standard)
	}
	known := slices.Concat(standard, more)
	for _, event := range chosen {
		if !slices.Contains(known, event) {
			e.add("Events or Sources", "have %.100q, which is too wide: strangers may start a job by it. Use some of %s", event, strings.Join(known, ", "))
		}
	}
	if len(chosen) == 0 {
		e.add("Events or Sources", "are empty: leave them nil for the usual ones")
	}
	return slices.Clone(chosen)
}

// restrict adds the refs and the environment of a job to a rule: without any, everyone who can push a
// branch could use it.
func (e *ruleErrors) restrict(rule *Rule, claim string, refs []string, environment string) {
	if len(refs) == 0 && environment == "" {
		e.add("Refs", "are required, or an Environment: otherwise a job on any branch could use the rule")
	}
	for _, ref := range refs {
		if kind := strings.SplitN(ref, "/", 3); len(kind) < 3 || kind[0] != "refs" || kind[1] != "heads" && kind[1] != "tags" {
			e.add("Refs", "have %.100q, which begins with neither refs/heads/ nor refs/tags/", ref)
		} else if strings.Trim(kind[2], "*/") == "" {
			e.add("Refs", "have %.100q, which is too wide: it matches every branch or tag", ref)
		}
	}
	if len(refs) > 0 {
		rule.Patterns[claim] = slices.Clone(refs)
	}
	if environment != "" {
		rule.Claims["environment"] = environment
	}
}

// finish returns the rule, or what is wrong with it. UserID and Scopes are not there yet.
func (e *ruleErrors) finish(rule Rule) (Rule, error) {
	if len(e.errs) == 0 {
		complete := rule
		complete.UserID, complete.Scopes = "-", []string{"-"}
		if err := complete.Check(); err != nil {
			e.errs = append(e.errs, err)
		}
	}
	if err := e.err(); err != nil {
		return Rule{}, err
	}
	return rule, nil
}
