// Release checks what a release of the library's modules gives to its users: the exported API,
// the module archives, and the licenses of the dependencies. The steps api, release and
// licenses of .ci/run call it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"golang.org/x/mod/semver"
)

const usage = `usage:
	release api [-update] FILE MODULE          compares the exported API of the module in a directory with a file
	release changes -version V OLD NEW         compares the exported API of a module in a directory with that of version V
	release pack -version V -to DIR MODULE...  writes module archives for a GOPROXY
	release licenses PATH...                   lists and checks the licenses of the dependencies`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	update := flags.Bool("update", false, "api: write the file")
	version := flags.String("version", "", "changes: version of the old directory; pack: version of the modules")
	to := flags.String("to", "", "pack: directory of the archives")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch name, n := args[0], flags.NArg(); {
	case name == "api" && n == 2:
		return checkAPI(flags.Arg(0), flags.Arg(1), *update)
	case name == "changes" && n == 2 && semver.IsValid(*version):
		return checkChanges(os.Stdout, *version, flags.Arg(0), flags.Arg(1))
	case name == "pack" && n > 0 && semver.IsValid(*version) && *to != "":
		return pack(*to, *version, flags.Args())
	case name == "licenses" && n > 0:
		return checkLicenses(os.Stdout, flags.Args())
	}
	return errors.New(usage)
}
