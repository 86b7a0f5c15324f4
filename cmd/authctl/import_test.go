package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// rows returns lines of a file from one token to another. The first has a head, and then a line
// that is wrong.
func rows(from, to int) string {
	var b strings.Builder
	if from == 0 {
		b.WriteString("user_id,token\nalice,short\n")
	}
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "user%d,%s\n", i%97, plaintextOf(i))
	}
	return b.String()
}

func plaintextOf(i int) string { return fmt.Sprintf("legacy-%032d", i) }

func writeFile(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens.csv")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestImport(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		file := writeFile(t, "\ufeffuser_id,name,scopes,token,sha256,created_at,expires_at,networks,metadata\r\n"+
			"alice,deploy,read write,"+plaintextOf(1)+",,2024-01-31,2100-01-31T12:00:00Z,10.0.0.0/8,\"{\"\"tenant\"\":\"\"acme\"\"}\"\r\n"+
			"bob,,,,"+fmt.Sprintf("%x", digestOf(plaintextOf(2)))+",,,,\r\n")
		args := []string{"import", file, "--scope", "read", "--no-expiry", "--json"}
		r := ok(t, url, args...)
		require.JSONEq(t, `{"lines":2,"imported":2,"present":0,"wrong":0,"next_line":4}`, r.stdout)
		s := opened(t, url)
		c, err := s.Lookup(t.Context(), auth.KindToken, digestOf(plaintextOf(1)))
		require.NoError(t, err)
		require.Equal(t, "alice deploy read write 10.0.0.0/8 tenant=acme 2024-01-31 2100-01-31",
			strings.Join([]string{c.UserID, c.Name, string(c.Scopes), string(c.Networks), string(c.Metadata),
				c.CreatedAt.Format("2006-01-02"), c.ExpiresAt.Format("2006-01-02")}, " "))
		c, err = s.Lookup(t.Context(), auth.KindToken, digestOf(plaintextOf(2)))
		require.NoError(t, err)
		require.Equal(t, "bob imported read", c.UserID+" "+c.Name+" "+string(c.Scopes))

		// A second run changes nothing, even if a token has been revoked since.
		ok(t, url, "user", "revoke-all", "bob", "--yes")
		r = ok(t, url, args...)
		require.JSONEq(t, `{"lines":2,"imported":0,"present":2,"wrong":0,"next_line":4}`, r.stdout)
		require.False(t, accepted(t, s, plaintextOf(2)))
		require.True(t, accepted(t, s, plaintextOf(1)))

		// The same token for another user is no repetition.
		r = authctl(t, url, "import", writeFile(t, "user_id,token\nmallory,"+plaintextOf(1)+"\n"), "--scope", "read", "--no-expiry")
		require.Equal(t, exitPartly, r.code)
		require.Contains(t, r.stderr, "line 2: the token exists already, and belongs to another user")
	})
}

// Each line that is wrong is reported by its number and without the plaintext, and keeps no other
// line from being imported.
func TestImport_wrongLines(t *testing.T) {
	t.Parallel()
	const head = "user_id,token,sha256,name,scopes,created_at,expires_at,networks,metadata,kind\n"
	secret := plaintextOf(7)
	lines := map[string]string{
		"alice,short,,,,,,,,":                                       "plaintext: must be at least 24 characters",
		"alice," + secret:                                           "has 2 fields, and line 1 has 10",
		"," + secret + ",,,,,,,,":                                   "userID: must be 1 to 255 bytes",
		"alice,,,,,,,,,":                                            "exactly one of token and sha256",
		"alice," + secret + ",00,,,,,,,":                            "exactly one of token and sha256",
		"alice,,00,,,,,,,":                                          "sha256: must be 64 hexadecimal digits",
		"alice,,\"" + secret + "\",,,,,,,":                          "sha256: must be 64 hexadecimal digits",
		"alice,\"" + secret + ",,,,,,,,":                            "quote",
		"alice," + secret + ",,a\x1bb,,,,,,":                        "Name: must not have control characters",
		"alice," + plaintextOf(8) + ",,,\"a\\" + secret + "\",,,,,": "Scopes",
		"alice," + secret + ",,,," + secret + ",,,,":                "created_at: must be a date",
		"alice," + secret + ",,,,2999-01-01,,,,":                    "CreatedAt: must be after",
		"alice," + secret + ",,,,,2020-01-01,,,":                    "ExpiresAt: must be in the future",
		"alice," + secret + ",,,,,,10.0.0.1,,":                      "networks: must be",
		"alice," + secret + ",,,,,,," + secret + ",":                "metadata: must be a JSON object",
		"alice," + secret + ",,,,,,,,session":                       "only tokens can be imported",
		"alice," + strings.Repeat("x", 100<<10) + ",,,,,,,,":        "the line has over 65536 bytes",
	}
	url := sqliteStore(t)
	var b strings.Builder
	b.WriteString(head)
	var want []string
	good := 0
	for text, fault := range lines {
		want = append(want, fault)
		fmt.Fprintf(&b, "%s\nbob,%s,,,,,,,,\n", text, plaintextOf(100+good))
		good++
	}
	r := authctl(t, url, "import", writeFile(t, b.String()), "--scope", "read", "--no-expiry", "--json")
	require.Equal(t, exitPartly, r.code)
	require.NotContains(t, r.stdout+r.stderr, secret[:10]) // not even the beginning
	reports := strings.Split(strings.TrimSpace(r.stdout), "\n")
	require.Len(t, reports, len(lines)+1)
	for i, text := range reports[:len(lines)] {
		var report struct {
			Line  int
			Error string
		}
		require.NoError(t, json.Unmarshal([]byte(text), &report))
		require.Equal(t, 2+2*i, report.Line)
		require.Contains(t, report.Error, want[i])
	}
	require.JSONEq(t, fmt.Sprintf(`{"lines":%d,"imported":%d,"present":0,"wrong":%d,"next_line":%d}`, 2*good, good, good, 2*good+2), reports[len(lines)])
}

func TestImport_head(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	for _, head := range []string{"", "user_id", "token", "user_id,token,scope", "user_id,token,token", "alice," + plaintextOf(1), "\"user_id", strings.Repeat("x", 100<<10)} {
		r := authctl(t, url, "import", writeFile(t, head+"\nalice,"+plaintextOf(1)+"\n"), "--scope", "read", "--no-expiry")
		require.Equal(t, exitUsage, r.code, head)
		require.Contains(t, r.stderr, "line 1")
		require.NotContains(t, r.stderr, plaintextOf(1))
	}
	require.Equal(t, exitNothing, authctl(t, url, "import", writeFile(t, "user_id,token\n")).code)
	require.Equal(t, exitUsage, authctl(t, url, "import", "missing.csv").code)
}

// With --prefix, a token of the service itself is imported only with its checksum.
func TestImport_prefix(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	from := sqliteStore(t)
	plaintext := issue(t, from, "alice")
	changed := plaintext[:10] + map[bool]string{true: "x", false: "y"}[plaintext[10] != 'x'] + plaintext[11:]
	file := writeFile(t, "user_id,token\nalice,"+plaintext+"\nalice,"+changed+"\n")
	r := authctl(t, url, "import", file, "--prefix", "acme_pat", "--scope", "read", "--no-expiry", "--dry-run")
	require.Equal(t, exitPartly, r.code)
	require.Contains(t, r.stderr, "line 3: plaintext: has the form of tokens with this Prefix, but not their checksum")
	require.False(t, accepted(t, opened(t, url), plaintext)) // a dry run
}

// What export writes with --sha256 can be imported into any other store.
func TestExport_import(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		fixed(t, opened(t, url))
		plaintext := issue(t, url, "alice")
		exported := ok(t, url, "export", "--kind", "token", "--sha256").stdout
		require.NotContains(t, exported, plaintext)
		require.NotContains(t, ok(t, url, "export").stdout, "sha256")
		other := sqliteStore(t)
		ok(t, other, "import", writeFile(t, exported), "--no-expiry")
		s := opened(t, other)
		require.True(t, accepted(t, s, plaintext))
		c, err := s.Lookup(t.Context(), auth.KindToken, digestOf("first"))
		require.NoError(t, err)
		require.Equal(t, "tenant=acme", string(c.Metadata))
	})
}

// A process that is killed in the middle leaves whole tokens. The same command then imports the
// rest.
func TestImport_killed(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		const total = 3 * importChunk
		cmd := command(t, url, "import", "-", "--scope", "read", "--no-expiry")
		stdin, stderr := start(t, cmd)
		go io.WriteString(stdin, rows(0, total)) // never the end of the file, so it cannot be done
		readUntil(t, stderr, "line 2: ")         // a chunk is imported
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		require.Equal(t, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())

		r := authctl(t, url, "import", writeFile(t, rows(0, total)), "--scope", "read", "--no-expiry", "--json")
		require.Equal(t, exitPartly, r.code, r.stderr)
		reports := strings.Split(strings.TrimSpace(r.stdout), "\n")
		var report importReport
		require.NoError(t, json.Unmarshal([]byte(reports[len(reports)-1]), &report))
		require.Equal(t, total, report.Imported+report.Present)
		require.GreaterOrEqual(t, report.Present, importChunk-1) // one of the chunk is wrong
		require.Equal(t, 1, report.Wrong)
		list := ok(t, url, "token", "list", "--json").stdout
		require.Equal(t, total, strings.Count(list, "\n"))

		r = authctl(t, url, "import", writeFile(t, rows(0, total)), "--scope", "read", "--no-expiry", "--from-line", strconv.Itoa(total))
		require.Equal(t, exitOK, r.code, r.stderr)
		require.Contains(t, r.stdout, "3 lines: 0 imported, 3 present, 0 wrong")
	})
}

// maxRSS is what a process may use for any number of lines. SQLite's driver needs the most of it.
const maxRSS int64 = 100 << 20

// A million lines are checked in bounded memory, in .ci/run. AUTH_TEST_IMPORT says how many are
// also imported.
func TestImport_memory(t *testing.T) {
	t.Parallel()
	checked, imported := 1_000_000, 5_000
	if testing.Short() || os.Getenv("CI") != "true" {
		checked, imported = 50_000, 2_000
	}
	if text := os.Getenv("AUTH_TEST_IMPORT"); text != "" {
		var err error
		imported, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	url := sqliteStore(t)
	for args, total := range map[string]int{"--dry-run": checked, "--json": imported} {
		cmd := command(t, url, "import", "-", "--scope", "read", "--no-expiry", args)
		cmd.Stdin = generated(t, total)
		r := finish(t, cmd)
		require.Equal(t, exitPartly, r.code, r.stderr)
		rss := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
		t.Logf("%d lines, %s: %d MB, %v", total, args, rss>>20, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		require.Less(t, rss, maxRSS)
		if args == "--json" {
			require.Contains(t, r.stdout, fmt.Sprintf(`"imported":%d,`, total))
		}
	}
}

// generated is a file of that many tokens, which is never in memory.
func generated(t testing.TB, total int) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	go func() {
		b := bufio.NewWriter(w)
		for i := 0; i < total; i += 1000 {
			b.WriteString(rows(i, min(i+1000, total)))
		}
		b.Flush()
		w.Close()
	}()
	return r
}
