package storetest

import (
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// waysToRevoke each create records of a new user and revoke some of them. They return those
// that are left, and those that are revoked.
var waysToRevoke = map[string]func(t *run, kind auth.Kind) (kept, revoked []auth.Credential){
	"Revoke": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		c := t.create(record(kind, user()))
		t.ok(t.store.Revoke(t.Context(), c.Ref()))
		return nil, []auth.Credential{c}
	},
	"Revoke with the previous one": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		old := t.create(record(kind, user()))
		next := t.rotate(old)
		t.ok(t.store.Revoke(t.Context(), next.Ref()))
		return nil, []auth.Credential{old, next}
	},
	"Rotate without a grace period": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		old := t.create(record(kind, user()))
		next := successor(old)
		next.Previous = ""
		t.ok(t.store.Rotate(t.Context(), old, next, time.Time{}))
		return []auth.Credential{next}, []auth.Credential{old}
	},
	"Rotate twice": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		first := t.create(record(kind, user()))
		third := t.rotate(t.rotate(first))
		return []auth.Credential{third}, []auth.Credential{first}
	},
	"RevokeAll": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		old := t.create(record(kind, user()))
		next := t.rotate(old)
		_, err := t.store.RevokeAll(t.Context(), kind, old.UserID)
		t.ok(err)
		return nil, []auth.Credential{old, next}
	},
	"RevokeAll with an exception": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		old := t.create(record(kind, user()))
		next := t.rotate(old)
		_, err := t.store.RevokeAll(t.Context(), kind, old.UserID, next.ID)
		t.ok(err)
		return []auth.Credential{next}, []auth.Credential{old}
	},
	"Create after an expired one": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		expired := t.createExpired(kind, user())
		next := t.create(record(kind, expired.UserID))
		if kind != auth.KindSecret { // only secrets are replaced
			t.ok(t.store.Revoke(t.Context(), expired.Ref()))
		}
		return []auth.Credential{next}, []auth.Credential{expired}
	},
}
