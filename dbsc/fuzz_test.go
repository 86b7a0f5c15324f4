package dbsc

import (
	"strings"
	"testing"
)

// What parseProof accepts has one form: its parts decode to what is verified and nothing else.
func FuzzParseProof(f *testing.F) {
	for _, text := range []string{
		"", "..", "e30.e30.AA", strings.Repeat("A", 5000),
		"eyJ0eXAiOiJkYnNjK2p3dCIsImFsZyI6IkVTMjU2In0.eyJqdGkiOiJ4In0.AAAA",
		"eyJhbGciOiJFUzI1NiIsInR5cCI6ImRic2Mrand0IiwiandrIjp7Imt0eSI6IkVDIiwiY3J2IjoiUC0yNTYiLCJ4IjoiNl9HQjJ2b1EwcXJvTWg2T2xERkNGU19TSnJpUWkxUFR2dkJPaEdaM2JISSIsInkiOiJJZWdPSlVMeUU3U3hIX0NkMUtDRVI3bFdCdkdGSFEtaDB4eWp6VWpFSVdFIn19.eyJqdGkiOiJjdiJ9.AAAA",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseProof(text)
		if err != nil {
			if p != nil && strings.Contains(err.Error(), text) && len(text) > 10 {
				t.Error("the error has the proof")
			}
			return
		}
		if !p.algorithm.known() || p.challenge == "" || len(p.signature) == 0 {
			t.Errorf("accepted %q", text)
		}
		if !strings.HasPrefix(text, p.signed+".") || strings.Count(text, ".") != 2 {
			t.Errorf("signed %q of %q", p.signed, text)
		}
		if p.key != nil {
			b, err := marshalKey(p.key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := unmarshalKey(b); err != nil || len(b) > 1024 {
				t.Errorf("a key of %d bytes: %v", len(b), err)
			}
		}
		p.verify(p.key)
	})
}
