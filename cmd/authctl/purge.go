package main

import (
	"errors"
	"time"
)

type purgeCmd struct {
	Before moment `required:"" placeholder:"30d" help:"Records that expired or were revoked before this time: how long ago, or a date. At least two days ago."`
}

func (purgeCmd) Help() string {
	return `Until a record is purged, its plaintext cannot be imported again, and the value of an Idempotency cannot be used again for two days. So the time must be at least two days ago.

Example:

    authctl purge --before 30d --yes`
}

func (c *purgeCmd) Run(a *app) error {
	before := time.Time(c.Before)
	if time.Since(before) < 2*day {
		return usageError(errors.New("--before must be at least two days ago"))
	}
	s, err := a.open(false)
	if err != nil {
		return err
	}
	stamp := before.UTC().Format(time.RFC3339)
	if err := a.confirm("purge", "Delete all records that expired or were revoked before %s?", stamp); err != nil {
		return err
	}
	p := a.start("deleting records")
	n, err := s.Purge(a.ctx, before)
	p.stop()
	switch {
	case err != nil:
		return unavailable(err)
	case a.out.json:
		return a.out.document(map[string]any{"purged": n, "before": stamp})
	}
	return a.out.line("deleted: %d", n)
}
