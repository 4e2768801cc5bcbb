package oauth2

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/internal/remote"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/jose"
	"github.com/micro/go-platform/internal/life"
)

// Option sets one thing of Backend and of NewLogin.
type Option func(*server) error

// server is one authorization server.
type server struct {
	issuer     string
	id, secret string
	algorithms []string
	introspect bool
	untyped    bool
	parameter  string
	insecure   bool
	client     *http.Client // for URLs of the issuer's origin
	foreign    *http.Client // for others that its metadata names
	own        bool         // the clients are ours to close

	life     *life.Life
	prover   *jose.Signer // nil: bearer tokens
	nonce    nonce
	metadata *remote.Document[metadata]
	keys     keySet // of parseMetadata, which runs once at a time
	verifier *jose.Verifier
}

// fetchTimeout bounds one fetch of metadata or keys, which goes on in the background
// for all that wait.
const fetchTimeout = 5 * time.Second

// Backend makes the server with that issuer identifier the authority: the URL
// below which it serves its metadata. http is for loopback addresses, unless
// WithInsecure is given.
func Backend(issuer string, opts ...Option) auth.Option {
	return auth.WithDriver("oauth2", func(context.Context) (auth.Driver, error) {
		return newServer(issuer, opts)
	})
}

func newServer(issuer string, opts []Option) (*server, error) {
	s := &server{
		issuer: issuer, algorithms: []string{jose.RS256, jose.ES256, jose.EdDSA, jose.PS256},
		life: life.New(),
	}
	err := fronts.Apply(s, opts)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http", u.RawQuery != "", u.Fragment != "", u.User != nil:
		return nil, fmt.Errorf("%w: issuer %q, want https://host", auth.ErrInvalid, conn.Redact(issuer))
	case u.Scheme == "http" && !s.insecure && !remote.Loopback(u.Hostname()):
		return nil, fmt.Errorf("%w: issuer %q: http is for loopback addresses; see WithInsecure", auth.ErrInvalid, issuer)
	}
	if s.client == nil {
		s.client, s.foreign, s.own = remote.NewClient(), remote.NewForeignClient(), true
	}
	base := strings.TrimSuffix(issuer, "/")
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	s.metadata = remote.New(s.life, s.client, fetchTimeout, s.parseMetadata,
		base+"/.well-known/openid-configuration", origin+"/.well-known/oauth-authorization-server"+path)
	s.verifier = &jose.Verifier{Issuer: issuer, Algorithms: s.algorithms, Keys: s, Leeway: auth.MaxLeeway, Untyped: s.untyped}
	return s, nil
}

// WithCredentials sets the client that this service is at the server. With an
// empty secret it is a public client, which can only log people in.
func WithCredentials(id, secret string) Option {
	return func(s *server) error {
		if id == "" {
			return fmt.Errorf("%w: empty client id", auth.ErrInvalid)
		}
		s.id, s.secret = id, secret
		return nil
	}
}

// WithClient uses the caller's HTTP client, which Close leaves open. Its
// redirects and addresses are the caller's business.
func WithClient(c *http.Client) Option {
	return func(s *server) error {
		if c == nil {
			return fmt.Errorf("%w: nil HTTP client", auth.ErrInvalid)
		}
		s.client, s.foreign, s.own = c, c, false
		return nil
	}
}

// WithAlgorithms sets the algorithms that tokens may be signed with. Default
// RS256, ES256, EdDSA and PS256. Symmetric ones are refused: who verifies with
// one can also forge.
func WithAlgorithms(names ...string) Option {
	return func(s *server) error {
		for _, n := range names {
			if !jose.Known(n) || jose.Symmetric(n) {
				return fmt.Errorf("%w: algorithm %q", auth.ErrInvalid, n)
			}
		}
		if len(names) == 0 {
			return fmt.Errorf("%w: no algorithms", auth.ErrInvalid)
		}
		s.algorithms = slices.Clone(names)
		return nil
	}
}

// WithIntrospection asks the server about every token, also about JWTs, so
// that a revoked one is known within the cache's time to live.
func WithIntrospection() Option {
	return func(s *server) error { s.introspect = true; return nil }
}

// WithUntypedTokens accepts JWTs whose header says typ JWT or nothing, as many
// servers still send them: Keycloak, Entra ID, Cognito, Auth0 unless its API is
// set to the profile of RFC 9068. The default is at+jwt alone, so that no ID
// token passes for an access token. Those with what only ID tokens have
// (nonce, at_hash, c_hash, Keycloak's typ ID, Cognito's token_use id) are
// refused anyway; others can't be told apart: give programs that log people in
// another client id than the audience of this service.
func WithUntypedTokens() Option {
	return func(s *server) error { s.untyped = true; return nil }
}

// WithAudienceParameter names the parameter that carries the audience of a
// token. Default: "resource" (RFC 8707) for one that is a URI, else "audience".
func WithAudienceParameter(name string) Option {
	return func(s *server) error {
		if name == "" {
			return fmt.Errorf("%w: empty parameter name", auth.ErrInvalid)
		}
		s.parameter = name
		return nil
	}
}

// WithInsecure allows a server on plain http elsewhere than on this machine:
// secrets and tokens then go over the network in clear.
func WithInsecure() Option {
	return func(s *server) error { s.insecure = true; return nil }
}

// Keys implements jose.KeySource with the set that the metadata names.
func (s *server) Keys(ctx context.Context, id string) ([]*jose.Key, error) {
	m, err := s.metadata.Get(ctx)
	if err != nil {
		return nil, err
	}
	if m.keys == nil {
		return nil, fault.Markf(auth.ErrUnavailable, "%s names no jwks_uri", s.issuer)
	}
	return m.keys.Keys(ctx, id)
}

// Close implements auth.Driver.
func (s *server) Close() error {
	return s.life.Close(func() error {
		if s.own {
			s.client.CloseIdleConnections()
			s.foreign.CloseIdleConnections()
		}
		return nil
	})
}
