package wrapper

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// WithIdentity tells which identity the certificate of a service has to show
// when the router chose its instance and the URL is https: a DNS name, or a URI
// such as "spiffe://example.org/ns/prod/sa/greeter", whose chain is verified all
// the same. The default, and "", is the service's name, and never the address of
// an instance. It holds for the transports of net/http that have no ServerName
// and no dialling of TLS of their own; gRPC has grpc.WithAuthority and its
// credentials.
func WithIdentity(f func(service string) string) Option {
	return with("function", f, func(o *options) { o.identity = f })
}

// transport is what sends an attempt: with TLS to an instance, one that checks
// certificates against the service.
func (c *clientCall) transport() http.RoundTripper {
	if !c.routed || c.request.URL.Scheme != "https" {
		return c.t.base
	}
	base, ok := c.t.base.(*http.Transport)
	//lint:ignore SA1019 who still uses DialTLS verifies by himself
	if !ok || base.DialTLSContext != nil || base.DialTLS != nil || base.TLSClientConfig != nil && base.TLSClientConfig.ServerName != "" {
		return c.t.base
	}
	return c.t.secure.get(c.record.Service, func(service string) *http.Transport {
		t := base.Clone()
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{}
		}
		name := service
		if f := c.t.w.o.identity; f != nil {
			if want := f(service); want != "" {
				name = want
			}
		}
		expect(t.TLSClientConfig, service, name)
		return t
	})
}

// expect makes c accept the identity.
func expect(c *tls.Config, service, identity string) {
	c.ServerName = identity
	if !strings.Contains(identity, "://") {
		return
	}
	c.ServerName = service
	c.InsecureSkipVerify = true // the name is not in it: the chain is verified below
	roots, now := c.RootCAs, c.Time
	own := c.VerifyConnection
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if err := verifyURI(cs, identity, roots, now); err != nil {
			return err
		}
		if own != nil {
			return own(cs)
		}
		return nil
	}
}

// verifyURI verifies the chain, and that the certificate is of the identity.
func verifyURI(cs tls.ConnectionState, identity string, roots *x509.CertPool, now func() time.Time) error {
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if now != nil {
		o.CurrentTime = now()
	}
	for _, c := range cs.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	leaf := cs.PeerCertificates[0]
	if _, err := leaf.Verify(o); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
	}
	for _, u := range leaf.URIs {
		if u.String() == identity {
			return nil
		}
	}
	return fmt.Errorf("the certificate is of %v, want %s", leaf.URIs, identity)
}
