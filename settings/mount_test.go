package settings_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// mounted answers requests to a handler that serves the settings.
func (s *service) mounted(h http.Handler) func(path string) *answer {
	return func(path string) *answer {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", origin+path, nil))
		return &answer{s.t, w}
	}
}

func serveMux(pattern string, h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(pattern, h)
	return mux
}

// A mount that would half work is reported on the first request, by the response and an
// event. The other routers are in the examples.
func TestNew_wrongMounts(t *testing.T) {
	t.Parallel()
	type handler = http.Handler
	strip := http.StripPrefix
	for name, test := range map[string]struct {
		mount func(settings handler) handler
		paths []string
		want  string
	}{
		"not stripped": {
			func(h handler) handler { return serveMux("/settings/", h) },
			[]string{"/settings/", "/settings/tokens/new", "/settings/style.css", "/settings/api/tokens"}, `http.StripPrefix("/settings", handler)`,
		},
		"not stripped, by another router": {
			func(h handler) handler { return h },
			[]string{"/account/settings/", "/account/settings/tokens/new", "/account/settings/style.css"}, `http.StripPrefix("/account/settings", handler)`,
		},
		"stripped with the slash": {
			func(h handler) handler { return serveMux("/settings/", strip("/settings/", h)) },
			[]string{"/settings/", "/settings/tokens/new", "/settings/style.css"}, `"/settings/" was stripped`,
		},
		"a root stripped with the slash": {
			func(h handler) handler { return strip("/", h) },
			[]string{"/", "/sessions"}, `http.StripPrefix("", handler)`,
		},
		"partly stripped": {
			func(h handler) handler { return serveMux("/account/settings/", strip("/account", h)) },
			[]string{"/account/settings/", "/account/settings/sessions"}, `http.StripPrefix("/account/settings", handler)`,
		},
		"the API alone, not stripped": {
			func(h handler) handler { return serveMux("/settings/api/", h) },
			[]string{"/settings/api/tokens"}, `http.StripPrefix("/settings", handler)`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			get := s.mounted(test.mount(s.settings))
			for _, path := range test.paths {
				got := get(path).status(http.StatusInternalServerError)
				require.Contains(t, got.Body.String(), test.want, path)
				require.Equal(t, "text/plain; charset=utf-8", got.Header().Get("Content-Type"))
				events := s.events.take()
				require.Len(t, events, 1, path)
				require.Equal(t, auth.EventRefused, events[0].Type)
				require.Equal(t, auth.ReasonInternal, events[0].Reason)
				require.ErrorContains(t, events[0].Err, test.want)
			}
		})
	}
}

// Paths that look like those of a wrong mount are not found if the mount is right.
func TestNew_rightMounts(t *testing.T) {
	t.Parallel()
	type handler = http.Handler
	strip := http.StripPrefix
	for name, test := range map[string]struct {
		mount  func(settings handler) handler
		prefix string
	}{
		"stripped":                   {func(h handler) handler { return serveMux("/settings/", strip("/settings", h)) }, "/settings"},
		"for one host":               {func(h handler) handler { return serveMux("api.example.com/settings/", strip("/settings", h)) }, "/settings"},
		"stripped by another router": {func(h handler) handler { return strip("/settings", h) }, "/settings"},
		"stripped in two steps": {func(h handler) handler {
			return serveMux("/account/", strip("/account", serveMux("/settings/", strip("/settings", h))))
		}, "/account/settings"},
		"the API alone":                 {func(h handler) handler { return serveMux("/settings/api/", strip("/settings", h)) }, "/settings/api"},
		"at the root":                   {func(h handler) handler { return serveMux("/", h) }, ""},
		"at the root of another router": {func(h handler) handler { return h }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			get := s.mounted(test.mount(s.settings))
			for _, path := range []string{"/", "/settings/", "/settings/tokens/new", "/wp-admin/", "/favicon.ico"} {
				require.Less(t, get(test.prefix+path).Code, 500, "%s needs a sign-in, as every path", path)
			}
			for _, e := range s.events.take() {
				require.NotEqual(t, auth.ReasonInternal, e.Reason)
			}
		})
	}
}

// A long path costs little, since nothing in it is looked up: it is not authenticated yet.
func TestNew_longPaths(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, path := range []string{strings.Repeat("/a", 500_000), "/tokens/" + strings.Repeat("x", 1_000_000)} {
		got := s.do("GET", path, "")
		require.Equal(t, http.StatusNotFound, got.Code)
		require.Less(t, got.Body.Len(), 1000)
	}
	got := s.do("GET", strings.Repeat("/a", 250), "")
	require.Less(t, got.Body.Len(), 20_000)
}

// A mount whose name ends in "api" is not the API.
func TestNew_mountEndsInAPI(t *testing.T) {
	t.Parallel()
	s := newService(t)
	mux := http.NewServeMux()
	mux.Handle("/devapi/", http.StripPrefix("/devapi", s.settings))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", origin+"/devapi/dev/tokens/new", nil))
	require.NotEqual(t, http.StatusInternalServerError, w.Code)

	wrong := http.NewServeMux()
	wrong.Handle("/devapi/", newService(t).settings)
	w = httptest.NewRecorder()
	wrong.ServeHTTP(w, httptest.NewRequest("GET", origin+"/devapi/tokens/new", nil))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, w.Body.String(), `http.StripPrefix("/devapi", handler)`)
}
