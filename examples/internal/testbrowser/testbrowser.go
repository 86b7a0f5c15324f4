// Package testbrowser drives Chromium in the tests of examples.
package testbrowser

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// Find returns the path of Chromium or Chrome. Without one, it skips the test, except in CI.
func Find(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser: not with -short")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	skip(t, "no Chromium or Chrome is installed (Debian: apt-get install chromium)")
	return ""
}

// InCI skips a test except in CI, and if pictures are taken: those of the looks of pages, and of
// further deployments, take minutes.
func InCI(t *testing.T) {
	t.Helper()
	if os.Getenv("CI") != "true" && os.Getenv("AUTH_TEST_PICTURES") == "" {
		t.Skip("takes long: set CI=true")
	}
}

// skip skips the test because something is missing. In CI, which installs it, the test fails.
func skip(t *testing.T, missing string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// Launch starts a browser with a profile, a directory that is removed at the end of the test. The
// browser can connect to this machine only, unless options say otherwise. It is stopped at the end
// of the test, or after the limit.
func Launch(t *testing.T, path, profile string, limit time.Duration, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	// Not t.Context(), which is canceled before the browser is closed.
	bounded, cancel := context.WithTimeout(context.Background(), limit)
	ctx, _ := chromedp.NewContext(bounded, chromedp.WithAllocatorOptions(append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile),
		chromedp.Headless,
		chromedp.NoFirstRun,
		chromedp.DisableGPU,
		chromedp.Flag("no-sandbox", os.Getuid() == 0), // Chromium's sandbox does not work for root
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", LocalHosts),
	}, options...)...))
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // returns an error if the browser has exited
		cancel()
		// Its child processes may keep writing for a moment.
		require.Eventually(t, func() bool { return os.RemoveAll(profile) == nil }, 10*time.Second, 10*time.Millisecond)
	})
	require.NoError(t, chromedp.Do(ctx))
	return ctx
}

// LocalHosts are rules by which a browser finds this machine only.
const LocalHosts = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"

// Run runs an action in a browser, and returns its result.
func Run[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	result, err := chromedp.Run(ctx, a)
	require.NoError(t, err)
	return result
}

// Call calls a method of the DevTools protocol.
func Call[P, R any](t *testing.T, ctx context.Context, cmd cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := chromedp.Call(ctx, cmd, params)
	require.NoError(t, err)
	return result
}

// ReadAxe returns the source of axe-core, whose file AUTH_TEST_AXE names. Without it, it skips the
// test, except in CI.
func ReadAxe(t *testing.T) string {
	t.Helper()
	path := os.Getenv("AUTH_TEST_AXE")
	if path == "" {
		skip(t, "AUTH_TEST_AXE must name the file axe.min.js of axe-core: see CONTRIBUTING.md")
	}
	script, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, strings.Contains(string(script), "axe.run"), "%s is not axe-core", path)
	return string(script)
}

// Violations returns what axe-core finds on the open page.
func Violations(t *testing.T, ctx context.Context, axe string) (found []any) {
	t.Helper()
	if !Run(t, ctx, chromedp.Evaluate[bool](`"axe" in window`)) { // half a megabyte, once for each page
		Run(t, ctx, chromedp.Evaluate[chromedp.Void](axe+";0"))
	}
	text := Run(t, ctx, chromedp.Evaluate[string](`axe.run({resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(
		v => [v.id, v.help, v.nodes.map(n => n.html + " " + n.failureSummary)])))`, chromedp.EvalAwaitPromise))
	require.NoError(t, json.Unmarshal([]byte(text), &found))
	return found
}

// A StatusWriter keeps the status of a response. It begins with 200, which handlers need not write.
type StatusWriter struct {
	http.ResponseWriter
	Status int
}

// NewStatusWriter returns a StatusWriter over w.
func NewStatusWriter(w http.ResponseWriter) *StatusWriter { return &StatusWriter{w, http.StatusOK} }

// WriteHeader implements http.ResponseWriter.
func (w *StatusWriter) WriteHeader(status int) {
	w.Status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap returns the ResponseWriter below, for http.ResponseController.
func (w *StatusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
