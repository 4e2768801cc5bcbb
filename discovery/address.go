package discovery

import (
	"net"
	"net/netip"

	"github.com/micro/go-platform/internal/fault"
)

// HostPort returns the address at which others reach what listens at addr on
// this host. An address without a host, or with an unspecified one ("", "::",
// "0.0.0.0"), which is what a listener on all interfaces reports, gets this
// host's address on the default route, and without such a route that of its
// first interface. Any other is returned as it is. A host that has no address
// but its loopback's is ErrInvalid: others would dial themselves. Nothing is
// sent.
func HostPort(addr string) (string, error) {
	return resolve(addr, hostAddress)
}

// resolve is HostPort with a way to find this host's address; v4 asks for one
// of IPv4.
func resolve(addr string, own func(v4 bool) (netip.Addr, bool)) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, nil // Validate says what is wrong
	}
	ip, err := netip.ParseAddr(host)
	if host != "" && (err != nil || !ip.Unmap().IsUnspecified()) {
		return addr, nil
	}
	v4Only := host != "" && ip.Unmap().Is4()
	found, ok := own(true)
	if !ok && !v4Only {
		found, ok = own(false)
	}
	if !ok {
		return "", fault.Markf(ErrInvalid, "instance address %q: this host has no address but loopback, give one that others can reach", addr)
	}
	return net.JoinHostPort(found.String(), port), nil
}

// hostAddress asks the system which address packets to elsewhere would have.
func hostAddress(v4 bool) (netip.Addr, bool) {
	network, elsewhere := "udp6", "[2001:db8::1]:9" // addresses for documentation: RFC 3849, RFC 5737
	if v4 {
		network, elsewhere = "udp4", "192.0.2.1:9"
	}
	if c, err := net.Dial(network, elsewhere); err == nil { // sends nothing
		defer c.Close()
		if ip, ok := reachable(c.LocalAddr(), v4); ok {
			return ip, true
		}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, false
	}
	for _, a := range all {
		if ip, ok := reachable(a, v4); ok {
			return ip, true
		}
	}
	return netip.Addr{}, false
}

// reachable reads an address and reports whether it can be of use to others.
func reachable(a net.Addr, v4 bool) (netip.Addr, bool) {
	var raw net.IP
	switch a := a.(type) {
	case *net.UDPAddr:
		raw = a.IP
	case *net.IPNet:
		raw = a.IP
	}
	ip, ok := netip.AddrFromSlice(raw)
	ip = ip.Unmap()
	return ip, ok && ip.IsGlobalUnicast() && ip.Is4() == v4
}
