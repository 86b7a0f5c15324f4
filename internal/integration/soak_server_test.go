package integration

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/pgnotify"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

const soakVariable = "AUTH_TEST_SOAK_SERVER"

// A soakConfig configures a server process of [TestSoak].
type soakConfig struct {
	Postgres string // a URL, or
	Redis    string // an address
	Prefix   string // of keys in Redis
	Key      []byte // of cookies

	FillCaches bool // see fillCookieCache
}

// A soakServer has routes that use credentials, which are behind Require, and routes that
// change them. Everyone may call the latter.
type soakServer struct {
	store  auth.Store
	close  func() error
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret

	mu     sync.Mutex
	faults map[string]int
}

// beSoakServer serves until its standard input is closed, so it ends with the test. It
// writes its address to standard output.
func beSoakServer(text string) error {
	var cfg soakConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	s := &soakServer{faults: make(map[string]int)}
	if err := errors.Join(s.open(cfg), s.authenticators(cfg)); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.routes()}
	go server.Serve(l)
	fmt.Println(l.Addr())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), s.bearer.Close(ctx), s.cookie.Close(ctx), s.secret.Close(ctx), s.close())
}

func (s *soakServer) open(cfg soakConfig) error {
	if cfg.Redis != "" {
		return s.openRedis(cfg)
	}
	db, err := sql.Open("pgx", cfg.Postgres)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
	if err != nil {
		return err
	}
	source, err := pgnotify.New(cfg.Postgres, pgnotify.Config{ErrorLog: func(err error) { s.fault("pgnotify", err) }})
	if err != nil {
		return err
	}
	cached, err := cachestore.New(store, cachestore.Config{Invalidations: source})
	s.store, s.close = cached, func() error { return errors.Join(cached.Close(), store.Close(), db.Close()) }
	return err
}

func (s *soakServer) openRedis(cfg soakConfig) error {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{cfg.Redis}, ConnWriteTimeout: 2 * time.Second,
		// The client keeps expired answers too, until its cache is full. With the default, which is
		// 128 MiB for each connection, memory would grow for days. The default of both buffers is
		// 512 KiB, and the number of connections changes.
		CacheSizeEachConn: 256 << 10, ReadBufferEachConn: 32 << 10, WriteBufferEachConn: 32 << 10,
	})
	if err != nil {
		return err
	}
	store, err := redisstore.New(client, redisstore.Config{Prefix: cfg.Prefix})
	s.store, s.close = store, func() error {
		client.Close()
		return nil
	}
	return err
}

func (s *soakServer) authenticators(cfg soakConfig) error {
	if s.store == nil {
		return nil // the error is known already
	}
	var errs [3]error
	s.bearer, errs[0] = auth.NewBearer(s.store, auth.BearerConfig{Observe: s.observe})
	s.cookie, errs[1] = auth.NewCookie(s.store, auth.CookieConfig{
		Keys: auth.Keys{cfg.Key}, Insecure: true, IdleTimeout: 10 * time.Minute, Observe: s.observe})
	s.secret, errs[2] = auth.NewSecret(s.store, auth.SecretConfig{Observe: s.observe})
	if err := errors.Join(errs[:]...); err != nil || !cfg.FillCaches {
		return err
	}
	return s.fillCookieCache(cfg.Key)
}

// fillCookieCache presents as many cookies as a Cookie keeps decrypted values. Otherwise sign-ins
// would fill that cache for hours, and its growth would look like a leak, or hide one.
func (s *soakServer) fillCookieCache(key []byte) error {
	other, err := auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: auth.Keys{key}, Insecure: true})
	if err != nil {
		return err
	}
	for range 17_000 {
		w := httptest.NewRecorder()
		if _, err := other.SignIn(w, httptest.NewRequest("POST", "/", nil), "user", auth.SessionOptions{}); err != nil {
			return err
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(w.Result().Cookies()[0])
		if _, err := s.cookie.Authenticate(r); !errors.Is(err, auth.ErrInvalidCredential) && !errors.Is(err, auth.ErrUnavailable) {
			return fmt.Errorf("a session of another store: %w", err)
		}
	}
	return nil
}

func (s *soakServer) observe(_ context.Context, e auth.Event) {
	if e.Err != nil {
		s.fault(strings.TrimSpace(string(e.Type)+" "+e.Operation), e.Err)
	}
}

var portNumber = regexp.MustCompile(`:\d{4,5}\b`)

// fault counts errors of the store by their text.
func (s *soakServer) fault(at string, err error) {
	text := portNumber.ReplaceAllString(at+": "+err.Error(), ":port")
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.faults[text]; !known && len(s.faults) >= 100 {
		text = "others"
	}
	s.faults[text]++
}

// A soakChange is the result of a change.
type soakChange struct {
	Plaintext string `json:",omitzero"` // the value of the cookie, of a session
	ID        string
	CreatedAt time.Time
	ExpiresAt time.Time
}

func (s *soakServer) routes() http.Handler {
	mux := http.NewServeMux()
	middleware := &auth.Middleware{Observe: s.observe}
	accept := middleware.Require(s.bearer, s.cookie, s.secret)
	mux.Handle("GET /use", accept(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		json.NewEncoder(w).Encode(id)
	})))
	mux.Handle("GET /recheck", accept(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		if err := auth.Recheck(r.Context()); err != nil {
			auth.WriteError(w, r, err)
			return
		}
		json.NewEncoder(w).Encode(id)
	})))
	for name, change := range s.changes() {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			result, err := change(w, r)
			if err != nil {
				auth.WriteError(w, r, err)
				return
			}
			json.NewEncoder(w).Encode(result)
		})
	}
	mux.HandleFunc("GET /memory", func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(s.memory()) })
	return mux
}

type soakHandler = func(w http.ResponseWriter, r *http.Request) (soakChange, error)

// changes returns the changes by their paths. Their arguments are in the query.
func (s *soakServer) changes() map[string]soakHandler {
	changes := map[string]soakHandler{
		"session/start": s.signIn,
		"session/end": func(w http.ResponseWriter, r *http.Request) (soakChange, error) {
			return soakChange{}, s.cookie.SignOut(w, r)
		},
		"token/start":    s.issueToken,
		"token/import":   s.importToken,
		"token/rotate":   rotator(s.bearer.Rotate),
		"token/leaked":   s.leaked,
		"secret/start":   s.issueSecret,
		"secret/rotate":  rotator(s.secret.Rotate),
		"session/revoke": revokeHandler(s.cookie.Revoke),
		"token/revoke":   revokeHandler(s.bearer.Revoke),
		"secret/revoke":  revokeHandler(s.secret.Revoke),
		"purge": func(_ http.ResponseWriter, r *http.Request) (soakChange, error) {
			_, err := s.store.Purge(r.Context(), time.Now().Add(-30*time.Second))
			return soakChange{}, err
		},
	}
	for kind, revokeAll := range map[string]func(ctx context.Context, userID string) (int, error){
		"token": s.bearer.RevokeAll, "secret": s.secret.RevokeAll,
		"session": func(ctx context.Context, userID string) (int, error) { return s.cookie.RevokeAll(ctx, userID) },
	} {
		changes[kind+"/revoke-all"] = func(_ http.ResponseWriter, r *http.Request) (soakChange, error) {
			_, err := revokeAll(r.Context(), r.FormValue("user"))
			return soakChange{}, err
		}
	}
	return changes
}

func (s *soakServer) signIn(w http.ResponseWriter, r *http.Request) (soakChange, error) {
	lifetime, err := time.ParseDuration(r.FormValue("lifetime"))
	if err != nil {
		return soakChange{}, err
	}
	c, err := s.cookie.SignIn(w, r, r.FormValue("user"), auth.SessionOptions{Lifetime: lifetime})
	return soakChange{ID: c.ID, CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt}, err
}

func (s *soakServer) issueToken(_ http.ResponseWriter, r *http.Request) (soakChange, error) {
	plaintext, c, err := s.bearer.Issue(r.Context(), r.FormValue("user"), auth.TokenOptions{
		Name: "soak", Scopes: []string{auth.FullAccess}, Lifetime: 24 * time.Hour})
	return soakChange{plaintext, c.ID, c.CreatedAt, c.ExpiresAt}, err
}

func (s *soakServer) importToken(_ http.ResponseWriter, r *http.Request) (soakChange, error) {
	lifetime, err := time.ParseDuration(r.FormValue("lifetime"))
	if err != nil {
		return soakChange{}, err
	}
	plaintext := r.FormValue("plaintext")
	c, err := s.bearer.Import(r.Context(), r.FormValue("user"), plaintext, auth.ImportOptions{
		TokenOptions: auth.TokenOptions{Name: "soak", Scopes: []string{"read"}}, ExpiresAt: time.Now().Add(lifetime)})
	return soakChange{plaintext, c.ID, c.CreatedAt, c.ExpiresAt}, err
}

func (s *soakServer) leaked(_ http.ResponseWriter, r *http.Request) (soakChange, error) {
	c, err := s.bearer.RevokePlaintext(r.Context(), r.FormValue("plaintext"))
	return soakChange{ID: c.ID}, err
}

func (s *soakServer) issueSecret(_ http.ResponseWriter, r *http.Request) (soakChange, error) {
	plaintext, c, err := s.secret.Issue(r.Context(), r.FormValue("user"), auth.SecretOptions{
		Scopes: []string{auth.FullAccess}, Lifetime: 24 * time.Hour})
	return soakChange{plaintext, c.ID, c.CreatedAt, c.ExpiresAt}, err
}

func rotator(rotate func(context.Context, string, string, time.Duration) (string, auth.Credential, error)) soakHandler {
	return func(_ http.ResponseWriter, r *http.Request) (soakChange, error) {
		overlap, err := time.ParseDuration(r.FormValue("overlap"))
		if err != nil {
			return soakChange{}, err
		}
		plaintext, c, err := rotate(r.Context(), r.FormValue("user"), r.FormValue("id"), overlap)
		return soakChange{plaintext, c.ID, c.CreatedAt, c.ExpiresAt}, err
	}
}

func revokeHandler(revoke func(context.Context, string, string) error) soakHandler {
	return func(_ http.ResponseWriter, r *http.Request) (soakChange, error) {
		return soakChange{}, revoke(r.Context(), r.FormValue("user"), r.FormValue("id"))
	}
}

// A soakMemory is what a server holds after a garbage collection that returned free memory
// to the operating system.
type soakMemory struct {
	Heap, RSS  int64 // bytes
	Goroutines int
	Faults     map[string]int
}

func (s *soakServer) memory() soakMemory {
	debug.FreeOSMemory() // runs the garbage collector
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := make(map[string]int, len(s.faults))
	for text, n := range s.faults {
		faults[text] = n
	}
	return soakMemory{Heap: int64(m.HeapAlloc), RSS: residentBytes(), Goroutines: runtime.NumGoroutine(), Faults: faults}
}

// residentBytes returns the resident set of this process, on Linux, otherwise 0.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var total, resident int64
	if _, err := fmt.Sscan(string(text), &total, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
