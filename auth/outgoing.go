package auth

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Mode says whose token a call to another service carries.
type Mode int

const (
	// Own: this service's own token. The destination learns that this service
	// calls, not for whom.
	Own Mode = iota
	// Forward: the caller's credential as it came in, else the service's own.
	// The destination can then do everything that the caller may do with it,
	// also elsewhere: for destinations that are trusted as much as this one.
	Forward
	// Exchange: a token for the destination alone in the caller's name
	// (RFC 8693), else the service's own.
	Exchange
)

// Destination says how one other service is called.
type Destination struct {
	Audience string   // whom the token is for; empty: the authority's default
	Scopes   []string // of the token; empty: the authority's default
	Mode     Mode
}

// Outgoing returns the token that a call to a destination carries. ctx is the
// one of the request that the call is made for.
func Outgoing(ctx context.Context, a Auth, d Destination) (*Token, error) {
	switch d.Mode {
	case Forward:
		if c, ok := CredentialFromContext(ctx); ok && c.Value != "" {
			caller, _ := FromContext(ctx)
			if strings.EqualFold(c.Scheme, "DPoP") || caller.Bound() {
				return nil, fmt.Errorf("%w: the caller's token is bound to its key and can't be passed on; see Exchange", ErrUnsupported)
			}
			return &Token{AccessToken: c.Value, Type: "Bearer"}, nil
		}
	case Exchange:
		if t, ok := FromContext(ctx); ok && t.AccessToken != "" {
			return a.Token(ctx, Audience(d.Audience), Scopes(d.Scopes...), OnBehalfOf(t))
		}
	}
	if d.Audience == "" && len(d.Scopes) == 0 {
		return a.Token(ctx)
	}
	return a.Token(ctx, Audience(d.Audience), Scopes(d.Scopes...))
}

// TransportOption changes Transport.
type TransportOption func(*transport) error

// WithDestination sets how the service that a request goes to is called. ok
// false sends no token. Default: the service's own token, for the host's name
// as the audience ("http://greeter/hello" is for "greeter"). That is for clients
// that call your own services: whatever host a client is made to call gets a
// token, and some authorities don't bind a token to its audience.
func WithDestination(f func(r *http.Request) (d Destination, ok bool)) TransportOption {
	return func(t *transport) error { t.destination = f; return fronts.Given(f, "WithDestination") }
}

type transport struct {
	auth        Auth
	base        http.RoundTripper
	destination func(*http.Request) (Destination, bool)
	presenter   *Presenter
	err         error // of an option: nothing is sent
}

// Transport adds a token to each request and sends it through base, or through
// http.DefaultTransport if base is nil. A request that has an Authorization
// header keeps it. After a redirect to another host no token is sent: it was
// not for that host. The caller's request is not changed. A token that is bound
// to a key goes with a proof (RFC 9449), and the request is sent once more if
// the service wants a nonce in it. If an option is nil, or was given nil, every
// request returns ErrInvalid and none is sent.
func Transport(a Auth, base http.RoundTripper, opts ...TransportOption) http.RoundTripper {
	t := &transport{auth: a, base: base, destination: hostDestination, presenter: NewPresenter(a)}
	if base == nil {
		t.base = http.DefaultTransport
	}
	err := fronts.Apply(t, opts)
	if err != nil {
		t.err = fault.Wrap("auth", "transport", "", fault.Mark(ErrInvalid, err))
	}
	return t
}

func hostDestination(r *http.Request) (Destination, bool) {
	return Destination{Audience: r.URL.Hostname()}, true
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.err != nil {
		closeBody(r)
		return nil, t.err
	}
	if r.Header.Get("Authorization") != "" || strayed(r) {
		return t.base.RoundTrip(r)
	}
	d, ok := t.destination(r)
	if !ok {
		return t.base.RoundTrip(r)
	}
	token, err := Outgoing(r.Context(), t.auth, d)
	if err != nil {
		return nil, unsent(r, err)
	}
	return t.sendBound(r, token)
}

// unsent is the error of a request for which there is no token.
func unsent(r *http.Request, err error) error {
	closeBody(r)
	return fmt.Errorf("auth: token for %s: %w", r.URL.Host, err)
}

// closeBody closes the body of a request that is not sent: a RoundTripper does
// so on every path.
func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// CloseIdleConnections passes on what http.Client asks.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// strayed reports whether redirects led away from the host that was asked
// first.
func strayed(r *http.Request) bool {
	for from := r.Response; from != nil && from.Request != nil; from = from.Request.Response {
		if !strings.EqualFold(from.Request.URL.Host, r.URL.Host) || from.Request.URL.Scheme == "https" && r.URL.Scheme != "https" {
			return true
		}
	}
	return false
}
