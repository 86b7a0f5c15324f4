package main

import (
	"time"

	"github.com/seed-31c5bcb2/auth"
)

type expiringCmd struct {
	Within span `required:"" placeholder:"14d" help:"How soon they expire."`
}

func (expiringCmd) Help() string {
	return `Expired ones are left out, and so are those that have been replaced and are in their grace period.

Example:

    authctl expiring --within 14d`
}

func (c *expiringCmd) Run(a *app) error {
	now := time.Now()
	q := auth.ScanQuery{ExpiresFrom: now, ExpiresBefore: now.Add(time.Duration(c.Within))}
	return a.listWhere(q, func(c *auth.Credential) bool { return !c.Superseded })
}

type unusedCmd struct {
	For span `required:"" placeholder:"90d" help:"How long they have not been used, nor created."`
}

func (unusedCmd) Help() string {
	return `Expired ones are left out.

Example:

    authctl unused --for 90d --json | jq -r .user_id`
}

func (c *unusedCmd) Run(a *app) error {
	now := time.Now()
	since := now.Add(-time.Duration(c.For))
	return a.listWhere(auth.ScanQuery{}, func(c *auth.Credential) bool {
		return c.LastUsedAt.Before(since) && c.CreatedAt.Before(since) && !c.Expired(now)
	})
}

// listWhere writes the tokens and secrets of all users that match. In Redis, a scan of one kind
// also reads the others, so there is one scan.
func (a *app) listWhere(q auth.ScanQuery, match func(*auth.Credential) bool) error {
	n := 0
	err := a.scan(q, func(c *auth.Credential) error {
		if c.Kind == auth.KindSession || !match(c) {
			return nil
		}
		n++
		return a.out.credential(c)
	})
	return nothingIf(err, n == 0, "no token or secret matches")
}
