package integration

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// soakBound is how long a credential that one server has revoked may be accepted by
// another: the default of cachestore.Config.MaxStale, and the bound of redisstore.
const soakBound = 5 * time.Second

// A soakCredential is what the test knows of a credential. Its times are those of the
// test's process, on the same machine as the servers.
type soakCredential struct {
	kind, userID, id string
	plaintext        string
	previous         *soakCredential // that it replaced, possibly in its grace period

	mu      sync.Mutex
	expires time.Time
	// A rotation with a grace period brings the expiry forward. The server that made it
	// knows at once, others from later on.
	expirySetBy      int
	expiryKnownSince time.Time
	// The credential may have ended since endBegan, when a call that ends it was sent. It
	// has ended at ended, when the call returned without an error.
	endBegan, ended time.Time
	endedBy         int
}

// ending says that a call is sent that may end the credential.
func (c *soakCredential) ending() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endBegan.IsZero() {
		c.endBegan = time.Now()
	}
}

// end says that such a call has returned without an error.
func (c *soakCredential) end(server int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended.IsZero() {
		c.ended, c.endedBy = time.Now(), server
	}
}

// supersede says that a rotation has given the credential a grace period.
func (c *soakCredential) supersede(server int, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endBegan = time.Time{}
	if c.expires.IsZero() || until.Before(c.expires) {
		c.expires, c.expirySetBy, c.expiryKnownSince = until, server, time.Now().Add(soakBound)
	}
}

// verdict returns which answers are right to a request that was sent and answered at these
// times. A request that the handler passes to Recheck sees what any server has done.
func (c *soakCredential) verdict(server int, recheck bool, sent, answered time.Time) (mayAccept, mayReject bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.endBegan.IsZero() && c.endBegan.Before(answered) || !c.expires.IsZero() && !answered.Before(c.expires) {
		mayReject = true
	}
	ended := !c.ended.IsZero() && (sent.After(c.ended.Add(soakBound)) ||
		sent.After(c.ended) && (recheck || server == c.endedBy))
	expired := !c.expires.IsZero() && sent.After(c.expires) &&
		(sent.After(c.expiryKnownSince) || recheck || server == c.expirySetBy)
	return !ended && !expired, mayReject
}

// A soakAnswer is what a server answered to a request with a credential.
type soakAnswer struct {
	server         int
	recheck        bool
	sent, answered time.Time
	status         int
	userID, id     string
}

// fault returns what is wrong with an answer, or "". An outage is never wrong here. c is nil
// if the credential is unknown.
func (a soakAnswer) fault(c *soakCredential) string {
	mayAccept, mayReject, name := false, true, "unknown credential"
	if c != nil {
		mayAccept, mayReject = c.verdict(a.server, a.recheck, a.sent, a.answered)
		name = c.String()
	}
	switch {
	case a.status == 503:
		return ""
	case a.status == 200 && !mayAccept:
		return fmt.Sprintf("server %d accepted, at %v (recheck: %v): %s", a.server, a.sent, a.recheck, name)
	case a.status == 401 && !mayReject:
		return fmt.Sprintf("server %d rejected, at %v (recheck: %v): %s", a.server, a.sent, a.recheck, name)
	case a.status == 200 && (a.userID != c.userID || a.id != c.id):
		return fmt.Sprintf("server %d took it for %s of %s: %s", a.server, a.id, a.userID, name)
	case a.status != 200 && a.status != 401:
		return fmt.Sprintf("server %d answered %d: %s", a.server, a.status, name)
	}
	return ""
}

func (c *soakCredential) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%s %s of %s, expires %v (known since %v), ending since %v, ended %v by server %d",
		c.kind, c.id, c.userID, c.expires, c.expiryKnownSince, c.endBegan, c.ended, c.endedBy)
}

// A soak is only as good as what it takes for a wrong answer.
func TestSoak_model(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(seconds float64) time.Time { return now.Add(time.Duration(seconds * float64(time.Second))) }
	const revokedHere, there = 0, 1
	ended := func() *soakCredential {
		return &soakCredential{userID: "u", id: "i", endBegan: at(0), ended: at(1), endedBy: revokedHere}
	}
	superseded := func() *soakCredential {
		return &soakCredential{userID: "u", id: "i", expires: at(2), expirySetBy: revokedHere, expiryKnownSince: at(6)}
	}
	valid := &soakCredential{userID: "u", id: "i"}
	tests := []struct {
		name           string
		c              *soakCredential
		server         int
		recheck        bool
		sent, answered float64
		accept, reject bool
	}{
		{"valid", valid, there, false, 0, 1, true, false},
		{"unknown", nil, there, false, 0, 1, false, true},
		{"before the revocation", ended(), revokedHere, false, -2, -1, true, false},
		{"during the revocation", ended(), revokedHere, false, -1, 0.5, true, true},
		{"sent before it returned", ended(), revokedHere, false, 0.5, 2, true, true},
		{"the next request", ended(), revokedHere, false, 1.1, 1.2, false, true},
		{"elsewhere, within the bound", ended(), there, false, 5.9, 6.5, true, true},
		{"elsewhere, beyond the bound", ended(), there, false, 6.1, 6.2, false, true},
		{"elsewhere, rechecked", ended(), there, true, 1.1, 1.2, false, true},
		{"in the grace period", superseded(), there, false, 1, 1.9, true, false},
		{"across its end", superseded(), revokedHere, false, 1, 2.1, true, true},
		{"after its end", superseded(), revokedHere, false, 2.1, 2.2, false, true},
		{"after its end, elsewhere", superseded(), there, false, 2.1, 2.2, true, true},
		{"after its end, elsewhere, beyond the bound", superseded(), there, false, 6.1, 6.2, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := soakAnswer{server: tt.server, recheck: tt.recheck, sent: at(tt.sent), answered: at(tt.answered), userID: "u", id: "i"}
			a.status = 200
			require.Equal(t, tt.accept, a.fault(tt.c) == "", a.fault(tt.c))
			a.status = 401
			require.Equal(t, tt.reject, a.fault(tt.c) == "", a.fault(tt.c))
			a.status = 503
			require.Empty(t, a.fault(tt.c))
			a.status = 500
			require.NotEmpty(t, a.fault(tt.c))
			a.status, a.userID = 200, "another"
			require.NotEmpty(t, a.fault(tt.c))
		})
	}
}
