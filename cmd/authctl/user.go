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
	return nothingIf(nil, n == 0, "user %s has no credentials", quote(c.User))
}

type userRevokeAllCmd struct {
	User   string `arg:"" help:"ID of the user."`
	Acting bool   `help:"Also revoke the sessions in which the user acts as another, such as support sessions. All sessions are read for that."`
}

func (userRevokeAllCmd) Help() string {
	return `It revokes the tokens, the client secret and the sessions. The user can still sign in again: disable the user first, if that must not be. Use --acting if the user is one of the staff who can act as other users.

Example:

    authctl user revoke-all alice`
}

func (c *userRevokeAllCmd) Run(a *app) error {
	all := revokersOf(kinds...)
	if c.Acting {
		all = append(all, revoker{"acting_sessions", (*app).revokeActing})
	}
	return a.revokeAll(c.User, all...)
}

// A revoker revokes a user's credentials of one sort, and returns their number.
type revoker struct {
	name   string // plural, and the field in JSON
	revoke func(a *app, userID string) (int, error)
}

func revokersOf(kinds ...auth.Kind) (list []revoker) {
	for _, kind := range kinds {
		list = append(list, revoker{kind.String() + "s", func(a *app, userID string) (int, error) {
			m, err := a.manager(kind)
			if err != nil {
				return 0, err
			}
			return m.RevokeAll(a.ctx, userID)
		}})
	}
	return list
}

// revokeActing revokes the sessions of others in which a user acts.
func (a *app) revokeActing(userID string) (n int, err error) {
	var found []auth.Ref
	err = a.scan(auth.ScanQuery{Kind: auth.KindSession}, func(c *auth.Credential) error {
		if userID != "" && c.Actor == userID {
			found = append(found, c.Ref())
		}
		return nil
	})
	m, managerErr := a.manager(auth.KindSession)
	if err = errors.Join(err, managerErr); err != nil {
		return 0, err
	}
	var faults []error
	for _, ref := range found {
		switch err := m.Revoke(a.uninterrupted(), ref.UserID, ref.ID); {
		case err == nil:
			n++
		case !isNotFound(err): // it has ended in the meantime, or was found twice
			faults = append(faults, err)
		}
	}
	return n, errors.Join(faults...)
}

// revokeAll revokes a user's credentials of some sorts. A failure of one does not keep the
// others.
func (a *app) revokeAll(userID string, of ...revoker) error {
	names := make([]string, len(of))
	for i, r := range of {
		names[i] = strings.ReplaceAll(r.name, "_", " ")
	}
	if err := a.confirm(userID, "Revoke all %s of user %s?", strings.Join(names, ", "), quote(userID)); err != nil {
		return err
	}
	if _, err := a.open(false); err != nil {
		return err
	}
	result := map[string]any{"user_id": userID}
	var faults []error
	total := 0
	for i, r := range of {
		n, err := r.revoke(a, userID)
		if errors.Is(err, auth.ErrInvalidArgument) { // it would be the same for all
			return err
		}
		faults = append(faults, err)
		total += n
		result[r.name] = n
		names[i] = fmt.Sprintf("%d %s", n, names[i])
	}
	err := errors.Join(faults...)
	switch {
	case a.out.json:
		err = errors.Join(err, a.out.document(result))
	case total > 0:
		err = errors.Join(err, a.out.line("revoked of user %s: %s", quote(userID), strings.Join(names, ", ")))
	}
	return nothingIf(err, total == 0, "user %s has none of them", quote(userID))
}
