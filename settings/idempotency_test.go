package settings_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

const deployBody = `{"name": "deploy", "scopes": ["notes:read"], "expires_in": 3600}`

func withKey(key string) edit { return field("Idempotency-Key", `"`+key+`"`) }

// A client that has lost the response repeats the request. It gets one token, and its ID.
func TestAPI_idempotencyKey(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.bearer.MaxPerUser = 1 })
	ada, eve := s.signIn("ada"), s.signIn("eve")
	key := auth.NewIdempotency()
	made := ada.json("POST", "/api/tokens", deployBody, withKey(key)).status(http.StatusCreated).object()
	require.NotEmpty(t, made["token"])
	for _, body := range []string{deployBody, strings.Replace(deployBody, "deploy", "other", 1)} {
		again := ada.json("POST", "/api/tokens", body, withKey(key)).problem(http.StatusConflict, "conflict")
		require.Equal(t, made["id"], again.object()["id"], "before the limit, which the first one has reached")
		require.NotContains(t, again.Body.String(), "acme_pat_")
	}
	require.Len(t, ada.tokens(), 1)
	ada.json("POST", "/api/tokens", deployBody, withKey(auth.NewIdempotency())).problem(http.StatusConflict, "limit_reached")
	ada.json("POST", "/api/tokens", deployBody).problem(http.StatusConflict, "limit_reached")

	// The key of another user neither blocks a token nor tells of theirs.
	other := eve.json("POST", "/api/tokens", deployBody, withKey(key)).status(http.StatusCreated).object()
	require.NotEqual(t, made["id"], other["id"])

	require.NoError(t, s.bearer.Revoke(t.Context(), "ada", made["id"].(string)))
	again := ada.json("POST", "/api/tokens", deployBody, withKey(key)).problem(http.StatusConflict, "conflict")
	require.NotContains(t, again.object(), "id")
	require.Empty(t, ada.tokens(), "a revoked token does not come back")
}

// The same key as a UUID and as a ULID is one key.
func TestAPI_idempotencyKeyForms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2022, 2, 22, 19, 30, 0, 0, time.UTC)))
		ada := newService(t).signIn("ada")
		const uuid, ulid = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "01FWHE4YDGFK1SHH6W1G60EECF"
		ada.json("POST", "/api/tokens", deployBody, withKey(uuid)).status(http.StatusCreated)
		for _, same := range []string{uuid, strings.ToUpper(uuid), ulid} {
			ada.json("POST", "/api/tokens", deployBody, withKey(same)).problem(http.StatusConflict, "conflict")
		}
		for _, key := range []string{
			"", uuid, `"` + uuid, uuid + `"`, `""`, `"x"`, `"` + uuid + `", "` + ulid + `"`, `"` + uuid + `"; a=1`, `"` + strings.ToLower(ulid) + `"`,
			`"919108f7-52d1-4320-9bac-f847db4148a8"`, // random, of version 4
		} {
			got := ada.json("POST", "/api/tokens", deployBody, field("Idempotency-Key", key)).problem(http.StatusBadRequest, "malformed_request")
			require.Contains(t, got.Body.String(), "UUID of version 7", key)
		}
		ada.json("POST", "/api/tokens", deployBody, withKey(uuid), func(r *http.Request) { r.Header.Add("Idempotency-Key", `"`+ulid+`"`) }).
			problem(http.StatusBadRequest, "malformed_request")

		ada.json("POST", "/api/tokens", deployBody, withKey("017f2400-0000-7cc3-98c4-dc0c0c07398f")).problem(http.StatusBadRequest, "malformed_request")
		require.Len(t, ada.tokens(), 1)
		time.Sleep(25 * time.Hour) // Purge may have removed what that key has created
		ada = ada.service.signIn("ada")
		got := ada.json("POST", "/api/tokens", deployBody, withKey(uuid)).problem(http.StatusBadRequest, "malformed_request")
		require.Contains(t, got.Body.String(), "more than 24 hours ago")
	})
}

// If the first request was answered with an outage, a repeated one finds out what it did.
func TestAPI_idempotencyKeyAfterOutage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	key := auth.NewIdempotency()
	s.store.setFailing("Create")
	ada.json("POST", "/api/tokens", deployBody, withKey(key)).problem(http.StatusServiceUnavailable, "unavailable")
	s.store.setFailing()
	made := ada.json("POST", "/api/tokens", deployBody, withKey(key)).status(http.StatusCreated).object()
	s.store.setFailing("Get")
	ada.json("POST", "/api/tokens", deployBody, withKey(key)).problem(http.StatusServiceUnavailable, "unavailable")
	s.store.setFailing()
	require.Equal(t, made["id"], ada.json("POST", "/api/tokens", deployBody, withKey(key)).problem(http.StatusConflict, "conflict").object()["id"])
}
