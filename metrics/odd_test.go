package metrics_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/metrics"
)

// Drivers and errors as users write them: values that can't be compared, which panic,
// hang or return nothing, and a nil pointer that can't say what it is.
type (
	oddDriver struct {
		export []func(ctx context.Context) (metrics.Sent, error)
		close  func() error
	}
	oddError   struct{ text string }
	sliceError []string
)

func (d oddDriver) Export(ctx context.Context, _ *metrics.Snapshot) (metrics.Sent, error) {
	return d.export[0](ctx)
}
func (oddDriver) Ping(context.Context) error { return nil }
func (d oddDriver) Close() error             { return d.close() }
func (e *oddError) Error() string            { return e.text }
func (e sliceError) Error() string           { return strings.Join(e, ", ") }

// What a driver of the user's own does harms no other backend and ends no process: Flush
// and Close say it, each backend is closed.
func TestDriversOfTheUsersOwn(t *testing.T) {
	boom := errors.New("boom")
	var none *oddError
	export := func(err error) func(context.Context) (metrics.Sent, error) {
		return func(context.Context) (metrics.Sent, error) { return metrics.Sent{Packets: 1}, err }
	}
	well := func() error { return nil }
	for name, c := range map[string]struct {
		export func(ctx context.Context) (metrics.Sent, error)
		close  func() error
		flush  string // what Flush and the log say; "": nothing
		closed string // what Close says beside it
	}{
		"well":                  {export(nil), well, "", ""},
		"an error":              {export(boom), well, "boom", ""},
		"a slice":               {export(sliceError{"bad", "worse"}), well, "bad, worse", ""},
		"a nil pointer":         {export(none), well, "panic: ", ""},
		"panics":                {func(context.Context) (metrics.Sent, error) { panic(boom) }, well, "panic: boom", ""},
		"panics, a nil pointer": {func(context.Context) (metrics.Sent, error) { panic(none) }, well, "panic: ", ""},
		"hangs": {func(ctx context.Context) (metrics.Sent, error) { <-ctx.Done(); return metrics.Sent{}, ctx.Err() },
			well, "no answer within 5s", ""},
		"close, an error":      {export(nil), func() error { return boom }, "", "boom"},
		"close, a nil pointer": {export(nil), func() error { return none }, "", "panic: "},
		"close panics":         {export(nil), func() error { panic(boom) }, "", "panic: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lines, good := &strings.Builder{}, &sink{}
				m, err := metrics.New(driver("odd", oddDriver{[]func(context.Context) (metrics.Sent, error){c.export}, c.close}), driver("good", good),
					metrics.WithLogger(slog.New(slog.NewTextHandler(lines, nil))))
				if err != nil {
					t.Fatal(err)
				}
				m.Counter("c").Inc()
				time.Sleep(time.Minute)
				synctest.Wait()
				err = m.Flush(t.Context())
				if (err == nil) != (c.flush == "") || err != nil && (!strings.HasPrefix(err.Error(), "metrics/odd: flush: ") || !strings.Contains(err.Error(), c.flush)) {
					t.Errorf("Flush: %v, want %q", err, c.flush)
				}
				err = m.Close(context.WithoutCancel(t.Context()))
				if (err == nil) != (c.flush+c.closed == "") || err != nil && (!strings.Contains(err.Error(), c.flush) || !strings.Contains(err.Error(), c.closed)) {
					t.Errorf("Close: %v, want %q and %q", err, c.flush, c.closed)
				}
				if again := m.Close(t.Context()); (again == nil) != (err == nil) {
					t.Errorf("Close again: %v", again)
				}
				if (c.flush == "") == strings.Contains(lines.String(), "export failed") || !strings.Contains(lines.String(), c.flush) {
					t.Errorf("the log says %q, want %q", lines, c.flush)
				}
				if s := m.Stats().Exporters; (s[0].Errors > 0) != (c.flush != "") || !strings.Contains(s[0].LastError, c.flush) || s[1].Errors != 0 || s[1].Exports < 6 || good.closed != 1 {
					t.Errorf("the good one was closed %d times: %+v", good.closed, s)
				}
			})
		})
	}
}

// New refuses a driver that is none.
func TestNoDriver(t *testing.T) {
	var none *sink
	for name, opt := range map[string]metrics.Option{
		"nil":         driver("odd", nil),
		"nil pointer": driver("odd", none),
		"an error":    metrics.WithDriver("odd", func(context.Context) (metrics.Driver, error) { return nil, errors.New("bad") }),
	} {
		if m, err := metrics.New(opt); m != nil || !errors.Is(err, metrics.ErrInvalid) || !strings.HasPrefix(err.Error(), "metrics/odd: new: ") {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

// A function of the user's own has a value or none; the others are read all the same, and
// what failed is said once.
func TestFunctionsOfTheUsersOwn(t *testing.T) {
	var none *oddError
	for name, c := range map[string]struct {
		f      func()
		value  bool
		failed string // in the log; "": nothing is
	}{
		"well":                  {func() {}, true, ""},
		"panics":                {func() { panic("boom") }, false, "panicked: boom"},
		"panics, a nil pointer": {func() { panic(none) }, false, "panicked: <nil>"},
		"panics, nil":           {func() { panic(nil) }, false, "panicked: "},
		"hangs":                 {func() { time.Sleep(time.Hour) }, false, "did not return within 1s"},
		"ends its goroutine":    {runtime.Goexit, false, "ended its goroutine"}, // as FailNow of a test does
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lines := &strings.Builder{}
				m := open(t, metrics.WithLogger(slog.New(slog.NewTextHandler(lines, nil))))
				stop := m.GaugeFunc("odd", func() float64 { c.f(); return 1 })
				other := m.OnCollect(func() { c.f(); m.Gauge("collected").Set(1) })
				m.GaugeFunc("good", func() float64 { return 2 })
				for range 3 {
					snap := m.Snapshot()
					_, value := snap.Find("odd")
					_, collected := snap.Find("collected")
					if good, _ := snap.Find("good"); value != c.value || collected != c.value || good.Value != 2 {
						t.Errorf("a value: %v, collected: %v, the good one has %v", value, collected, good.Value)
					}
				}
				if n := strings.Count(lines.String(), "why="); (c.failed == "") != (n == 0) || n > 2 || !strings.Contains(lines.String(), c.failed) {
					t.Errorf("the log says %d times: %s, want %q", n, lines, c.failed)
				}
				stop()
				other()
				stop()
				other()
				time.Sleep(2 * time.Hour)
			})
		})
	}
	m := open(t)
	m.GaugeFunc("nil", nil)()
	m.OnCollect(nil)()
	if n := len(m.Snapshot().Families); n > 1 {
		t.Errorf("%d families of nil functions", n)
	}
}

// counting is a handler that counts what it handles in the metrics whose logger it is.
type counting struct {
	slog.Handler
	in *metrics.Metrics
}

func (c counting) Handle(ctx context.Context, r slog.Record) error {
	if *c.in != nil {
		(*c.in).CounterVec("lines", []string{"text"}, metrics.Limit(1)).With(r.Message).Inc()
	}
	return c.Handler.Handle(ctx, r)
}

// What the metrics say may be counted in them, also by an instrument that they say it of.
func TestTheLoggersHandlerMayCount(t *testing.T) {
	refused := "metrics: instrument refused"
	over := "metrics: too many series, the rest is counted together"
	for name, c := range map[string]struct {
		do   func(m metrics.Metrics)
		said string
	}{
		"refused":        {func(m metrics.Metrics) { m.Gauge("lines").Set(1) }, refused},
		"over the limit": {func(m metrics.Metrics) { m.CounterVec("lines", []string{"text"}).With("other").Inc() }, over},
		"a function": {func(m metrics.Metrics) {
			m.GaugeVec("g", []string{"k"}, metrics.Limit(1)).With("a").Set(1)
			m.GaugeFunc("g", func() float64 { return 1 }, metrics.Label{Key: "k", Value: "b"})
		}, "metrics: too many series, the rest of its functions is left out"},
		"a failed function": {func(m metrics.Metrics) { m.GaugeFunc("f", func() float64 { panic("boom") }); m.Snapshot() },
			"metrics: a gauge's function failed, the gauge has no value"},
		"a callback": {func(m metrics.Metrics) { m.OnCollect(func() { panic("boom") }); m.Snapshot() },
			"metrics: a function of OnCollect failed, what it measures may be old"},
	} {
		lines, m := &strings.Builder{}, metrics.Metrics(nil)
		m = open(t, metrics.WithLogger(slog.New(counting{slog.NewTextHandler(lines, nil), &m})))
		m.CounterVec("lines", []string{"text"}, metrics.Limit(1)).With("first").Inc()
		done := make(chan bool)
		go func() { defer close(done); c.do(m) }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatalf("%s: it waits for itself", name)
		}
		if !strings.Contains(lines.String(), c.said) {
			t.Errorf("%s: the log says %s, want %s", name, lines, c.said)
		}
		if s := find(t, m, "lines", metrics.Overflow); s.Count == 0 {
			t.Errorf("%s: what it said was not counted", name)
		}
	}
}

// A series that comes back above the limit is said without a lock, of each kind.
func TestTheLoggersHandlerMayCountWhatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines, m := &strings.Builder{}, metrics.Metrics(nil)
		m = open(t, metrics.WithIdle(time.Second), metrics.WithLogger(slog.New(counting{slog.NewTextHandler(lines, nil), &m})))
		keys, one := []string{"k"}, metrics.Limit(1)
		with := map[string]func(value string) func(){
			"counter": func(v string) func() { return m.CounterVec("counter", keys, one).With(v).Inc },
			"updown": func(v string) func() {
				u := m.UpDownCounterVec("updown", keys, one).With(v)
				return func() { u.Add(1) }
			},
			"gauge": func(v string) func() { g := m.GaugeVec("gauge", keys, one).With(v); return func() { g.Set(1) } },
			"histogram": func(v string) func() {
				h := m.HistogramVec("histogram", keys, one).With(v)
				return func() { h.Observe(1) }
			},
		}
		for name, handle := range with {
			kept := handle("kept")
			for m.Stats().Series > 0 { // until it is freed
				time.Sleep(time.Second)
			}
			handle("other")
			kept()
			if s := find(t, m, name, metrics.Overflow); s.Count == 0 && s.Value == 0 {
				t.Errorf("%s: not counted: %+v", name, s)
			}
			if !strings.Contains(lines.String(), "name="+name) {
				t.Errorf("%s: the log says %s", name, lines)
			}
			time.Sleep(time.Minute)
		}
	})
}
