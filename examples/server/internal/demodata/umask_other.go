//go:build !unix

package demodata

// KeepPrivate has no effect here: the permissions of the folder apply to its files.
func KeepPrivate() {}
