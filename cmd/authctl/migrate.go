package main

import "context"

type migrateCmd struct{}

func (migrateCmd) Help() string {
	return `It needs the right to create tables. If there is nothing to create, it only reads. In SQLite it also creates the file. Redis needs no tables.

Example:

    authctl migrate`
}

func (c *migrateCmd) Run(a *app) error {
	s, err := a.open(true)
	if err != nil {
		return err
	}
	if s.migrate == nil {
		s.migrate = func(context.Context) error { return nil }
	}
	if err := s.migrate(a.ctx); err != nil {
		return err
	}
	if a.out.json {
		return a.out.document(map[string]string{"status": "ready", "store": s.name})
	}
	return a.out.line("ready: %s", s.name)
}
