// Package storetest checks that an auth.Store fulfills its contract. Authors of a
// Store run it over the real database or server:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) auth.Store {
//			return mystore.New(emptyDatabase(t))
//		})
//	}
//
//	func TestStore_shared(t *testing.T) {
//		storetest.RunShared(t, func(t *testing.T) (a, b auth.Store) {
//			url := emptyDatabase(t)
//			return mystore.New(connect(t, url)), mystore.New(connect(t, url))
//		})
//	}
//
// [Run] checks one store. [RunShared] checks what holds between two processes that share one
// database or server, which a store with a lock or a cache of its own can get wrong. Run both
// with the race detector, too.
//
// The rules of [auth.Scanner] and [auth.Notifier] are checked if the store implements them,
// and are skipped otherwise. They are also skipped if Scan or Notify returns
// errors.ErrUnsupported.
//
// Each rule is a subtest named after the method that it is about. A failure prints the rule
// and the reason for it. The longest rules make about 3,000 calls, most of them concurrent, and
// most make fewer than 100. So the suite takes about as long as opening the databases does.
package storetest

import (
	"slices"
	"testing"

	"github.com/seed-31c5bcb2/auth"
)

// Run runs one subtest for each rule of the contract. Each subtest calls open for an empty
// store, which open closes with t.Cleanup if necessary. The subtests run in parallel, and some
// call Purge: each store needs a database, a schema or a prefix of its own.
func Run(t *testing.T, open func(t *testing.T) auth.Store) {
	cases := slices.Concat(recordCases, comparisonCases, createCases, lifeCases, updateCases, detailCases, purgeCases,
		scanCases, notifyCases, raceCases, changeRaceCases)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			c.run(&run{T: t, store: s, a: s, b: s, why: c.why})
		})
	}
}

// RunShared runs one subtest for each rule that holds between processes: all races, with
// the calls spread over both stores; what one store sees of the other's changes; and the
// notifications of each about the other's changes. Each subtest calls open for two stores over one
// empty database. They are what two processes have: they share no connection, no lock
// and no cache. A store that has all of its records in the process returns itself twice.
//
// If a store has a method Uncached() auth.Store, the lookups that must see the other store's
// changes immediately ask what it returns. All other methods must see them immediately by
// themselves. After a notification, Lookup of the store itself must see the change.
func RunShared(t *testing.T, open func(t *testing.T) (a, b auth.Store)) {
	for _, c := range slices.Concat(sharedCases, scanCases, notifyCases, raceCases, changeRaceCases) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			c.run(&run{T: t, store: &spread{a: a, b: b}, a: a, b: b, why: c.why})
		})
	}
}

// A testCase is one rule of the contract.
type testCase struct {
	name string
	why  string // the rule, or what goes wrong in a service that relies on it
	run  func(t *run)
}
