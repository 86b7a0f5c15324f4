//go:build !race

package cachestore_test

const guesses = 1_000_000
