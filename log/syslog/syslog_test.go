package syslog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/syslog"
)

// rsyslog, over TCP with lengths and over UDP.
func TestRsyslogReadsMessages(t *testing.T) {
	s := servertest.Rsyslog(t)
	for i, addr := range []string{"tcp://" + s.AddrOf("syslog"), s.AddrOf("udp")} {
		app := fmt.Sprint("app", i)
		l, err := log.New(syslog.Backend(addr, syslog.WithHost("web 1"), syslog.WithApp(app), syslog.WithFacility(16)))
		if err != nil {
			t.Fatal(err)
		}
		l.Logger("db.pool").Warn("two\nlines", "n", 42, slog.Group("g", slog.String("k", "a b")))
		for j := range 100 {
			l.Logger("").Log(t.Context(), log.LevelFatal, "many", "j", j)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		lines := s.Await(t, "syslog", func(lines []string) bool {
			n := 0
			for _, line := range lines {
				if strings.Contains(line, `"`+app+`"`) {
					n++
				}
			}
			return n >= 101
		})
		seen := map[string]map[string]string{}
		for _, line := range lines {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			if m["app-name"] != app {
				continue
			}
			one := map[string]string{}
			for k, v := range m {
				one[k] = fmt.Sprint(v)
			}
			seen[strings.TrimSpace(one["msg"])] = one
		}
		warn := seen[`two lines n=42 g.k="a b"`]
		for k, want := range map[string]string{"hostname": "web_1", "msgid": "db.pool", "syslogfacility": "16", "syslogseverity": "4", "protocol-version": "1"} {
			if warn[k] != want {
				t.Errorf("%s: %s is %q, want %q: %v", addr, k, warn[k], want, warn)
			}
		}
		for j := range 100 {
			if one := seen[fmt.Sprintf("many j=%d", j)]; one["syslogseverity"] != "2" || one["msgid"] != "-" {
				t.Errorf("%s: message %d: %v", addr, j, one)
			}
		}
	}
}

func TestUnixgramMessage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l, err := log.New(syslog.Backend("unixgram://"+path, syslog.WithHost(""), syslog.WithApp("app"), syslog.WithMaxDatagram(500)))
	if err != nil {
		t.Fatal(err)
	}
	r := slog.NewRecord(time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC), slog.LevelError, "x", 0)
	l.Logger("").Handler().Handle(t.Context(), r)
	l.Logger("").Info(strings.Repeat("ä", 1000))
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, _, err := c.ReadFrom(buf)
	if want := regexp.MustCompile(`^<11>1 2026-01-02T03:04:05\.678901Z - app \d+ - - x$`); err != nil || !want.Match(buf[:n]) {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if n, _, err = c.ReadFrom(buf); err != nil || n > 500 || n < 490 || !strings.HasSuffix(string(buf[:n]), "ä") {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestBackendRefusesWhatCannotBe(t *testing.T) {
	for name, opt := range map[string]log.Option{
		"address": syslog.Backend(""), "scheme": syslog.Backend("http://x"), "nil": syslog.Backend("x", nil), "facility": syslog.Backend("x", syslog.WithFacility(24)),
		"size": syslog.Backend("x", syslog.WithMaxDatagram(1)), "no path": syslog.Backend("unixgram://"),
	} {
		if _, err := log.New(opt); !errors.Is(err, log.ErrInvalid) || !strings.HasPrefix(err.Error(), "log/syslog: new: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := log.New(syslog.Backend("unixgram:///nowhere/log")); !errors.Is(err, log.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func ExampleBackend() {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer server.Close()
	l, err := log.New(syslog.Backend(server.LocalAddr().String(), syslog.WithApp("shop")))
	if err != nil {
		panic(err)
	}
	l.Logger("").Info("hello", "n", 1)
	if err := l.Close(context.Background()); err != nil {
		panic(err)
	}
	buf := make([]byte, 1000)
	n, _, _ := server.ReadFrom(buf)
	fmt.Println(strings.HasPrefix(string(buf), "<14>1 "), strings.HasSuffix(string(buf[:n]), " hello n=1"))
	// Output: true true
}
