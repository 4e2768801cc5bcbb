package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/internal/remote"
	"github.com/micro/go-platform/internal/fault"
)

// Type of an account.
type Type string

// The types of accounts.
const (
	User    Type = "user"    // a person: logs in with a password
	Service Type = "service" // a program: an OAuth2 client
)

// Account is a person or a program that the issuer knows.
type Account struct {
	ID       string            `json:"id"` // compared byte for byte
	Type     Type              `json:"type"`
	Roles    []string          `json:"roles,omitempty"`    // go into its tokens
	Disabled bool              `json:"disabled,omitempty"` // gets no tokens, and the ones that it has are inactive
	Metadata map[string]string `json:"metadata,omitempty"`

	// Of services:
	Public       bool     `json:"public,omitempty"`        // has no secret: a program on its users' machines
	RedirectURIs []string `json:"redirect_uris,omitempty"` // of the authorization code flow, compared byte for byte; of a loopback address any port will do (RFC 8252)
	Scopes       []string `json:"scopes,omitempty"`        // that it may ask for; empty: none but "openid"
	Audiences    []string `json:"audiences,omitempty"`     // that it may ask for beside its own id; AnyAudience: every one
	Introspects  bool     `json:"introspects,omitempty"`   // may introspect tokens that are not for it
	IDAlgorithm  string   `json:"id_algorithm,omitempty"`  // of its ID tokens: RS256, ES256 or EdDSA; empty: RS256

	// Keys is a JWK set with public keys: the client authenticates by a JWT that
	// it signs (private_key_jwt, RFC 7523), and needs no secret. nil: it has none.
	Keys json.RawMessage `json:"keys,omitempty"`

	// CertificateBound binds its tokens to the certificate that it shows when it
	// asks for them (RFC 8705 section 3); without one it gets none. The server
	// around the issuer has to ask for certificates (tls.RequestClientCert).
	CertificateBound bool `json:"certificate_bound,omitempty"`

	// DPoPBound lets it have only tokens that are bound to a key of its own (RFC
	// 9449). Every client may ask for such tokens, by a DPoP proof.
	DPoPBound bool `json:"dpop_bound,omitempty"`

	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// stored is an account with the hash of its secret.
type stored struct {
	Account
	Hash string `json:"hash,omitempty"`

	bound *confirmation // of this request: what its tokens are bound to
}

func accountKey(id string) string { return "account/" + url.PathEscape(id) }

func (a *Account) check(secret string) error {
	switch {
	case a.ID == "" || len(a.ID) > 128 || strings.ContainsFunc(a.ID, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%w: account id %.140q", auth.ErrInvalid, a.ID)
	case a.Type != User && a.Type != Service:
		return fmt.Errorf("%w: account type %q", auth.ErrInvalid, a.Type)
	case a.Type == User && (a.Public || len(a.RedirectURIs) > 0 || a.Introspects || a.Keys != nil || a.CertificateBound || a.DPoPBound):
		return fmt.Errorf("%w: a user can't be a client", auth.ErrInvalid)
	case a.Public && (secret != "" || a.Introspects || a.Keys != nil):
		return fmt.Errorf("%w: a public client has no secret and no keys, and may not introspect", auth.ErrInvalid)
	case !a.Public && secret == "" && a.Keys == nil:
		return fmt.Errorf("%w: no secret", auth.ErrInvalid)
	case a.IDAlgorithm != "" && !slices.Contains(algorithms, a.IDAlgorithm):
		return fmt.Errorf("%w: algorithm %q of ID tokens, want one of %q", auth.ErrInvalid, a.IDAlgorithm, algorithms)
	case len(secret) > 1024:
		return fmt.Errorf("%w: a secret of %d bytes, want 1024 or less", auth.ErrInvalid, len(secret))
	}
	if a.Keys != nil {
		if _, err := parseKeys(a.Keys); err != nil {
			return err
		}
	}
	for _, r := range a.RedirectURIs {
		u, err := url.Parse(r)
		if err != nil || !u.IsAbs() || u.Fragment != "" || u.Scheme == "http" && !remote.Loopback(u.Hostname()) ||
			(u.Scheme == "https" || u.Scheme == "http") && u.Host == "" || u.Scheme == "javascript" || u.Scheme == "data" {
			return fmt.Errorf("%w: redirect URI %q, want https, or http on a loopback address, without a fragment", auth.ErrInvalid, r)
		}
	}
	for _, s := range a.Scopes {
		if !scopeName(s) {
			return fmt.Errorf("%w: scope %q", auth.ErrInvalid, s)
		}
	}
	return nil
}

// scopeName is scope-token of RFC 6749 section 3.3.
func scopeName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// Create adds an account. ErrExists if there is one of the id.
func (i *Issuer) Create(ctx context.Context, a Account, secret string) error {
	err := a.check(secret)
	if err == nil {
		a.Created = i.now().UTC().Truncate(time.Microsecond)
		a.Updated = a.Created
		err = i.create(ctx, stored{Account: a}, secret)
	}
	return fault.Wrap("auth/issuer", "create account", a.ID, err)
}

func (i *Issuer) create(ctx context.Context, s stored, secret string) (err error) {
	if secret != "" {
		s.Hash, err = i.secrets.hash(ctx, secret)
		if err != nil {
			return err
		}
	}
	err = i.store.Put(ctx, accountKey(s.ID), encode(s), 0, 0)
	if errors.Is(err, fault.Conflict) {
		return ErrExists
	}
	return err
}

// Read returns an account, or ErrNotFound.
func (i *Issuer) Read(ctx context.Context, id string) (Account, error) {
	s, err := i.account(ctx, id)
	return s.Account, fault.Wrap("auth/issuer", "read account", id, err)
}

func (i *Issuer) account(ctx context.Context, id string) (s stored, err error) {
	b, _, err := i.store.Get(ctx, accountKey(id))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// Update has change alter an account; the ID and the type stay. Concurrent
// updates lose nothing: change may be called several times.
func (i *Issuer) Update(ctx context.Context, id string, change func(*Account) error) error {
	return fault.Wrap("auth/issuer", "update account", id, i.alter(ctx, id, func(s *stored) error {
		a := s.Account
		if err := change(&a); err != nil {
			return err
		}
		a.ID, a.Type, a.Created = s.ID, s.Type, s.Created
		if a.Public {
			s.Hash = ""
		}
		s.Account = a
		had := "" // check wants to know whether there is a secret, not which
		if s.Hash != "" {
			had = "kept"
		}
		return a.check(had)
	}))
}

// SetSecret replaces an account's secret.
func (i *Issuer) SetSecret(ctx context.Context, id, secret string) error {
	hash, err := i.secrets.hash(ctx, secret)
	if err == nil {
		err = i.alter(ctx, id, func(s *stored) error {
			s.Hash = hash
			return s.check(secret)
		})
	}
	return fault.Wrap("auth/issuer", "set secret", id, err)
}

func (i *Issuer) alter(ctx context.Context, id string, change func(*stored) error) error {
	return update(ctx, i.store, accountKey(id), 0, func(s *stored) error {
		err := change(s)
		s.Updated = i.now().UTC().Truncate(time.Microsecond)
		return err
	})
}

// Delete removes an account. Its tokens become inactive. A missing one: nil.
func (i *Issuer) Delete(ctx context.Context, id string) error {
	return fault.Wrap("auth/issuer", "delete account", id, i.store.Delete(ctx, accountKey(id)))
}

// Query selects accounts. The zero value selects all.
type Query struct {
	Type   Type
	Prefix string // of the id
	Role   string
	After  string // only ids greater than this one, for the next page
	Limit  int    // 0: 100
}

// Search returns accounts ordered by id.
func (i *Issuer) Search(ctx context.Context, q Query) ([]Account, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	var ids []string
	for key, err := range i.store.List(ctx, "account/") {
		if err != nil {
			return nil, fault.Wrap("auth/issuer", "search accounts", q.Prefix, err)
		}
		id, err := url.PathUnescape(strings.TrimPrefix(key, "account/"))
		if err == nil && strings.HasPrefix(id, q.Prefix) && id > q.After {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var found []Account
	for _, id := range ids {
		s, err := i.account(ctx, id)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, fault.Wrap("auth/issuer", "search accounts", id, err)
		}
		if q.Type != "" && s.Type != q.Type || q.Role != "" && !slices.Contains(s.Roles, q.Role) {
			continue
		}
		found = append(found, s.Account)
		if len(found) == q.Limit {
			break
		}
	}
	return found, nil
}
