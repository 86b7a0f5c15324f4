// Package front has what a process needs besides the service: flags, the address that it
// listens on, a certificate, and an end without aborted requests.
package front

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
)

// help is what -h prints before the flags.
const help = `Usage: server [flags]

A small note service with pages for users, an API for their tokens, and an endpoint
for client secrets. The first start creates two users and prints their credentials
once. Later starts use the same data; -reset removes it and starts again, as soon as
everything else of the start has succeeded. Tables of another version of this program
are used only with -reset, which replaces them.

-store says where the data is kept:

  sqlite:FILE      a file, created if there is none; sqlite: without a file means
                   one in your data directory
  memory:          in memory, until the process ends
  postgres://…     a URL as pgx accepts it, for example
                   postgres://user:password@host:5432/database
  mysql://…        MariaDB or MySQL, for example
                   mysql://user:password@host:3306/database; parameters are those of
                   go-sql-driver/mysql, and socket=PATH for a Unix socket:
                   mysql://user@/database?socket=PATH
  redis://…        or rediss://…, Redis or Valkey: a URL as rueidis accepts it, for
                   example redis://user:password@host:6379/0; the parameter
                   prefix=TEXT sets a prefix for all keys

In the user name and password of a URL, percent-encode all but letters and digits.
The tables are demo_seed, demo_users, demo_notes, auth_migrations, auth_credentials
and auth_user_locks; other tables are never changed. A SQLite file with only others
is refused, and so are tables with these names that another program has made.
Names of Redis keys begin with auth: and demo: after the prefix.

Servers with the same store form one service if they also have the same keys, which
encrypt session cookies and client secrets. Keys come from the environment variable
AUTH_KEYS: at least 32 bytes in base64, as openssl rand -base64 32 prints them, or
several such keys separated by commas, newest first. If it is not set, the first
start creates a key in a file that only you can read: FILE.keys next to a SQLite
file, server.keys in the data directory otherwise. Each start prints where the keys
are, and warns if the store was used with others.

With -tls, the session cookie is Secure and its name begins with __Host-, as in a
real service. The certificate is made for this process, so browsers warn of it; the
printed curl commands accept this one only, by its public key. With -tls-cert and
-tls-key you bring a certificate, and curl must trust its issuer.

On a loopback address, the server responds only to requests for localhost, for that
address, and for the name in -addr. Others may come from a web site whose name
resolves to your machine (DNS rebinding). Behind a reverse proxy, use -proxy
https://NAME: requests for that name are accepted too, pages of that origin may send
forms, the session cookie is Secure if the URL is https, with -tls or without, and
the last entry of X-Forwarded-For is the client, whose attempts to sign in are
limited. Clients must then have no other way to the server.

Flags:
`

// A Config is what the flags say.
type Config struct {
	HostPort, Store   string
	Reset             bool
	Password          string // the name of a user who gets a new password
	TLS               bool
	CertFile, KeyFile string
	Proxy             *url.URL // nil if there is none
	Verbose           bool
	Env               demodata.Environment
}

// Secure reports whether browsers use HTTPS, which a proxy may do with -tls or without.
func (cfg *Config) Secure() bool {
	if cfg.Proxy != nil {
		return cfg.Proxy.Scheme == "https"
	}
	return cfg.TLS
}

func (cfg *Config) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&cfg.HostPort, "addr", "127.0.0.1:8080", "`host:port` to listen on; port 0 picks a free one")
	fs.StringVar(&cfg.Store, "store", "sqlite:", "`where` to keep the data, as described above")
	fs.BoolVar(&cfg.Reset, "reset", false, "remove the data of earlier starts, without asking, and start again")
	fs.StringVar(&cfg.Password, "password", "", "give the user `name` a new password, print it, and end the user's sessions")
	fs.BoolVar(&cfg.TLS, "tls", false, "serve HTTPS, with a certificate that is made for this process")
	fs.StringVar(&cfg.CertFile, "tls-cert", "", "serve HTTPS with the certificate in this PEM `file`")
	fs.StringVar(&cfg.KeyFile, "tls-key", "", "the `file` with the key of -tls-cert")
	fs.Func("proxy", "the `URL` under which a reverse proxy serves this server", cfg.setProxy)
	fs.BoolVar(&cfg.Verbose, "v", false, "log every request")
	return fs
}

// setProxy keeps the origin in the form that browsers use.
func (cfg *Config) setProxy(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("want https://NAME")
	}
	host := hostname(u.Hostname())
	port, errPort := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || host == "" || u.User != nil:
		return errors.New("want https://NAME")
	case strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#"):
		return errors.New("want https://NAME, without a path, a query or a fragment")
	case errPort != nil || port == 0:
		return errors.New("the port must be 1 to 65535")
	case strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }):
		return errors.New("write the name in Punycode (xn--…), as browsers send it")
	case strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._:") != "":
		return errors.New("want https://NAME")
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port() != "" && !(u.Scheme == "https" && port == 443 || u.Scheme == "http" && port == 80) {
		host += ":" + strconv.FormatUint(port, 10)
	}
	cfg.Proxy = &url.URL{Scheme: u.Scheme, Host: host}
	return nil
}

// Parse returns flag.ErrHelp for -h.
func (cfg *Config) Parse(args []string) error {
	fs := cfg.flags()
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%q is not a flag", fs.Arg(0))
	}
	if cfg.Password != "" && !demodata.HasUser(cfg.Password) {
		return fmt.Errorf("-password: no user is named %q", cfg.Password)
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return errors.New("-tls-cert and -tls-key need each other")
	}
	cfg.TLS = cfg.TLS || cfg.CertFile != ""
	return nil
}

// PrintUsage prints what -h prints.
func PrintUsage(w io.Writer) {
	io.WriteString(w, help)
	fs := new(Config).flags()
	fs.SetOutput(w)
	fs.PrintDefaults()
}
