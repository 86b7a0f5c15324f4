package settings

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// texts are what the page says, by key.
type texts map[string]string

// DefaultTexts returns what the page says unless Config.Texts replaces it, by key.
// What stands in braces is filled in: {time}, {name}. Keys that end in .one and
// .other are for one of something and any other number. The map is the caller's.
func DefaultTexts() map[string]string { return maps.Clone(defaultTexts) }

// texts are the default ones with those of the configuration in their places.
func (cfg *Config) texts() texts {
	ts := texts(DefaultTexts())
	maps.Copy(ts, cfg.Texts)
	return ts
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// checkTexts finds texts that nothing would show, and braces that nothing fills in.
func checkTexts(replaced map[string]string) []error {
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(replaced)) {
		original, known := defaultTexts[key]
		if !known {
			faults = append(faults, fmt.Errorf("%q is not the key of a text: see DefaultTexts", key))
			continue
		}
		if strings.TrimSpace(replaced[key]) == "" {
			faults = append(faults, fmt.Errorf("%q is blank", key))
		}
		for _, p := range placeholder.FindAllString(replaced[key], -1) {
			if !strings.Contains(original, p) {
				faults = append(faults, fmt.Errorf("%q has %s, which its default does not have", key, p))
			}
		}
	}
	return faults
}

// get returns a text with its braces filled in: args are names and values by turns.
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
	"skip":         "Skip to the content",
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
	"field.ends":     "Ends",
	"field.device":   "Device",
	"field.started":  "Started",
	"field.seen":     "Last seen",
	"field.replaced": "Ends with it",
	"field.actions":  "Actions",
	"scopes.full":    "Full access",

	"state.active":     "Active",
	"state.expiring":   "Expires soon",
	"state.superseded": "Replaced: works until it expires",
	"state.expired":    "Expired",

	"tokens.heading":       "Access tokens",
	"tokens.text":          "A token lets a script or an integration use your account, without your password. Each can do what you allow it, until it expires or you revoke it.",
	"tokens.new":           "Create a token",
	"tokens.rotate":        "Rotate",
	"tokens.rotate_name":   "Rotate {name}",
	"tokens.revoke":        "Revoke",
	"tokens.revoke_name":   "Revoke {name}",
	"tokens.revoke_all":    "Revoke all",
	"tokens.empty.heading": "You have no tokens yet",
	"tokens.empty.text":    "Create one when a script, a build or another service is to work with your account. It can be limited to what that needs, and be ended at any time without changing your password.",

	"new.heading":          "Create a token",
	"new.wrong":            "Please put this right:",
	"new.twice":            "You have made a token since you opened this form, perhaps from it. If you do not have that one any more, revoke it. To make another one, send the form again.",
	"new.name":             "Name",
	"new.name.hint":        "What it is for, so that you know it again: “Nightly backup”.",
	"new.expires":          "Expires",
	"new.expires.hint":     "The shorter, the less can be done with a token that gets lost.",
	"new.until":            "on {date}",
	"new.custom":           "Another number of days",
	"new.never":            "Never",
	"new.never.hint":       "works until you revoke it",
	"new.access":           "Access",
	"new.access.hint":      "What the token may do in your name.",
	"new.access.scopes":    "Only what is chosen here",
	"new.access.full":      "Full access",
	"new.access.full.hint": "all that your account can do",
	"new.group":            "Scopes",
	"new.button":           "Create token",

	"error.name":       "Give it a name: one line of up to 255 bytes, with something to see in it.",
	"error.expires_in": "Choose when it expires, within what is allowed.",
	"error.scopes":     "Choose either full access, or one scope or more.",
	"error.overlap":    "Choose how long the old one goes on working.",

	"plaintext.token.heading":    "Token “{name}” created",
	"plaintext.rotated.heading":  "Token “{name}” rotated",
	"plaintext.token.text":       "Copy the token now. It is not shown again.",
	"plaintext.token.label":      "New token",
	"plaintext.secret.heading":   "Client secret created",
	"plaintext.rotated.secret":   "Client secret rotated",
	"plaintext.revealed.heading": "Your client secret",
	"plaintext.secret.once":      "Copy the secret now. It is not shown again.",
	"plaintext.secret.again":     "Keep the secret on your servers alone. Whoever has it has your account’s full access.",
	"plaintext.secret.label":     "Client secret",
	"plaintext.curl":             "Try it on a command line",
	"plaintext.button":           "Done",
	"copy":                       "Copy",
	"copy.curl":                  "Copy command",
	"copy.done":                  "Copied",
	"copy.failed":                "Could not copy. Select the text and copy it yourself.",

	"rotate.token.heading":   "Rotate “{name}”",
	"rotate.token.text":      "You get a new token with the same name, access and lifetime. The old one can go on for a while, so that you can put the new one in its place.",
	"rotate.secret.heading":  "Rotate the client secret",
	"rotate.secret.text":     "You get a new secret. The old one can go on for a while, so that you can put the new one in its place.",
	"rotate.secret.previous": "You get a new secret. The current one can go on for a while; the one before it, which still works, ends now.",
	"rotate.overlap":         "The old one works",
	"rotate.overlap.hint":    "If it may have got into other hands, end it now.",
	"overlap.none":           "No longer: it ends now",
	"rotate.until":           "until {time}",
	"rotate.button":          "Rotate",

	"revoke.token.heading":    "Revoke “{name}”?",
	"revoke.token.text":       "What uses this token is refused from then on. That cannot be undone.",
	"revoke.token.button":     "Revoke token",
	"revoke.tokens.heading":   "Revoke all tokens?",
	"revoke.tokens.text":      "What uses one of these tokens is refused from then on. That cannot be undone.",
	"revoke.tokens.button":    "Revoke all tokens",
	"revoke.secret.heading":   "Revoke the client secret?",
	"revoke.secret.text":      "Servers that use it are refused from then on. That cannot be undone. You can create another one.",
	"revoke.secret.button":    "Revoke secret",
	"revoke.previous.heading": "End the previous secret now?",
	"revoke.previous.text":    "Servers that still use it are refused from then on. The current one goes on.",
	"revoke.previous.button":  "End it now",

	"secret.heading":       "Client secret",
	"secret.text":          "The secret by which your own servers call the few endpoints that ask for it. It has your account’s full access: never put it into a browser, an app or a repository.",
	"secret.current":       "Current secret",
	"secret.reveal":        "Reveal",
	"secret.rotate":        "Rotate",
	"secret.revoke":        "Revoke",
	"secret.previous":      "Previous secret",
	"secret.previous.text": "It works until the rotation’s overlap ends. When it is not used any more, you can end it now.",
	"secret.previous.end":  "End it now",
	"secret.empty.heading": "You have no client secret",
	"secret.empty.text":    "Create one when a server of yours is to call an endpoint that asks for it.",
	"secret.assign":        "Create the secret",

	"sessions.heading":  "Sessions",
	"sessions.text":     "Where you are signed in. End what you do not know, and then change your password.",
	"sessions.this":     "This session",
	"sessions.end":      "End",
	"sessions.end_name": "End {device}, started {time}",
	"sessions.sign_out": "Sign out",
	"sessions.end_all":  "End all others",
	"session.device":    "{browser} on {system}",
	"session.unknown":   "Unknown device",

	"end.session.heading":  "End {device}?",
	"end.session.text":     "Whoever uses this session has to sign in again.",
	"end.session.button":   "End session",
	"end.this.text":        "This is the session that you use now: you will be signed out.",
	"end.this.button":      "Sign out",
	"end.sessions.heading": "End all other sessions?",
	"end.sessions.text":    "Everywhere else you will have to sign in again. This session goes on.",
	"end.sessions.item":    "{device}, last seen {time}",
	"end.sessions.button":  "End all others",

	"done.token_revoked":    "The token was revoked.",
	"done.tokens_revoked":   "All tokens were revoked.",
	"done.secret_revoked":   "The client secret was revoked.",
	"done.previous_revoked": "The previous secret was ended.",
	"done.session_ended":    "The session was ended.",
	"done.sessions_ended":   "All other sessions were ended.",

	"problem.title":   "Error:",
	"problem.heading": "That did not work",
	"problem.again":   "Please sign in again",
	"problem.sign_in": "Sign in",
	"problem.back":    "Back to the settings",

	"problem.unauthenticated":                  "You are not signed in any more. Nothing was changed.",
	"problem.insufficient_user_authentication": "To see a new token or a secret, you must have signed in within the last {time}. You come back here afterwards.",
	"problem.session_required":                 "Only people who are signed in manage credentials here, and no token or secret.",
	"problem.insufficient_scope":               "This session has not the access that it would give out.",
	"problem.cross_origin":                     "Another site tried to do this in your name, and was refused.",
	"problem.developer_required":               "Client secrets are for developer accounts.",
	"problem.invalid":                          "Something in the form is not what it should be.",
	"problem.malformed":                        "That could not be read. Please try again.",
	"problem.not_found":                        "There is no such thing here. It may have been revoked already.",
	"problem.method_not_allowed":               "That cannot be done here.",
	"problem.conflict":                         "It has changed since you looked at it, perhaps from another window. Nothing was changed now.",
	"problem.limit_reached":                    "You have as many tokens as an account may. Revoke one that you do not need.",
	"problem.too_large":                        "That is more than fits.",
	"problem.unsupported_media_type":           "That was not sent as a form.",
	"problem.not_revealable":                   "The secret was shown once and is kept nowhere. Rotate it to get a new one.",
	"problem.unavailable":                      "This is out of service for the moment. Nothing was changed that you have not been told of. Please try again.",
	"problem.internal":                         "Something went wrong on our side.",
}
