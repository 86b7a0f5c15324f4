package settings

import (
	"cmp"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"slices"

	"github.com/seed-31c5bcb2/auth"
)

// A sessionRow is a session in the list.
type sessionRow struct {
	ID      string
	Device  string
	Mobile  bool   // the device is a phone or tablet
	Address string // from which it was last used, or signed in; empty if neither is known
	Acted   bool   // another user acts in it
	Bound   bool   // it is bound to a key of its device
	Current bool   // the session of this request
	Started moment
	Seen    *moment
	Expires *moment
}

func (r *request) sessionRow(s *auth.Credential) sessionRow {
	row := sessionRow{
		ID: s.ID, Device: r.texts.device(s.Name), Mobile: isMobile(s.Name), Acted: s.Actor != "", Bound: s.Bound(),
		Current: r.isCurrent(s), Address: address(cmp.Or(s.LastUsedFrom, s.CreatedFrom)),
		Started: r.texts.moment(s.CreatedAt, r.now), Expires: r.optionalMoment(s.ExpiresAt),
	}
	seen := lastSeen(s)
	if row.Current { // this request: its use has not been recorded yet
		seen = r.now
		if addr, ok := auth.ClientAddr(r.Context()); ok {
			row.Address = address(addr)
		}
	}
	row.Seen = r.optionalMoment(seen)
	return row
}

// from returns the words "from" and an address; empty for the zero Addr.
func (ts texts) from(addr netip.Addr) template.HTML {
	if !addr.IsValid() {
		return ""
	}
	return ts.withElement("field.from", "address", template.HTML("<code>"+template.HTMLEscapeString(address(addr))+"</code>"))
}

// address returns the text of an address, empty for the zero Addr.
func address(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.WithZone("").String()
}

// isOther reports whether s is another session than that of this request, and can be used.
func (r *request) isOther(s *auth.Credential) bool {
	return !r.isCurrent(s) && r.isLive(s)
}

// sessionsPage lists the current session first, then the most recently used ones.
func (r *request) sessionsPage() error {
	sessions, err := r.collect(r.cookie.List, auth.Page{After: r.after(), Limit: maxShown}, r.isOther)
	if err != nil {
		return err
	}
	order(bySeen).sort(sessions.records, r.now)
	first := r.after() == ""
	others := len(sessions.records) > 0 || sessions.next != "" || !first
	if first {
		current, err := r.ownSession()
		switch {
		case err == nil:
			sessions.records = slices.Insert(sessions.records, 0, current)
		case problemOf(err).Code != codeNotFound: // it may have ended just now
			return err
		}
	}
	shown, pager := r.paginate(sessions)
	rows := make([]sessionRow, len(shown))
	for i, s := range shown {
		rows[i] = r.sessionRow(s)
	}
	return r.show(http.StatusOK, "sessions", view{
		Section: "sessions", Heading: r.texts.get("sessions.heading"), Notice: r.notice(),
		Data: map[string]any{"Sessions": rows, "Pager": pager, "Others": others},
	})
}

func (r *request) endSessionPage() error {
	s, err := r.namedSession()
	if err != nil {
		return err
	}
	row := r.sessionRow(s)
	heading, c := "end.session.heading", confirmation{
		Text: r.texts.get("end.session.text"), Button: r.texts.get("end.session.button"), Back: "sessions",
		Facts: r.sessionFacts(row),
	}
	if row.Current {
		heading, c.Text, c.Button = "end.this.heading", r.texts.get("end.this.text"), r.texts.get("end.this.button")
	}
	return r.confirm("sessions", r.texts.get(heading), c)
}

// namedSession returns the session that the path names.
func (r *request) namedSession() (*auth.Credential, error) {
	id := r.PathValue("id")
	own, err := r.ownSession()
	if r.isOwn(id) || err != nil && problemOf(err).Code != codeNotFound {
		return own, err
	}
	s, err := r.cookie.Get(r.Context(), r.id.UserID, id)
	return &s, err
}

// sessionFacts describes a session on the page that asks before it ends.
func (r *request) sessionFacts(row sessionRow) []fact {
	facts := []fact{{Term: r.texts.get("field.device"), Text: row.Device}}
	if row.Acted {
		facts = append(facts, fact{Term: r.texts.get("field.actor"), Text: r.texts.get("end.session.actor")})
	}
	if row.Address != "" {
		facts = append(facts, fact{Term: r.texts.get("field.address"), Codes: []string{row.Address}})
	}
	return append(facts,
		fact{Term: r.texts.get("field.started"), Time: &row.Started}, fact{Term: r.texts.get("field.seen"), Time: row.Seen})
}

func (r *request) endSessionForm() error {
	if _, err := r.form(); err != nil {
		return err
	}
	id := r.PathValue("id")
	own := r.isOwn(id)
	if err := r.revokeSession(id); err != nil {
		return err
	}
	if own {
		return r.showSignedOut()
	}
	return r.redirectDone("sessions", "session_ended")
}

// showSignedOut links to the sign-in page. It does not redirect there: that page may
// redirect to another origin, and browsers apply form-action of our Content Security
// Policy to every redirect of a form.
func (r *request) showSignedOut() error {
	r.render(r.w, r.Request, http.StatusOK, "signed_out", view{Heading: r.texts.get("signed_out.heading"), Data: r.signInPath})
	return nil
}

func (r *request) endSessionsPage() error {
	sessions, err := r.collect(r.cookie.List, auth.Page{Limit: maxShown}, r.isOther)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range sessions.records {
		names = append(names, r.texts.get("end.sessions.item",
			"device", r.texts.device(s.Name), "time", r.texts.relative(lastSeen(s), r.now)))
	}
	c := confirmation{Text: r.texts.get("end.sessions.text"), Button: r.texts.get("end.sessions.button"), Back: "sessions"}
	c.Names, c.More = r.names(names, sessions.next != "")
	return r.confirm("sessions", r.texts.get("end.sessions.heading"), c)
}

func (r *request) endSessionsForm() error {
	return r.submit(func(url.Values) error {
		_, err := r.revokeOtherSessions()
		return err
	}, "sessions", "sessions_ended")
}
