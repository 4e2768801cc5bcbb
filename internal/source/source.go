// Package source says where a request comes from, for throttling guesses.
package source

import (
	"net/http"
	"net/netip"
)

// Of returns the address of the connection, of IPv6 its /64: whoever has one
// address there usually has them all.
func Of(r *http.Request) string {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip := a.Addr().Unmap().WithZone("")
	if ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.String()
	}
	return ip.String()
}
