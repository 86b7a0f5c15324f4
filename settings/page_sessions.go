package settings

import (
	"net/http"
	"slices"

	"github.com/seed-31c5bcb2/auth"
)

// A sessionRow is a session in the list.
type sessionRow struct {
	ID      string
	Device  string
	Current bool // the one that looks at the page
	Started moment
	Seen    *moment
	Ends    *moment
}

func (c *call) sessionRow(s auth.Credential) sessionRow {
	row := sessionRow{
		ID: s.ID, Device: c.texts.device(s.Name), Current: s.ID == c.id.CredentialID,
		Started: c.texts.moment(s.CreatedAt, c.now), Ends: c.optional(s.ExpiresAt),
	}
	last := seen(s)
	if row.Current {
		last = c.now // this request; the record may be a minute behind
	}
	row.Seen = c.optional(last)
	return row
}

func (c *call) allSessions() ([]auth.Credential, error) {
	sessions, err := c.cookie.List(c.r.Context(), c.id.UserID, auth.Page{Limit: mostShown})
	return c.usable(sessions), err
}

// sessionsPage has this session first, and then those that were used last.
func (c *call) sessionsPage() error {
	sessions, err := c.allSessions()
	if err != nil {
		return err
	}
	slices.SortStableFunc(sessions, func(a, b auth.Credential) int {
		switch c.id.CredentialID {
		case a.ID:
			return -1
		case b.ID:
			return 1
		}
		return seen(b).Compare(seen(a))
	})
	shown, pager := c.slice(sessions)
	rows := make([]sessionRow, len(shown))
	for i, s := range shown {
		rows[i] = c.sessionRow(s)
	}
	return c.show(http.StatusOK, "sessions", view{
		Section: "sessions", Heading: c.texts.get("sessions.heading"), Notice: c.notice(),
		Data: map[string]any{"Sessions": rows, "Pager": pager, "Others": len(sessions) > 1},
	})
}

func (c *call) endSessionPage() error {
	s, err := c.cookie.Get(c.r.Context(), c.id.UserID, c.r.PathValue("id"))
	if err != nil {
		return err
	}
	row := c.sessionRow(s)
	ask := confirmation{
		Text: c.texts.get("end.session.text"), Button: c.texts.get("end.session.button"), Back: "sessions",
		Facts: []fact{
			{Term: c.texts.get("field.device"), Text: row.Device},
			{Term: c.texts.get("field.started"), Time: &row.Started},
			{Term: c.texts.get("field.seen"), Time: row.Seen},
		},
	}
	if row.Current {
		ask.Text, ask.Button = c.texts.get("end.this.text"), c.texts.get("end.this.button")
	}
	return c.confirm("sessions", c.texts.get("end.session.heading", "device", row.Device), ask)
}

func (c *call) endSessionForm() error {
	if err := c.readEmptyForm(); err != nil {
		return err
	}
	id := c.r.PathValue("id")
	if err := c.endSession(id); err != nil {
		return err
	}
	if id == c.id.CredentialID {
		c.w.Header().Set("Location", c.signInPath)
		c.w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	return c.done("sessions", "session_ended")
}

func (c *call) endSessionsPage() error {
	sessions, err := c.allSessions()
	if err != nil {
		return err
	}
	var names []string
	for _, s := range sessions {
		if s.ID != c.id.CredentialID {
			names = append(names, c.texts.get("end.sessions.item",
				"device", c.texts.device(s.Name), "time", c.texts.relative(seen(s), c.now)))
		}
	}
	ask := confirmation{Text: c.texts.get("end.sessions.text"), Button: c.texts.get("end.sessions.button"), Back: "sessions"}
	ask.Names, ask.More = c.some(names)
	return c.confirm("sessions", c.texts.get("end.sessions.heading"), ask)
}

func (c *call) endSessions() error {
	if err := c.readEmptyForm(); err != nil {
		return err
	}
	if _, err := c.endOtherSessions(); err != nil {
		return err
	}
	return c.done("sessions", "sessions_ended")
}
