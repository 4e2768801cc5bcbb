package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/micro/go-platform/auth/internal/dpop"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

// Proof is a proof of possession (RFC 9449) as it came with a request, before
// anybody has checked it.
type Proof struct {
	JWT    Secret // of the DPoP header
	Method string // of the request
	URL    string // that was asked for, as the caller knows it
}

// proofOf reads the proof of a request; nil if there is none. The URL is made
// of the Host header and of what stands in the request line: see WithOrigins.
func proofOf(r *http.Request) (*Proof, error) {
	raw, there, err := dpop.FromRequest(r)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %v", ErrProof, err)
	case !there:
		return nil, nil
	case len(raw) > maxCredential:
		return nil, fmt.Errorf("%w: of %d bytes", ErrProof, len(raw))
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	path := r.RequestURI
	if u, err := url.ParseRequestURI(path); err != nil || u.Host != "" {
		path = r.URL.EscapedPath()
	}
	return &Proof{JWT: Secret(raw), Method: r.Method, URL: scheme + "://" + r.Host + path}, nil
}

// WithOrigins says under which origins callers know this service, such as
// "https://api.example.com": proofs of possession (RFC 9449) must be for one of
// them. Without it they must be for the scheme of the connection and the Host
// header, which fails behind a proxy that ends TLS, and lets a proof that was
// made for another service pass with its Host.
func WithOrigins(origins ...string) Option {
	return func(o *options) error {
		for _, s := range origins {
			u, err := url.Parse(s)
			if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
				return fmt.Errorf("%w: origin %q, want https://host", ErrInvalid, s)
			}
		}
		if len(origins) == 0 {
			return fmt.Errorf("%w: no origins", ErrInvalid)
		}
		o.origins = append(o.origins, origins...)
		return nil
	}
}

// bound checks that whoever showed the token has the key that it is bound to
// by its claim cnf (RFC 7800), if any: the certificate of the connection (RFC
// 8705) or the key of a proof (RFC 9449). It is asked at every use, since a
// cached verdict is about the token alone.
func (f *front) bound(t *Token, c Credential) error {
	cnf, there := t.Claims["cnf"]
	dpopScheme := strings.EqualFold(c.Scheme, "DPoP")
	keys, _ := cnf.(map[string]any)
	if there && len(keys) == 0 {
		return fmt.Errorf("%w: cnf says nothing", ErrBinding)
	}
	byProof := false
	for name, want := range keys {
		switch want, _ := want.(string); {
		case want == "":
			return fmt.Errorf("%w: %.32q says nothing", ErrBinding, name)
		case name == "x5t#S256":
			if c.TLS == nil || len(c.TLS.PeerCertificates) == 0 || jose.Digest(c.TLS.PeerCertificates[0].Raw) != want {
				return fmt.Errorf("%w: the certificate of another connection", ErrBinding)
			}
		case name == "jkt":
			byProof = true
			if err := f.prove(c, want); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: by %.32q, which is not known here", ErrBinding, name)
		}
	}
	if dpopScheme && !byProof {
		return fmt.Errorf("%w: the scheme is DPoP, and the token is bound to no key", ErrProof)
	}
	return nil
}

// prove checks the proof that goes with a token (RFC 9449 sections 4.3 and 7.1).
func (f *front) prove(c Credential, thumbprint string) error {
	switch {
	case !strings.EqualFold(c.Scheme, "DPoP"):
		return fmt.Errorf("%w: the token is bound to a key, and the scheme is not DPoP", ErrProof)
	case c.Proof == nil:
		return fmt.Errorf("%w: there is none", ErrProof)
	}
	now := f.now()
	p, err := f.verifyProof(c.Proof)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %v", ErrProof, err)
	case p.Thumbprint != thumbprint:
		return fmt.Errorf("%w: with another key", ErrProof)
	case p.TokenHash != dpop.Hash(string(c.Value)):
		return fmt.Errorf("%w: for another token", ErrProof)
	case f.nonces != nil && !f.nonces.good(p.Nonce, now):
		return ErrNonce
	}
	// Last, so that only those who have a good token can fill the memory.
	return f.proofs.use(p.Thumbprint+"."+p.ID, now)
}

func (f *front) verifyProof(p *Proof) (got *dpop.Proof, err error) {
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil, errors.New("no URL")
	}
	if len(f.origins) == 0 || u.Scheme != "https" && u.Scheme != "http" {
		return dpop.Verify(string(p.JWT), p.Method, p.URL, f.now())
	}
	for _, origin := range f.origins {
		got, err = dpop.Verify(string(p.JWT), p.Method, origin+u.EscapedPath(), f.now())
		if err == nil {
			return got, nil
		}
	}
	return nil, err
}

var (
	// ErrProof: the token is bound to a key (RFC 9449), and the proof that goes
	// with it is missing, was used before or is not good.
	ErrProof = fault.Finer(ErrUnauthenticated, "no proof of possession")
	// ErrBinding: the token is bound to something that the caller has not shown,
	// such as a client certificate (RFC 8705).
	ErrBinding = fault.Finer(ErrUnauthenticated, "token bound to another caller")
)
