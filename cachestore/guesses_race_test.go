//go:build race

package cachestore_test

// The race detector makes each of them fifteen times as slow.
const guesses = 50_000
