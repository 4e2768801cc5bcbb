// Package mtls authenticates callers by the client certificate of their
// connection.
//
//	au, err := auth.New(mtls.Backend(roots), auth.WithAnyAudience(), auth.WithRules(…))
//	srv := &http.Server{Handler: auth.Handler(au, mux), TLSConfig: &tls.Config{ClientAuth: tls.RequestClientCert, …}}
//
// # Semantics
//
// The chain is verified here against the given roots, whatever the TLS server
// was told to verify. A certificate names no audience, since the connection is
// to this service and no other: give auth.WithAnyAudience. Who it is about is
// its SPIFFE ID, else its one DNS name, else its common name; WithSubject says
// otherwise. The token ends when the certificate does and can be revoked in the
// front, by the hash of the certificate. A bearer token beside a certificate is
// not looked at. The service's own certificate belongs in its
// http.Transport: there is no Token.
//
// # Errors
//
// No certificate, or one that doesn't verify, is auth.ErrUnauthenticated.
//
// # Closing
//
// There is nothing to close.
package mtls

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fronts"
)

// Option sets one thing of New.
type Option func(*driver) error

// WithSubject says who a verified certificate is about. An error, or an empty
// name, refuses it.
func WithSubject(f func(c *x509.Certificate) (string, error)) Option {
	return func(d *driver) error {
		if f == nil {
			return fmt.Errorf("%w: nil subject function", auth.ErrInvalid)
		}
		d.subject = f
		return nil
	}
}

// WithRoles gives callers roles, for instance by organisational unit.
func WithRoles(f func(c *x509.Certificate) []string) Option {
	return func(d *driver) error {
		if f == nil {
			return fmt.Errorf("%w: nil roles function", auth.ErrInvalid)
		}
		d.roles = f
		return nil
	}
}

// Backend accepts callers whose certificates lead to one of the roots and may
// be used by clients.
func Backend(roots *x509.CertPool, opts ...Option) auth.Option {
	return auth.WithDriver("mtls", func(context.Context) (auth.Driver, error) {
		if roots == nil {
			return nil, fmt.Errorf("%w: no roots", auth.ErrInvalid) // nil would mean every authority of the system
		}
		d := &driver{roots: roots, subject: Subject, roles: func(*x509.Certificate) []string { return nil }}
		err := fronts.Apply(d, opts)
		if err != nil {
			return nil, err
		}
		return d, nil
	})
}

// Subject is the SPIFFE ID of a certificate, which is its only URI; else its
// only DNS name; else, if it has neither, its common name. One that has several
// is about nobody in particular.
func Subject(c *x509.Certificate) (string, error) {
	switch {
	case len(c.URIs) == 1 && c.URIs[0].Scheme == "spiffe" && c.URIs[0].Host != "" && c.URIs[0].User == nil:
		return c.URIs[0].String(), nil
	case len(c.URIs) > 0:
		return "", errors.New("its URIs are not one SPIFFE ID")
	case len(c.DNSNames) == 1:
		return c.DNSNames[0], nil
	case len(c.DNSNames) == 0 && c.Subject.CommonName != "":
		return c.Subject.CommonName, nil
	}
	return "", errNobody
}

var errNobody = errors.New("it names nobody in particular")

type driver struct {
	roots   *x509.CertPool
	subject func(*x509.Certificate) (string, error)
	roles   func(*x509.Certificate) []string
}

func (d *driver) Verify(_ context.Context, c auth.Credential) (*auth.Token, error) {
	if c.TLS == nil || len(c.TLS.PeerCertificates) == 0 || !c.TLS.HandshakeComplete {
		return nil, fmt.Errorf("%w: no client certificate", auth.ErrUnauthenticated)
	}
	leaf := c.TLS.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, cert := range c.TLS.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: d.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %w", auth.ErrUnauthenticated, err)
	}
	who, err := d.subject(leaf)
	if err == nil && who == "" {
		err = errNobody
	}
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %v", auth.ErrUnauthenticated, err)
	}
	sum := sha256.Sum256(leaf.Raw)
	return &auth.Token{
		Type: "mTLS", ID: hex.EncodeToString(sum[:]), Issuer: leaf.Issuer.String(), Subject: who, Roles: d.roles(leaf),
		NotBefore: leaf.NotBefore, ExpiresAt: leaf.NotAfter,
	}, nil
}

func (d *driver) Close() error { return nil }
