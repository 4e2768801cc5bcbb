package source

import (
	"net/http"
	"testing"
)

func TestOf(t *testing.T) {
	for remote, want := range map[string]string{
		"10.0.0.1:80":                       "10.0.0.1",
		"[::ffff:10.0.0.1]:80":              "10.0.0.1",
		"[2001:db8:1:2:3:4:5:6]:80":         "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff:ffff:0:1]:8080": "2001:db8:1:2::/64",
		"[2001:db8:1:3::1]:80":              "2001:db8:1:3::/64",
		"[fe80::1%eth0]:80":                 "fe80::/64",
		"@":                                 "@", // a Unix socket
		"":                                  "",
	} {
		if got := Of(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("Of(%q) = %q, want %q", remote, got, want)
		}
	}
}
