package issuer

import (
	"fmt"
	"net/http"
	"net/netip"

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

func connection(r *http.Request) string {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip := a.Addr().Unmap().WithZone("")
	if ip.Is6() {
		p, _ := ip.Prefix(64) // whoever has one address there usually has them all
		return p.String()
	}
	return ip.String()
}

// from is the source of a request. It is never empty: that is this process.
func (i *Issuer) from(r *http.Request) string { return "from " + i.source(r) }
