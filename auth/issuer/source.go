package issuer

import (
	"fmt"
	"net/http"

	"github.com/micro/go-platform/auth"
)

// WithSource says where a request comes from, for throttling guesses: those of
// one source make nobody else wait. Default: the address of the connection, of
// IPv6 its /64. Behind a proxy all requests have the proxy's address, so give
// the client's there, from a header that the proxy sets and strangers can't:
//
//	issuer.WithSource(func(r *http.Request) string { return r.Header.Get("X-Real-Ip") })
func WithSource(f func(r *http.Request) string) Option {
	return func(i *Issuer) error {
		if f == nil {
			return fmt.Errorf("%w: nil source", auth.ErrInvalid)
		}
		i.source = f
		return nil
	}
}

// from is the source of a request. It is never empty: that is this process.
func (i *Issuer) from(r *http.Request) string { return "from " + i.source(r) }
