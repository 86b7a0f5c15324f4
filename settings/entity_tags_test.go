package settings_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestAPI_entityTags(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testEntityTags)
}

func testEntityTags(t *testing.T) {
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
	time.Sleep(time.Second) // so that their policies differ
	eve := newPopulatedUser(t, s, "eve")
	h.get("/api/policy").status(http.StatusOK)
	synctest.Wait() // until this use of the session is recorded, which is in its list
	for _, e := range h.api {
		if e.method != "GET" {
			continue
		}
		got := h.get(e.path).status(http.StatusOK)
		tag := got.Header().Get("ETag")
		require.Equal(t, "private, no-cache", got.Header().Get("Cache-Control"), e)
		require.Contains(t, strings.Join(got.Header()["Vary"], ", "), "Cookie", e)
		require.Equal(t, fmt.Sprint(got.Body.Len()), got.Header().Get("Content-Length"), e)
		for _, held := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			same := h.get(e.path, field("If-None-Match", held)).status(http.StatusNotModified)
			require.Empty(t, same.Body.String(), e)
			require.Equal(t, tag, same.Header().Get("ETag"), e)
			require.Equal(t, "private, no-cache", same.Header().Get("Cache-Control"), e)
			require.Contains(t, strings.Join(same.Header()["Vary"], ", "), "Cookie", e)
		}
		h.do("HEAD", e.path, "", field("If-None-Match", tag)).status(http.StatusNotModified)
		require.Equal(t, tag, h.do("HEAD", e.path, "").status(http.StatusOK).Header().Get("ETag"), e)
		h.get(e.path, field("If-None-Match", `"other"`)).status(http.StatusOK)
		h.get(e.path, field("If-None-Match", strings.Trim(tag, `"`))).status(http.StatusOK)
		// Without the session, a tag gets nothing.
		s.do("GET", e.path, "", field("If-None-Match", tag)).problem(http.StatusUnauthorized, "missing_credential")
		require.NotEqual(t, http.StatusNotModified, eve.get(e.path, field("If-None-Match", tag)).Code, e)
	}
	tag := h.get("/api/tokens").Header().Get("ETag")
	h.patch(h.tokenID, `{"name": "renamed"}`).status(http.StatusOK)
	require.NotEqual(t, tag, h.get("/api/tokens", field("If-None-Match", tag)).status(http.StatusOK).Header().Get("ETag"))
	require.NoError(t, s.cookie.Close(t.Context()))
}

// ifMatch sends the values as a header each.
func ifMatch(values ...string) edit {
	return func(r *http.Request) { r.Header["If-Match"] = values }
}

// tag returns the ETag of a token.
func (u *user) tag(id string) string {
	u.t.Helper()
	return u.get("/api/tokens/" + id).status(http.StatusOK).Header().Get("ETag")
}

func TestAPI_ifMatch(t *testing.T) {
	t.Parallel()
	ada := newService(t, withTeams).signIn("ada")
	c := ada.restrictedToken("deploy")
	first := ada.tag(c.ID)
	require.Regexp(t, `^"[\w-]+\.[\w-]+"$`, first)
	second := ada.patch(c.ID, `{"name": "again"}`, ifMatch(first)).status(http.StatusOK).Header().Get("ETag")
	require.Equal(t, second, ada.tag(c.ID), "the answer has the tag for the next change")
	list := ada.get("/api/tokens").Header().Get("ETag")
	for i, test := range []struct {
		sent   func(tag string) []string
		status int
	}{
		{func(tag string) []string { return []string{tag} }, 200},
		{func(tag string) []string { return []string{"*"} }, 200},
		{func(tag string) []string { return []string{" " + tag + " "} }, 200},
		{func(tag string) []string { return []string{first + ", " + tag} }, 200},
		{func(tag string) []string { return []string{tag + "," + first} }, 200},
		{func(tag string) []string { return []string{first, `W/"x"`, "", tag} }, 200},
		{func(tag string) []string { return []string{first} }, 412},
		{func(tag string) []string { return []string{second} }, 412},
		{func(tag string) []string { return []string{first, second} }, 412},
		{func(tag string) []string { return []string{list} }, 412},
		{func(tag string) []string { return []string{"W/" + tag} }, 412},
		{func(tag string) []string { return []string{`"x", W/` + tag} }, 412},
		{func(tag string) []string { return []string{`"*"`} }, 412},
		{func(tag string) []string { return []string{`"a,*,b"`} }, 412},
		{func(tag string) []string { return []string{`"a, ` + strings.Trim(tag, `"`) + `"`} }, 412},
		{func(tag string) []string { return []string{`"` + strings.Split(tag, ".")[1]} }, 412}, // the other half
		{func(tag string) []string { return []string{strings.Split(tag, ".")[0] + `"`} }, 412},
		{func(tag string) []string { return []string{`""`} }, 412},
		{func(tag string) []string { return []string{`"."`} }, 412},
		{func(tag string) []string { return []string{strings.Trim(tag, `"`)} }, 400},
		{func(tag string) []string { return []string{tag + tag} }, 400},
		{func(tag string) []string { return []string{tag, "x"} }, 400},
		{func(tag string) []string { return []string{"*", tag} }, 400},
		{func(tag string) []string { return []string{"w/" + tag} }, 400},
		{func(tag string) []string { return []string{`"` + strings.Trim(tag, `"`)} }, 400},
		{func(tag string) []string { return []string{""} }, 400},
		{func(tag string) []string { return []string{","} }, 400},
		{func(tag string) []string { return []string{"*, *"} }, 400},
	} {
		before := ada.tokens()
		if sent := test.sent(ada.tag(c.ID)); test.status == 200 {
			ada.patch(c.ID, fmt.Sprintf(`{"name": "change %d"}`, i), ifMatch(sent...)).status(http.StatusOK)
			continue
		} else {
			code := map[int]string{412: "precondition_failed", 400: "malformed_request"}[test.status]
			for _, body := range []string{`{"name": "lost"}`, `{}`} {
				ada.patch(c.ID, body, ifMatch(sent...)).problem(test.status, code)
			}
			ada.json("DELETE", "/api/tokens/"+c.ID, "", ifMatch(sent...)).problem(test.status, code)
		}
		require.Equal(t, before, ada.tokens())
	}
	ada.patch("absent", `{"name": "x"}`, ifMatch("*")).problem(http.StatusNotFound, "not_found")
	ada.json("DELETE", "/api/tokens/absent", "", ifMatch("*")).problem(http.StatusNotFound, "not_found")
	ada.patch(c.ID, `{"nam": "x"}`, ifMatch(first)).problem(http.StatusBadRequest, "invalid_argument")
	ada.json("DELETE", "/api/tokens/"+c.ID, "", ifMatch(ada.tag(c.ID))).status(http.StatusNoContent)
	require.Empty(t, ada.tokens())
}

// Each change that users see has another version. A use of the token, and what only the service
// sees, do not.
func TestAPI_ifMatchVersions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, withTeams)
		ada := s.signIn("ada")
		plaintext, c := ada.token("deploy")
		update := func(u auth.TokenUpdate) {
			_, err := s.bearer.Update(t.Context(), "ada", c.ID, u)
			require.NoError(t, err)
		}
		name, tenant, team := "x", "acme", "web"
		for _, u := range []auth.TokenUpdate{
			{Name: &name}, {Scopes: &[]string{"notes:read"}}, {Networks: &[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			{Metadata: map[string]*string{"team": &team}},
		} {
			tag := ada.tag(c.ID)
			update(u)
			ada.patch(c.ID, `{"name": "lost"}`, ifMatch(tag)).problem(http.StatusPreconditionFailed, "precondition_failed")
		}
		update(auth.TokenUpdate{Networks: new([]netip.Prefix)})
		tag := ada.tag(c.ID)
		update(auth.TokenUpdate{Metadata: map[string]*string{"tenant": &tenant}})
		require.Equal(t, tag, ada.tag(c.ID), "a tag tells nothing of metadata that users do not see")
		time.Sleep(time.Hour)
		require.True(t, s.works(auth.SchemeBearer, plaintext))
		synctest.Wait()
		require.NotEqual(t, tag, s.signIn("ada").tag(c.ID))
		s.signIn("ada").patch(c.ID, `{"name": "won"}`, ifMatch(tag)).status(http.StatusOK)
		require.NoError(t, s.cookie.Close(t.Context()))
		require.NoError(t, s.bearer.Close(t.Context()))
	})
}

// A client relies on If-Match, so it is rejected where it has no effect.
func TestAPI_ifMatchElsewhere(t *testing.T) {
	t.Parallel()
	h := newPopulatedUser(t, newService(t), "ada")
	for _, e := range h.api {
		if e.method == "GET" || e.path == "/api/tokens/"+h.tokenID {
			continue
		}
		body, contentType := filled(e, h.secretID)
		h.do(e.method, e.path, body, field("Content-Type", contentType), ifMatch("*")).problem(http.StatusBadRequest, "malformed_request")
	}
	h.untouched()
}
