package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

type userCmd struct {
	Show      userShowCmd      `cmd:"" help:"Show all credentials of a user."`
	RevokeAll userRevokeAllCmd `cmd:"" help:"Revoke all credentials of a user."`
}

type userShowCmd struct {
	User string `arg:"" help:"ID of the user."`
}

func (userShowCmd) Help() string {
	return `Example:

    authctl user show alice`
}

func (c *userShowCmd) Run(a *app) error {
	n := 0
	for _, kind := range kinds {
		err := a.each(kind, c.User, func(c *auth.Credential) error {
			n++
			return a.out.credential(c)
		})
		if err != nil {
			return err
		}
	}
	return nothingIf(nil, n == 0, "user %s has no credentials", c.User)
}

type userRevokeAllCmd struct {
	User string `arg:"" help:"ID of the user."`
}

func (userRevokeAllCmd) Help() string {
	return `It revokes the tokens, the client secret and the sessions. The user can still sign in again: disable the user first, if that must not be.

Example:

    authctl user revoke-all alice`
}

func (c *userRevokeAllCmd) Run(a *app) error { return a.revokeAll(c.User, kinds...) }

// revokeAll revokes a user's credentials of some kinds. A failure of one kind does not keep the
// others.
func (a *app) revokeAll(userID string, of ...auth.Kind) error {
	names := make([]string, len(of))
	for i, kind := range of {
		names[i] = kind.String() + "s"
	}
	if err := a.confirm(userID, "Revoke all %s of user %s?", strings.Join(names, ", "), userID); err != nil {
		return err
	}
	result := map[string]any{"user_id": userID}
	var faults []error
	total := 0
	for i, kind := range of {
		m, err := a.manager(kind)
		if err != nil {
			return err
		}
		n, err := m.RevokeAll(a.ctx, userID)
		faults = append(faults, err)
		total += n
		result[names[i]] = n
		names[i] = fmt.Sprintf("%d %s", n, names[i])
	}
	err := errors.Join(faults...)
	switch {
	case a.out.json:
		err = errors.Join(err, a.out.document(result))
	case total > 0:
		err = errors.Join(err, a.out.line("revoked of user %s: %s", userID, strings.Join(names, ", ")))
	}
	return nothingIf(err, total == 0, "user %s has none of them", userID)
}
