//go:build race

package cachestore_test

// The race detector makes each guess fifteen times as slow.
const guesses = 50_000
