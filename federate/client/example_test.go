package client_test

import (
	"log"
	"net/http"
	"strings"

	"github.com/seed-31c5bcb2/auth/federate/client"
)

// A program that runs in GitHub Actions, in GitLab CI or in Kubernetes, and stores no secret.
func Example() {
	tokens, err := client.New(client.Config{
		Endpoint: "https://notes.example/federate",
		Rule:     "publish",
		Audience: "https://notes.example",
		Sources: []client.Source{
			client.GitHubActions(),
			client.Variable("NOTES_ID_TOKEN"),
			client.File("/var/run/secrets/notes.example/token"),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	notes := &http.Client{Transport: tokens.Transport(nil)}
	resp, err := notes.Post("https://notes.example/api/notes", "text/plain", strings.NewReader("released"))
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	log.Print(resp.Status)
}
