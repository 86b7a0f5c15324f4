package main

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// contexts are texts in which tokens leak: T stands for a token.
var contexts = []string{
	"T", "token: T\n", "export TOKEN=T\n", "const token = \"T\";", "curl -H 'Authorization: Bearer T' x", "<T>", "T,T", "(T)",
	`{"log":"first\nT\tlast"}`, `"a\rT"`, "https://x.test/?token%3DT&a=b", "https://user:T@x.test/", "see T.", "T-T", "\\T/",
}

// nearMisses have no token.
func nearMisses(token string) []string {
	rest := strings.TrimPrefix(token, "acme_pat_")
	return []string{
		token[:len(token)-1], token + "x", "x" + token, "_" + token, token + "_", "acme_cs_" + rest, "ACME_PAT_" + rest, "acme-pat-" + rest,
		"acme_pat" + rest, "acme_pat_" + rest[:20] + "-" + rest[21:], "acme_pat_" + rest[:20] + " " + rest[20:], "acme_pat_" + rest[:37] + "é", rest, "acme_pat_",
	}
}

// issuedTokens returns tokens that the program has issued.
func issuedTokens(t testing.TB, n int) (tokens []string) {
	t.Helper()
	url := sqliteStore(t)
	for range n {
		tokens = append(tokens, issue(t, url, "alice"))
	}
	return tokens
}

// ruleExpressions returns the regular expression of each format, with the token in its first group.
func ruleExpressions(t testing.TB) map[string]*regexp.Regexp {
	t.Helper()
	found := make(map[string]*regexp.Regexp)
	field := func(rule, name string) string {
		match := regexp.MustCompile(`(?m)^ *` + name + ` *[:=] *(?:'''|')?(.*?)(?:'''|')?$`).FindStringSubmatch(rule)
		require.NotNil(t, match, name)
		return match[1]
	}
	for _, format := range []string{"gitleaks", "betterleaks", "trufflehog", "github"} {
		rule := ok(t, "", "rules", "--format", format, "--prefix", "acme_pat").stdout
		switch format {
		case "trufflehog":
			found[format] = regexp.MustCompile(field(rule, "token"))
		case "github":
			found[format] = regexp.MustCompile("(?:" + field(rule, "Before secret") + ")(" + field(rule, "Secret format") + ")(?:" + field(rule, "After secret") + ")")
		default:
			found[format] = regexp.MustCompile(field(rule, "regex"))
		}
	}
	return found
}

func TestRules(t *testing.T) {
	t.Parallel()
	tokens := issuedTokens(t, 5)
	for format, re := range ruleExpressions(t) {
		for _, token := range tokens {
			for _, context := range contexts {
				match := re.FindStringSubmatch(strings.ReplaceAll(context, "T", token))
				require.NotNil(t, match, "%s: %s", format, context)
				require.Equal(t, token, match[1], "%s: %s", format, context)
			}
			for _, text := range nearMisses(token) {
				require.False(t, re.MatchString(text), "%s: %s", format, text)
			}
		}
	}
	r := ok(t, "", "rules", "--format", "github", "--prefix", "acme_pat", "--json")
	require.Contains(t, r.stdout, `"regex":"(?:\\b|`)
	for _, prefix := range []string{"", "a-b", "a\nb", strings.Repeat("a", 17), "'''"} {
		require.Equal(t, exitUsage, authctl(t, "", "rules", "--format", "gitleaks", "--prefix", prefix).code, prefix)
	}
	require.Equal(t, exitUsage, authctl(t, "", "rules", "--format", "other", "--prefix", "acme_pat").code)
}

// The real scanner finds all tokens that were issued, and nothing else.
func TestRules_gitleaks(t *testing.T) {
	t.Parallel()
	gitleaks, err := exec.LookPath(cmp.Or(os.Getenv("AUTH_TEST_GITLEAKS"), "gitleaks"))
	if err != nil {
		skip(t, "no gitleaks: "+err.Error()+"\nInstall it (go install github.com/zricethezav/gitleaks/v8@v8.30.1), or set AUTH_TEST_GITLEAKS.")
	}
	tokens := issuedTokens(t, len(contexts)+3)
	tokens, others := tokens[:len(contexts)], tokens[len(contexts):] // near misses are of others
	dir := t.TempDir()
	config, source, report := filepath.Join(dir, "config.toml"), filepath.Join(dir, "source"), filepath.Join(dir, "report.json")
	require.NoError(t, os.Mkdir(source, 0o700))
	for _, format := range []string{"gitleaks", "betterleaks"} {
		rule := ok(t, "", "rules", "--format", format, "--prefix", "acme_pat").stdout
		require.NoError(t, os.WriteFile(config, []byte(rule), 0o600))
		var leaks, safe strings.Builder
		for i, token := range tokens {
			leaks.WriteString(strings.ReplaceAll(contexts[i], "T", token) + "\n")
		}
		for _, token := range others {
			safe.WriteString(strings.Join(nearMisses(token), "\n") + "\nacme_pat_" + strings.Repeat("x", 38) + "\n") // a placeholder
		}
		require.NoError(t, os.WriteFile(filepath.Join(source, "leaks.txt"), []byte(leaks.String()), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(source, "safe.txt"), []byte(safe.String()), 0o600))
		cmd := exec.CommandContext(t.Context(), gitleaks, "dir", source, "--config", config, "--report-path", report, "--report-format", "json", "--no-banner", "--exit-code", "0")
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, string(output))
		require.Equal(t, slices.Sorted(slices.Values(tokens)), secretsIn(t, report))
	}
}

// secretsIn returns what gitleaks has found, each once.
func secretsIn(t testing.TB, report string) (secrets []string) {
	t.Helper()
	text, err := os.ReadFile(report)
	require.NoError(t, err)
	var findings []struct{ Secret string }
	require.NoError(t, json.Unmarshal(text, &findings))
	for _, f := range findings {
		secrets = append(secrets, f.Secret)
	}
	slices.Sort(secrets)
	return slices.Compact(secrets)
}
