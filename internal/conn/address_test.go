package conn_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/conn"
)

var schemes = []conn.Scheme{{Name: "redis", Port: 6379}, {Name: "rediss", Port: 6380}}

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
		a, err := conn.Parse(in, schemes...)
		if err != nil || a.HostPort() != want {
			t.Errorf("Parse(%q) = %q, %v, want %q", in, a.HostPort(), err, want)
		}
		if strings.Contains(a.String(), "s3cret") {
			t.Errorf("String shows the password: %s", a)
		}
	}
	a, err := conn.Parse("redis://bob:s3cret@h:1/2?x=y", schemes...)
	if err != nil || a.User != "bob" || a.Password != "s3cret" || a.Path != "2" || a.Query.Get("x") != "y" {
		t.Errorf("parts lost: %+v, %v", a, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{
		"", " ", "h:0", "h:65536", "h:x", "a:b:c", ":6379", "http://h", "redis://", "redis://:s3cret@:1", "redis://bob:s3cret@h:99999",
		"redis://bob:s3cret@h o", "redis://bob:s3cret@h:%zz", "bob:s3cret@h:1", "redis://bob:s3c%ret@h", "http://bob:s3cret@h", "[::1", "h/x",
	} {
		_, err := conn.Parse(in, schemes...)
		if err == nil {
			t.Errorf("Parse(%q) was accepted", in)
		} else if strings.Contains(err.Error(), "s3c") {
			t.Errorf("error shows the password: %v", err)
		}
	}
}

func TestHosts(t *testing.T) {
	for in, want := range map[string]string{
		"h":                             "h",
		"a:1, b:2":                      "a:1 b:2",
		"a,,b":                          "a  b",
		"":                              "",
		"redis://h":                     "redis://h",
		"redis://a:1,b:2/0?x=y":         "redis://a:1/0?x=y redis://b:2/0?x=y",
		"redis://bob:s3,ret@a, [::1]:2": "redis://bob:s3,ret@a redis://bob:s3,ret@[::1]:2",
		"redis://bob:s3/r@t@a,b/0":      "redis://bob:s3/r@t@a/0 redis://bob:s3/r@t@b/0",
		"redis://a,b/x@y":               "redis://a/x@y redis://b/x@y",
		"bob:s3cret@a,b/0":              "bob:s3cret@a b/0", // no URL: the user and the path are refused
	} {
		if got := strings.Join(slices.Collect(conn.Hosts(in)), " "); got != want {
			t.Errorf("Hosts(%q) = %q, want %q", in, got, want)
		}
	}
	for range conn.Hosts("a,b") {
		break
	}
}

func FuzzParse(f *testing.F) {
	f.Add("redis://bob:s3cret@h:1/2?x=y")
	f.Fuzz(func(t *testing.T, in string) {
		if a, err := conn.Parse(in, schemes...); err == nil {
			if _, err := conn.Parse(a.HostPort(), schemes...); err != nil {
				t.Errorf("Parse(%q).HostPort() = %q does not parse: %v", in, a.HostPort(), err)
			}
		}
	})
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"redis://bob:pw@h:1/2":         "redis://bob:xxxxx@h:1/2",
		"redis://:pw@h":                "redis://:xxxxx@h",
		"nats://token@h":               "nats://xxxxx@h",
		"bob:pw@h:1":                   "bob:xxxxx@h:1",
		"token@h:1":                    "xxxxx@h:1",
		"postgres://bob:p@w@h/db":      "postgres://bob:xxxxx@h/db",
		"postgres://bob:p/w@h/db":      "postgres://bob:xxxxx@h/db",
		"postgres://bob:p?w@h/db?x=pw": "postgres://bob:xxxxx@h/db",
		"http://bob:p#w@h":             "http://bob:xxxxx@h",
		"nats://a:pw@h,nats://b:pw@i":  "nats://a:xxxxx@i",
		"http://h/x?token=pw":          "http://h/x",
		"http://h/x#token=pw":          "http://h/x",
		"http:/bob:pw@h":               "http:xxxxx@h",
		"bob:pw@tcp(h:1)/db?x=pw":      "bob:xxxxx@tcp(h:1)/db",
		// and what holds none stays as it is
		"h:1":                "h:1",
		"redis://a:1,b:2/0":  "redis://a:1,b:2/0",
		"http://h/@scope/x":  "http://h/@scope/x",
		"http://h:80/mail@x": "http://h:80/mail@x",
		"http://[::1]:8080/": "http://[::1]:8080/",
		"":                   "",
	} {
		if got := conn.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzRedact: a password is not shown, whatever it holds and stands before.
func FuzzRedact(f *testing.F) {
	f.Add("redis", "bob", "p@ss", "h:1/0?x=y")
	f.Add("", "", "/?#@:", "[::1]")
	f.Add("mysql", "a:b", "'", "tcp(h)/db")
	f.Fuzz(func(t *testing.T, scheme, user, pw, host string) {
		if strings.Contains(scheme+user+host, "://") || strings.ContainsAny(user, "/?#@:") || strings.Contains(host, "hunter2") {
			return
		}
		if scheme != "" {
			scheme += "://"
		}
		if got := conn.Redact(scheme + user + ":" + "a" + pw + "hunter2@" + host); strings.Contains(got, "hunter2") && !strings.Contains(scheme+user, "hunter2") {
			t.Errorf("%q is shown as %q", scheme+user+":a"+pw+"hunter2@"+host, got)
		}
	})
}
