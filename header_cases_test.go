package auth_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// What the Authorization field may say, by RFC 9110 section 11 and RFC 6750
// sections 2 and 3, on a route that takes all three schemes.
func TestAuthorizationFieldGrammar(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, secret := f.token("ada"), f.issueSecret("grace")
	all := []string{plainBearer, plainSecret}
	bad := []string{badRequest, plainSecret}
	invalid := []string{badToken, plainSecret}
	tests := []struct {
		name   string
		fields []string
		status int
		want   []string // challenges
		calls  int64    // of the store
	}{
		{"the scheme in any case", []string{"bEaReR " + token}, 200, nil, 1},
		{"secret in capitals", []string{"SECRET " + secret}, 200, nil, 1},
		{"two spaces", []string{"Bearer  " + token}, 200, nil, 1},
		{"space around the field, as HTTP/2 leaves it", []string{"\t Bearer " + token + " \t"}, 200, nil, 1},
		{"no field", nil, 401, all, 0},
		{"two fields", []string{"Bearer " + token, "Secret " + secret}, 400, bad, 0},
		{"two fields, the other way round", []string{"Secret " + secret, "Bearer " + token}, 400, bad, 0},
		{"two equal fields", []string{"Bearer " + token, "Bearer " + token}, 400, bad, 0},
		{"two fields, one blank", []string{"", "Bearer " + token}, 400, bad, 0},
		{"two credentials in one field", []string{"Bearer " + token + ", Secret " + secret}, 400, bad, 0},
		{"a comma behind", []string{"Bearer " + token + ","}, 400, bad, 0},
		{"a space within", []string{"Bearer a b"}, 400, bad, 0},
		{"the scheme alone", []string{"Bearer"}, 400, bad, 0},
		{"the scheme and a space", []string{"Bearer "}, 400, bad, 0},
		{"secret alone", []string{"Secret"}, 400, all, 0},
		{"a blank field", []string{""}, 401, all, 0},
		{"a field of spaces", []string{" \t "}, 401, all, 0},
		{"a tab for the space", []string{"Bearer\t" + token}, 400, bad, 0},
		{"a tab behind the space", []string{"Bearer \t" + token}, 400, bad, 0},
		{"a tab within", []string{"Bearer a\tb"}, 400, bad, 0},
		{"a no-break space", []string{"Bearer a\u00a0b"}, 400, bad, 0},
		{"a no-break space for the space", []string{"Bearer\u00a0" + token}, 400, bad, 0},
		{"a next line", []string{"Bearer a\u0085"}, 400, bad, 0},
		{"byte 0xFF", []string{"Bearer a\xff"}, 400, bad, 0},
		{"byte 0x80 first", []string{"Bearer \x80a"}, 400, bad, 0},
		{"a letter outside ASCII", []string{"Bearer é"}, 400, bad, 0},
		{"NUL", []string{"Bearer a\x00b"}, 400, bad, 0},
		{"CR", []string{"Bearer a\rb"}, 400, bad, 0},
		{"LF", []string{"Bearer a\nb"}, 400, bad, 0},
		{"DEL", []string{"Bearer a\x7f"}, 400, bad, 0},
		{"an equals sign within", []string{"Bearer a=b"}, 400, bad, 0},
		{"an equals sign alone", []string{"Bearer =="}, 400, bad, 0},
		{"percent encoding", []string{"Bearer %41"}, 400, bad, 0},
		{"a quoted string", []string{`Bearer "a"`}, 400, bad, 0},
		{"a bar", []string{"Bearer a|b"}, 400, bad, 0},
		{"auth-params", []string{`Bearer realm="x"`}, 400, bad, 0},
		{"equals signs at the end", []string{"Bearer a=="}, 401, invalid, 1},
		{"512 characters", []string{"Bearer " + repeated("a", 512)}, 401, invalid, 1},
		{"513 characters", []string{"Bearer " + repeated("a", 513)}, 400, bad, 0},
		{"513 characters of secret", []string{"Secret " + repeated("a", 513)}, 400, all, 0},
		{"unknown", []string{"Bearer " + repeated("a", 32)}, 401, invalid, 1},
		{"unknown secret", []string{"Secret " + repeated("a", 32)}, 401, all, 1},
		{"Basic", []string{"Basic YTpi"}, 401, all, 0},
		{"Digest", []string{`Digest username="a", realm="b"`}, 401, all, 0},
		{"a scheme that starts like ours", []string{"Bearers " + token}, 401, all, 0},
		{"ours without a space", []string{"Bearer" + token}, 401, all, 0},
		{"a long s", []string{"\u017fecret " + secret}, 401, all, 0},
		{"a Kelvin sign", []string{"Coo\u212aie x"}, 401, all, 0},
		{"Cookie is no header scheme", []string{"Cookie x"}, 401, all, 0},
		{"a colon", []string{"Bearer: " + token}, 400, bad, 0},
		{"64 spaces", []string{"Bearer" + repeated(" ", 64) + token}, 200, nil, 1},
		{"64 spaces around", []string{repeated(" ", 64) + "Bearer " + token + repeated(" ", 64)}, 200, nil, 1},
		{"65 spaces behind", []string{"Bearer " + token + repeated(" ", 65)}, 400, bad, 0},
		{"65 spaces in front", []string{repeated(" ", 65) + "Bearer " + token}, 400, bad, 0},
		{"8 KiB of spaces alone", []string{repeated(" ", 8<<10)}, 400, bad, 0},
		{"65 spaces", []string{"Bearer" + repeated(" ", 65) + token}, 400, bad, 0},
		{"1,000 KiB of dots", []string{"Bearer " + repeated(".", 1000<<10)}, 400, bad, 0},
		{"1,000 KiB of spaces", []string{"Bearer " + repeated(" ", 1000<<10)}, 400, bad, 0},
		{"1,000 KiB of spaces and a token", []string{"Bearer " + repeated(" ", 1000<<10) + token}, 400, bad, 0},
		{"1,000 KiB without a scheme", []string{repeated(".", 1000<<10)}, 400, bad, 0},
		{"64 KiB of another scheme", []string{"Negotiate " + repeated("a", 60<<10)}, 401, all, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := f.all()
			before := f.store.lookups.Load()
			r := request("GET")
			if test.fields != nil {
				r.Header["Authorization"] = test.fields
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, test.calls, f.store.lookups.Load()-before, "calls of the store")
			if test.status == 200 {
				require.Equal(t, 200, w.Code, "body: %s", w.Body)
				require.EqualValues(t, 1, h.served.Load())
				return
			}
			refused(t, w, test.status, test.want...)
			require.Zero(t, h.served.Load())
			require.NotContains(t, w.Body.String(), token)
			require.NotContains(t, w.Body.String(), secret)
		})
	}
}

// The same over the wire, where net/http has a say first.
func TestAuthorizationOverTheWire(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	h := f.all()
	_, exchange := serve(t, h)
	tests := []struct {
		name   string
		raw    string
		status int
	}{
		{"good", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\n\r\n", 200},
		{"the field's name in capitals", "GET / HTTP/1.1\r\nHost: a\r\nAUTHORIZATION: Bearer " + token + "\r\n\r\n", 200},
		{"two fields", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\nauthorization: Bearer x\r\n\r\n", 400},
		{"folded between scheme and token", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\r\n " + token + "\r\n\r\n", 200},
		{"folded inside the token", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token[:9] + "\r\n " + token[9:] + "\r\n\r\n", 400},
		{"NUL", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\x00b\r\n\r\n", 400},
		{"a lone CR", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\rb\r\n\r\n", 400},
		{"DEL", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\x7fb\r\n\r\n", 400},
		{"bytes above ASCII", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xc3\xa9\r\n\r\n", 400},
		{"HTTP/1.0 without a Host", "GET / HTTP/1.0\r\nAuthorization: Bearer " + token + "\r\n\r\n", 200},
		{"a method in lower case", "get / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\n\r\n", 200},
		{"a method in lower case, without", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 401},
		{"1,000 KiB", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + repeated(".", 1000<<10) + "\r\n\r\n", 400},
		{"in a trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n" +
			"1\r\nx\r\n0\r\nAuthorization: Bearer " + token + "\r\n\r\n", 401},
		{"in the query", "GET /?access_token=" + token + " HTTP/1.1\r\nHost: a\r\n\r\n", 401},
		{"in a form", "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 45\r\n\r\n" +
			"access_token=" + token, 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			served := h.served.Load()
			response := exchange(test.raw)
			require.Equal(t, test.status, response.StatusCode)
			require.NotContains(t, body(t, response), token)
			if test.status != 200 {
				require.Equal(t, served, h.served.Load())
			}
		})
	}
}

func TestAuthorizationOverHTTP2(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	server := httptest.NewUnstartedServer(f.all())
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for name, test := range map[string]struct {
		fields []string
		status int
	}{
		"one field":    {[]string{"Bearer " + token}, 200},
		"two fields":   {[]string{"Bearer " + token, "Bearer x"}, 400},
		"in any order": {[]string{"Secret x", "Bearer " + token}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest("GET", server.URL, nil)
			require.NoError(t, err)
			r.Header["Authorization"] = test.fields
			response, err := server.Client().Do(r)
			require.NoError(t, err)
			defer response.Body.Close()
			require.Equal(t, 2, response.ProtoMajor)
			require.Equal(t, test.status, response.StatusCode)
		})
	}
}

func TestHugeHeaderCostsNoMemory(t *testing.T) {
	f := newFixture(t)
	h := f.all()
	for name, value := range map[string]string{
		"dots":      "Bearer " + repeated(".", 1000<<10),
		"spaces":    "Bearer " + repeated(" ", 1000<<10) + "a",
		"no scheme": repeated("a", 1000<<10),
	} {
		t.Run(name, func(t *testing.T) {
			r := request("GET", authorization(value))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			runtime.ReadMemStats(&after)
			require.Equal(t, 400, w.Code)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10))
		})
	}
}

func TestHeaderCredential(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		fields []string
		want   string
		err    error
	}{
		{"none", nil, "", auth.ErrNoCredential},
		{"another scheme", []string{"Basic YTpi"}, "", auth.ErrNoCredential},
		{"ours", []string{"legacy abc"}, "abc", nil},
		{"a JSON Web Token", []string{"Legacy " + repeated("a", 900) + "." + repeated("b", 900) + "._-"}, repeated("a", 900) + "." + repeated("b", 900) + "._-", nil},
		{"two fields", []string{"Legacy a", "Legacy a"}, "", auth.ErrMalformed},
		{"nothing behind it", []string{"Legacy"}, "", auth.ErrMalformed},
		{"not a token68", []string{"Legacy a b"}, "", auth.ErrMalformed},
		{"too long", []string{"Legacy " + repeated("a", 64<<10)}, "", auth.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := auth.HeaderCredential(request("GET", authorization(test.fields...)), "Legacy")
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.want, got)
		})
	}
}

// rawExchange sends bytes as they are and reads one answer.
func rawExchange(t testing.TB, address, raw string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Write([]byte(raw))
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: strings.Fields(raw)[0]})
	require.NoError(t, err)
	return response
}

func TestNoSpaceBeforeTheCredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := "/" + repeated("a", 32)
	_, err := f.bearer.Import(t.Context(), "ada", token, importOptions("x"))
	require.NoError(t, err)
	require.Equal(t, 200, f.all().get(authorization("Bearer "+token)).Code)
	require.Equal(t, 400, f.all().get(authorization("Bearer"+token)).Code)
}
