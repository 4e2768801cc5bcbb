package wrapper

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/micro/go-platform/auth"
)

// show adds the call's token to the header of an attempt. One that is bound to a
// key goes with a proof of its own (RFC 9449).
func (c *clientCall) show(header http.Header) (shown auth.Presentation, err error) {
	if c.token == nil {
		return shown, nil
	}
	to := c.request.URL
	u := url.URL{Scheme: to.Scheme, Host: cmp.Or(c.request.Host, to.Host), Path: to.Path, RawPath: to.RawPath}
	shown, err = c.t.w.presenter.Present(c.token, cmp.Or(c.request.Method, http.MethodGet), u.String())
	if err != nil {
		return shown, err
	}
	header["Authorization"] = []string{string(shown.Authorization)}
	if shown.Proof != "" {
		header["Dpop"] = []string{string(shown.Proof)}
	}
	return shown, nil
}

// wantsNonce reports whether the service refused only because the proof lacks
// its nonce, and notes the nonce.
func (c *clientCall) wantsNonce(shown auth.Presentation, resp *http.Response) bool {
	if shown.Proof == "" {
		return false
	}
	challenge, rpc := "", rpcOf(c.request)
	if resp.StatusCode == http.StatusUnauthorized || rpc == grpcRPC || rpc == connectStreams { // which are answered 200
		challenge = strings.Join(resp.Header.Values("WWW-Authenticate"), ", ")
	}
	return c.t.w.presenter.Answered(shown, resp.Header.Get("DPoP-Nonce"), challenge)
}

// withNonce sends the attempt once more, to the same instance, with the nonce
// that it wants (RFC 9449 section 9). For everybody else that is the same
// attempt. It returns the first answer if the body can't be sent again.
func (a *clientAttempt) withNonce(header http.Header, resp *http.Response) (*http.Response, error) {
	c := a.call
	if c.body != nil && !c.body.rewind() {
		return resp, nil
	}
	header = maps.Clone(header) // the transport may still read the one before
	shown, err := c.show(header)
	if err != nil {
		return resp, nil
	}
	request, err := a.request(header, &wire{start: a.start}, true)
	if err != nil {
		return resp, nil
	}
	discard(resp)
	resp, err = c.transport().RoundTrip(request)
	if err == nil {
		c.wantsNonce(shown, resp) // to have it next time
	}
	return resp, err
}
