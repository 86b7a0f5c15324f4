package settings

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"
	texttemplate "text/template"
)

//go:embed templates/*.html templates/style.css templates/script.js openapi.json
var files embed.FS

// A brand is what the configuration says about the look of every page.
type brand struct {
	Title     string
	Links     []Link
	Language  string
	Direction string // "rtl" if the language is written from right to left, otherwise empty
	Version   string // of style.css and script.js, so that caches do not serve old ones
}

// loadAssets parses the templates and prepares style.css and script.js.
func (h *handler) loadAssets(cfg Config) {
	h.brand = brand{Title: cfg.Title, Links: slices.Clone(cfg.Links), Language: cfg.Language}
	if h.texts.rightToLeft {
		h.brand.Direction = "rtl"
	}
	if h.brand.Title == "" {
		h.brand.Title = h.texts.get("title")
	}
	style, script := styleFor(cfg), must(files.ReadFile("templates/script.js"))
	sum := sha256.Sum256(append(slices.Clone(style), script...))
	h.brand.Version = hex.EncodeToString(sum[:6])
	h.assets = map[string]asset{
		"/style.css": {"text/css; charset=utf-8", "public, max-age=86400", style},
		"/script.js": {"text/javascript; charset=utf-8", "public, max-age=86400", script},
	}
	h.pages = make(map[string]*template.Template)
	for _, name := range []string{"tokens", "token", "new", "rotate", "confirm", "plaintext", "secret", "sessions", "signed_out", "problem"} {
		h.pages[name] = h.parse(name)
	}
}

// parse returns the template of a page within the layout.
func (h *handler) parse(name string) *template.Template {
	funcs := template.FuncMap{"t": h.texts.get, "withElement": h.texts.withElement, "brand": func() brand { return h.brand }}
	return template.Must(template.New("layout.html").Funcs(funcs).ParseFS(files, "templates/layout.html", "templates/"+name+".html"))
}

// An asset is a file that is the same for all users, and served without a sign-in.
type asset struct {
	contentType, cacheControl string
	body                      []byte
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		errMethod.write(w)
		return
	}
	w.Header().Set("Cache-Control", a.cacheControl)
	w.Header().Set("Content-Type", a.contentType)
	writeTagged(w, r, "", a.body)
}

func styleFor(cfg Config) []byte {
	var css bytes.Buffer
	t := texttemplate.Must(texttemplate.ParseFS(files, "templates/style.css"))
	err := t.Execute(&css, map[string]string{
		"Accent": cfg.Accent, "OnAccent": textColor(cfg.Accent),
		"AccentDark": cfg.AccentDark, "OnAccentDark": textColor(cfg.AccentDark),
	})
	return must(css.Bytes(), err)
}

// textColor returns black or white, whichever is easier to read on the background.
// One of them always has the contrast of 4.5 that WCAG 2.2 requires (success
// criterion 1.4.3).
func textColor(background string) string {
	// The luminance at which both have the same contrast: (L+0.05)^2 = 1.05 * 0.05.
	if luminance(background) > 0.179 {
		return "#000000"
	}
	return "#ffffff"
}

// darkCard is --card of style.css for users who prefer dark colors.
const darkCard = "#161b22"

// lighten mixes a color with white, until its contrast on a dark card is at least 3:1.
func lighten(color string) string {
	rgb := parseColor(color)
	for step := range 101 {
		mixed := "#"
		for _, c := range rgb {
			mixed += fmt.Sprintf("%02x", int(c)+(255-int(c))*step/100)
		}
		if (luminance(mixed)+0.05)/(luminance(darkCard)+0.05) >= 3 {
			return mixed
		}
	}
	return "#ffffff"
}

func parseColor(color string) (rgb [3]uint8) {
	must(fmt.Sscanf(color, "#%02x%02x%02x", &rgb[0], &rgb[1], &rgb[2]))
	return rgb
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(color string) float64 {
	rgb := parseColor(color)
	linear := func(c uint8) float64 {
		v := float64(c) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(rgb[0]) + 0.7152*linear(rgb[1]) + 0.0722*linear(rgb[2])
}

// must panics on err. It is for embedded files and values that have been checked.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
