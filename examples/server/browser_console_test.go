package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// Pages comply with their own Content-Security-Policy, and cause no errors.
func TestBrowser_noConsoleMessages(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.eachPage(t, func(t *testing.T, load func()) { require.Empty(t, b.console(t, load)) })

	// The check works: the policy forbids inline scripts.
	inline := func() {
		act(t, b, chromedp.Evaluate[chromedp.Void](`{
			const script = document.createElement("script");
			script.textContent = "document.title = 'run'";
			document.body.append(script);
		}`))
	}
	require.NotEmpty(t, b.console(t, inline))
	b.requireConsole(t, "script-src", inline)
	require.NotEqual(t, "run", act(t, b, chromedp.Title()))
	b.requireConsole(t, "uncaught", func() {
		act(t, b, chromedp.Evaluate[chromedp.Void](`setTimeout(() => { throw new Error("uncaught") })`))
	})
}

func TestBrowserSettings_noConsoleMessages(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	for _, path := range []string{"", "tokens/new", "secret", "secret/rotate", "sessions", "tokens/revoke"} {
		require.Empty(t, b.console(t, func() { b.open(t, developer+path) }), path)
	}
	require.Empty(t, b.console(t, func() {
		b.open(t, developer)
		b.choose(t, `a[href$="tokens/revoke"]`)
		act(t, b, chromedp.WaitVisible(chromedp.CSS("dialog[open]")))
	}))
}

// reportViolations makes every page log its violations of the policy. Versions of
// Chromium differ in what else they report, in which of their channels, and when.
const reportViolations = `addEventListener("securitypolicyviolation",
	e => console.error("violation of " + e.effectiveDirective + " by " + e.blockedURI))`

// listen returns the messages of the browser while stop has not been called.
func (b *browser) listen(t *testing.T) (messages <-chan string, stop func()) {
	t.Helper()
	call(t, b, audits.Enable, struct{}{})
	script := call(t, b, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: reportViolations})
	act(t, b, chromedp.Evaluate[chromedp.Void](reportViolations+";0")) // in the open page
	ctx, cancel := context.WithCancel(b.ctx)
	texts := make(chan string, 1000)
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		if text := b.message(event); text != "" {
			texts <- text
		}
	}))
	return texts, func() {
		cancel()
		call(t, b, cdppage.RemoveScriptToEvaluateOnNewDocument, cdppage.RemoveScriptToEvaluateOnNewDocumentParams(script))
	}
}

// message returns the text of an event that the developer tools would show, or "".
func (b *browser) message(event any) string {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Source == "network" && e.Entry.URL == b.url+"/signin" {
			return "" // the browser reports the expected status 403
		}
		return fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		text := string(e.Type) + ":"
		for _, arg := range e.Args {
			text += " " + string(arg.Value)
		}
		return text
	case *runtime.EventExceptionThrown:
		details, _ := json.Marshal(e.ExceptionDetails)
		return "exception: " + string(details)
	case *audits.EventIssueAdded:
		// Not the others, which are advice that differs from version to version.
		if e.Issue.Code == audits.InspectorIssueCodeContentSecurityPolicyIssue {
			return "issue: violation of " + e.Issue.Details.ContentSecurityPolicyIssueDetails.ViolatedDirective
		}
	}
	return ""
}

// console returns the messages that the browser shows while do runs.
func (b *browser) console(t *testing.T, do func()) (texts []string) {
	t.Helper()
	const end = "end of messages"
	messages, stop := b.listen(t)
	defer stop()
	do()
	// In a task of its own: violations are reported in tasks that are queued already.
	act(t, b, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("setTimeout(() => console.log(%q))", end)))
	for text := range messages {
		if strings.Contains(text, end) {
			return texts
		}
		texts = append(texts, text)
	}
	return texts
}

// requireConsole waits until the browser shows a message, which do causes, that
// contains a text.
func (b *browser) requireConsole(t *testing.T, part string, do func()) {
	t.Helper()
	messages, stop := b.listen(t)
	defer stop()
	do()
	for heard := []string(nil); ; {
		select {
		case text := <-messages:
			if strings.Contains(text, part) {
				return
			}
			heard = append(heard, text)
		case <-b.ctx.Done():
			t.Fatalf("no message contains %q: %q", part, heard)
		}
	}
}
