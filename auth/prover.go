package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/micro/go-platform/internal/fault"
)

// Prover is a Driver, or an Auth, that has the key to which its own tokens are
// bound (RFC 9449). Prove returns the value of the DPoP header for one request
// to a URL with a token of the type DPoP; nonce is what that service wants in
// it, or empty. What New returns is a Prover; without a driver that is one, the
// error is ErrUnsupported.
type Prover interface {
	Prove(method, url string, token Secret, nonce string) (Secret, error)
}

// Prove implements Prover.
func (f *front) Prove(method, url string, token Secret, nonce string) (Secret, error) {
	p, ok := f.driver.(Prover)
	if !ok {
		return "", f.wrap("prove", "", fault.Markf(ErrUnsupported, "%s binds no tokens", f.backend))
	}
	proof, err := p.Prove(method, url, token, nonce)
	return proof, f.wrap("prove", "", err)
}

// sendBound sends a request with a token that is bound to a key, and once more
// if the service wants a nonce in the proof (RFC 9449 section 9).
func (t *transport) sendBound(r *http.Request, token *Token) (*http.Response, error) {
	p, ok := t.auth.(Prover)
	if !ok {
		return nil, closing(r, fmt.Errorf("%w: a token bound to a key, and nobody who has the key", ErrUnsupported))
	}
	send := func(r *http.Request, nonce string) (*http.Response, error) {
		proof, err := p.Prove(method(r), address(r), token.AccessToken, nonce)
		if err != nil {
			return nil, closing(r, err)
		}
		sent := r.Clone(r.Context())
		sent.Header.Set("Authorization", "DPoP "+string(token.AccessToken))
		sent.Header.Set("DPoP", string(proof))
		return t.base.RoundTrip(sent)
	}
	origin := r.URL.Scheme + "://" + r.URL.Host
	nonce, _ := t.nonces.get(origin)
	resp, err := send(r, nonce)
	if err != nil {
		return nil, err
	}
	given := resp.Header.Get("DPoP-Nonce")
	if given != "" && len(given) <= 1024 {
		t.nonces.put(origin, given)
	}
	if resp.StatusCode != http.StatusUnauthorized || given == "" || given == nonce || !strings.Contains(resp.Header.Get("WWW-Authenticate"), "use_dpop_nonce") {
		return resp, nil
	}
	again := r.Clone(r.Context())
	if r.Body != nil && r.Body != http.NoBody {
		if r.GetBody == nil {
			return resp, nil // it can't be sent twice
		}
		if again.Body, err = r.GetBody(); err != nil {
			return resp, nil
		}
	}
	resp.Body.Close()
	return send(again, given)
}

// closing closes the body, as a RoundTripper does on every path.
func closing(r *http.Request, err error) error {
	if r.Body != nil {
		r.Body.Close()
	}
	return fmt.Errorf("auth: token for %s: %w", r.URL.Host, err)
}

func method(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

// address is what the service called believes that it is called.
func address(r *http.Request) string {
	u := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path, RawPath: r.URL.RawPath}
	if r.Host != "" {
		u.Host = r.Host
	}
	return u.String()
}
