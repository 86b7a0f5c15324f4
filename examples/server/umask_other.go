//go:build !unix

package main

// keepPrivate does nothing where a folder's permissions decide, and files have
// none of their own to choose.
func keepPrivate() {}
