package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// NewClient returns an HTTP client for an operator's URL: no proxy of the
// environment, no redirect to another host.
func NewClient() *http.Client { return newClient(nil) }

// NewForeignClient returns an HTTP client for a URL that came out of a document:
// besides, it connects to public addresses only, checked when it dials, so that
// a name that changes its mind between check and use gains nothing.
func NewForeignClient() *http.Client {
	return newClient(func(_ context.Context, _, address string, _ syscall.RawConn) error { return public(address) })
}

// public is an error unless an address to dial is one of the public network.
func public(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	a := ap.Addr().Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return fmt.Errorf("%s is not a public address, and no operator named it", a)
	}
	return nil
}

func newClient(control func(context.Context, string, string, syscall.RawConn) error) *http.Client {
	d := &net.Dialer{Timeout: 5 * time.Second, ControlContext: control}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: d.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: 5 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: sameHost,
	}
}

// sameHost is a CheckRedirect that stays on one host and scheme.
func sameHost(r *http.Request, via []*http.Request) error {
	if len(via) > 3 {
		return errors.New("too many redirects")
	}
	if first := via[0].URL; !strings.EqualFold(r.URL.Host, first.Host) || r.URL.Scheme != first.Scheme {
		return fmt.Errorf("redirect to another host: %s", r.URL.Host)
	}
	return nil
}

// Loopback reports whether a host is this machine.
func Loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// SameOrigin reports whether two URLs have one scheme and host.
func SameOrigin(a, b string) bool {
	x, err := url.Parse(a)
	if err != nil {
		return false
	}
	y, err := url.Parse(b)
	return err == nil && x.Scheme == y.Scheme && strings.EqualFold(x.Host, y.Host)
}
