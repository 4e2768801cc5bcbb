package page

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// A name that a stranger owns can be made to point at this process ("DNS
// rebinding"): the stranger's page then has the page's own origin in the
// operator's browser, and whatever lets the operator in by place lets it in.
// What it can't do is change the Host that the browser sends.

// reserved are the ends of names that nobody can register (RFC 6761, RFC 8375,
// RFC 6762, and ICANN's for private use).
var reserved = []string{".localhost", ".local", ".internal", ".home.arpa", ".test"}

// foreign reports whether a request was sent to a name that may be a
// stranger's.
func (o *options) foreign(r *http.Request) bool {
	host := strings.ToLower(r.Host)
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(host, ".")
	if len(o.hosts) > 0 {
		return !slices.Contains(o.hosts, host)
	}
	if o.auth != nil || o.login != nil { // credentials belong to an origin: the stranger's has none
		return false
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	ours := err == nil || !strings.Contains(host, ".") || slices.ContainsFunc(reserved, func(end string) bool { return strings.HasSuffix(host, end) })
	return !ours
}
