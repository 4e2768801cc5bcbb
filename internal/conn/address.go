// Package conn holds what connecting to a server has in common, whatever the
// server: the address that a user writes, and errors of the network. One
// vendor's connection code is in a folder of its own below, shared by every
// public package that has a backend on it.
package conn

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Address is where a server is, as a user gave it: "host", "host:port",
// "[::1]:6379" or a URL such as "rediss://user:secret@host:6380/2".
type Address struct {
	Scheme   string // as given, lower case; "" if the address was no URL
	Host     string // without brackets
	Port     int
	User     string
	Password string
	HasUser  bool       // it has an @, whatever stands before it
	Path     string     // of a URL, without the leading slash
	Query    url.Values // of a URL
}

// Scheme is one URL scheme that a backend understands.
type Scheme struct {
	Name string
	Port int // the default port
}

// Parse reads an address. The first scheme gives the default port for an
// address that is not a URL. Errors name the address without its password.
func Parse(addr string, schemes ...Scheme) (Address, error) {
	if addr == "" {
		return Address{}, errors.New("empty address")
	}
	if strings.ContainsFunc(addr, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return Address{}, fmt.Errorf("address %q contains white space", Redact(addr))
	}
	if !strings.Contains(addr, "://") {
		a := Address{}
		return a, a.setHostPort(addr, addr, schemes[0].Port)
	}
	u, err := url.Parse(addr)
	if err != nil {
		return Address{}, fmt.Errorf("malformed address %q", Redact(addr)) // url.Error repeats the password
	}
	a := Address{Scheme: strings.ToLower(u.Scheme), Path: strings.TrimPrefix(u.Path, "/"), Query: u.Query()}
	if u.User != nil {
		a.HasUser = true
		a.User = u.User.Username()
		a.Password, _ = u.User.Password()
	}
	for _, s := range schemes {
		if s.Name == a.Scheme {
			return a, a.setHostPort(u.Host, addr, s.Port)
		}
	}
	names := make([]string, len(schemes))
	for i, s := range schemes {
		names[i] = s.Name
	}
	return Address{}, fmt.Errorf("unknown scheme %q in address %q, want one of %s", u.Scheme, Redact(addr), strings.Join(names, ", "))
}

// Hosts yields an address for each host of one that names several, with commas
// between. Those of a URL share its scheme, user and path.
func Hosts(addr string) iter.Seq[string] {
	return func(yield func(string) bool) {
		before, hosts, behind := "", addr, ""
		if scheme, rest, isURL := strings.Cut(addr, "://"); isURL {
			user := rest[:userinfoEnd(rest, true)+1]
			before, hosts = scheme+"://"+user, rest[len(user):]
			if i := strings.IndexAny(hosts, "/?#"); i >= 0 {
				hosts, behind = hosts[:i], hosts[i:]
			}
		}
		for host := range strings.SplitSeq(hosts, ",") {
			if !yield(before + strings.TrimSpace(host) + behind) {
				return
			}
		}
	}
}

func (a *Address) setHostPort(hostport, whole string, port int) error {
	host, p, err := net.SplitHostPort(hostport)
	if err != nil { // no port, or malformed
		host, p = hostport, ""
		if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
			host = host[1 : len(host)-1]
		} else if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return fmt.Errorf("malformed address %q, want host:port", Redact(whole))
		}
	}
	a.Host, a.Port = host, port
	if p != "" {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("address %q has port %q, want 1 to 65535", Redact(whole), p)
		}
		a.Port = n
	}
	if host == "" || strings.ContainsAny(host, "/@[]") {
		return fmt.Errorf("malformed address %q, want host:port", Redact(whole))
	}
	return nil
}

// HostPort returns "host:port", with brackets around an IPv6 host.
func (a Address) HostPort() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// String returns the address without its password.
func (a Address) String() string {
	if a.Scheme == "" {
		return a.HostPort()
	}
	user := ""
	if a.User != "" {
		user = url.User(a.User).String() + "@"
	}
	s := a.Scheme + "://" + user + a.HostPort()
	if a.Path != "" {
		s += "/" + a.Path
	}
	return s
}

// Redact hides the user information of what may be a URL, except the name that
// stands before a password, and its query and fragment. It reads addresses that
// do not parse too: a password may hold an '@' and, though it must not, what
// ends the host.
func Redact(addr string) string {
	scheme, rest := "", addr
	if i := strings.Index(addr, "://"); i >= 0 {
		scheme, rest = addr[:i+3], addr[i+3:]
	}
	at := userinfoEnd(rest, scheme != "")
	user, _, both := strings.Cut(rest[:max(at, 0)], ":")
	host := rest[at+1:]
	if i := strings.IndexAny(host, "?#"); i >= 0 {
		host = host[:i]
	}
	switch {
	case at < 0:
		return scheme + host
	case both:
		return scheme + user + ":xxxxx@" + host
	}
	return scheme + "xxxxx@" + host // a token, perhaps
}

// userinfoEnd returns where the '@' behind the user information is, or -1.
func userinfoEnd(s string, url bool) int {
	i := strings.IndexAny(s, "/?#")
	if i < 0 || !url || strings.Contains(s, "://") { // or several URLs
		return strings.LastIndexByte(s, '@')
	}
	if at := strings.LastIndexByte(s[:i], '@'); at >= 0 {
		return at
	}
	_, port, _ := strings.Cut(s[:i], ":")
	if strings.Trim(port, "0123456789") == "" {
		return -1
	}
	return strings.LastIndexByte(s, '@') // that was no port
}

// EscapeUserinfo writes each '@' in the user information of a URL as it must be
// written, for parsers that end it at the first.
func EscapeUserinfo(addr string) string {
	scheme, rest, ok := strings.Cut(addr, "://")
	at := userinfoEnd(rest, ok)
	if !ok || at < 0 {
		return addr
	}
	return scheme + "://" + strings.ReplaceAll(rest[:at], "@", "%40") + rest[at:]
}
