package auth

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/micro/go-platform/auth/internal/dpop"
	"github.com/micro/go-platform/internal/fault"
)

// Prove implements Prover of package auth/driver. Without a driver that is one
// the error is ErrUnsupported.
func (f *front) Prove(method, url string, token Secret, nonce string) (Secret, error) {
	p, ok := f.driver.(prover)
	if !ok {
		return "", f.wrap("prove", "", fault.Markf(ErrUnsupported, "%s binds no tokens", f.backend.Name))
	}
	proof, err := p.Prove(method, url, token, nonce)
	return proof, f.wrap("prove", "", err)
}

// sendBound sends a request with a token that is bound to a key, and once more
// if the service wants a nonce in the proof (RFC 9449 section 9).
func (t *transport) sendBound(r *http.Request, token *Token) (*http.Response, error) {
	resp, again, err := t.present(r, token)
	if err != nil || !again {
		return resp, err
	}
	repeated := r.Clone(r.Context())
	if r.Body != nil && r.Body != http.NoBody {
		if r.GetBody == nil {
			return resp, nil // it can't be sent twice
		}
		repeated.Body, err = r.GetBody()
		if err != nil {
			return resp, nil
		}
	}
	resp.Body.Close()
	resp, _, err = t.present(repeated, token)
	return resp, err
}

// present sends a request once. again reports that the service wants another
// nonce.
func (t *transport) present(r *http.Request, token *Token) (resp *http.Response, again bool, err error) {
	shown, err := t.presenter.Present(token, method(r), address(r))
	if err != nil {
		return nil, false, unsent(r, err)
	}
	sent := r.Clone(r.Context())
	sent.Header.Set("Authorization", string(shown.Authorization))
	if shown.Proof != "" {
		sent.Header.Set(dpop.Header, string(shown.Proof))
	}
	resp, err = t.base.RoundTrip(sent)
	if err != nil {
		return nil, false, err
	}
	challenge := ""
	if resp.StatusCode == http.StatusUnauthorized {
		challenge = strings.Join(resp.Header.Values("WWW-Authenticate"), ", ")
	}
	return resp, t.presenter.Answered(shown, resp.Header.Get("DPoP-Nonce"), challenge), nil
}

func method(r *http.Request) string { return cmp.Or(r.Method, http.MethodGet) }

// address is what the service called believes that it is called.
func address(r *http.Request) string {
	u := url.URL{Scheme: r.URL.Scheme, Host: cmp.Or(r.Host, r.URL.Host), Path: r.URL.Path, RawPath: r.URL.RawPath}
	return u.String()
}
