package fluentd_test

import (
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
	"github.com/micro/go-platform/log/fluentd"
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

type entry struct {
	Tag    string
	Time   struct{ Seconds, Nanos int64 }
	Record map[string]any
}

func entries(t testing.TB, lines []string) []entry {
	t.Helper()
	all := make([]entry, len(lines))
	for i, line := range lines {
		if err := json.Unmarshal([]byte(line), &all[i]); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return all
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)

// logOne logs a record with one of everything.
func logOne(t testing.TB, l log.Log) {
	r := slog.NewRecord(at, slog.LevelWarn, "two\nlines ä", 0)
	r.AddAttrs(slog.Int("n", -42), slog.Uint64("u", 1<<40), slog.Float64("f", 1.0), slog.Bool("ok", true), slog.Duration("d", time.Second), slog.Time("t", at),
		slog.Group("g", slog.String("k", "v"), slog.Group("h", slog.Int("i", 300))), slog.Any("list", []int{1, 70000}), slog.Any("nil", nil), slog.Any("err", errors.New("bad")),
		slog.String("level", "mine"), slog.String("long", strings.Repeat("x", 70_000)), slog.Any("chan", make(chan int)))
	if err := l.Logger("db.pool").Handler().Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// Fluent's own server: exact values, times to the nanosecond, acknowledged.
func TestFluentdReadsExactValues(t *testing.T) {
	for name, opts := range map[string][]fluentd.Option{"ack": nil, "no ack": {fluentd.WithoutAck()}, "shared key": {fluentd.WithSharedKey("s3cret")}} {
		t.Run(name, func(t *testing.T) {
			var so []servertest.Option
			if name == "shared key" {
				so = append(so, servertest.WithArgs("s3cret"))
			}
			s := servertest.Fluentd(t, so...)
			l := open(t, fluentd.Backend(s.AddrOf("forward"), "app.log", opts...))
			logOne(t, l)
			for i := range 500 {
				l.Logger("").Info("many", "i", i)
			}
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := entries(t, s.Await(t, "received", func(lines []string) bool { return len(lines) >= 501 }))
			if len(got) != 501 || got[0].Tag != "app.log" || got[0].Time.Seconds != at.Unix() || got[0].Time.Nanos != 678901234 {
				t.Fatalf("%d entries, the first %+v", len(got), got[0])
			}
			r := got[0].Record
			for k, want := range map[string]any{"level": "WARN", "logger": "db.pool", "message": "two\nlines ä", "n": -42.0, "u": float64(1 << 40), "f": 1.0, "ok": true,
				"d": 1e9, "t": "2026-01-02T03:04:05.678901234Z", "nil": nil, "err": "bad", "attr.level": "mine", "long": strings.Repeat("x", 70_000)} {
				if v, ok := r[k]; !ok || v != want {
					t.Errorf("%s is %v, want %v", k, v, want)
				}
			}
			if s := fmt.Sprint(r["g"], r["list"]); s != "map[h:map[i:300] k:v] [1 70000]" {
				t.Errorf("%s", s)
			}
		})
	}
}

func TestAWrongSharedKeyIsRefused(t *testing.T) {
	s := servertest.Fluentd(t, servertest.WithArgs("right"))
	_, err := log.New(fluentd.Backend(s.AddrOf("forward"), "x", fluentd.WithSharedKey("wr0ng")), log.WithDialTimeout(30*time.Second))
	if !errors.Is(err, log.ErrUnavailable) || !strings.Contains(err.Error(), "handshake") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("Open: %v", err)
	}
}

// The OpenTelemetry collector's receiver, with acknowledgements and without.
func TestCollectorReadsExactValues(t *testing.T) {
	for name, opts := range map[string][]fluentd.Option{"ack": nil, "no ack": {fluentd.WithoutAck()}} {
		t.Run(name, func(t *testing.T) {
			c := servertest.Collector(t)
			l := open(t, fluentd.Backend(c.AddrOf("fluent"), "app.log", opts...))
			logOne(t, l)
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			lines := c.Await(t, "received", func(lines []string) bool { return strings.Contains(strings.Join(lines, ""), "db.pool") })
			all := strings.Join(lines, "\n")
			for _, want := range []string{fmt.Sprintf(`"timeUnixNano":"%d"`, at.UnixNano()), `"stringValue":"app.log"`, `"two\nlines ä"`,
				`{"key":"n","value":{"intValue":"-42"}}`, `{"key":"u","value":{"intValue":"1099511627776"}}`, `{"key":"f","value":{"doubleValue":1}}`, `{"key":"ok","value":{"boolValue":true}}`} {
				if !strings.Contains(all, want) {
					t.Errorf("%s is not in %s", want, all[:min(len(all), 1500)])
				}
			}
		})
	}
}

// A server that is killed and comes back: acknowledged or sent again, nothing is lost.
func TestNothingIsLostWhenTheServerIsKilled(t *testing.T) {
	s := servertest.Fluentd(t)
	l := open(t, fluentd.Backend(s.AddrOf("forward"), "x"))
	seen := map[string]bool{}
	collect := func() int {
		for _, e := range entries(t, s.Lines("received")) {
			seen[fmt.Sprint(e.Record["i"])] = true
		}
		return len(seen)
	}
	// What the server acknowledged just before it was killed it may not have
	// shown: everything is collected first.
	arrived := func(n int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := l.Flush(ctx); err != nil {
			t.Fatalf("%v: %+v", err, l.Stats())
		}
		for deadline := time.Now().Add(30 * time.Second); collect() < n && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		if len(seen) != n {
			t.Errorf("%d of %d records arrived", len(seen), n)
		}
	}
	for i := range 300 {
		if i == 150 {
			arrived(150)
			s.Kill()
		}
		l.Logger("").Info("x", "i", i)
		if i == 250 {
			s.Restart()
		}
		if i%10 == 0 {
			time.Sleep(time.Millisecond) // in many chunks
		}
	}
	arrived(300)
	if st := l.Stats()[0]; st.Written != 300 || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
}

// A peer that accepts and never acknowledges.
func TestPeerThatNeverAcknowledges(t *testing.T) {
	p, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l := open(t, log.WithOutput(fluentd.Backend(p.Addr().String(), "x"), log.WriteTimeout(20*time.Millisecond)))
	for range 10 {
		l.Logger("").Info("x")
	}
	// An attempt that a busy machine makes slowly may end before it waits for an acknowledgement.
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		st := l.Stats()[0]
		if st.Retries > 0 && strings.Contains(st.LastError, "acknowledgement") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", st)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = l.Close(ctx)
	if st := l.Stats()[0]; !errors.Is(err, log.ErrDropped) || time.Since(began) > 30*time.Second || st.Dropped != 10 {
		t.Errorf("Close: %v after %v, %+v", err, time.Since(began), st)
	}
}

func TestBackendRefusesWhatCannotBe(t *testing.T) {
	secure := fluentd.WithTLS(&tls.Config{})
	for name, c := range map[string]struct {
		opt  log.Option
		want string
	}{
		"address":      {fluentd.Backend("", "x"), "address"},
		"scheme":       {fluentd.Backend("http://x", "x"), "scheme"},
		"tag":          {fluentd.Backend("x", ""), "no tag"},
		"nil":          {fluentd.Backend("x", "x", nil), "option 1 is nil"},
		"empty key":    {fluentd.Backend("x", "x", fluentd.WithSharedKey("")), "empty password or token"},
		"nil TLS":      {fluentd.Backend("x", "x", fluentd.WithTLS(nil)), "TLS"},
		"path":         {fluentd.Backend("unix://", "x"), "has no path"},
		"TLS over tcp": {fluentd.Backend("tcp://x", "x", secure), "TLS"},
		"TLS, a path":  {fluentd.Backend("unix:///x", "x", secure), "TLS over a unix socket"},
	} {
		if _, err := log.New(c.opt); !errors.Is(err, log.ErrInvalid) || !strings.HasPrefix(err.Error(), "log/fluentd: new: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func ExampleBackend() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer server.Close()
	l, err := log.New(fluentd.Backend(server.Addr().String(), "shop.log", fluentd.WithoutAck()))
	if err != nil {
		panic(err)
	}
	l.Logger("").Info("hello")
	if err := l.Close(context.Background()); err != nil {
		panic(err)
	}
	c, _ := server.Accept()
	defer c.Close()
	buf := make([]byte, 1000)
	n, _ := c.Read(buf)
	fmt.Println(strings.Contains(string(buf[:n]), "shop.log"), strings.Contains(string(buf[:n]), "hello"))
	// Output: true true
}
