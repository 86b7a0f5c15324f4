package settings

import (
	"strconv"
	"time"
)

// A moment is a time on a page, in words and in full.
type moment struct {
	At    time.Time
	Words string
}

// Machine returns the format of HTML's datetime attribute.
func (m moment) Machine() string { return m.At.UTC().Format(time.RFC3339) }

// Full returns the date and time in UTC, in one format for all languages.
func (m moment) Full() string { return m.At.UTC().Format("2006-01-02 15:04 UTC") }

// Date returns the date in UTC.
func (m moment) Date() string { return m.At.UTC().Format(time.DateOnly) }

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
		return ts.get("time.in", "time", ts.duration(d))
	}
	return ts.get("time.ago", "time", ts.duration(-d))
}

const day = 24 * time.Hour

// duration rounds d to a readable unit.
func (ts texts) duration(d time.Duration) string {
	switch {
	case d < time.Hour-30*time.Second:
		return ts.count("time.minute", d, time.Minute)
	case d < 2*day-30*time.Minute:
		return ts.count("time.hour", d, time.Hour)
	case d < 100*day:
		return ts.count("time.day", d, day)
	case d < 2*365*day:
		return ts.count("time.month", d, 30*day+10*time.Hour)
	}
	return ts.count("time.year", d, 365*day+6*time.Hour)
}

// exactly is like duration, but does not round: 168 hours are 7 days.
func (ts texts) exactly(d time.Duration) string {
	switch {
	case d >= day && d%day == 0:
		return ts.count("time.day", d, day)
	case d >= time.Hour && d%time.Hour == 0:
		return ts.count("time.hour", d, time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return ts.count("time.minute", d, time.Minute)
	}
	return d.String()
}

func (ts texts) count(key string, d, unit time.Duration) string {
	return ts.plural(key, int((d+unit/2)/unit))
}

// plural returns the text for one, or for any other number.
func (ts texts) plural(key string, n int) string {
	if n == 1 {
		return ts.get(key+".one", "n", "1")
	}
	return ts.get(key+".other", "n", strconv.Itoa(n))
}
