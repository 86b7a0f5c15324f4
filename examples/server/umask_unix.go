//go:build unix

package main

import "syscall"

// keepPrivate has all files that this process makes open to its user alone. The
// driver of SQLite makes one, FILE-shm, whose mode is the process's choice only.
func keepPrivate() { syscall.Umask(0o077) }
