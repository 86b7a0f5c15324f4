//go:build unix

package demodata

import "syscall"

// KeepPrivate makes all files that this process creates accessible to its user only.
// The SQLite driver creates one, FILE-shm, for which only the umask sets the mode.
func KeepPrivate() { syscall.Umask(0o077) }
