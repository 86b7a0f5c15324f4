package cachestore

import (
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"

	"github.com/seed-31c5bcb2/auth"
)

// versions records when credentials last changed, by a logical clock that each change
// advances. Anything loaded before its slot last changed is not served.
//
// A revocation names a kind and a user, but a lookup knows the user only when it is
// done. Each slot must therefore outlive all lookups that began before it changed. So
// there is a fixed number of slots, shared by users and digests by hash: sharing one
// costs an extra load, and needs neither a growing map nor a lock on each hit.
type versions struct {
	seed    maphash.Seed
	clock   atomic.Uint64
	changed []atomic.Uint64
}

const slotCount = 1 << 14

func newVersions() versions {
	return versions{seed: maphash.MakeSeed(), changed: make([]atomic.Uint64, slotCount)}
}

// now returns the version of a load that begins now.
func (v *versions) now() uint64 { return v.clock.Load() }

// changedSince reports whether a slot has changed since the given version.
func (v *versions) changedSince(slot uint32, version uint64) bool {
	return v.changed[slot].Load() > version
}

func (v *versions) changeUser(kind auth.Kind, userID string) { v.change(v.userSlot(kind, userID)) }
func (v *versions) changeDigest(d auth.Digest)               { v.change(v.digestSlot(d)) }

func (v *versions) changeAll() {
	for slot := range uint32(slotCount) {
		v.change(slot)
	}
}

func (v *versions) userSlot(kind auth.Kind, userID string) uint32 {
	hash := maphash.String(v.seed, userID)
	return uint32(hash>>8^uint64(kind)) % slotCount
}

// A digest is already a hash.
func (v *versions) digestSlot(d auth.Digest) uint32 {
	return binary.LittleEndian.Uint32(d[:]) % slotCount
}

// change never goes back: of two concurrent changes, the later one remains.
func (v *versions) change(slot uint32) {
	version := v.clock.Add(1)
	for {
		last := v.changed[slot].Load()
		if last >= version || v.changed[slot].CompareAndSwap(last, version) {
			return
		}
	}
}
