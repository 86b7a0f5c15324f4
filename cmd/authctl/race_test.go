//go:build race

package main

// The program is built as the tests are.
func init() { buildFlags = append(buildFlags, "-race") }
