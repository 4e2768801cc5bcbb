package syslog_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/syslog"
)

func quiet() log.Option { return log.WithErrors(func(string, error) {}) }

func TestLimitsOfOptions(t *testing.T) {
	for name, c := range map[string]struct {
		opt  syslog.Option
		want string // "": it is taken
	}{
		"facility 0": {syslog.WithFacility(0), ""}, "facility 23": {syslog.WithFacility(23), ""},
		"facility -1": {syslog.WithFacility(-1), "facility -1"}, "facility 24": {syslog.WithFacility(24), "facility 24"},
		"480 bytes": {syslog.WithMaxDatagram(480), ""}, "479 bytes": {syslog.WithMaxDatagram(479), "WithMaxDatagram(479)"},
		"65507 bytes": {syslog.WithMaxDatagram(65507), ""}, "65508 bytes": {syslog.WithMaxDatagram(65508), "WithMaxDatagram(65508)"},
		"no TLS": {syslog.WithTLS(nil), "TLS"}, "nil": {nil, "option 1 is nil"},
	} {
		l, err := log.New(syslog.Backend("udp://127.0.0.1:9", c.opt), log.WithLazy())
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, log.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err == nil {
			_ = l.Close(t.Context())
		}
	}
	secure := syslog.WithTLS(&tls.Config{})
	for addr, want := range map[string]string{"http://x": "scheme", "": "address", "unixgram://": "has no path", "unixgram:///x": "TLS over a unix socket", "udp://x": "TLS", "tcp://x": "TLS"} {
		if _, err := log.New(syslog.Backend(addr, secure)); !errors.Is(err, log.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q with TLS: %v, want %q", addr, err, want)
		}
	}
}

// Over TLS, messages are framed by their length; a server that nobody vouches for gets none.
func TestTLS(t *testing.T) {
	certs := servertest.NewCerts(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", certs.Server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 2)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			for {
				length, err := in.ReadString(' ')
				if err != nil {
					break
				}
				n, _ := strconv.Atoi(strings.TrimSpace(length))
				b := make([]byte, n)
				_, _ = io.ReadFull(in, b)
				got <- string(b)
			}
			c.Close()
		}
	}()
	lg, err := log.New(syslog.Backend(l.Addr().String(), syslog.WithTLS(certs.Client)), quiet())
	if err != nil {
		t.Fatal(err)
	}
	lg.Logger("").Info("one")
	lg.Logger("").Info("two")
	if err := lg.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for _, want := range []string{" - one", " - two"} {
		if m := <-got; !strings.HasSuffix(m, want) {
			t.Errorf("%q, want %q", m, want)
		}
	}
	if _, err := log.New(syslog.Backend("tls://"+l.Addr().String()), quiet()); !errors.Is(err, log.ErrUnavailable) {
		t.Errorf("an unknown authority was trusted: %v", err)
	}
}

// What a datagram socket does not take is dropped and said.
func TestADatagramThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := log.New(log.WithOutput(syslog.Backend("unixgram://"+path), log.WriteTimeout(time.Second)), quiet())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	l.Logger("").Info("lost")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = l.Close(ctx)
	if s := l.Stats()[0]; !errors.Is(err, log.ErrDropped) || s.Dropped != 1 {
		t.Errorf("Close: %v, %+v", err, s)
	}
}

// What a server over TCP does not take is not taken for sent.
func TestNobodyListens(t *testing.T) {
	addr := nobody(t)
	l, err := log.New(log.WithOutput(syslog.Backend("tcp://"+addr), log.WriteTimeout(time.Second)), quiet(), log.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	l.Logger("").Info("lost")
	for end := time.Now().Add(30 * time.Second); !strings.Contains(l.Stats()[0].LastError, "refused"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v", l.Stats()[0])
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = l.Close(ctx)
	if s := l.Stats()[0]; !errors.Is(err, log.ErrDropped) || s.Dropped != 1 {
		t.Errorf("Close: %v, %+v", err, s)
	}
}
