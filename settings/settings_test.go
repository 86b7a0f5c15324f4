package settings_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// No credential is logged at any level, while every change and outage is.
func TestNew_logsNoCredential(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	observe := auth.LogTo(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	s := newService(t, func(c *configs) {
		c.bearer.Observe, c.cookie.Observe, c.secret.Observe, c.settings.Middleware.Observe = observe, observe, observe, observe
	})
	ada := s.signIn("ada")
	id, token := ada.createToken(`{"name": "x", "scopes": ["*"], "expires_in": 60}`)
	next := ada.json("POST", "/api/tokens/"+id+"/rotate", `{"overlap": 60}`).status(http.StatusOK).object()
	secret := ada.json("POST", "/api/secret", "").status(http.StatusCreated).object()
	ada.json("POST", "/api/secret/reveal", fmt.Sprintf(`{"id": %q}`, secret["id"])).status(http.StatusOK)
	page := plaintext(ada.post("/tokens", newToken(ada.get("/tokens/new").Body.String())).page(http.StatusOK))
	ada.do("DELETE", "/api/tokens", "", field("Authorization", "Bearer "+next["token"].(string))).problem(http.StatusForbidden, "session_required")
	ada.do("DELETE", "/api/tokens", "", field("Authorization", "Bearer "+next["token"].(string)+"x")).problem(http.StatusUnauthorized, "invalid_credential")
	ada.do("DELETE", "/api/tokens/"+next["id"].(string), "").status(http.StatusNoContent)
	s.store.setFailing("List")
	ada.get("/").page(http.StatusServiceUnavailable)
	s.store.setFailing()
	for _, e := range []endpoint{{"DELETE", "/api/tokens"}, {"DELETE", "/api/secret?id=" + secret["id"].(string)}, {"DELETE", "/api/sessions/" + ada.session.ID}} {
		require.Less(t, ada.do(e.method, e.path, "").Code, 300)
	}
	text := log.String()
	require.Contains(t, text, "no space left", "the log has the cause")
	for _, event := range []string{"issued", "rotated", "revealed", "revoked", "revoked_all", "signed_in", "signed_out", "refused", "accepted"} {
		require.Contains(t, text, `"type":"`+event+`"`)
	}
	for _, canary := range []string{token["token"].(string), next["token"].(string), secret["secret"].(string), page, ada.cookie.Value} {
		require.NotEmpty(t, canary)
		require.NotContains(t, text, canary)
	}
}

// Printing or marshaling the handler shows no key or credential.
func TestNew_handlerPrintsNoSecret(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, v := range []any{s.Handler, s.bearer} {
		text := fmt.Sprintf("%v %+v", v, v)
		require.NotContains(t, text, string(testKey(1)))
		_, err := json.Marshal(v)
		require.NoError(t, err)
	}
}

func TestNew_withoutSecret(t *testing.T) {
	t.Parallel()
	s := newService(t, withoutSecrets)
	ada := s.signIn("ada")
	require.NotContains(t, ada.get("/").page(http.StatusOK), "Client secret")
	for _, path := range []string{"/secret", "/secret/rotate"} {
		ada.get(path).page(http.StatusNotFound)
	}
	ada.get("/api/secret").problem(http.StatusNotFound, "not_found")
	ada.json("POST", "/api/secret", "").problem(http.StatusNotFound, "not_found")
	require.Nil(t, ada.get("/api/policy").object()["secret"])
}
