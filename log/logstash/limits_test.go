package logstash_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/logstash"
)

func TestLimitsOfOptions(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		opt  logstash.Option
		want string // "": it is taken
	}{
		"256 bytes":    {"udp://127.0.0.1:9", logstash.WithMaxDatagram(256), ""},
		"255 bytes":    {"udp://127.0.0.1:9", logstash.WithMaxDatagram(255), "WithMaxDatagram(255)"},
		"65507 bytes":  {"udp://127.0.0.1:9", logstash.WithMaxDatagram(65507), ""},
		"65508 bytes":  {"udp://127.0.0.1:9", logstash.WithMaxDatagram(65508), "WithMaxDatagram(65508)"},
		"nil":          {"x", nil, "option 1 is nil"},
		"no TLS":       {"x", logstash.WithTLS(nil), "TLS"},
		"TLS over udp": {"udp://x", logstash.WithTLS(&tls.Config{}), "TLS"},
		"TLS over tcp": {"tcp://x", logstash.WithTLS(&tls.Config{}), "TLS"},
		"scheme":       {"http://x", logstash.WithHost("h"), "scheme"},
		"address":      {"", logstash.WithHost("h"), "address"},
	} {
		l, err := log.New(logstash.Backend(c.addr, c.opt), log.WithLazy())
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, log.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err == nil {
			_ = l.Close(t.Context())
		}
	}
}

// A record goes into a datagram of just its size, and not into one of a byte less.
func TestARecordFitsADatagramOfItsSize(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	driver := func(message string, size int) (dropped uint64) {
		l := open(t, logstash.Backend("udp://"+c.LocalAddr().String(), logstash.WithMaxDatagram(size), logstash.WithHost("h")))
		l.Logger("").Info(message)
		_ = l.Close(context.WithoutCancel(t.Context()))
		return l.Stats()[0].Dropped
	}
	message := strings.Repeat("x", 300)
	if n := driver(message, 1000); n != 0 {
		t.Fatalf("%d dropped", n)
	}
	buf := make([]byte, 2000)
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, _, err = c.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	size := strings.IndexByte(string(buf), '\n') + 1
	for less, want := range map[int]bool{0: false, 1: true} {
		if n := driver(message, size-less); (n > 0) != want {
			t.Errorf("%d bytes less than %d: %d dropped", less, size, n)
		}
	}
}

// What no server takes is not taken for sent.
func TestNobodyListens(t *testing.T) {
	for addr, want := range map[string]string{nobody(t): "refused", "udp://no-such-host.invalid": ""} {
		l, err := log.New(log.WithOutput(logstash.Backend(addr), log.WriteTimeout(time.Second)), quiet(), log.WithLazy())
		if err != nil {
			t.Fatal(err)
		}
		l.Logger("").Info("lost")
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			says := l.Stats()[0].LastError
			if says != "" && strings.Contains(says, want) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: the last error is %q, want %q", addr, says, want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err = l.Close(ctx)
		cancel()
		if s := l.Stats()[0]; !errors.Is(err, log.ErrDropped) || s.Dropped != 1 {
			t.Errorf("%s: Close: %v, %+v", addr, err, s)
		}
	}
}
