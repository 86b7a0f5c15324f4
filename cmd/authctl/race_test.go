//go:build race

package main

// The race detector needs more memory.
func init() { maxRSS *= 20 }
