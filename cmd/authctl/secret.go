package main

import (
	"github.com/seed-31c5bcb2/auth"
)

type secretCmd struct {
	Show   secretShowCmd   `cmd:"" help:"Show a user's client secret, and the one that it is replacing."`
	Revoke secretRevokeCmd `cmd:"" help:"Revoke a user's client secret, and the one that it is replacing."`
}

type secretShowCmd struct {
	User string `arg:"" help:"ID of the user."`
}

func (secretShowCmd) Help() string {
	return `The plaintext is not shown.

Example:

    authctl secret show alice`
}

func (c *secretShowCmd) Run(a *app) error { return a.list(auth.KindSecret, c.User) }

type secretRevokeCmd struct {
	User string `arg:"" help:"ID of the user."`
}

func (secretRevokeCmd) Help() string {
	return `Example:

    authctl secret revoke alice`
}

func (c *secretRevokeCmd) Run(a *app) error {
	return a.revokeAll(c.User, revokersOf(auth.KindSecret)...)
}
