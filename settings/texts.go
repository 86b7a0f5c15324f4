package settings

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// texts are the texts of the page in one language.
type texts struct {
	byKey    map[string]string
	category func(n int) string // as Config.Plural

	rightToLeft bool
}

// DefaultTexts returns the texts of the page, by key, that Config.Texts can replace.
// Placeholders in braces are filled in: {time}, {name}. Keys that end in .one and .other
// are for numbers: see Config.Plural. Each text is used in one grammatical context, which
// the first part of its key names. The caller owns the map.
func DefaultTexts() map[string]string { return maps.Clone(defaultTexts) }

// texts returns the default texts, with those that the configuration replaces. A number
// whose plural category a translation does not have gets the text for "other", not the
// English one.
func (cfg *Config) texts() texts {
	ts := texts{DefaultTexts(), cfg.Plural, isRightToLeft(cfg.Language)}
	if ts.category == nil {
		ts.category = englishPlural
	}
	for key := range cfg.Texts {
		if base, plural := pluralBase(key); plural && key == base+".other" {
			delete(ts.byKey, base+".one")
		}
	}
	maps.Copy(ts.byKey, cfg.Texts)
	return ts
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// checkTexts returns an error for each unknown key, blank text and unknown placeholder,
// and for each plural category that has no effect.
func (cfg *Config) checkTexts() []error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(cfg.Texts)) {
		original, known := defaultTexts[key]
		base, plural := pluralBase(key)
		if plural {
			original = defaultTexts[base+".other"] // "one" may need the number: in Russian, it includes 21
		}
		switch _, hasOther := cfg.Texts[base+".other"]; {
		case !known && !plural:
			errs = append(errs, fmt.Errorf("%q is not a key of DefaultTexts", key))
			continue
		case !known && cfg.Plural == nil:
			errs = append(errs, fmt.Errorf("%q has no effect without Plural", key))
		case !known && !hasOther:
			errs = append(errs, fmt.Errorf("%q requires %q", key, base+".other"))
		}
		if strings.TrimSpace(cfg.Texts[key]) == "" {
			errs = append(errs, fmt.Errorf("%q is blank", key))
		}
		for _, p := range placeholder.FindAllString(cfg.Texts[key], -1) {
			if !strings.Contains(original, p) {
				errs = append(errs, fmt.Errorf("%q has %s, which its default does not have", key, p))
			}
		}
	}
	return errs
}

// numbers are the placeholders of numbers, whose direction is known.
var numbers = []string{"n", "high", "low", "from", "to", "total", "number"}

// get returns a text with its placeholders filled in. args alternates names and values,
// which in a right-to-left text may have another direction.
func (ts texts) get(key string, args ...string) string {
	text, known := ts.byKey[key]
	if !known {
		panic("settings: no text " + key)
	}
	if len(args) == 0 {
		return text
	}
	pairs := make([]string, len(args))
	for i := 0; i < len(args); i += 2 {
		pairs[i], pairs[i+1] = "{"+args[i]+"}", args[i+1]
		if ts.rightToLeft && !slices.Contains(numbers, args[i]) {
			pairs[i+1] = isolate(args[i+1])
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

var defaultTexts = map[string]string{
	"title":         "Developer Settings",
	"title.page":    "{heading} – {title}",
	"title.problem": "Error: {heading} – {title}",

	"skip":         "Skip to content",
	"bar.sign_out": "Sign out",
	"nav.service":  "Back to the service",
	"nav.sections": "Developer Settings",
	"cancel":       "Cancel",

	"pager.label":    "Pages",
	"pager.previous": "Previous",
	"pager.next":     "Next",
	"pager.number":   "Page {n}",
	"pager.more":     "There are older ones that are not on these pages.",
	"pager.older":    "Show older ones",
	"pager.newest":   "Show the newest",
	"pager.none":     "There are no older ones.",

	"number.thousands": "{high},{low}",

	"more.one":   "and one more",
	"more.other": "and {n} more",
	"more.some":  "and others",

	"time.now":    "just now",
	"time.soon":   "in less than a minute",
	"time.never":  "Never",
	"time.unused": "Never",

	"time.in.minute.one":   "in {n} minute",
	"time.in.minute.other": "in {n} minutes",
	"time.in.hour.one":     "in {n} hour",
	"time.in.hour.other":   "in {n} hours",
	"time.in.day.one":      "in {n} day",
	"time.in.day.other":    "in {n} days",
	"time.in.month.one":    "in {n} month",
	"time.in.month.other":  "in {n} months",
	"time.in.year.one":     "in {n} year",
	"time.in.year.other":   "in {n} years",

	"time.ago.minute.one":   "{n} minute ago",
	"time.ago.minute.other": "{n} minutes ago",
	"time.ago.hour.one":     "{n} hour ago",
	"time.ago.hour.other":   "{n} hours ago",
	"time.ago.day.one":      "{n} day ago",
	"time.ago.day.other":    "{n} days ago",
	"time.ago.month.one":    "{n} month ago",
	"time.ago.month.other":  "{n} months ago",
	"time.ago.year.one":     "{n} year ago",
	"time.ago.year.other":   "{n} years ago",

	"duration.second.one":   "{n} second",
	"duration.second.other": "{n} seconds",
	"duration.minute.one":   "{n} minute",
	"duration.minute.other": "{n} minutes",
	"duration.hour.one":     "{n} hour",
	"duration.hour.other":   "{n} hours",
	"duration.day.one":      "{n} day",
	"duration.day.other":    "{n} days",

	"field.name":     "Name",
	"field.token":    "Token",
	"field.secret":   "Secret",
	"field.scopes":   "Access",
	"field.networks": "Networks",
	"tokens.from":    "Only from",
	"field.created":  "Created",
	"field.expires":  "Expires",
	"field.used":     "Last used",
	"field.device":   "Device",
	"field.address":  "Address",
	"field.actor":    "Signed in by",
	"field.from":     "from {address}",
	"field.started":  "Signed in",
	"field.seen":     "Last seen",
	"field.replaced": "Also revoked",
	"field.actions":  "Actions",
	"scopes.full":    "Full access",
	"networks.any":   "Anywhere",

	"state.expiring":   "Expires soon",
	"state.superseded": "Replaced",
	"state.expired":    "Expired",

	"tokens.heading":        "Access tokens",
	"tokens.text":           "Access tokens let scripts and integrations use your account without your password. Each token has only the access you give it, until it expires or you revoke it.",
	"tokens.new":            "Create a token",
	"tokens.rotate":         "Rotate",
	"tokens.rotate_name":    "Rotate {name}",
	"tokens.revoke":         "Revoke",
	"tokens.revoke_name":    "Revoke {name}",
	"tokens.revoke_all":     "Revoke all",
	"tokens.remove":         "Remove",
	"tokens.remove_name":    "Remove {name}",
	"tokens.scopes.one":     "{n} scope",
	"tokens.scopes.other":   "{n} scopes",
	"tokens.networks.one":   "{n} network",
	"tokens.networks.other": "{n} networks",
	"tokens.access":         "{scopes}, {networks}",
	"tokens.range":          "{from} to {to} of {total}",
	"tokens.range_more":     "{from} to {to} of more than {total}",
	"tokens.range_older":    "{from} to {to} of the older ones",
	"tokens.danger.text":    "Do this if you don’t know which of them has leaked.",
	"tokens.empty.heading":  "You have no tokens yet",
	"tokens.empty.text":     "Create one to let a script, a build or another service use your account. You can limit its access and revoke it at any time, without changing your password.",

	"filter.label":            "Filter tokens",
	"filter.search":           "Search",
	"filter.search.hint":      "Name, scope or last four characters",
	"filter.search.secret":    "Search for the last four characters of a token, not for the token itself.",
	"filter.state":            "State",
	"filter.state.all":        "All",
	"filter.state.active":     "Active",
	"filter.state.expiring":   "Expires soon",
	"filter.state.superseded": "Replaced",
	"filter.state.expired":    "Expired",
	"filter.sort":             "Sort by",
	"filter.sort.newest":      "Newest first",
	"filter.sort.expires":     "Expiring soonest",
	"filter.sort.used":        "Recently used",
	"filter.button":           "Apply",
	"filter.clear":            "Clear",
	"filter.none":             "No tokens match.",

	"new.heading":          "Create a token",
	"new.count":            "You have {n} of {limit} tokens.",
	"new.limit":            "Limit reached. Revoke a token you don’t need.",
	"new.reached":          "Limit reached ({n} of {limit}). Revoke a token before you create another one.",
	"new.invalid":          "There’s a problem",
	"new.twice":            "This form was sent already, and has created a token. Look at the list of your tokens, and revoke that one if you do not have it. To create another one, send the form again.",
	"new.filled":           "A link filled in this form, unless you filled it in before you signed in. Check every field.",
	"new.unknown":          "The service is temporarily unavailable, and we can’t tell whether the token was created. You can send this form again: it creates at most one token.",
	"new.name":             "Name",
	"new.name.hint":        "A name to recognize the token by, such as “Nightly backup”.",
	"new.name.long":        "This name is too long. Use fewer characters.",
	"new.expires":          "Expires",
	"new.expires.hint":     "A shorter lifetime limits the damage if the token leaks.",
	"new.until":            "on {date}",
	"new.until.label":      "Last day",
	"new.custom":           "Custom",
	"new.custom.hint":      "at the end of the day, UTC",
	"new.custom.local":     "at the end of the day",
	"new.never":            "Never",
	"new.never.hint":       "until revoked",
	"new.access":           "Access",
	"new.access.hint":      "Give the token only the access that it needs.",
	"new.access.scopes":    "Selected scopes",
	"new.access.full":      "Full access",
	"new.access.full.hint": "everything your account can do",
	"new.access.full.note": "Anyone who has this token can do everything that you can. Select scopes instead if they are enough.",
	"new.selected":         "{n} of {total} selected",
	"new.preset.none":      "None",
	"new.preset.all":       "Select all",
	"new.group":            "Scopes",
	"new.networks":         "Networks (optional)",
	"new.networks.hint":    "The token works only from these addresses and networks, one per line. Leave this empty to allow any.",
	"new.networks.address": "You are at {address}.",
	"new.networks.again":   "Enter the networks again: they were not kept while you signed in.",
	"new.metadata":         "{label} (optional)",
	"new.metadata.again":   "Enter this again: it was not kept while you signed in.",
	"new.metadata.long":    "This is too long. Use fewer characters.",
	"new.button":           "Create token",

	"token.about":      "Details",
	"token.edit":       "Edit",
	"token.history":    "History",
	"token.other":      "another token",
	"token.end":        "Revoke this token",
	"token.remove":     "Remove this token",
	"token.back":       "All access tokens",
	"history.created":  "Created",
	"history.rotated":  "Created to replace",
	"history.replaced": "Replaced by",
	"history.used":     "Last used",
	"history.from":     "from {address}",

	"edit.heading":  "Edit “{name}”",
	"edit.button":   "Save changes",
	"edit.others":   "Other scopes",
	"edit.previous": "The token that this one replaced, {hint}, still works and keeps its access. Revoke it if you remove access here.",
	"edit.recent":   "You can rename the token and remove access. To change anything else, sign in again first.",
	"edit.sign_in":  "Sign in again",

	"error.name":             "Enter a name: one line of visible text.",
	"error.name_long.one":    "The name is too long. Shorten it to about {n} character.",
	"error.name_long.other":  "The name is too long. Shorten it to about {n} characters.",
	"error.expires_in":       "Choose when the token expires, within the allowed lifetime.",
	"error.scopes":           "Choose either full access, or at least one scope.",
	"error.networks":         "Enter at most 16 networks.",
	"error.network":          "“{network}” is neither an address nor a network such as 203.0.113.0/24.",
	"error.network_bits":     "“{network}” has bits after its length. Did you mean {masked}, or only the address?",
	"error.value":            "Enter one line of text for “{label}”.",
	"error.value_long.one":   "The text for “{label}” is too long. Shorten it to about {n} character.",
	"error.value_long.other": "The text for “{label}” is too long. Shorten it to about {n} characters.",
	"error.metadata":         "Fill in fewer of the optional fields.",
	"error.idempotency":      "This form was open for too long. Nothing was created. Check it and send it again.",
	"error.number":           "Type {number} to confirm that all of them should stop working.",
	"error.overlap":          "Choose when the old one stops working.",

	"plaintext.token.heading":    "Token “{name}” created",
	"plaintext.rotated.heading":  "Token “{name}” rotated",
	"plaintext.token.text":       "Copy the token now. You won’t be able to see it again.",
	"plaintext.token.label":      "New token",
	"plaintext.secret.heading":   "Client secret created",
	"plaintext.rotated.secret":   "Client secret rotated",
	"plaintext.revealed.heading": "Your client secret",
	"plaintext.secret.once":      "Copy the secret now. You won’t be able to see it again.",
	"plaintext.secret.again":     "Keep the secret on your servers only. Anyone who has it has full access to your account.",
	"plaintext.secret.label":     "Client secret",
	"plaintext.curl":             "Try it on the command line",
	"plaintext.button":           "Done",
	"copy":                       "Copy",
	"copy.curl":                  "Copy command",
	"copy.done":                  "Copied",
	"copy.failed":                "Couldn’t copy. The text is selected: copy it with your keyboard.",
	"shown.token":                "A token is shown only once. If you didn’t copy this one, rotate it to get a new one.",
	"shown.secret":               "The client secret is hidden again. Reveal it if you still need it.",
	"shown.secret_once":          "The client secret is shown only once. If you didn’t copy it, rotate it to get a new one.",

	"rotate.token.heading":   "Rotate “{name}”",
	"rotate.token.text":      "You get a new token with the same name, access and lifetime. Choose when the old one stops working, so that you have time to replace it.",
	"rotate.token.previous":  "You get a new token with the same name, access and lifetime. Choose when this one stops working. The one that it replaced, {hint}, stops working immediately.",
	"rotate.secret.heading":  "Rotate the client secret",
	"rotate.secret.text":     "You get a new secret. Choose when the old one stops working, so that you have time to replace it.",
	"rotate.secret.previous": "You get a new secret. Choose when the current one stops working. The previous one stops working immediately.",
	"rotate.overlap":         "When the old one stops working",
	"rotate.overlap.hint":    "If it may have leaked, choose “Immediately”.",
	"overlap.none":           "Immediately",
	"rotate.until":           "until {time}",
	"rotate.button":          "Rotate",

	"revoke.token.heading":              "Revoke “{name}”?",
	"revoke.token.text":                 "Anything using this token stops working immediately. This can’t be undone.",
	"revoke.token.button":               "Revoke token",
	"remove.token.heading":              "Remove “{name}”?",
	"remove.token.text":                 "It has expired and can no longer be used. Removing it takes it off the list.",
	"remove.token.button":               "Remove token",
	"revoke.tokens.heading":             "Revoke all tokens?",
	"revoke.tokens.heading_count.one":   "Revoke your token?",
	"revoke.tokens.heading_count.other": "Revoke all {n} tokens?",
	"revoke.tokens.type":                "Type {number} to confirm",
	"revoke.tokens.text":                "Anything using these tokens, or tokens created before you confirm, stops working immediately. This can’t be undone.",
	"revoke.tokens.item":                "{name} ({hint})",
	"revoke.tokens.button":              "Revoke all tokens",
	"revoke.secret.heading":             "Revoke the client secret?",
	"revoke.secret.text":                "Servers using this secret stop working immediately. This can’t be undone, but you can create a new secret.",
	"revoke.secret.button":              "Revoke secret",
	"revoke.previous.heading":           "Revoke the previous secret now?",
	"revoke.previous.text":              "Servers still using it stop working immediately. The current secret keeps working.",
	"revoke.previous.button":            "Revoke now",

	"secret.heading":       "Client secret",
	"secret.text":          "Your servers use the client secret to call the endpoints that require it. It has full access to your account. Never put it in a browser, an app or a repository.",
	"secret.current":       "Current secret",
	"secret.reveal":        "Reveal",
	"secret.rotate":        "Rotate",
	"secret.revoke":        "Revoke",
	"secret.previous":      "Previous secret",
	"secret.previous.text": "Works until the grace period ends. If nothing uses it anymore, revoke it now.",
	"secret.previous.end":  "Revoke now",
	"secret.empty.heading": "You have no client secret",
	"secret.empty.text":    "Create one if your servers call an endpoint that requires it.",
	"secret.create":        "Create client secret",
	"secret.twice":         "You have a client secret already, or had one that this form created. No changes were made.",
	"secret.old":           "This page was open for too long. Nothing was created. Go back and try again.",

	"sessions.heading":    "Sessions",
	"sessions.text":       "You are signed in on these devices. End any session you don’t recognize, and change your password.",
	"sessions.this":       "This device",
	"sessions.actor":      "Signed in for you by support",
	"sessions.bound":      "Bound to its device",
	"sessions.bound_this": "Bound to this device",
	"sessions.end":        "End session",
	"sessions.end_name":   "End session: {device}, signed in {time}",
	"sessions.sign_out":   "Sign out",
	"sessions.apart":      "Other sessions",
	"sessions.apart.text": "End all sessions except this one, for example after you lost a device.",
	"sessions.end_all":    "End all other sessions",
	"session.device":      "{browser} on {system}",
	"session.unknown":     "Unknown device",

	"end.session.heading":  "End this session?",
	"end.session.text":     "The device has to sign in again.",
	"end.session.actor":    "Support, for you",
	"end.session.button":   "End session",
	"end.this.heading":     "Sign out?",
	"end.this.text":        "This is the session that you are using. You will be signed out.",
	"end.this.button":      "Sign out",
	"end.sessions.heading": "End all other sessions?",
	"end.sessions.text":    "You stay signed in on this device. All others have to sign in again.",
	"end.sessions.item":    "{device}, last seen {time}",
	"end.sessions.button":  "End all other sessions",

	"signed_out.heading": "Signed out",
	"signed_out.text":    "You are signed out on this device.",
	"signed_out.sign_in": "Sign in",
	"signed_out.ended":   "You’re no longer signed in. Sign in to see the result.",

	"done.token_updated":    "Your changes were saved.",
	"done.token_revoked":    "The token was revoked.",
	"done.token_removed":    "The token was removed.",
	"done.tokens_revoked":   "All tokens were revoked.",
	"done.secret_revoked":   "The client secret was revoked.",
	"done.previous_revoked": "The previous secret was revoked.",
	"done.session_ended":    "The session was ended.",
	"done.sessions_ended":   "All other sessions were ended.",

	"account.changed": "You’ve signed in with another account since this page was opened. Nothing was changed.",

	"unknown.change":     "We can’t tell whether this was saved. Check the list before trying again.",
	"unknown.internal":   "Something went wrong on our side, and we can’t tell whether this was saved. Check the list before trying again.",
	"unknown.signed_out": "You were signed out in the meantime. Sign in again and check the list.",

	"refused":         "The service does not allow this.",
	"problem.heading": "There’s a problem",
	"problem.missing": "Not found",
	"problem.again":   "Please sign in again",
	"problem.sign_in": "Sign in",
	"problem.back":    "Back to settings",
	"problem.retry":   "Go back and try again",

	"problem.missing_credential":               "You’re not signed in. Nothing was changed.",
	"problem.invalid_credential":               "You’re no longer signed in. Nothing was changed.",
	"problem.insufficient_user_authentication": "This requires a recent sign-in. You will return here afterwards.",
	"problem.session_required":                 "Only signed-in users can manage credentials here, not tokens or client secrets.",
	"problem.actor_not_allowed":                "You act as another user in this session. Only that user can do this.",
	"problem.forbidden":                        "Your account can’t use these settings.",
	"problem.insufficient_scope":               "This session does not have the access you are trying to grant.",
	"problem.cross_origin":                     "Another site sent this request, so we rejected it.",
	"problem.developer_required":               "Client secrets are for developer accounts.",
	"problem.invalid_argument":                 "Some fields are invalid.",
	"problem.malformed_request":                "The request couldn’t be read. Try again.",
	"problem.not_found":                        "It may have been revoked or removed already.",
	"problem.method_not_allowed":               "This page does not support that action.",
	"problem.conflict":                         "It was changed in the meantime, possibly in another window. Nothing was changed here.",
	"problem.precondition_failed":              "It was changed in the meantime. Nothing was changed here.",
	"problem.limit_reached":                    "Limit reached ({n}). Revoke a token you don’t need.",
	"problem.too_large":                        "That is too long.",
	"problem.unsupported_media_type":           "The request was not sent as a form.",
	"problem.not_revealable":                   "This secret was shown once and can’t be shown again. Rotate it to get a new one.",
	"problem.unsupported":                      "This service does not support that.",
	"problem.unavailable":                      "The service is temporarily unavailable. Try again in a moment.",
	"problem.internal":                         "Something went wrong on our side.",
}
