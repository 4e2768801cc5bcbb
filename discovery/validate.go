package discovery

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxName = 128 // bytes of a service or namespace
	maxID   = 200
	minTTL  = time.Second
	maxTTL  = 24 * time.Hour // bounds what a strange entry can make readers keep
)

// validName allows what every registry can hold in a path, a key or a
// parameter as it is, so that no driver has to encode names.
func validName(what, name string) error {
	if name == "" {
		return fmt.Errorf("empty %s", what)
	}
	if len(name) > maxName {
		return fmt.Errorf("%s of %d bytes, at most %d", what, len(name), maxName)
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._:@+", c) >= 0) {
			return fmt.Errorf("%s %q: want letters, digits and -._:@+", what, name)
		}
	}
	return nil
}

func validInstance(in *Instance) error {
	if err := validName("service", in.Service); err != nil {
		return err
	}
	if in.ID == "" || len(in.ID) > maxID || !utf8.ValidString(in.ID) ||
		strings.ContainsFunc(in.ID, func(r rune) bool { return r == '/' || unicode.IsSpace(r) || !unicode.IsGraphic(r) }) {
		return fmt.Errorf("instance id %q: want 1 to %d bytes without spaces and slashes", in.ID, maxID)
	}
	host, port, err := net.SplitHostPort(in.Address)
	if err != nil || host == "" {
		return fmt.Errorf("instance address %q: want host:port", in.Address)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsUnspecified() {
		return fmt.Errorf("instance address %q: an unspecified host, with which others would dial themselves", in.Address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("instance address %q: want a port from 1 to 65535", in.Address)
	}
	if in.Weight < 0 {
		return fmt.Errorf("instance weight %d is negative", in.Weight)
	}
	if int(in.Status) >= len(statusNames) {
		return fmt.Errorf("instance status %d is unknown", in.Status)
	}
	for _, s := range []string{in.Version, in.Zone} {
		if !utf8.ValidString(s) {
			return fmt.Errorf("instance text %q is not UTF-8", s)
		}
	}
	for k, v := range in.Labels {
		if k == "" || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("instance label %q=%q: want UTF-8 and a key", k, v)
		}
	}
	for _, e := range in.Endpoints {
		if e == "" || !utf8.ValidString(e) {
			return fmt.Errorf("instance endpoint %q: want UTF-8, and not empty", e)
		}
	}
	return nil
}
