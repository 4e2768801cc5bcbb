package jwt

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
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

// Issuer is somebody whose tokens are accepted.
type Issuer struct {
	Name       string   // its "iss", compared byte for byte
	Algorithms []string // the only ones accepted; empty: those of the keys given, or EdDSA, ES256 and RS256 of JWKSURL
	Keys       Keys

	// Untyped accepts tokens whose header says typ JWT or nothing, too. The
	// default is at+jwt alone (RFC 9068), so that no ID token passes for an
	// access token. Those with what only ID tokens have, such as a nonce, are
	// refused anyway; others can't be told apart: give programs that log people
	// in another client id than the audience of this service.
	Untyped bool
}

// Keys says where an issuer's keys are. Exactly one of the constructors makes
// one: JWKS, JWKSURL, Public, Shared.
type Keys struct {
	make func(d *driver) (jose.KeySource, error)
}

// JWKS takes keys from a JWK set (RFC 7517), but for those for encryption. A shared
// secret in it is an error.
func JWKS(set []byte) Keys {
	return Keys{func(*driver) (jose.KeySource, error) {
		keys, err := jose.ParseWhole(set)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", auth.ErrInvalid, err)
		}
		return keys, nil
	}}
}

// JWKSURL takes keys from a JWK set at a URL. http is for loopback addresses.
// client may be nil: then redirects to other hosts aren't followed and no proxy
// is used.
func JWKSURL(address string, client *http.Client) Keys {
	return Keys{func(d *driver) (jose.KeySource, error) {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && remote.Loopback(u.Hostname())) {
			return nil, fmt.Errorf("%w: key set at %q, want https://", auth.ErrInvalid, conn.Redact(address))
		}
		use := client
		if use == nil {
			use = remote.NewClient() // one for each Auth, which closes it
			d.clients = append(d.clients, use)
		}
		return remote.NewKeys(d.life, use, 5*time.Second, address), nil
	}}
}

// Public takes one public key: *ecdsa.PublicKey, ed25519.PublicKey or
// *rsa.PublicKey. With an empty id it verifies tokens that name no key or its
// thumbprint (RFC 7638).
func Public(id string, key crypto.PublicKey) Keys {
	return one(id, "", key)
}

// Shared takes a secret for HMAC, at least as long as its hash: 32 bytes for
// HS256. Whoever can verify with it can sign with it too.
func Shared(id, algorithm string, secret []byte) Keys {
	if !jose.Symmetric(algorithm) {
		return Keys{func(*driver) (jose.KeySource, error) {
			return nil, fmt.Errorf("%w: algorithm %q is not one of shared secrets", auth.ErrInvalid, algorithm)
		}}
	}
	return one(id, algorithm, slices.Clone(secret))
}

func one(id, algorithm string, key any) Keys {
	return Keys{func(*driver) (jose.KeySource, error) {
		k, err := jose.NewKey(cmp.Or(id, jose.Thumbprint(key)), algorithm, key)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", auth.ErrInvalid, err)
		}
		return jose.Keys{k}, nil
	}}
}

// Option sets one thing of New.
type Option func(*driver) error

// WithIssuer accepts the tokens of another issuer too.
func WithIssuer(is Issuer) Option {
	return func(d *driver) error { return d.trust(is) }
}

// WithSigner signs the service's own tokens: with an ed25519.PrivateKey,
// *ecdsa.PrivateKey or *rsa.PrivateKey, or a []byte that is shared. issuer is
// their "iss"; whoever verifies them must know it and the key. With an empty id
// the key's thumbprint names it. life is how long they live.
func WithSigner(issuer, id string, key any, life time.Duration) Option {
	return func(d *driver) error {
		s, err := jose.NewSigner(id, "", key)
		if err != nil {
			return fmt.Errorf("%w: %v", auth.ErrInvalid, err)
		}
		if issuer == "" || life < time.Second {
			return fmt.Errorf("%w: a signer needs an issuer and a life of a second or more", auth.ErrInvalid)
		}
		d.signer, d.issuer, d.lifetime = s, issuer, life
		return nil
	}
}

// Backend makes an issuer's tokens the way to authenticate.
func Backend(is Issuer, opts ...Option) auth.Option {
	return auth.WithDriver("jwt", func(context.Context) (auth.Driver, error) {
		d := &driver{issuers: map[string]*jose.Verifier{}, life: life.New()}
		if err := d.trust(is); err != nil {
			return nil, err
		}
		err := fronts.Apply(d, opts)
		if err != nil {
			return nil, err
		}
		return d, nil
	})
}

type driver struct {
	issuers  map[string]*jose.Verifier
	life     *life.Life
	clients  []*http.Client
	signer   *jose.Signer
	issuer   string
	lifetime time.Duration
}

func (d *driver) trust(is Issuer) error {
	switch {
	case is.Name == "":
		return fmt.Errorf("%w: an issuer without a name", auth.ErrInvalid)
	case d.issuers[is.Name] != nil:
		return fmt.Errorf("%w: issuer %q given twice", auth.ErrInvalid, is.Name)
	case is.Keys.make == nil:
		return fmt.Errorf("%w: issuer %q has no keys", auth.ErrInvalid, is.Name)
	}
	keys, err := is.Keys.make(d)
	if err != nil {
		return err
	}
	algorithms := slices.Clone(is.Algorithms)
	given, static := keys.(jose.Keys)
	switch {
	case len(algorithms) > 0:
	case static:
		for _, k := range given {
			algorithms = append(algorithms, k.Natural())
		}
	default:
		algorithms = []string{jose.EdDSA, jose.ES256, jose.RS256}
	}
	for _, a := range algorithms {
		if !jose.Known(a) || jose.Symmetric(a) && !static {
			return fmt.Errorf("%w: issuer %q: algorithm %q", auth.ErrInvalid, is.Name, a)
		}
	}
	d.issuers[is.Name] = &jose.Verifier{Issuer: is.Name, Algorithms: algorithms, Keys: keys, Leeway: auth.MaxLeeway, Untyped: is.Untyped}
	return nil
}

func (d *driver) Verify(ctx context.Context, c auth.Credential) (*auth.Token, error) {
	m, err := jose.Parse(string(c.Value))
	if err != nil {
		return nil, err
	}
	v, err := d.verifier(m)
	if err != nil {
		return nil, err
	}
	claims, err := v.VerifyMessage(ctx, m)
	if err != nil {
		return nil, err
	}
	t, err := auth.TokenFromClaims(claims)
	if err != nil {
		return nil, err
	}
	t.AccessToken = c.Value
	return t, nil
}

// verifier finds the issuer that a token names. The name is only used to find
// keys: the verifier compares it again once the signature holds.
func (d *driver) verifier(m *jose.Message) (*jose.Verifier, error) {
	if len(d.issuers) == 1 {
		for _, v := range d.issuers {
			return v, nil
		}
	}
	claims, err := jose.ParseObject(m.Payload)
	if err != nil {
		return nil, err
	}
	name, _ := claims["iss"].(string)
	if v := d.issuers[name]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("%w: unknown issuer %.128q", auth.ErrUnauthenticated, name)
}

// Obtain implements auth/driver's Source.
func (d *driver) Obtain(_ context.Context, r auth.TokenRequest) (*auth.Token, error) {
	switch {
	case d.signer == nil:
		return nil, fault.Markf(auth.ErrUnsupported, "no key to sign with; see WithSigner")
	case r.Subject != nil:
		return nil, fault.Markf(auth.ErrUnsupported, "no authority to exchange a token")
	case r.Service == "":
		return nil, fmt.Errorf("%w: no name to sign for; see auth.WithService", auth.ErrInvalid)
	}
	now := time.Now()
	claims := map[string]any{
		"iss": d.issuer, "sub": r.Service, "client_id": r.Service, "aud": cmp.Or(r.Audience, r.Service), "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(d.lifetime).Unix(),
	}
	if len(r.Scopes) > 0 {
		claims["scope"] = strings.Join(r.Scopes, " ")
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	raw, err := d.signer.Sign("at+jwt", payload)
	if err != nil {
		return nil, err
	}
	t, err := auth.TokenFromClaims(claims)
	if err != nil {
		return nil, err
	}
	t.AccessToken = auth.Secret(raw)
	return t, nil
}

func (d *driver) Close() error {
	return d.life.Close(func() error {
		for _, c := range d.clients {
			c.CloseIdleConnections()
		}
		return nil
	})
}
