package auth_test

import (
	"testing"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/storetest"
)

func TestMemoryStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) auth.Store { return auth.NewMemoryStore() })
}
