package cachestore

import (
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"

	"github.com/seed-31c5bcb2/auth"
)

// marks say when something was last revoked or created, in the ticks of a clock
// that only they move. What was loaded before its mark is not served.
//
// A revocation names a kind and a user, and a load knows its user only when it is
// done; so each mark outlives all loads that began before it. They are as many as
// there are, whoever is revoked: accounts share them by hash. To share one costs
// a load more, and needs neither a map that grows nor a lock on each hit.
type marks struct {
	seed  maphash.Seed
	clock atomic.Uint64
	last  []atomic.Uint64
}

const markCount = 1 << 14

func newMarks() marks {
	return marks{seed: maphash.MakeSeed(), last: make([]atomic.Uint64, markCount)}
}

// now is what a load notes when it begins.
func (m *marks) now() uint64 { return m.clock.Load() }

// since reports whether a mark was set after that.
func (m *marks) since(mark uint32, began uint64) bool { return m.last[mark].Load() > began }

func (m *marks) account(kind auth.Kind, userID string) { m.set(m.ofAccount(kind, userID)) }
func (m *marks) digest(d auth.Digest)                  { m.set(m.ofDigest(d)) }

// all is for when nobody knows what was revoked.
func (m *marks) all() {
	for i := range uint32(markCount) {
		m.set(i)
	}
}

func (m *marks) ofAccount(kind auth.Kind, userID string) uint32 {
	hash := maphash.String(m.seed, userID)
	return uint32(hash>>8^uint64(kind)) % markCount
}

// A digest is a hash already.
func (m *marks) ofDigest(d auth.Digest) uint32 { return binary.LittleEndian.Uint32(d[:]) % markCount }

// set never goes back: of two at once the later one stays.
func (m *marks) set(mark uint32) {
	tick := m.clock.Add(1)
	for {
		last := m.last[mark].Load()
		if last >= tick || m.last[mark].CompareAndSwap(last, tick) {
			return
		}
	}
}
