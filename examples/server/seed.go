package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

// A seeded holds what the start prints. Nothing else keeps these plaintexts.
type seeded struct {
	names     []string
	passwords map[string]string
	adaToken  string
	adaSecret string
}

// seed makes the two accounts, each with a client secret, and ada's token.
func (s *server) seed(ctx context.Context) (*seeded, error) {
	made := &seeded{names: []string{"ada", "grace"}, passwords: make(map[string]string)}
	for i, name := range made.names {
		id := fmt.Sprintf("user-%d", i+1) // not the name: people change those
		made.passwords[name] = rand.Text()
		s.accounts.add(id, name, made.passwords[name])
		secret, _, err := s.secret.Assign(ctx, id)
		if err != nil {
			return nil, err
		}
		if name == "ada" {
			made.adaSecret = secret
		}
	}
	var err error
	made.adaToken, _, err = s.bearer.Issue(ctx, s.accounts.byName["ada"].ID, auth.NewToken{
		Name: "Made at start", Scopes: []string{readNotes, writeNotes},
	})
	return made, err
}

// text is what stdout gets: the credentials, and commands to paste.
func (made *seeded) text(url string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listening on %s\n", url)
	for _, name := range made.names {
		fmt.Fprintf(&b, "account %s / %s\n", name, made.passwords[name])
	}
	fmt.Fprintf(&b, "token %s\n", made.adaToken)
	fmt.Fprintf(&b, "secret %s\n", made.adaSecret)
	fmt.Fprintf(&b, "curl -sS -H 'Authorization: Bearer %s' %s/api/v1/me\n", made.adaToken, url)
	fmt.Fprintf(&b, "curl -sS -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{\"text\": \"Buy milk\"}' %s/api/v1/notes\n", made.adaToken, url)
	fmt.Fprintf(&b, "curl -sS -H 'Authorization: Secret %s' %s/api/v1/usage\n", made.adaSecret, url)
	return b.String()
}
