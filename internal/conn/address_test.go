package conn_test

import (
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/conn"
)

var redis = []conn.Scheme{{Name: "redis", Port: 6379}, {Name: "rediss", Port: 6380}}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"localhost":                    "localhost:6379",
		"127.0.0.1:7000":               "127.0.0.1:7000",
		"[::1]:7000":                   "[::1]:7000",
		"::1":                          "[::1]:6379",
		"[::1]":                        "[::1]:6379",
		"redis://h":                    "h:6379",
		"REDISS://h":                   "h:6380",
		"redis://bob:s3cret@h:1/2?x=y": "h:1",
	} {
		a, err := conn.Parse(in, redis...)
		if err != nil || a.HostPort() != want {
			t.Errorf("Parse(%q) = %q, %v, want %q", in, a.HostPort(), err, want)
		}
		if strings.Contains(a.String(), "s3cret") {
			t.Errorf("String shows the password: %s", a)
		}
	}
	a, err := conn.Parse("redis://bob:s3cret@h:1/2?x=y", redis...)
	if err != nil || a.User != "bob" || a.Password != "s3cret" || a.Path != "2" || a.Query.Get("x") != "y" {
		t.Errorf("parts lost: %+v, %v", a, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{
		"", " ", "h:0", "h:65536", "h:x", "a:b:c", ":6379", "http://h", "redis://", "redis://:s3cret@:1", "redis://bob:s3cret@h:99999",
		"redis://bob:s3cret@h o", "redis://bob:s3cret@h:%zz", "bob:s3cret@h:1", "redis://bob:s3c%ret@h", "http://bob:s3cret@h", "[::1", "h/x",
	} {
		_, err := conn.Parse(in, redis...)
		if err == nil {
			t.Errorf("Parse(%q) was accepted", in)
		} else if strings.Contains(err.Error(), "s3c") {
			t.Errorf("error shows the password: %v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("redis://bob:s3cret@h:1/2?x=y")
	f.Fuzz(func(t *testing.T, in string) {
		if a, err := conn.Parse(in, redis...); err == nil {
			if _, err := conn.Parse(a.HostPort(), redis...); err != nil {
				t.Errorf("Parse(%q).HostPort() = %q does not parse: %v", in, a.HostPort(), err)
			}
		}
	})
}
