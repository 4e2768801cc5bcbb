package logstash_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/logstash"
)

func quiet() log.Option { return log.WithErrors(func(string, error) {}) }

func open(t testing.TB, opts ...log.Option) log.Log {
	t.Helper()
	l, err := log.New(append(opts, quiet())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		l.Close(ctx)
	})
	return l
}

func flush(t testing.TB, l log.Log) {
	t.Helper()
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// rsyslog's parser of JSON lines, as Logstash's json_lines codec reads them.
func TestRsyslogReadsJSONLines(t *testing.T) {
	s := servertest.Rsyslog(t)
	l := open(t, logstash.Backend("tcp://"+s.AddrOf("json"), logstash.WithHost("web-1")))
	before := time.Now().Truncate(time.Millisecond)
	lg := l.Logger("db.pool")
	lg.Warn("two\nlines \"quoted\" ä", "n", 42, "f", 1.5, "ok", true, slog.Group("g", slog.String("k", "v")), "message", "mine")
	for i := range 500 {
		lg.Info("many", "i", i)
	}
	flush(t, l)
	lines := s.Await(t, "json", func(lines []string) bool { return len(lines) >= 501 })
	if bad := s.Lines("bad"); len(bad) > 0 || len(lines) != 501 {
		t.Fatalf("%d lines, refused %q", len(lines), bad)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &m); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z", fmt.Sprint(m["@timestamp"]))
	if err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("@timestamp %v, %v", m["@timestamp"], err)
	}
	for k, want := range map[string]any{"@version": "1", "level": "WARN", "logger": "db.pool", "host": "web-1", "message": "two\nlines \"quoted\" ä",
		"n": 42.0, "f": 1.5, "ok": true, "attr.message": "mine"} {
		if m[k] != want {
			t.Errorf("%s is %v, want %v", k, m[k], want)
		}
	}
	if g, _ := m["g"].(map[string]any); g["k"] != "v" {
		t.Errorf("group %v", m["g"])
	}
}

// Telegraf's JSON parser.
func TestTelegrafReadsJSONLines(t *testing.T) {
	s := servertest.SharedTelegraf(t)
	l := open(t, logstash.Backend(s.AddrOf("json")))
	l.Logger("").Info("to telegraf", "n", 42)
	flush(t, l)
	s.Await(t, "received", func(lines []string) bool {
		all := strings.Join(lines, "\n")
		return strings.Contains(all, `"message":"to telegraf"`) && strings.Contains(all, `"n":42`)
	})
}

func TestUDP(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l := open(t, logstash.Backend("udp://"+c.LocalAddr().String(), logstash.WithMaxDatagram(1000)))
	l.Logger("").Info("a")
	l.Logger("").Info(strings.Repeat("x", 2000))
	l.Logger("").Info("b")
	if err := l.Flush(t.Context()); !errors.Is(err, log.ErrDropped) || !strings.Contains(err.Error(), "1 records") {
		t.Errorf("Flush: %v", err)
	}
	buf := make([]byte, 2000)
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	for _, want := range []string{"a", "b"} {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(buf[:n]), `"message":"`+want+`"`) || strings.Count(string(buf[:n]), "\n") != 1 {
			t.Errorf("datagram %q", buf[:n])
		}
	}
}

func TestTLS(t *testing.T) {
	certs := servertest.NewCerts(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", certs.Server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
				got <- line
			}
			c.Close()
		}
	}()
	lg := open(t, logstash.Backend("tls://"+l.Addr().String(), logstash.WithTLS(certs.Client)))
	lg.Logger("").Info("secret")
	if line := <-got; !strings.Contains(line, "secret") {
		t.Errorf("%q", line)
	}
	if _, err := log.New(logstash.Backend("tls://"+l.Addr().String()), quiet()); !errors.Is(err, log.ErrUnavailable) {
		t.Errorf("an unknown authority was trusted: %v", err)
	}
}

// The server is unavailable at the start, then comes, goes and comes back.
func TestServerComesAndGoes(t *testing.T) {
	s := servertest.Rsyslog(t)
	s.Kill()
	if _, err := log.New(logstash.Backend(s.AddrOf("json"))); !errors.Is(err, log.ErrUnavailable) || !strings.Contains(err.Error(), s.AddrOf("json")) {
		t.Errorf("Open: %v", err)
	}
	l := open(t, logstash.Backend(s.AddrOf("json")), log.WithLazy())
	for i := range 10 {
		l.Logger("").Info("early", "i", i)
	}
	s.Restart()
	s.Await(t, "json", func(lines []string) bool { return len(lines) == 10 })
	s.Restart() // it closes; that is seen before the next write
	for i := range 10 {
		l.Logger("").Info("late", "i", i)
	}
	s.Await(t, "json", func(lines []string) bool { return strings.Count(strings.Join(lines, "\n"), `"late"`) == 10 })
}

// A peer that accepts and never reads: nothing blocks, Close is bounded.
func TestPeerThatNeverReads(t *testing.T) {
	p, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l := open(t, log.WithOutput(logstash.Backend(p.Addr().String()), log.QueueBytes(1<<20)))
	lg := l.Logger("")
	large := strings.Repeat("x", 10_000)
	began := time.Now()
	for range 3000 { // 30 MB, more than any socket buffer
		lg.Info(large)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("logging took %v", took)
	}
	s := l.Stats()[0]
	if s.Dropped == 0 || s.QueueBytes > 1<<20 {
		t.Errorf("%+v", s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began = time.Now()
	if err := l.Close(ctx); !errors.Is(err, log.ErrDropped) || time.Since(began) > 30*time.Second {
		t.Errorf("Close took %v: %v", time.Since(began), err)
	}
	if s := l.Stats()[0]; s.Written+s.Dropped < 3000 {
		t.Errorf("%d written and %d dropped of 3000", s.Written, s.Dropped)
	}
}

func TestBackendRefusesWhatCannotBe(t *testing.T) {
	for name, opt := range map[string]log.Option{
		"address": logstash.Backend(""), "scheme": logstash.Backend("http://x"), "nil": logstash.Backend("x", nil), "size": logstash.Backend("x", logstash.WithMaxDatagram(1)),
	} {
		if _, err := log.New(opt); !errors.Is(err, log.ErrInvalid) || !strings.HasPrefix(err.Error(), "log/logstash: new: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ExampleBackend() {
	input, err := net.Listen("tcp", "127.0.0.1:0") // Logstash: input { tcp { codec => json_lines } }
	if err != nil {
		panic(err)
	}
	defer input.Close()
	l, err := log.New(logstash.Backend(input.Addr().String()))
	if err != nil {
		panic(err)
	}
	l.Logger("").Info("hello")
	if err := l.Close(context.Background()); err != nil {
		panic(err)
	}
	c, _ := input.Accept()
	defer c.Close()
	var event struct{ Message string }
	_ = json.NewDecoder(c).Decode(&event)
	fmt.Println(event.Message)
	// Output: hello
}
