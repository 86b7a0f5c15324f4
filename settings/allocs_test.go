//go:build !race

// The race detector itself allocates.

package settings_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Lists, searches and counts allocate nothing for each token that they read.
func TestLists_allocations(t *testing.T) {
	few, many := manyTokens(t, 1000), manyTokens(t, 3000)
	for _, path := range append(listQueries, "/tokens/new", "/tokens/revoke", fmt.Sprintf("/tokens/%026d", 1)) {
		limit := 0.5 // not every row of the page allocates as much, and slices grow
		if strings.Contains(path, "sort=name") {
			limit++ // the name in lower case
		}
		count := func(u *user) float64 {
			return testing.AllocsPerRun(3, func() { u.get(path).status(http.StatusOK) })
		}
		require.Less(t, (count(many)-count(few))/2000, limit, path)
	}
}
