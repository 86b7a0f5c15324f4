package settings

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/seed-31c5bcb2/auth/internal/text"
)

// maxPage is the maximum and the default number of records in a page of a list. maxAfter is a
// length in bytes.
const (
	maxPage  = 100
	maxAfter = 1024 // a position has a name
)

// parameters are the parameters that the query of a route may have, each with a function that
// returns what is wrong with a value, or nil if any will do.
type parameters map[string]func(value string) (fault string)

var (
	tokenParameters = parameters{
		"after": checkAfter, "limit": checkLimit, "search": checkSearch, "total": checkTotal, "sort": oneOf(slices.Sorted(maps.Keys(tokenSorts))),
		"state": oneOf(tokenStates),
	}
	sessionParameters = parameters{
		"after": checkAfter, "limit": checkLimit, "search": checkSearch, "total": checkTotal, "sort": oneOf(slices.Sorted(maps.Keys(sessionSorts))),
	}
)

// checkQuery rejects a query with parameters that the route does not have, so that a misspelled one
// is not ignored. Only state may be repeated, with other values: thousands of states would be
// compared with each of thousands of records. The error has every fault.
func (r *request) checkQuery() error {
	if !r.route.api {
		return nil
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return malformed("The query is malformed.")
	}
	var faults []fieldError
	for _, name := range slices.Sorted(maps.Keys(q)) {
		check, known := r.route.query[name]
		fault := ""
		switch {
		case !known:
			fault = "is unknown"
		case len(q[name]) > 1 && (name != "state" || hasDuplicates(q[name])):
			fault = "is repeated"
		case check != nil:
			for _, value := range q[name] {
				if fault == "" {
					fault = check(value)
				}
			}
		}
		if fault != "" {
			faults = append(faults, fieldError{name, fault})
		}
	}
	if faults != nil {
		return invalidArgument(faults...)
	}
	return nil
}

func hasDuplicates(values []string) bool {
	seen := make(map[string]bool)
	for _, value := range values {
		seen[value] = true
	}
	return len(seen) < len(values)
}

func checkLimit(value string) string {
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > maxPage {
		return fmt.Sprintf("must be 1 to %d", maxPage)
	}
	return ""
}

func checkAfter(value string) string {
	if value != "" && !text.IsKey(value, maxAfter) {
		return "is not the next of a page"
	}
	return ""
}

func checkSearch(value string) string {
	if utf8.RuneCountInString(value) > maxSearch || !utf8.ValidString(value) {
		return fmt.Sprintf("must be at most %d characters of UTF-8", maxSearch)
	}
	return ""
}

func checkTotal(value string) string {
	if value != "true" && value != "false" {
		return "must be true or false"
	}
	return ""
}

func oneOf(values []string) func(string) string {
	return func(value string) string {
		if slices.Contains(values, value) {
			return ""
		}
		return "must be one of " + strings.Join(values, ", ")
	}
}
