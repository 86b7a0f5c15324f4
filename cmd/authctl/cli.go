package main

import (
	"reflect"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// globals are the flags of all commands.
type globals struct {
	Store     string           `env:"AUTHCTL_STORE" placeholder:"URL" help:"Where the credentials are: sqlite:FILE, postgres://…, mysql://…, redis://… or rediss://…. Other users of this machine can see flags, so put a URL with a password into the environment or a file."`
	StoreFile string           `placeholder:"FILE" help:"File that contains the URL of the store. It counts instead of $$AUTHCTL_STORE."`
	JSON      bool             `name:"json" help:"Write JSON: one document, or one line for each item of a list."`
	Yes       bool             `short:"y" help:"Do not ask before changes that cannot be undone."`
	Version   kong.VersionFlag `help:"Show the version."`
}

// cli is the grammar. Each command is in the file of its name, except that show, list and
// revoke of all kinds share credentials.go, and expiring and unused are in find.go.
type cli struct {
	globals

	Leaked   leakedCmd   `cmd:"" help:"Revoke the tokens and secrets whose plaintexts have leaked."`
	Token    tokenCmd    `cmd:"" help:"Issue, list, show and revoke tokens."`
	Secret   secretCmd   `cmd:"" help:"Show and revoke client secrets."`
	Session  sessionCmd  `cmd:"" help:"List and revoke sessions."`
	User     userCmd     `cmd:"" help:"Show and revoke everything that a user has."`
	Expiring expiringCmd `cmd:"" help:"List the tokens and secrets that expire soon."`
	Unused   unusedCmd   `cmd:"" help:"List the tokens and secrets that have not been used for some time."`
	Import   importCmd   `cmd:"" help:"Add the tokens of another system."`
	Export   exportCmd   `cmd:"" help:"Write all credentials, without plaintexts."`
	Migrate  migrateCmd  `cmd:"" help:"Create the tables of the store, or bring them up to date."`
	Purge    purgeCmd    `cmd:"" help:"Delete records that expired or were revoked before a time."`
	Keygen   keygenCmd   `cmd:"" help:"Make a key for session cookies and client secrets."`
	Rules    rulesCmd    `cmd:"" help:"Write a rule by which a secret scanner finds tokens."`
}

const description = `Manage the credentials of a service: tokens, client secrets and sessions.

Exit codes:

    0    done
    1    failure
    2    the command line or the input is wrong
    3    not found, or nothing matched
    4    the store is unavailable
    5    done in part: see the messages
    6    not confirmed
    130  interrupted
    141  the output has no reader anymore

Use "authctl COMMAND --help" for an example of a command.`

func newParser(flags *cli, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(flags, append([]kong.Option{
		kong.Name("authctl"),
		kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100, NoAppDescFormat: true}),
		kong.Vars{"version": version()},
		kong.TypeMapper(reflect.TypeFor[span](), kong.MapperFunc(decodeSpan)),
		kong.TypeMapper(reflect.TypeFor[moment](), kong.MapperFunc(decodeMoment)),
	}, options...)...)
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown version"
	}
	return info.Main.Version
}
