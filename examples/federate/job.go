package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-31c5bcb2/auth/federate/client"
)

// job is the program that runs in GitHub Actions. service is the URL of the API.
func job(ctx context.Context, service string, out io.Writer) error {
	tokens, err := client.New(client.Config{
		Endpoint: service + "/oauth/token",
		Rule:     "acme-deploy",
		Audience: audience,
		Sources:  []client.Source{client.GitHubActions()},
	})
	if err != nil {
		return err
	}
	notes := &http.Client{Transport: tokens.Transport(nil)}
	for range 2 { // the second request has the token of the first
		if err := call(ctx, notes, http.MethodPost, service+"/notes", out); err != nil {
			return err
		}
	}
	return call(ctx, notes, http.MethodDelete, service+"/notes", out)
}

func call(ctx context.Context, notes *http.Client, method, url string, out io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader("deployed"))
	if err != nil {
		return err
	}
	resp, err := notes.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	fmt.Fprintf(out, "job:     %s /notes: %s\n", method, resp.Status)
	return nil
}

// replay exchanges a JWT again, as an intruder would.
func replay(ctx context.Context, service, jwt string) error {
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {jwt},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		"rule":               {"acme-deploy"},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, service+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return errors.Join(err, fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(body))))
}
