package settings

import (
	"strconv"
	"strings"
	"time"
)

// A moment is a time as a page shows it: in words, and in full.
type moment struct {
	At    time.Time
	Words string
}

// Machine is the form of HTML's datetime.
func (m moment) Machine() string { return m.At.UTC().Format(time.RFC3339) }

// Full is the same in every language.
func (m moment) Full() string { return m.At.UTC().Format("2006-01-02 15:04 UTC") }

// Date is the day of m in UTC.
func (m moment) Date() string { return m.At.UTC().Format(time.DateOnly) }

func (ts texts) moment(t, now time.Time) moment { return moment{t, ts.relative(t, now)} }

// relative says how far t is from now.
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

// duration rounds to the unit in which people count that much.
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

// exactly is duration for what was chosen, and not measured: 168 hours are 7 days.
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

// plural picks the text for one or for another number.
func (ts texts) plural(key string, n int) string {
	if n == 1 {
		return ts.get(key+".one", "n", "1")
	}
	return ts.get(key+".other", "n", strconv.Itoa(n))
}

// A product is what a part of a User-Agent field gives away.
type product struct{ mark, name string }

// Each list is in the order in which marks decide: every browser claims to be some
// older ones as well.
var (
	browsers = []product{
		{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"},
		{"Vivaldi/", "Vivaldi"}, {"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"}, {"CriOS/", "Chrome"},
		{"HeadlessChrome/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	}
	systems = []product{
		{"Windows", "Windows"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"},
		{"Macintosh", "macOS"}, {"Linux", "Linux"}, {"X11", "Unix"},
	}
)

// device says in words what a User-Agent field tells of where somebody is signed in.
// It is what the client says of itself, and no proof.
func (ts texts) device(userAgent string) string {
	browser, system := find(browsers, userAgent), find(systems, userAgent)
	switch {
	case browser != "" && system != "":
		return ts.get("session.device", "browser", browser, "system", system)
	case browser != "":
		return browser
	}
	// A program begins with its own name: "curl/8.5.0".
	name, _, _ := strings.Cut(userAgent, " ")
	name, _, _ = strings.Cut(name, "/")
	switch {
	case name != "" && name != "Mozilla":
		return name
	case system != "":
		return system
	}
	return ts.get("session.unknown")
}

func find(products []product, in string) string {
	for _, p := range products {
		if strings.Contains(in, p.mark) {
			return p.name
		}
	}
	return ""
}
