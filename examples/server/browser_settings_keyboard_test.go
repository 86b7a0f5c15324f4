package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
)

// recordFocus records what gets the focus, whether that is visible, and in which order it should.
// Of radio buttons with one name, one gets the focus.
const recordFocus = `(() => {
	const controls = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")].filter(e => {
		if (e.disabled || !e.checkVisibility({visibilityProperty: true}) || e.type === "hidden") return false;
		const group = e.type === "radio" ? [...document.getElementsByName(e.name)] : [e];
		return e === (group.find(r => r.checked) ?? group[0]);
	});
	window.focused = [];
	addEventListener("focusin", ({target}) => {
		const style = getComputedStyle(target), box = target.getBoundingClientRect();
		focused.push({
			index: controls.indexOf(target), html: target.outerHTML.slice(0, 120),
			visible: target.matches(":focus-visible") && style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.height > 0,
		});
	});
	document.body.tabIndex = -1;
	document.body.focus();
	document.body.removeAttribute("tabindex");
	focused.length = 0;
	// The parts of a date get the focus one by one.
	return [controls.length, controls.length + 4 * controls.filter(e => e.type === "date").length];
})()`

// A focus is an element that got the focus.
type focus struct {
	Index   int // among the controls of the page, or -1
	HTML    string
	Visible bool
}

// requireKeyboard checks that Tab reaches every control of a page in the order of its content, and
// that one sees which control has the focus.
func (b *browser) requireKeyboard(t *testing.T, state string) {
	t.Helper()
	counts := act(t, b, chromedp.Evaluate[[]int](recordFocus))
	require.NotZero(t, counts[0], state)
	act(t, b, chromedp.KeyEvent(strings.Repeat("\t", counts[1])))
	focused := act(t, b, chromedp.Evaluate[[]focus]("focused"))
	require.GreaterOrEqual(t, len(focused), counts[0], "%s: Tab reaches %v of %d controls", state, focused, counts[0])
	for i, f := range focused[:counts[0]] {
		require.Equal(t, i, f.Index, "%s: %s has the focus", state, f.HTML)
		require.True(t, f.Visible, "%s: the focus of %s is not visible", state, f.HTML)
	}
}

// sameInForcedColors returns what has no border in forced colors, or looks the same as what it must
// differ from.
const sameInForcedColors = `(() => {
	const style = e => getComputedStyle(e), found = [];
	const canvas = style(document.body).backgroundColor;
	for (const e of document.querySelectorAll("button, .button, .pill, .state, .tile, .card, .danger-zone, .warning, output")) {
		if (!e.checkVisibility()) continue;
		const s = style(e);
		if (s.borderTopStyle !== "solid" || s.borderTopColor === canvas || s.borderTopColor === "rgba(0, 0, 0, 0)") found.push(e.outerHTML.slice(0, 120));
	}
	const solid = color => color.match(/[0-9]+/g).slice(0, 3).join(); // what is transparent has the color of the canvas
	const differ = (all, chosen, property) => {
		for (const e of document.querySelectorAll(chosen))
			for (const other of document.querySelectorAll(all))
				if (!other.matches(chosen) && solid(style(e)[property]) === solid(style(other)[property])) found.push(e.outerHTML.slice(0, 120));
	};
	differ(".tabs a", ".tabs a[aria-current]", "borderBottomColor");
	differ(".preset", ".preset[aria-pressed=true]", "backgroundColor");
	return found;
})()`

func (b *browser) requireForcedColors(t *testing.T, state string) {
	t.Helper()
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}},
	})
	require.Empty(t, act(t, b, chromedp.Evaluate[[]string](sameInForcedColors)), state)
	b.saveView(t, state+"-forced-colors")
	b.look(t, "light", 1280)
}

// Every page works with the keyboard alone, and with the few colors that the user chooses.
func TestBrowserSettings_keyboard(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	b.eachSettingsState(t, func(state string) {
		b.requireForcedColors(t, state)
		b.requireKeyboard(t, state)
	})
	b.fillTokens(t, 8, 13)
	b.openState(t, "tokens-8-13", "", func(state string) {
		b.requireForcedColors(t, state)
		b.requireKeyboard(t, state)
	})
}

// Enter and Space open the scopes of a token. A dialog keeps the focus, and gives it back.
func TestBrowserSettings_keys(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "grace")
	b.fillTokens(t, 3, 13)
	b.open(t, developer)
	focus := func(selector string) {
		act(t, b, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).focus()", selector)))
	}
	focus(".tokens summary")
	for _, press := range []struct {
		key  string
		open bool
	}{{"\r", true}, {" ", false}, {" ", true}} {
		act(t, b, chromedp.KeyEvent(press.key))
		require.Equal(t, press.open, act(t, b, chromedp.Evaluate[bool](`document.querySelector(".tokens details").open`)), "%q", press.key)
	}

	focus(`.row-actions a[href$="/revoke"]`)
	act(t, b, chromedp.KeyEvent("\r"))
	act(t, b, chromedp.WaitVisible(chromedp.CSS("dialog[open]")))
	inside := func() bool {
		return act(t, b, chromedp.Evaluate[bool](`document.activeElement === document.body || document.activeElement.closest("dialog") !== null`))
	}
	require.Equal(t, "Cancel", b.textContent(t, ":focus"))
	for range 6 {
		act(t, b, chromedp.KeyEvent("\t"))
		require.True(t, inside(), "the focus does not leave the dialog")
	}
	act(t, b, chromedp.KeyEvent("\x1b"))
	act(t, b, chromedp.WaitNotPresent(chromedp.CSS("dialog")))
	require.True(t, act(t, b, chromedp.Evaluate[bool](`document.activeElement.matches('.row-actions a[href$="/revoke"]')`)), "the link has the focus again")
	require.Len(t, b.tokensOf(t, "grace"), 3)
}
