package settings

import "strings"

// A product is recognized by a part of the User-Agent header.
type product struct{ pattern, name string }

// The first match in each list applies, because every browser also claims to be some
// older ones.
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

// device names the browser and system of a User-Agent header. The client can send
// any header, so the name proves nothing.
func (ts texts) device(userAgent string) string {
	browser, system := findProduct(browsers, userAgent), findProduct(systems, userAgent)
	switch {
	case browser != "" && system != "":
		return ts.get("session.device", "browser", browser, "system", system)
	case browser != "":
		return browser
	}
	// Other programs begin with their name: "curl/8.5.0".
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

// isMobile reports whether a User-Agent header names a phone or a tablet.
func isMobile(userAgent string) bool {
	switch findProduct(systems, userAgent) {
	case "iPhone", "iPad", "Android":
		return true
	}
	return false
}

func findProduct(products []product, userAgent string) string {
	for _, p := range products {
		if strings.Contains(userAgent, p.pattern) {
			return p.name
		}
	}
	return ""
}
