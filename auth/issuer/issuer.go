package issuer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/internal/remote"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/seldom"
	"github.com/micro/go-platform/internal/source"
)

// Issuer is an authorization server. All methods may be called at once.
type Issuer struct {
	url          string
	path         string // of the url, without the slash at its end
	insecure     bool
	store        Store
	now          func() time.Time
	log          *slog.Logger
	accessLife   time.Duration
	refreshLife  time.Duration
	keyLife      time.Duration
	refreshGrace time.Duration
	hashRounds   int
	seal         cipher.AEAD
	algorithm    string // of access tokens
	login        func(*http.Request) (subject string, ok bool)
	source       func(*http.Request) string

	mux      http.Handler
	secrets  secrets
	warnings seldom.Gate
	ring     ringCache
}

// codeLife is how long an authorization code lives: a client redeems it at once.
// RFC 6749 section 4.1.2 allows ten minutes at most.
const codeLife = time.Minute

// Option sets one thing of New.
type Option func(*Issuer) error

// New returns an issuer. Without options it keeps its state in memory and
// calls itself http://127.0.0.1.
func New(opts ...Option) (*Issuer, error) {
	i := &Issuer{
		url: "http://127.0.0.1", now: time.Now, log: slog.New(slog.DiscardHandler),
		accessLife: 10 * time.Minute, refreshLife: 14 * 24 * time.Hour, refreshGrace: 30 * time.Second,
		keyLife: 30 * 24 * time.Hour, hashRounds: 600_000, source: source.Of,
		algorithm: EdDSA, ring: ringCache{loading: make(chan struct{}, 1)},
	}
	err := fronts.Apply(i, opts)
	if err == nil {
		err = i.checkURL()
	}
	if err != nil {
		return nil, fault.Wrap("auth/issuer", "new", "", fault.Mark(auth.ErrInvalid, err))
	}
	if i.store == nil {
		i.store = &memory{m: map[string]record{}, now: i.now}
	}
	i.secrets.init(i.hashRounds, i.now)
	i.mux = i.routes()
	return i, nil
}

// WithURL sets the issuer's identifier, which is the address that it is
// reached at: "https://login.example.com". http is for loopback addresses,
// unless WithInsecure is given.
func WithURL(u string) Option {
	return func(i *Issuer) error { i.url = u; return nil }
}

// WithInsecure allows an http URL that is not a loopback address: secrets and
// tokens then go over the network in clear.
func WithInsecure() Option {
	return func(i *Issuer) error { i.insecure = true; return nil }
}

// WithStore sets where the state is kept. Default: memory.
func WithStore(s Store) Option {
	return func(i *Issuer) error {
		if fronts.Nil(s) {
			return fmt.Errorf("%w: nil store", auth.ErrInvalid)
		}
		i.store = s
		return nil
	}
}

// WithAccessLife sets how long access tokens live. Default 10 minutes.
func WithAccessLife(d time.Duration) Option {
	return span("access token life", d, 24*time.Hour, func(i *Issuer) { i.accessLife = d })
}

// WithRefreshLife sets how long a refresh token may lie unused. Default 14 days.
func WithRefreshLife(d time.Duration) Option {
	return span("refresh token life", d, 0, func(i *Issuer) { i.refreshLife = d })
}

// WithKeyLife sets how long a key signs before the next one does. Default 30
// days.
func WithKeyLife(d time.Duration) Option {
	return span("key life", d, 0, func(i *Issuer) { i.keyLife = d })
}

// WithHashRounds sets the cost of a secret's hash (PBKDF2-HMAC-SHA256).
// Default 600000, at least 1000: for tests.
func WithHashRounds(n int) Option {
	return func(i *Issuer) error {
		if n < 1000 {
			return fmt.Errorf("%w: %d hash rounds, want 1000 or more", auth.ErrInvalid, n)
		}
		i.hashRounds = n
		return nil
	}
}

// WithSealKey encrypts the signing keys in the store with AES-256-GCM. Every
// issuer that shares the store needs the same 32 bytes.
func WithSealKey(key []byte) Option {
	return func(i *Issuer) error {
		if len(key) != 32 {
			return fmt.Errorf("%w: a seal key of %d bytes, want 32", auth.ErrInvalid, len(key))
		}
		block, err := aes.NewCipher(key)
		if err == nil {
			i.seal, err = cipher.NewGCM(block)
		}
		return err
	}
}

// WithLogin says who is logged in, for programs with sessions of their own.
// Without it, and where it returns false, the authorize endpoint shows a form.
// The subject is the id of an account of type User. A public client that isn't
// reached by https gets a code only after the user has agreed on a page.
func WithLogin(f func(r *http.Request) (subject string, ok bool)) Option {
	return func(i *Issuer) error { i.login = f; return nil }
}

// WithLogger hears of what looks like an attack: codes and refresh tokens used
// twice, secrets guessed. Default: silent.
func WithLogger(l *slog.Logger) Option {
	return func(i *Issuer) error { return fronts.Logger(l, &i.log) }
}

func span(name string, d, most time.Duration, set func(*Issuer)) Option {
	return func(i *Issuer) error {
		if d < time.Second || most > 0 && d > most {
			return fmt.Errorf("%w: %s %s", auth.ErrInvalid, name, d)
		}
		set(i)
		return nil
	}
}

func (i *Issuer) checkURL() error {
	u, err := url.Parse(i.url)
	switch {
	case err != nil:
		return fmt.Errorf("%w: URL: %w", auth.ErrInvalid, err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%w: URL %q, want https://host/path", auth.ErrInvalid, u.Redacted())
	case u.Scheme == "http" && !i.insecure && !remote.Loopback(u.Hostname()):
		return fmt.Errorf("%w: URL %q: http is for loopback addresses; see WithInsecure", auth.ErrInvalid, u.Redacted())
	}
	i.url, i.path = strings.TrimSuffix(i.url, "/"), strings.TrimSuffix(u.Path, "/")
	return nil
}

// URL returns the issuer's identifier.
func (i *Issuer) URL() string { return i.url }

// ServeHTTP serves the endpoints below the path of the issuer's URL.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) { i.mux.ServeHTTP(w, r) }

// digest is how the store knows a secret of high entropy.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// warn logs what a stranger caused: of each message a few lines in a while.
func (i *Issuer) warn(message string, args ...any) {
	ok, dropped := i.warnings.Pass(message, i.now())
	if !ok {
		return
	}
	if dropped > 0 {
		args = append(args, "left_out", dropped)
	}
	i.log.Warn(message, args...)
}
