package settings

import (
	"maps"
	"net/url"
	"strconv"

	"github.com/seed-31c5bcb2/auth"
)

// maxShown is how many records the pages of a list of sessions show together. The list of tokens has
// maxListed.
const (
	perPage  = 50
	maxShown = 1000
)

// after returns the ID after which the requested part of a list begins.
func (r *request) after() string { return r.URL.Query().Get("after") }

// A pager links to the neighbors of a page. Its links are relative, and empty if there is no
// such page.
type pager struct {
	Number         int
	Previous, Next string // within this part of the list
	Older, Newest  string // the next part, and the first
}

// paginate returns the page of a part that the query asks for.
func (r *request) paginate(p part) ([]*auth.Credential, pager) {
	n, pages := r.pageNumber(len(p.records))
	return p.records[(n-1)*perPage : min(n*perPage, len(p.records))], r.pager(nil, n, pages, p.next)
}

// pageNumber returns the page that the query asks for, and how many there are.
func (r *request) pageNumber(total int) (n, pages int) {
	pages = max(1, (total+perPage-1)/perPage)
	n, _ = strconv.Atoi(r.URL.Query().Get("page"))
	return min(max(n, 1), pages), pages
}

// pager links to the neighbors of page n of a part, with the filter of the list. next is that of
// the part.
func (r *request) pager(filter url.Values, n, pages int, next string) pager {
	link := func(name, value, after string) string {
		q := url.Values{name: {value}}
		if after != "" {
			q.Set("after", after)
		}
		maps.Copy(q, filter)
		return "?" + q.Encode()
	}
	p := pager{Number: n}
	if n > 1 {
		p.Previous = link("page", strconv.Itoa(n-1), r.after())
	}
	if n < pages {
		p.Next = link("page", strconv.Itoa(n+1), r.after())
	}
	if next != "" {
		p.Older = link("after", next, "")
	}
	if r.after() != "" {
		p.Newest = link("page", "1", "")
	}
	return p
}

// maxNamed is how many credentials a confirmation names.
const maxNamed = 20

// names returns the first of the names in a confirmation, and a text for the others. If
// there may be more than were read, it does not count them.
func (r *request) names(names []string, more bool) (first []string, rest string) {
	hidden := len(names) - maxNamed
	switch {
	case more:
		return names[:min(maxNamed, len(names))], r.texts.get("more.some")
	case hidden > 0:
		return names[:maxNamed], r.texts.plural("more", hidden)
	}
	return names, ""
}
