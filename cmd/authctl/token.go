package main

import (
	"errors"
	"net/netip"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

type tokenCmd struct {
	Issue  tokenIssueCmd  `cmd:"" help:"Issue a token and write its plaintext to standard output."`
	List   tokenListCmd   `cmd:"" help:"List the tokens of a user, or of all."`
	Show   tokenShowCmd   `cmd:"" help:"Show a token."`
	Revoke tokenRevokeCmd `cmd:"" help:"Revoke a token, and the one that it has replaced."`
}

// lifetimeFlags are required, except by import, whose file may have the expiry.
type lifetimeFlags struct {
	Lifetime span `xor:"lifetime" placeholder:"90d" help:"How long a token is valid."`
	NoExpiry bool `xor:"lifetime" help:"Let it be valid forever."`
}

// lifetime returns zero if neither flag is set.
func (f *lifetimeFlags) lifetime() time.Duration {
	if f.NoExpiry {
		return auth.NoExpiry
	}
	return time.Duration(f.Lifetime)
}

type tokenIssueCmd struct {
	User   string   `arg:"" help:"ID of the user."`
	Prefix string   `required:"" placeholder:"acme_pat" help:"Prefix of the service's tokens."`
	Name   string   `required:"" help:"What the user calls the token."`
	Scope  []string `sep:"," xor:"scopes" help:"Scope of the token. Can be repeated. Scopes are not checked against those of the service."`
	Full   bool     `name:"full-access" xor:"scopes" help:"Grant everything that the user may do."`
	lifetimeFlags
	Network  []netip.Prefix    `placeholder:"CIDR" help:"Network from which the token may be used. Can be repeated."`
	Metadata map[string]string `placeholder:"KEY=VALUE" help:"The service's own data about the token."`
}

func (tokenIssueCmd) Help() string {
	return `Only the plaintext goes to standard output, so it can be redirected. If it cannot be written, the token is revoked.

Example:

    authctl token issue alice --prefix acme_pat --name deploy --scope read --lifetime 90d > token`
}

func (c *tokenIssueCmd) Run(a *app) error {
	o := auth.TokenOptions{Name: c.Name, Scopes: c.Scope, Lifetime: c.lifetime(), Networks: c.Network, Metadata: c.Metadata}
	switch {
	case c.Full:
		o.Scopes = []string{auth.FullAccess}
	case len(c.Scope) == 0:
		return usageError(errors.New("missing flags: --scope or --full-access"))
	}
	if o.Lifetime == 0 {
		return usageError(errors.New("missing flags: --lifetime or --no-expiry"))
	}
	s, err := a.open(false)
	if err != nil {
		return err
	}
	bearer, err := newBearer(s, auth.BearerConfig{Prefix: c.Prefix})
	if err != nil {
		return err
	}
	plaintext, issued, err := bearer.Issue(a.uninterrupted(), c.User, o)
	if err != nil {
		return err
	}
	if err := a.writePlaintext(plaintext, &issued); err != nil {
		// The plaintext is lost.
		revoked := bearer.Revoke(a.uninterrupted(), issued.UserID, issued.ID)
		if revoked != nil {
			return fault(exitFailure, "cannot write the plaintext, and token %s could not be revoked: %w", issued.ID, errors.Join(err, revoked))
		}
		return fault(exitFailure, "cannot write the plaintext, so the token is revoked: %w", err)
	}
	if !a.out.json {
		a.note("issued: %s", describe(&issued))
	}
	return nil
}

// An issued token is the only document that has a plaintext.
type issuedToken struct {
	Plaintext string `json:"plaintext"`
	record
}

func (a *app) writePlaintext(plaintext string, c *auth.Credential) error {
	if a.out.json {
		a.out.document(issuedToken{plaintext, newRecord(c)})
	} else {
		a.out.line("%s", plaintext)
	}
	return a.out.flush()
}

type tokenListCmd struct {
	User string `arg:"" optional:"" help:"ID of the user. Without it, the tokens of all users."`
}

func (tokenListCmd) Help() string {
	return `Expired tokens are included until they are purged, and revoked ones are not.

Example:

    authctl token list alice`
}

func (c *tokenListCmd) Run(a *app) error { return a.list(auth.KindToken, c.User) }

// A target names a credential. Logs have its ID, and mostly its user.
type target struct {
	ID   string `arg:"" help:"ID of the credential."`
	User string `placeholder:"ID" help:"ID of the user. Without it, all credentials are searched, which takes longer."`
}

type tokenShowCmd struct{ target }

func (tokenShowCmd) Help() string {
	return `Example:

    authctl token show 01JZ8Q4M7T3B5K9W2XDGH6NRVA --user alice`
}

func (c *tokenShowCmd) Run(a *app) error { return a.show(auth.KindToken, c.ID, c.User) }

type tokenRevokeCmd struct{ target }

func (tokenRevokeCmd) Help() string {
	return `Example:

    authctl token revoke 01JZ8Q4M7T3B5K9W2XDGH6NRVA`
}

func (c *tokenRevokeCmd) Run(a *app) error { return a.revoke(auth.KindToken, c.ID, c.User) }
