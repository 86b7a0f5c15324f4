//go:build !race

package cachestore_test

const guesses = 200_000
