package main

import (
	"fmt"
	"io"
	"slices"

	"golang.org/x/exp/apidiff"
	"golang.org/x/mod/semver"
)

// checkChanges prints how the exported API of a module changed since a version. As of v1, Semantic
// Versioning forbids incompatible changes. Before, they require a new minor version.
func checkChanges(out io.Writer, version, oldDir, newDir string) error {
	var sides [2]*apidiff.Module
	for i, dir := range []string{oldDir, newDir} {
		path, pkgs, err := load(dir)
		if err != nil {
			return err
		}
		sides[i] = &apidiff.Module{Path: path, Packages: pkgs}
	}
	report := apidiff.ModuleChanges(sides[0], sides[1])
	if err := report.Text(out); err != nil {
		return err
	}
	incompatible := func(c apidiff.Change) bool { return !c.Compatible }
	if !slices.ContainsFunc(report.Changes, incompatible) {
		return nil
	}
	if semver.Major(version) != "v0" {
		return fmt.Errorf("the API is not compatible with %s", version)
	}
	_, err := fmt.Fprintf(out, "The next version after %s must be a new minor version.\n", version)
	return err
}
