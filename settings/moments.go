package settings

import (
	"html/template"
	"strings"
	"time"
)

// A moment is a time on a page, in words and in full.
type moment struct {
	At    time.Time
	Words string
}

// Machine returns the format of HTML's datetime attribute.
func (m moment) Machine() string { return m.At.UTC().Format(time.RFC3339) }

// Full returns the date and time in UTC, in one format for all languages. The script
// replaces it by that of the browser's time zone.
func (m moment) Full() string { return m.At.UTC().Format("2006-01-02 15:04 UTC") }

// Date returns the date as an element, in UTC until the script replaces it.
func (m moment) Date() template.HTML {
	return m.element("data-date", m.At.UTC().Format("2006-01-02 UTC"))
}

// Time returns the date and time as an element, in UTC until the script replaces them.
func (m moment) Time() template.HTML { return m.element("data-time", m.Full()) }

func (m moment) element(attribute, text string) template.HTML {
	return template.HTML(`<time datetime="` + m.Machine() + `" ` + attribute + `>` + text + `</time>`)
}

// withElement returns a text with an element for its placeholder.
func (ts texts) withElement(key, name string, element template.HTML) template.HTML {
	text := template.HTMLEscapeString(ts.get(key))
	return template.HTML(strings.ReplaceAll(text, "{"+name+"}", string(element)))
}

func (ts texts) moment(t, now time.Time) moment { return moment{t, ts.relative(t, now)} }

// relative returns how far t is from now, in words.
func (ts texts) relative(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case d > -time.Minute && d <= 0:
		return ts.get("time.now")
	case d > 0 && d < time.Minute:
		return ts.get("time.soon")
	case d > 0:
		unit, n := rounded(d, 2*day) // "in 2 days" could be half a day too late
		return ts.plural("time.in."+unit, n)
	}
	unit, n := rounded(-d, day)
	return ts.plural("time.ago."+unit, n)
}

const day = 24 * time.Hour

// rounded returns d in a readable unit: in hours only up to a limit.
func rounded(d, hours time.Duration) (unit string, n int) {
	in := func(size time.Duration) int {
		n := d / size
		if d-n*size >= size/2 { // d + size/2 may be too large for a Duration
			n++
		}
		return int(n)
	}
	switch {
	case d < time.Hour-30*time.Second:
		return "minute", in(time.Minute)
	case d < hours-30*time.Minute:
		return "hour", in(time.Hour)
	case d < 100*day:
		return "day", in(day)
	case d < 2*365*day:
		return "month", in(30*day + 10*time.Hour)
	}
	return "year", in(365*day + 6*time.Hour)
}

// exactly returns d in the largest unit of which it is a multiple: 168 hours are 7 days.
func (ts texts) exactly(d time.Duration) string {
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"day", day}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if d >= u.size && d%u.size == 0 {
			return ts.plural("duration."+u.name, int(d/u.size))
		}
	}
	return ts.plural("duration.second", int(d/time.Second))
}
