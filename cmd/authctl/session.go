package main

import "github.com/seed-31c5bcb2/auth"

type sessionCmd struct {
	List   sessionListCmd   `cmd:"" help:"List the sessions of a user, or of all."`
	Revoke sessionRevokeCmd `cmd:"" help:"Revoke a session, which signs its browser out."`
}

type sessionListCmd struct {
	User string `arg:"" optional:"" help:"ID of the user. Without it, the sessions of all users."`
}

func (sessionListCmd) Help() string {
	return `The name of a session is the user agent of its browser.

Example:

    authctl session list alice`
}

func (c *sessionListCmd) Run(a *app) error { return a.list(auth.KindSession, c.User) }

type sessionRevokeCmd struct{ target }

func (sessionRevokeCmd) Help() string {
	return `Example:

    authctl session revoke 01JZ8Q4M7T3B5K9W2XDGH6NRVA --user alice`
}

func (c *sessionRevokeCmd) Run(a *app) error { return a.revoke(auth.KindSession, c.ID, c.User) }
