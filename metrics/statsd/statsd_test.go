package statsd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/statsd"
)

func TestMain(m *testing.M) { leak.Main(m) }

// receiver is a socket that keeps the packets.
type receiver struct {
	net.PacketConn
	mu      sync.Mutex
	packets []string
}

func receive(t testing.TB, network, addr string) *receiver {
	t.Helper()
	c, err := net.ListenPacket(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{PacketConn: c}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.packets = append(r.packets, string(buf[:n]))
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return r
}

// lines waits for n lines.
func (r *receiver) lines(t testing.TB, n int) []string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		all := strings.Split(strings.Join(r.packets, "\n"), "\n")
		got := len(r.packets)
		r.mu.Unlock()
		if got > 0 && len(all) >= n {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d lines, want %d: %q", len(all), n, all)
		}
	}
}

func open(t testing.TB, addr string, opts ...statsd.Option) metrics.Metrics {
	t.Helper()
	m, err := metrics.New(statsd.Backend(addr, opts...), metrics.WithInterval(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(context.Background()) })
	return m
}

func flush(t testing.TB, m metrics.Metrics) {
	t.Helper()
	if err := m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var dialects = map[string]statsd.Dialect{"plain": statsd.Plain, "telegraf": statsd.Telegraf, "dogstatsd": statsd.DogStatsD, "graphite": statsd.Graphite}

func TestLinesOfEachDialect(t *testing.T) {
	for name, want := range map[string][]string{
		"plain":     {"calls.GET.a_b_c_d_e_._.1_5:3|c", "depth:0|g"},
		"telegraf":  {"calls,method=GET,path=a_b_c_d_e_,v=1.5:3|c", "depth:0|g"},
		"dogstatsd": {"calls:3|c|#method:GET,path:a:b_c_d=e#,v:1.5", "depth:0|g"},
		"graphite":  {"calls;method=GET;path=a_b_c_d_e_;v=1.5:3|c", "depth:0|g"},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, "udp", "127.0.0.1:0")
			m := open(t, r.LocalAddr().String(), statsd.WithDialect(dialects[name]))
			m.CounterVec("calls", []string{"method", "path", "empty", "v"}).With("GET", "a:b,c|d=e#", "", "1.5").Add(3)
			m.Gauge("depth").Set(math.Copysign(0, -1))
			flush(t, m)
			got := r.lines(t, 2)
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// Names of OpenTelemetry keep their dots; what ends a name for the receiver goes.
func TestDottedNames(t *testing.T) {
	for name, want := range map[string][]string{
		"plain":     {"a_b:1|c", "http.calls.GET:3|c", "http.took._a:250|ms"},
		"telegraf":  {"a_b:1|c", "http.calls,http.method=GET:3|c", "http.took,http.route=/a:250|ms"},
		"dogstatsd": {"a_b:1|c", "http.calls:3|c|#http.method:GET", "http.took:250|ms|#http.route:/a"},
		"graphite":  {"a_b:1|c", "http.calls;http.method=GET:3|c", "http.took;http.route=/a:250|ms"},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, "udp", "127.0.0.1:0")
			m := open(t, r.LocalAddr().String(), statsd.WithDialect(dialects[name]))
			m.Counter("a:b").Inc()
			m.CounterVec("http.calls", []string{"http.method"}).With("GET").Add(3)
			m.HistogramVec("http.took", []string{"http.route"}, metrics.Unit("s")).With("/a").Observe(.25)
			flush(t, m)
			if got := r.lines(t, 3); !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestOneMillionIncrementsAreOneLine(t *testing.T) {
	r := receive(t, "udp", "127.0.0.1:0")
	m := open(t, r.LocalAddr().String(), statsd.WithDialect(statsd.DogStatsD))
	c := m.CounterVec("hits", []string{"k"}).With("v")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 250_000 {
				c.Inc()
			}
		})
	}
	wg.Wait()
	flush(t, m)
	if got := r.lines(t, 1); len(got) != 1 || got[0] != "hits:1000000|c|#k:v" {
		t.Errorf("%q", got)
	}
	if s := m.Stats().Exporters[0]; s.Packets != 1 || s.Dropped != 0 || s.Bytes != uint64(len("hits:1000000|c|#k:v")) {
		t.Errorf("%+v", s)
	}
	flush(t, m) // nothing happened: no packet, and none that is empty
	c.Add(5)
	flush(t, m)
	if got := r.lines(t, 2); len(got) != 2 || got[1] != "hits:5|c|#k:v" {
		t.Errorf("%q", got)
	}
}

func TestPacketsAreBounded(t *testing.T) {
	r := receive(t, "udp", "127.0.0.1:0")
	m := open(t, r.LocalAddr().String(), statsd.WithDialect(statsd.Telegraf))
	v := m.CounterVec("calls", []string{"key"})
	g := m.GaugeVec("level", []string{"key"})
	for i := range 500 {
		v.With(fmt.Sprint("value-", i)).Add(int64(i + 1))
		g.With(fmt.Sprint("value-", i)).Set(-float64(i + 1))
	}
	v.With(strings.Repeat("x", 100_000)).Inc()
	flush(t, m)
	got := r.lines(t, 1501)
	counted := map[string]bool{}
	for _, line := range got {
		counted[line] = true
	}
	for i := range 500 {
		if !counted[fmt.Sprintf("calls,key=value-%d:%d|c", i, i+1)] {
			t.Fatalf("%d is not there", i)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.packets {
		if len(p) > 1432 || len(p) == 0 || strings.HasSuffix(p, "\n") {
			t.Errorf("packet of %d bytes %q", len(p), p)
		}
		// A negative gauge and the zero before it stay together.
		lines := strings.Split(p, "\n")
		for i, line := range lines {
			if name, _, ok := strings.Cut(line, ":-"); ok && (i == 0 || lines[i-1] != name+":0|g") {
				t.Errorf("%q has no zero before it", line)
			}
		}
	}
}

func TestUnixgramAndTCP(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := receive(t, "unixgram", path)
	m := open(t, "unixgram://"+path)
	m.Counter("a").Inc()
	flush(t, m)
	if got := r.lines(t, 1); got[0] != "a:1|c" {
		t.Errorf("%q", got)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conns := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(conns)
				return
			}
			conns <- c
		}
	}()
	m = open(t, "tcp://"+l.Addr().String())
	m.Counter("a").Inc()
	m.Counter("b").Inc()
	flush(t, m)
	c := <-conns
	buf := make([]byte, 100)
	if n, err := io.ReadFull(c, buf[:12]); err != nil || string(buf[:n]) != "a:1|c\nb:1|c\n" {
		t.Errorf("%q %v", buf[:n], err)
	}
	c.Close() // the receiver restarts: the client connects again
	for deadline := time.Now().Add(30 * time.Second); ; {
		m.Counter("a").Inc()
		_ = m.Flush(t.Context())
		select {
		case c = <-conns:
		default:
			if time.Now().After(deadline) {
				t.Fatal("no new connection")
			}
			continue
		}
		break
	}
	c.Close()
	l.Close()
	for range conns {
	}
}

// Over TCP what could not be sent is known, and goes with the next push.
func TestWhatCouldNotBeSentIsSentNextTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	m, err := metrics.New(statsd.Backend("tcp://"+addr), metrics.WithLazy(), metrics.WithInterval(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	m.Counter("a").Add(3)
	if err := m.Flush(t.Context()); !errors.Is(err, metrics.ErrUnavailable) {
		t.Fatalf("Flush: %v", err)
	}
	if s := m.Stats().Exporters[0]; s.Dropped != 1 || s.Errors != 1 {
		t.Errorf("%+v", s)
	}
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Skip(err) // somebody took the port
	}
	defer l.Close()
	m.Counter("a").Add(4)
	flush(t, m)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 6)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "a:7|c\n" {
		t.Errorf("%q %v", buf, err)
	}
}

func TestNobodyListensIsHarmless(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := c.LocalAddr().String()
	c.Close()
	m := open(t, addr)
	began := time.Now()
	for range 1_000_000 {
		m.Counter("a").Inc()
	}
	flush(t, m)
	if err := m.Close(t.Context()); err != nil || time.Since(began) > 30*time.Second {
		t.Errorf("%v in %v", err, time.Since(began))
	}
}

func TestBackendRefusesWhatCannotBe(t *testing.T) {
	for name, opt := range map[string]metrics.Option{
		"no address": statsd.Backend(""), "scheme": statsd.Backend("http://x"), "no path": statsd.Backend("unixgram://"),
		"dialect": statsd.Backend("x", statsd.WithDialect(9)), "packet": statsd.Backend("x", statsd.WithMaxDatagram(1)),
		"nil option": statsd.Backend("x", nil), "nil sender": statsd.Backend("x", statsd.WithClient(nil)),
		"resolve": statsd.Backend("x", statsd.WithResolve(0)),
	} {
		if _, err := metrics.New(opt); !errors.Is(err, metrics.ErrInvalid) || !strings.HasPrefix(err.Error(), "metrics/statsd: new: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, addr := range []string{"tcp://127.0.0.1:1", "unixgram:///nowhere/s", "no-such-host.invalid:8125"} {
		if _, err := metrics.New(statsd.Backend(addr)); !errors.Is(err, metrics.ErrUnavailable) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// fill counts the same things for every receiver.
func fill(m metrics.Metrics) {
	c := m.CounterVec("gp_calls", []string{"method", "note"})
	c.With("GET", "plain").Add(1000)
	c.With("PUT", `a:b,c|d"e\`).Add(7)
	m.Gauge("gp_negative").Set(-5.5)
	m.Gauge("gp_big").Set(12345678)
	h := m.HistogramVec("gp_took_seconds", []string{"method"}, metrics.Unit("seconds"))
	for range 1000 {
		h.With("GET").Observe(0.25)
	}
	s := m.Histogram("gp_size")
	for range 333 {
		s.Observe(2)
	}
}

func get(t testing.TB, url string) string {
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Prometheus' statsd_exporter reads every dialect: all values are exact and no
// line is refused.
func TestStatsdExporterReadsExactValues(t *testing.T) {
	for name, d := range dialects {
		t.Run(name, func(t *testing.T) {
			e := servertest.StatsdExporter(t)
			m := open(t, e.AddrOf("statsd"), statsd.WithDialect(d))
			fill(m)
			flush(t, m)
			fill(m) // increases are added, gauges stay
			flush(t, m)
			calls := map[string]string{
				"plain":     `gp_calls_GET_plain 2000`,
				"telegraf":  `gp_calls{method="GET",note="plain"} 2000`,
				"dogstatsd": `gp_calls{method="GET",note="plain"} 2000`,
				"graphite":  `gp_calls_method_GET_note_plain 2000`, // it reads the values, but takes the tags for a name
			}[name]
			took := "gp_took_seconds"
			label := `{method="GET"}`
			switch name {
			case "graphite":
				took, label = "gp_took_seconds_method_GET", ""
			case "plain":
				took, label = "gp_took_seconds_GET", ""
			}
			want := []string{calls, "gp_negative -5.5", "gp_big 1.2345678e+07", took + "_count" + label + " 2000", took + "_sum" + label + " 500",
				"gp_size_count 666", "gp_size_sum 1332"}
			var page string
			for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				page = get(t, "http://"+e.AddrOf("http")+"/metrics")
				if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(page, w+"\n") }) {
					break
				}
			}
			for _, w := range want {
				if !strings.Contains(page, w+"\n") {
					t.Errorf("%q is not in the page", w)
				}
			}
			for line := range strings.SplitSeq(page, "\n") {
				if f := strings.Fields(line); len(f) == 2 && (strings.HasPrefix(f[0], "statsd_exporter_sample_errors_total") || strings.HasPrefix(f[0], "statsd_exporter_tag_errors_total") || strings.HasPrefix(f[0], "statsd_exporter_events_error_total")) && f[1] != "0" {
					t.Errorf("refused: %s", line)
				}
				if t.Failed() && strings.HasPrefix(line, "gp_") {
					t.Log(line)
				}
			}
		})
	}
}

// Telegraf's own parser.
func TestTelegrafReadsExactValues(t *testing.T) {
	for _, name := range []string{"telegraf", "dogstatsd"} {
		t.Run(name, func(t *testing.T) {
			tg := servertest.Telegraf(t)
			m := open(t, tg.AddrOf("statsd"), statsd.WithDialect(dialects[name]))
			fill(m)
			flush(t, m)
			type metric struct {
				Name   string
				Tags   map[string]string
				Fields map[string]float64
			}
			sums := map[string]float64{}
			tg.Await(t, "received", func(lines []string) bool {
				clear(sums)
				for _, line := range lines {
					var one metric
					if json.Unmarshal([]byte(line), &one) != nil || !strings.HasPrefix(one.Name, "gp_") {
						continue
					}
					key := one.Name + "/" + one.Tags["method"]
					if v, ok := one.Fields["count"]; ok {
						sums[key+"/count"] += v
						sums[key+"/mean"] = one.Fields["mean"]
					} else {
						sums[key] += one.Fields["value"]
					}
					if one.Tags["note"] != "" {
						sums[key+"/"+one.Tags["note"]]++
					}
				}
				return sums["gp_size//count"] > 0 && sums["gp_took_seconds/GET/count"] > 0 && sums["gp_negative/"] != 0
			})
			want := map[string]float64{
				"gp_calls/GET": 1000, "gp_calls/PUT": 7, "gp_negative/": -5.5, "gp_big/": 12345678,
				"gp_took_seconds/GET/count": 1000, "gp_took_seconds/GET/mean": 250, "gp_size//count": 333, "gp_size//mean": 2,
			}
			for key, v := range want {
				if sums[key] != v {
					t.Errorf("%s is %v, want %v; all: %v", key, sums[key], v, sums)
				}
			}
		})
	}
}

// etsy's statsd, the original.
func TestEtsyStatsdReadsExactValues(t *testing.T) {
	s := servertest.Statsd(t)
	m := open(t, s.AddrOf("statsd"))
	fill(m)
	flush(t, m)
	type flushed struct {
		Flush struct {
			Counters map[string]float64
			Gauges   map[string]float64
			Timers   map[string][]float64 `json:"timers"`
		}
	}
	var got flushed
	counters := map[string]float64{}
	s.Await(t, "received", func(lines []string) bool {
		clear(counters)
		for _, line := range lines {
			var one flushed
			if json.Unmarshal([]byte(line), &one) != nil {
				continue
			}
			for k, v := range one.Flush.Counters {
				counters[k] += v
			}
			if one.Flush.Gauges["gp_negative"] != 0 {
				got.Flush.Gauges = one.Flush.Gauges
			}
		}
		return counters["gp_calls.GET.plain"] > 0 && got.Flush.Gauges != nil
	})
	if counters["gp_calls.GET.plain"] != 1000 || counters["gp_calls.PUT.a_b_c_d_e_"] != 7 || counters["statsd.bad_lines_seen"] != 0 {
		t.Errorf("counters %v", counters)
	}
	if got.Flush.Gauges["gp_negative"] != -5.5 || got.Flush.Gauges["gp_big"] != 12345678 {
		t.Errorf("gauges %v", got.Flush.Gauges)
	}
}

// The OpenTelemetry collector's statsd receiver.
func TestCollectorReadsExactValues(t *testing.T) {
	c := servertest.Collector(t)
	m := open(t, c.AddrOf("statsd"), statsd.WithDialect(statsd.DogStatsD))
	fill(m)
	flush(t, m)
	var counted, gauge, samples float64
	c.Await(t, "received", func(lines []string) bool {
		counted, gauge, samples = 0, 0, 0
		for _, line := range lines {
			var got struct {
				Metrics struct {
					ResourceMetrics []struct {
						ScopeMetrics []struct {
							Metrics []struct {
								Name string
								Sum  struct {
									DataPoints []struct {
										AsInt      string
										Attributes []struct {
											Key   string
											Value struct{ StringValue string }
										}
									}
								}
								Gauge   struct{ DataPoints []struct{ AsDouble float64 } }
								Summary struct{ DataPoints []struct{ Count string } }
							}
						}
					}
				}
			}
			if json.Unmarshal([]byte(line), &got) != nil {
				continue
			}
			for _, r := range got.Metrics.ResourceMetrics {
				for _, s := range r.ScopeMetrics {
					for _, one := range s.Metrics {
						switch one.Name {
						case "gp_calls":
							for _, p := range one.Sum.DataPoints {
								n, _ := strconv.ParseFloat(p.AsInt, 64)
								counted += n
							}
						case "gp_negative":
							for _, p := range one.Gauge.DataPoints {
								gauge = p.AsDouble
							}
						case "gp_took_seconds":
							for _, p := range one.Summary.DataPoints {
								n, _ := strconv.ParseFloat(p.Count, 64)
								samples += n
							}
						}
					}
				}
			}
		}
		return counted > 0 && gauge != 0
	})
	if counted != 1007 || gauge != -5.5 {
		t.Errorf("counted %v, gauge %v, samples %v", counted, gauge, samples)
	}
}
