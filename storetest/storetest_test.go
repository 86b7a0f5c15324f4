package storetest_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/storetest"
)

// broken is the environment variable that tells this test binary which broken store
// to run the suite over.
const broken = "AUTH_STORETEST_BROKEN"

// TestRun_brokenStore and TestRunShared_brokenStore are run by the tests below, as other processes.
func TestRun_brokenStore(t *testing.T) {
	name, ok := os.LookupEnv(broken)
	if !ok {
		t.Skip("only runs in a process that TestRun_reportsBrokenStores starts")
	}
	storetest.SetNoticeTimeout(200 * time.Millisecond)
	storetest.Run(t, func(*testing.T) auth.Store { return brokenStores[name].make() })
}

func TestRunShared_brokenStore(t *testing.T) {
	name, ok := os.LookupEnv(broken)
	if !ok {
		t.Skip("only runs in a process that TestRunShared_reportsBrokenStores starts")
	}
	storetest.SetNoticeTimeout(200 * time.Millisecond)
	storetest.RunShared(t, func(*testing.T) (a, b auth.Store) { return brokenHandles[name].make() })
}

func TestRun_reportsBrokenStores(t *testing.T) {
	t.Parallel()
	for name, store := range brokenStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reports(t, "TestRun_brokenStore", name, store.rule)
		})
	}
}

func TestRunShared_reportsBrokenStores(t *testing.T) {
	t.Parallel()
	for name, store := range brokenHandles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reports(t, "TestRunShared_brokenStore", name, store.rule)
		})
	}
}

// reports runs one rule over a broken store in another process, and fails unless it fails there.
func reports(t *testing.T, test, name, rule string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$/^"+rule+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), broken+"="+name)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "the rule passed, or does not exist:\n%s", out)
	require.Contains(t, string(out), "--- FAIL: "+test+"/"+rule+" ", "the rule did not fail:\n%s", out)
	require.Contains(t, string(out), "The rule: ")
}
