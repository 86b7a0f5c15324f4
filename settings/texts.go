package settings

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// texts are the texts of the page, by key.
type texts map[string]string

// DefaultTexts returns the texts of the page, by key, that Config.Texts can replace.
// Placeholders in braces are filled in: {time}, {name}. Keys that end in .one are
// for the number one, and those in .other for any other number. The caller owns the
// map.
func DefaultTexts() map[string]string { return maps.Clone(defaultTexts) }

// texts returns the default texts, with those that the configuration replaces.
func (cfg *Config) texts() texts {
	ts := texts(DefaultTexts())
	maps.Copy(ts, cfg.Texts)
	return ts
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// checkTexts returns an error for each unknown key, blank text and unknown placeholder.
func checkTexts(replaced map[string]string) []error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(replaced)) {
		original, known := defaultTexts[key]
		if !known {
			errs = append(errs, fmt.Errorf("%q is not a key of DefaultTexts", key))
			continue
		}
		if strings.TrimSpace(replaced[key]) == "" {
			errs = append(errs, fmt.Errorf("%q is blank", key))
		}
		for _, p := range placeholder.FindAllString(replaced[key], -1) {
			if !strings.Contains(original, p) {
				errs = append(errs, fmt.Errorf("%q has %s, which its default does not have", key, p))
			}
		}
	}
	return errs
}

// get returns a text with its placeholders filled in. args alternates names and values.
func (ts texts) get(key string, args ...string) string {
	text, known := ts[key]
	if !known {
		panic("settings: no text " + key)
	}
	if len(args) == 0 {
		return text
	}
	pairs := make([]string, len(args))
	for i := 0; i < len(args); i += 2 {
		pairs[i], pairs[i+1] = "{"+args[i]+"}", args[i+1]
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

var defaultTexts = map[string]string{
	"title":        "Developer Settings",
	"skip":         "Skip to content",
	"nav.service":  "Back to the service",
	"nav.sections": "Developer Settings",
	"cancel":       "Cancel",

	"pager.label":    "Pages",
	"pager.previous": "Previous",
	"pager.next":     "Next",
	"pager.number":   "Page {n}",
	"pager.cut":      "Only the newest {n} are shown.",

	"more.one":   "and one more",
	"more.other": "and {n} more",

	"time.now":          "just now",
	"time.soon":         "in less than a minute",
	"time.in":           "in {time}",
	"time.ago":          "{time} ago",
	"time.never":        "Never",
	"time.unused":       "Never",
	"time.minute.one":   "{n} minute",
	"time.minute.other": "{n} minutes",
	"time.hour.one":     "{n} hour",
	"time.hour.other":   "{n} hours",
	"time.day.one":      "{n} day",
	"time.day.other":    "{n} days",
	"time.month.one":    "{n} month",
	"time.month.other":  "{n} months",
	"time.year.one":     "{n} year",
	"time.year.other":   "{n} years",

	"field.name":     "Name",
	"field.token":    "Token",
	"field.secret":   "Secret",
	"field.scopes":   "Access",
	"field.created":  "Created",
	"field.expires":  "Expires",
	"field.used":     "Last used",
	"field.device":   "Device",
	"field.started":  "Signed in",
	"field.seen":     "Last seen",
	"field.replaced": "Also revoked",
	"field.actions":  "Actions",
	"scopes.full":    "Full access",

	"state.active":     "Active",
	"state.expiring":   "Expires soon",
	"state.superseded": "Replaced: works until it expires",
	"state.expired":    "Expired",

	"tokens.heading":       "Access tokens",
	"tokens.text":          "Access tokens let scripts and integrations use your account without your password. Each token has only the access you give it, until it expires or you revoke it.",
	"tokens.new":           "Create a token",
	"tokens.rotate":        "Rotate",
	"tokens.rotate_name":   "Rotate {name}",
	"tokens.revoke":        "Revoke",
	"tokens.revoke_name":   "Revoke {name}",
	"tokens.revoke_all":    "Revoke all",
	"tokens.empty.heading": "You have no tokens yet",
	"tokens.empty.text":    "Create one to let a script, a build or another service use your account. You can limit its access and revoke it at any time, without changing your password.",

	"new.heading":          "Create a token",
	"new.invalid":          "Please fix the following:",
	"new.twice":            "You have created a token since you opened this form, possibly with it. If you no longer have that token, revoke it. To create another one, submit the form again.",
	"new.name":             "Name",
	"new.name.hint":        "A name to recognize the token by, such as “Nightly backup”.",
	"new.expires":          "Expires",
	"new.expires.hint":     "A shorter lifetime limits the damage if the token leaks.",
	"new.until":            "on {date}",
	"new.custom":           "Another number of days",
	"new.never":            "Never",
	"new.never.hint":       "works until you revoke it",
	"new.access":           "Access",
	"new.access.hint":      "Choose what the token can do on your behalf.",
	"new.access.scopes":    "Only selected scopes",
	"new.access.full":      "Full access",
	"new.access.full.hint": "everything your account can do",
	"new.group":            "Scopes",
	"new.button":           "Create token",

	"error.name":       "Enter a name: one line, at most 255 bytes, not blank.",
	"error.expires_in": "Choose when the token expires, within the allowed lifetime.",
	"error.scopes":     "Choose either full access, or at least one scope.",
	"error.overlap":    "Choose how long the old one keeps working.",

	"plaintext.token.heading":    "Token “{name}” created",
	"plaintext.rotated.heading":  "Token “{name}” rotated",
	"plaintext.token.text":       "Copy the token now. It will not be shown again.",
	"plaintext.token.label":      "New token",
	"plaintext.secret.heading":   "Client secret created",
	"plaintext.rotated.secret":   "Client secret rotated",
	"plaintext.revealed.heading": "Your client secret",
	"plaintext.secret.once":      "Copy the secret now. It will not be shown again.",
	"plaintext.secret.again":     "Keep the secret on your servers only. Anyone who has it has full access to your account.",
	"plaintext.secret.label":     "Client secret",
	"plaintext.curl":             "Try it on the command line",
	"plaintext.button":           "Done",
	"copy":                       "Copy",
	"copy.curl":                  "Copy command",
	"copy.done":                  "Copied",
	"copy.failed":                "Could not copy. Select the text and copy it yourself.",

	"rotate.token.heading":   "Rotate “{name}”",
	"rotate.token.text":      "You get a new token with the same name, access and lifetime. The old one can keep working for a while, so that you have time to replace it.",
	"rotate.secret.heading":  "Rotate the client secret",
	"rotate.secret.text":     "You get a new secret. The old one can keep working for a while, so that you have time to replace it.",
	"rotate.secret.previous": "You get a new secret. The current one can keep working for a while. The previous one, which still works, stops working now.",
	"rotate.overlap":         "Grace period",
	"rotate.overlap.hint":    "How long the old one keeps working. If it may have leaked, choose none.",
	"overlap.none":           "None: it stops working now",
	"rotate.until":           "until {time}",
	"rotate.button":          "Rotate",

	"revoke.token.heading":    "Revoke “{name}”?",
	"revoke.token.text":       "Anything using this token will stop working. This cannot be undone.",
	"revoke.token.button":     "Revoke token",
	"revoke.tokens.heading":   "Revoke all tokens?",
	"revoke.tokens.text":      "Anything using one of these tokens will stop working. This cannot be undone.",
	"revoke.tokens.button":    "Revoke all tokens",
	"revoke.secret.heading":   "Revoke the client secret?",
	"revoke.secret.text":      "Servers using this secret will stop working. This cannot be undone, but you can create a new secret.",
	"revoke.secret.button":    "Revoke secret",
	"revoke.previous.heading": "Revoke the previous secret now?",
	"revoke.previous.text":    "Servers still using it will stop working. The current secret keeps working.",
	"revoke.previous.button":  "Revoke now",

	"secret.heading":       "Client secret",
	"secret.text":          "Your servers send the client secret to the few endpoints that require it. It has full access to your account: never put it in a browser, an app or a repository.",
	"secret.current":       "Current secret",
	"secret.reveal":        "Reveal",
	"secret.rotate":        "Rotate",
	"secret.revoke":        "Revoke",
	"secret.previous":      "Previous secret",
	"secret.previous.text": "It works until the grace period of the rotation ends. If it is no longer used, you can revoke it now.",
	"secret.previous.end":  "Revoke now",
	"secret.empty.heading": "You have no client secret",
	"secret.empty.text":    "Create one if your server calls an endpoint that requires it.",
	"secret.create":        "Create client secret",

	"sessions.heading":  "Sessions",
	"sessions.text":     "You are signed in on these devices. If you do not recognize one, change your password first, and then sign it out here.",
	"sessions.this":     "This session",
	"sessions.end":      "Sign out",
	"sessions.end_name": "Sign out {device}, signed in {time}",
	"sessions.sign_out": "Sign out",
	"sessions.end_all":  "Sign out all others",
	"session.device":    "{browser} on {system}",
	"session.unknown":   "Unknown device",

	"end.session.heading":  "Sign out {device}?",
	"end.session.text":     "Anyone using this session will have to sign in again.",
	"end.session.button":   "Sign out",
	"end.this.text":        "This is your current session. You will be signed out.",
	"end.this.button":      "Sign out",
	"end.sessions.heading": "Sign out all other sessions?",
	"end.sessions.text":    "You will have to sign in again everywhere else. This session stays signed in.",
	"end.sessions.item":    "{device}, last seen {time}",
	"end.sessions.button":  "Sign out all others",

	"signed_out.heading": "Signed out",
	"signed_out.text":    "You are signed out on this device.",
	"signed_out.sign_in": "Sign in",
	"signed_out.ended":   "You are no longer signed in. Sign in to see the result.",

	"done.token_revoked":    "The token was revoked.",
	"done.tokens_revoked":   "All tokens were revoked.",
	"done.secret_revoked":   "The client secret was revoked.",
	"done.previous_revoked": "The previous secret was revoked.",
	"done.session_ended":    "The session was signed out.",
	"done.sessions_ended":   "All other sessions were signed out.",

	"problem.title":   "Error:",
	"problem.heading": "That did not work",
	"problem.again":   "Please sign in again",
	"problem.sign_in": "Sign in",
	"problem.back":    "Back to settings",

	"problem.missing_credential":               "You are not signed in. No changes were made.",
	"problem.invalid_credential":               "You are no longer signed in. No changes were made.",
	"problem.insufficient_user_authentication": "Showing a new token or a secret requires a sign-in within the last {time}. You will return here afterwards.",
	"problem.session_required":                 "Only signed-in users can manage credentials here, not tokens or client secrets.",
	"problem.insufficient_scope":               "This session does not have the access you are trying to grant.",
	"problem.cross_origin":                     "Another site sent this request on your behalf, and it was rejected.",
	"problem.developer_required":               "Client secrets are for developer accounts.",
	"problem.invalid_argument":                 "Some fields are invalid.",
	"problem.malformed_request":                "The request could not be read. Please try again.",
	"problem.not_found":                        "Not found. It may have been revoked already.",
	"problem.method_not_allowed":               "This page does not support that action.",
	"problem.conflict":                         "It was changed in the meantime, possibly in another window. This request changed nothing.",
	"problem.limit_reached":                    "You have reached the maximum number of tokens. Revoke one that you do not need.",
	"problem.too_large":                        "That is too long.",
	"problem.unsupported_media_type":           "The request was not sent as a form.",
	"problem.not_revealable":                   "The secret was shown once and cannot be shown again. Rotate it to get a new one.",
	"problem.unavailable":                      "This page is temporarily unavailable. No changes were made other than those already shown. Please try again.",
	"problem.internal":                         "Something went wrong on our side.",
}
