package federate_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/federate"
)

// requireRejected sends a JWT and checks that it gives nothing and tells nothing: the response is the same
// for all, and the event says why, without the JWT in it.
func (f *fixture) requireRejected(t *testing.T, token string, reason auth.Reason, because string) {
	t.Helper()
	w := f.exchange(token)
	requireError(t, w, 400, "invalid_grant", noMatch)
	events := f.takeEvents()
	require.Len(t, events, 1)
	require.Equal(t, reason, events[0].Reason, events[0].Err)
	require.ErrorContains(t, events[0].Err, because)
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 20 {
			require.NotContains(t, events[0].Err.Error(), part[:20])
		}
	}
	require.Empty(t, f.tokens())
}

// otherSignature returns the second form of an ECDSA signature: (r, n-s).
func otherSignature(t *testing.T, token string) string {
	t.Helper()
	i := strings.LastIndex(token, ".") + 1
	raw, err := base64.RawURLEncoding.DecodeString(token[i:])
	require.NoError(t, err)
	s := new(big.Int).SetBytes(raw[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(raw[32:])
	return token[:i] + base64.RawURLEncoding.EncodeToString(raw)
}

// These JWTs are not signed by the issuer, or ask to be verified in a way that the client controls.
func TestExchange_forgedSignatures(t *testing.T) {
	t.Parallel()
	header := func(changes object) object { return rsaHeader.with(changes) }
	public, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	require.NoError(t, err)
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	asJWK := must((&jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "rsa", Use: "sig"}).MarshalJSON())
	otherJWK := json.RawMessage(must((&jose.JSONWebKey{Key: otherRSAKey().Public(), KeyID: "rsa", Use: "sig"}).MarshalJSON()))
	valid := jwt(nil)
	parts := strings.Split(valid, ".")
	signed := parts[0] + "." + parts[1]
	der := func() []byte {
		digestOf := encode(object{"alg": "ES256", "kid": "ec"}) + "." + encode(claims())
		raw := signature(ecKey(), digestOf)
		return must(asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])}))
	}()
	ec := object{"alg": "ES256", "kid": "ec"}
	for name, test := range map[string]struct {
		token  string
		reason auth.Reason
		why    string
	}{
		"alg none":                        {sign([]byte("x"), header(object{"alg": "none"}), claims()), auth.ReasonForged, `the algorithm "none" is not allowed`},
		"alg None":                        {sign([]byte("x"), header(object{"alg": "nOnE"}), claims()), auth.ReasonForged, "is not allowed"},
		"alg none, no signature":          {encode(header(object{"alg": "none"})) + "." + encode(claims()) + ".", auth.ReasonMalformed, "the signature of the JWT"},
		"no signature":                    {signed + ".", auth.ReasonMalformed, "the signature of the JWT"},
		"no third part":                   {signed, auth.ReasonMalformed, "three parts"},
		"an HMAC with the PEM":            {sign(secret(asPEM), header(object{"alg": "HS256"}), claims()), auth.ReasonForged, "is not allowed"},
		"an HMAC with the DER":            {sign(secret(public), header(object{"alg": "HS256"}), claims()), auth.ReasonForged, "is not allowed"},
		"an HMAC with the JWK":            {sign(secret(asJWK), header(object{"alg": "HS256"}), claims()), auth.ReasonForged, "is not allowed"},
		"an HMAC called RS256":            {sign(secret(asPEM), rsaHeader, claims()), auth.ReasonForged, "the signature is invalid"},
		"a symmetric key of the issuer":   {sign(secret("a symmetric key that an issuer publishes"), object{"alg": "HS256", "kid": "secret"}, claims()), auth.ReasonForged, "is not allowed"},
		"another key":                     {sign(otherRSAKey(), rsaHeader, claims()), auth.ReasonForged, "the signature is invalid"},
		"the signature of another JWT":    {strings.Join(append(strings.Split(jwt(nil), ".")[:2], parts[2]), "."), auth.ReasonForged, "the signature is invalid"},
		"a signature that is cut off":     {valid[:len(valid)-6], auth.ReasonForged, "the signature is invalid"},
		"a private key that is published": {sign(otherRSAKey(), header(object{"kid": "private"}), claims()), auth.ReasonForged, `the issuer has no key "private"`},
		"a key for encryption":            {sign(otherRSAKey(), header(object{"kid": "encryption"}), claims()), auth.ReasonForged, `the issuer has no key "encryption"`},
		"a short RSA key":                 {sign(shortRSAKey(), header(object{"kid": "short"}), claims()), auth.ReasonForged, `the issuer has no key "short"`},
		"a key for another algorithm":     {sign(otherRSAKey(), header(object{"kid": "pss only"}), claims()), auth.ReasonForged, `the issuer has no key "pss only" for RS256`},
		"RS256 called PS256":              {sign(rsaKey(), header(object{"alg": "PS256"}), claims()), auth.ReasonForged, "the signature is invalid"},
		"RS256 called RS512":              {sign(rsaKey(), header(object{"alg": "RS512"}), claims()), auth.ReasonForged, "the signature is invalid"},
		"ES256 with an RSA key":           {sign(ecKey(), object{"alg": "ES256", "kid": "rsa"}, claims()), auth.ReasonForged, `no key "rsa" for ES256`},
		"ES256 with P-384":                {sign(ec384Key(), object{"alg": "ES256", "kid": "ec384"}, claims()), auth.ReasonForged, `no key "ec384" for ES256`},
		"ECDSA, r = s = 0":                {sign(make([]byte, 64), ec, claims()), auth.ReasonForged, "the signature is invalid"},
		"ECDSA, r = s = n":                {sign(append(elliptic.P256().Params().N.Bytes(), elliptic.P256().Params().N.Bytes()...), ec, claims()), auth.ReasonForged, "the signature is invalid"},
		"ECDSA in ASN.1":                  {encode(ec) + "." + encode(claims()) + "." + base64.RawURLEncoding.EncodeToString(der), auth.ReasonForged, "the signature is invalid"},
		"Ed25519 of zeros":                {sign(make([]byte, 64), object{"alg": "EdDSA", "kid": "ed"}, claims()), auth.ReasonForged, "the signature is invalid"},
		"jwk":                             {sign(otherRSAKey(), header(object{"jwk": otherJWK}), claims()), auth.ReasonMalformed, "the JWT has the header jwk"},
		"jku":                             {sign(otherRSAKey(), header(object{"jku": "https://evil.example/keys"}), claims()), auth.ReasonMalformed, "the JWT has the header jku"},
		"x5c":                             {sign(otherRSAKey(), header(object{"x5c": []string{base64.StdEncoding.EncodeToString(public)}}), claims()), auth.ReasonMalformed, "the JWT has the header x5c"},
		"x5u":                             {sign(otherRSAKey(), header(object{"x5u": "https://evil.example/cert"}), claims()), auth.ReasonMalformed, "the JWT has the header x5u"},
		"crit":                            {sign(rsaKey(), header(object{"crit": []string{"exp"}, "exp": 1}), claims()), auth.ReasonMalformed, "the JWT has the header crit"},
		"b64":                             {sign(rsaKey(), header(object{"b64": false}), claims()), auth.ReasonMalformed, "the JWT has the header b64"},
		"zip":                             {sign(rsaKey(), header(object{"zip": "DEF"}), claims()), auth.ReasonMalformed, "the JWT has the header zip"},
		"an access token":                 {sign(rsaKey(), header(object{"typ": "at+jwt"}), claims()), auth.ReasonMalformed, "the JWT is of another type"},
		"a logout token":                  {sign(rsaKey(), header(object{"typ": "logout+jwt"}), claims()), auth.ReasonMalformed, "the JWT is of another type"},
		"a typ that is no text":           {sign(rsaKey(), header(object{"typ": []string{"JWT"}}), claims()), auth.ReasonMalformed, "the JWT is of another type"},
		"no kid":                          {sign(rsaKey(), header(object{"kid": deleted}), claims()), auth.ReasonMalformed, "which algorithm and key"},
		"an empty kid":                    {sign(rsaKey(), header(object{"kid": ""}), claims()), auth.ReasonMalformed, "which algorithm and key"},
		"a kid that is a number":          {sign(rsaKey(), header(object{"kid": 1}), claims()), auth.ReasonMalformed, "which algorithm and key"},
		"a kid that is a list":            {sign(rsaKey(), header(object{"kid": []string{"rsa"}}), claims()), auth.ReasonMalformed, "which algorithm and key"},
		"a kid that is a path":            {sign(secret(""), header(object{"alg": "HS256", "kid": "../../../../dev/null"}), claims()), auth.ReasonForged, "is not allowed"},
		"a kid that is SQL":               {sign(rsaKey(), header(object{"kid": "' UNION SELECT 'x"}), claims()), auth.ReasonForged, "the issuer has no key"},
		"a kid that is long":              {sign(rsaKey(), header(object{"kid": strings.Repeat("k", 300)}), claims()), auth.ReasonMalformed, "which algorithm and key"},
		"a kid in another case":           {sign(rsaKey(), header(object{"kid": "RSA"}), claims()), auth.ReasonForged, `the issuer has no key "RSA"`},
		"no alg":                          {sign(rsaKey(), header(object{"alg": deleted}), claims()), auth.ReasonMalformed, "which algorithm and key"},
		"an alg in another case":          {sign(rsaKey(), header(object{"alg": "rs256"}), claims()), auth.ReasonForged, "is not allowed"},
		"an alg that is a list":           {sign(rsaKey(), header(object{"alg": []string{"RS256"}}), claims()), auth.ReasonMalformed, "which algorithm and key"},
		"two algs":                        {sign(rsaKey(), `{"alg":"none","kid":"rsa","alg":"RS256"}`, claims()), auth.ReasonMalformed, "has a key twice"},
		"two algs, one escaped":           {sign(rsaKey(), `{"alg":"none","kid":"rsa","\u0061lg":"RS256"}`, claims()), auth.ReasonMalformed, "has a key twice"},
		"an Alg that hides alg":           {sign(rsaKey(), `{"alg":"none","kid":"rsa","Alg":"RS256"}`, claims()), auth.ReasonForged, "is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newFixture(t).requireRejected(t, test.token, test.reason, test.why)
		})
	}
}

// These JWTs are validly signed, but another program could read them differently.
func TestExchange_ambiguousForms(t *testing.T) {
	t.Parallel()
	valid := jwt(nil)
	parts := strings.Split(valid, ".")
	text := string(must(json.Marshal(claims())))
	inner := strings.TrimSuffix(text, "}")
	flattened := fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2])
	general := fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, parts[1], parts[0], parts[2])
	raw := func(claims string) string { return sign(rsaKey(), rsaHeader, claims) }
	// The last character of 256 bytes in base64 has four bits that mean nothing.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	sloppy := valid[:len(valid)-1] + string(alphabet[strings.IndexByte(alphabet, valid[len(valid)-1])+1])
	for name, test := range map[string]struct{ token, why string }{
		"flattened JSON":           {flattened, "three parts"},
		"general JSON":             {general, "three parts"},
		"a JWE":                    {valid + ".x.y", "three parts"},
		"a detached payload":       {parts[0] + ".." + parts[2], "the payload of the JWT"},
		"padding":                  {parts[0] + "=." + parts[1] + "." + parts[2], "is not base64url"},
		"standard base64":          {parts[0] + "." + strings.Repeat("+/", 8) + "." + parts[2], "is not base64url"},
		"bits that mean nothing":   {sloppy, "the signature of the JWT"},
		"a space at the end":       {valid + " ", "the signature of the JWT"},
		"a newline in the middle":  {parts[0] + ".\n" + parts[1] + "." + parts[2], "three parts"},
		"a line break at the end":  {valid + "\r", "three parts"},
		"a JWT that is long":       {jwt(object{"x": strings.Repeat("x", 16<<10)}), "three parts of at most 16384 bytes"},
		"iss twice":                {raw(inner + `,"iss":"https://evil.example"}`), "has a key twice"},
		"iss twice, the same":      {raw(inner + `,"iss":"` + issuerURL + `"}`), "has a key twice"},
		"aud twice":                {raw(`{"aud":"https://evil.example",` + text[1:]), "has a key twice"},
		"aud twice, one escaped":   {raw(inner + `,"\u0061ud":"https://evil.example"}`), "has a key twice"},
		"exp twice":                {raw(inner + `,"exp":9999999999}`), "has a key twice"},
		"a nested key twice":       {raw(inner + `,"x":[{"y":{"z":1,"z":2}}]}`), "has a key twice"},
		"a list":                   {raw("[" + text + "]"), "is not one JSON object"},
		"null":                     {raw("null"), "is not one JSON object"},
		"two objects":              {raw(text + text), "is not one JSON object"},
		"text after the object":    {raw(text + "x"), "is not one JSON object"},
		"half an object":           {raw(inner), "is not JSON"},
		"a trailing comma":         {raw(inner + ",}"), "is not JSON"},
		"a list that does not end": {raw(inner + `,"x":[1`), "is not JSON"},
		"a comment":                {raw("/**/" + text), "is not JSON"},
		"a byte order mark":        {raw("\ufeff" + text), "is not JSON"},
		"NaN":                      {raw(inner + `,"x":NaN}`), "is not JSON"},
		"not UTF-8":                {raw(inner + ",\"x\":\"\xff\"}"), "is not UTF-8"},
		"deep nesting":             {raw(inner + `,"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "}"), "is nested too deeply"},
		"deep objects":             {raw(inner + `,"x":` + strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000) + "}"), "is nested too deeply"},
		"empty":                    {"..", "the header of the JWT"},
		"dots":                     {strings.Repeat(".", 10000), "three parts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newFixture(t).requireRejected(t, test.token, auth.ReasonMalformed, test.why)
		})
	}
	requireToken(t, newFixture(t).exchange(raw(" \r\n\t"+text+"\n")))
}

// These JWTs are validly signed by the issuer, for another purpose or another job.
func TestExchange_otherClaims(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		changes object
		claim   string
	}{
		"no iss":                        {object{"iss": deleted}, "iss"},
		"another iss":                   {object{"iss": "https://evil.example"}, "iss"},
		"iss with a slash":              {object{"iss": issuerURL + "/"}, "iss"},
		"iss in capitals":               {object{"iss": strings.ToUpper(issuerURL)}, "iss"},
		"iss in a list":                 {object{"iss": []string{issuerURL}}, "iss"},
		"no aud":                        {object{"aud": deleted}, "aud"},
		"another aud":                   {object{"aud": "https://other.example"}, "aud"},
		"aud with a slash":              {object{"aud": audience + "/"}, "aud"},
		"aud in capitals":               {object{"aud": strings.ToUpper(audience)}, "aud"},
		"an empty list of aud":          {object{"aud": []string{}}, "aud"},
		"ours and another aud":          {object{"aud": []string{audience, "https://other.example"}}, "aud"},
		"another aud and ours":          {object{"aud": []string{"https://other.example", audience}}, "aud"},
		"our aud twice":                 {object{"aud": []string{audience, audience}}, "aud"},
		"our aud, spelled with commas":  {object{"aud": audience + ",https://other.example"}, "aud"},
		"no repository_id":              {object{"repository_id": deleted}, "repository_id"},
		"another repository_id":         {object{"repository_id": "724382"}, "repository_id"},
		"repository_id null":            {object{"repository_id": nil}, "repository_id"},
		"repository_id empty":           {object{"repository_id": ""}, "repository_id"},
		"repository_id in a list":       {object{"repository_id": []string{repositoryID}}, "repository_id"},
		"repository_id with a space":    {object{"repository_id": repositoryID + " "}, "repository_id"},
		"repository_id with a zero":     {object{"repository_id": "0" + repositoryID}, "repository_id"},
		"repository_id as a float":      {object{"repository_id": json.RawMessage(repositoryID + ".0")}, "repository_id"},
		"repository_id in scientific":   {object{"repository_id": json.RawMessage("724381e0")}, "repository_id"},
		"repository_id, rounded":        {object{"repository_id": json.RawMessage("724381.00000000000000001")}, "repository_id"},
		"repository_id in other digits": {object{"repository_id": "７２４３８１"}, "repository_id"},
		"REPOSITORY_ID":                 {object{"repository_id": deleted, "REPOSITORY_ID": repositoryID}, "repository_id"},
		"another branch":                {object{"ref": "refs/heads/evil"}, "ref"},
		"a branch that has ours in it":  {object{"ref": "refs/heads/main/evil"}, "ref"},
		"a tag below":                   {object{"ref": "refs/tags/v1/evil"}, "ref"},
		"the pull request":              {object{"ref": "refs/pull/1/merge"}, "ref"},
		"no ref":                        {object{"ref": deleted}, "ref"},
		"ref in a list":                 {object{"ref": []string{"refs/heads/main"}}, "ref"},
		"ref true":                      {object{"ref": true}, "ref"},
		"ref with a newline":            {object{"ref": "refs/heads/main\n"}, "ref"},
		"ref with a look-alike":         {object{"ref": "refs/heads/mаin"}, "ref"}, // a Cyrillic letter
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newFixture(t).requireRejected(t, jwt(test.changes), auth.ReasonForbidden, `rule "deploy": the claim `+test.claim+" does not match")
		})
	}
	for _, wrong := range []any{nil, 17, []any{[]string{audience}}, []any{audience, nil}, object{audience: audience}} {
		newFixture(t).requireRejected(t, jwt(object{"aud": wrong}), auth.ReasonMalformed, "the claim aud is neither a text nor a list of texts")
	}
	for _, changes := range []object{
		{"aud": []string{audience}}, {"repository_id": 724381}, {"ref": "refs/tags/v1.2"}, {"nbf": deleted}, {"sub": deleted}, {"x": nil},
	} {
		requireToken(t, newFixture(t).exchange(jwt(changes)))
	}
}

// Times are whole seconds. One that is huge must neither overflow nor become a JWT that never expires.
func TestExchange_times(t *testing.T) {
	t.Parallel()
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // in every bubble
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for name, test := range map[string]struct {
		changes object
		reason  auth.Reason
		why     string
	}{
		"no exp":              {object{"exp": deleted}, auth.ReasonMalformed, "no exp or no iat"},
		"no iat":              {object{"iat": deleted}, auth.ReasonMalformed, "no exp or no iat"},
		"exp null":            {object{"exp": nil}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp as a text":       {object{"exp": fmt.Sprint(at(time.Hour))}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp in a list":       {object{"exp": []int64{at(time.Hour)}}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp, a fraction":     {object{"exp": json.RawMessage(fmt.Sprint(at(time.Hour), ".5"))}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp 1e400":           {object{"exp": json.RawMessage("1e400")}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp 1e10":            {object{"exp": json.RawMessage("1e10")}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp 2^63":            {object{"exp": json.RawMessage("9223372036854775808")}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp 2^63-1":          {object{"exp": json.RawMessage("9223372036854775807")}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp in 10000":        {object{"exp": json.RawMessage("253402300800")}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp in digits":       {object{"exp": json.RawMessage(strings.Repeat("9", 5000))}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp -1":              {object{"exp": -1}, auth.ReasonMalformed, "the claim exp is not a time"},
		"exp 0":               {object{"exp": 0}, auth.ReasonMalformed, "the claim exp is not a time"},
		"iat -1":              {object{"iat": -1}, auth.ReasonMalformed, "the claim iat is not a time"},
		"nbf null":            {object{"nbf": nil}, auth.ReasonMalformed, "the claim nbf is not a time"},
		"nbf as a text":       {object{"nbf": "0"}, auth.ReasonMalformed, "the claim nbf is not a time"},
		"exp in milliseconds": {object{"exp": at(10*time.Minute) * 1000}, auth.ReasonMalformed, "the claim exp is not a time"},
		"nbf in the future":   {object{"nbf": at(61 * time.Second)}, auth.ReasonClock, "from the future"},
		"iat in the future":   {object{"iat": at(61 * time.Second)}, auth.ReasonClock, "from the future"},
		"a day and a second":  {object{"exp": at(24*time.Hour + time.Second)}, auth.ReasonForbidden, "valid for more than 24h0m0s"},
		"a year":              {object{"exp": at(365 * 24 * time.Hour)}, auth.ReasonForbidden, "valid for more than 24h0m0s"},
		"in 9999":             {object{"exp": 253402300799}, auth.ReasonForbidden, "valid for more than 24h0m0s"},
		"issued long ago":     {object{"iat": 1}, auth.ReasonForbidden, "valid for more than 24h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newFixture(t).requireRejected(t, jwt(test.changes), test.reason, test.why) })
		})
	}
	for _, changes := range []object{
		{"nbf": at(time.Minute)}, {"iat": at(time.Minute)}, {"exp": at(24 * time.Hour)}, {"exp": at(61 * time.Second)},
		{"iat": at(-23 * time.Hour), "nbf": at(-23 * time.Hour)}, {"iat": at(10 * time.Second), "exp": at(9 * time.Minute)},
	} {
		synctest.Test(t, func(t *testing.T) { requireToken(t, newFixture(t).exchange(jwt(changes))) })
	}
}

// A claim that does not fit into the metadata is an error: cut off, it could be taken for another.
func TestExchange_recordedClaims(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		changes object
		claim   string // empty: it fits
	}{
		"sub, the longest":       {object{"sub": strings.Repeat("s", 256)}, ""},
		"sub, too long":          {object{"sub": strings.Repeat("s", 257)}, "sub"},
		"environment, too long":  {object{"environment": strings.Repeat("ä", 129)}, "environment"},
		"environment, a newline": {object{"environment": "prod\nworkload.sub=admin"}, "environment"},
		"environment, C1":        {object{"environment": "prod\u0085x"}, "environment"},
		"environment, a list":    {object{"environment": []string{"prod"}}, "environment"},
		"environment, an object": {object{"environment": object{"name": "prod"}}, "environment"},
		"environment, a float":   {object{"environment": 1.5}, "environment"},
		"environment, null":      {object{"environment": nil}, ""},
		"environment, empty":     {object{"environment": ""}, ""},
		"not recorded":           {object{"x": strings.Repeat("x", 1000)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.change(func(r *federate.Rule) { r.Record = []string{"environment"} })
			if test.claim != "" {
				f.requireRejected(t, jwt(test.changes), auth.ReasonForbidden, "the claim "+test.claim+" cannot be recorded")
				return
			}
			requireToken(t, f.exchange(jwt(test.changes)))
		})
	}
}

// An event quotes what does not match, but not much of it.
func TestExchange_longMismatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exchange(jwt(object{"ref": "r" + strings.Repeat("ä", 5000) + "\n"}))
	text := f.takeEvents()[0].Err.Error()
	require.Less(t, len(text), 200)
	require.Contains(t, text, `: "rääää`)
	require.NotContains(t, text, "\n")
	require.NotContains(t, text, "\ufffd")
}

// No part of a JWT is in an event, even if another part of it is what is wrong.
func TestExchange_eventsHaveNoJWT(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := jwt(object{"jti": rand.Text()})
	requireToken(t, f.exchange(token))
	f.exchange(token)
	f.exchange(token[:len(token)-4])
	f.exchange(token + ".x")
	for _, e := range f.takeEvents() {
		text := fmt.Sprintf("%+v %v", e, e.LogValue())
		for part := range strings.SplitSeq(token, ".") {
			require.NotContains(t, text, part[:20])
		}
	}
}
