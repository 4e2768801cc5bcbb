package oauth2

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/internal/dpop"
	"github.com/micro/go-platform/internal/jose"
)

// WithDPoP asks for tokens that are bound to a key of this process (RFC 9449):
// whoever steals one can't use it. key is an *ecdsa.PrivateKey, an
// ed25519.PrivateKey or an *rsa.PrivateKey; nil makes a P-256 key that ends with
// the process. The key proves possession at the token endpoint;
// auth.Transport, auth/grpc and package wrapper send proofs to the services that
// they call. A server that doesn't know DPoP gives bearer tokens as before.
func WithDPoP(key any) Option {
	return func(s *server) error {
		if key == nil {
			made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				return err
			}
			key = made
		}
		signer, err := jose.NewSigner("", "", key)
		if err == nil {
			_, err = jose.MarshalKey(signer.Key()) // a shared secret proves nothing
		}
		if err != nil {
			return fmt.Errorf("%w: DPoP: %v", auth.ErrInvalid, err)
		}
		s.prover = signer
		return nil
	}
}

// Prove implements auth/driver's Prover.
func (s *server) Prove(method, url string, token auth.Secret, nonce string) (auth.Secret, error) {
	if s.prover == nil {
		return "", fmt.Errorf("%w: no key for proofs; see WithDPoP", auth.ErrUnsupported)
	}
	p, err := dpop.Sign(s.prover, method, url, string(token), nonce, time.Now())
	return auth.Secret(p), err
}

// tokenClient is the HTTP client for the token endpoint.
func (s *server) tokenClient(m *metadata) *http.Client {
	c := s.clientFor(m.Token)
	if s.prover == nil {
		return c
	}
	proving := *c
	base := c.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	proving.Transport = &provingTransport{s, base}
	return &proving
}

// provingTransport adds a proof to each request, with the nonce that the
// authorization server wants in it (RFC 9449 section 8).
type provingTransport struct {
	s    *server
	base http.RoundTripper
}

// nonce is the newest that the authorization server gave.
type nonce struct{ value atomic.Value } // string

func (n *nonce) get() string {
	v, _ := n.value.Load().(string)
	return v
}

func (n *nonce) set(v string) {
	if v != "" && len(v) <= 1024 {
		n.value.Store(v)
	}
}

// RoundTrip implements http.RoundTripper.
func (t *provingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	used := t.s.nonce.get()
	resp, err := t.send(r, used)
	if err != nil {
		return nil, err
	}
	given := resp.Header.Get("DPoP-Nonce")
	t.s.nonce.set(given)
	if given == "" || given == used || resp.StatusCode < 400 || resp.StatusCode >= 500 || r.GetBody == nil {
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var e struct {
		Code string `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || e.Code != "use_dpop_nonce" {
		return resp, nil
	}
	again := r.Clone(r.Context())
	again.Body, err = r.GetBody()
	if err != nil {
		return nil, err
	}
	resp, err = t.send(again, given)
	if err == nil {
		t.s.nonce.set(resp.Header.Get("DPoP-Nonce"))
	}
	return resp, err
}

func (t *provingTransport) send(r *http.Request, nonce string) (*http.Response, error) {
	proof, err := t.s.Prove(r.Method, r.URL.String(), "", nonce)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	sent := r.Clone(r.Context())
	sent.Header.Set(dpop.Header, string(proof))
	return t.base.RoundTrip(sent)
}
