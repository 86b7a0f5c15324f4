package federate

import (
	"net/http"
	"strings"

	"github.com/seed-31c5bcb2/auth/internal/wire"
)

const (
	maxForm     = 32 << 10
	maxRuleName = 100

	grantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantJWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	typeJWT        = "urn:ietf:params:oauth:token-type:jwt"
	typeIDToken    = "urn:ietf:params:oauth:token-type:id_token"
	typeAccess     = "urn:ietf:params:oauth:token-type:access_token"
)

// A request is what the client has sent.
type request struct {
	jwt, rule string
	scope     []string // nil for all
	invalid   string   // the code of an error for a JWT that is invalid
}

// readRequest reads the whole body. Parameters that are there twice are an error (RFC 6749 section 3.2).
func readRequest(w http.ResponseWriter, r *http.Request) (req request, refused *refusal) {
	form, ok := wire.Form(w, r, maxForm)
	if !ok {
		return req, malformed("The body must be a form of at most 32 KiB, with no parameter twice.")
	}
	var token string
	switch form.Get("grant_type") {
	case grantExchange:
		req.invalid, token = codeRequest, "subject_token"
		if t := form.Get("subject_token_type"); t != typeJWT && t != typeIDToken {
			return req, malformed("subject_token_type must name a JWT or an ID token.")
		}
		if form.Has("actor_token") || form.Has("actor_token_type") {
			return req, malformed("actor_token is not supported.")
		}
		if t := form.Get("requested_token_type"); t != "" && t != typeAccess {
			return req, malformed("requested_token_type must name an access token.")
		}
	case grantJWTBearer:
		req.invalid, token = codeGrant, "assertion"
	case "":
		return req, malformed("grant_type is missing.")
	default:
		refused = malformed("grant_type must name a token exchange or a JWT bearer grant.")
		refused.code = "unsupported_grant_type"
		return req, refused
	}
	if req.jwt = form.Get(token); req.jwt == "" {
		return req, malformed(token + " is missing.")
	}
	if req.rule = form.Get("rule"); !isRuleName(req.rule) {
		return req, malformed("rule must be the name of a rule.")
	}
	if form.Get("scope") != "" {
		req.scope = strings.Split(form.Get("scope"), " ")
	}
	return req, nil
}

// isRuleName reports whether the host may be asked for a rule: the name gets into events and into the
// name of the token.
func isRuleName(name string) bool {
	return name != "" && len(name) <= maxRuleName && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' })
}

// writeError sends an error of RFC 6749 section 5.2.
func writeError(w http.ResponseWriter, status int, code, description string) {
	wire.JSON(w, status, "application/json", struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
}
