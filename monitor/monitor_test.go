package monitor_test

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/monitor"
)

func TestMain(m *testing.M) { leak.Main(m) }

var errDown = errors.New("connection refused")

// start returns a Monitor that the test closes.
func start(t *testing.T, opts ...monitor.Option) monitor.Monitor {
	t.Helper()
	mo, err := monitor.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mo.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return mo
}

func register(t *testing.T, mo monitor.Monitor, c monitor.Check) {
	t.Helper()
	if err := mo.Register(c); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, mo monitor.Monitor, check string) monitor.Result {
	t.Helper()
	r, ok := mo.Status().Check(check)
	if !ok {
		t.Fatalf("no check %q in %+v", check, mo.Status())
	}
	return r
}

func TestFirstResultCountsAtOnceAndThresholdsAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t)
		var failing atomic.Bool
		register(t, mo, monitor.Check{Name: "db", Delay: time.Millisecond, Interval: 10 * time.Second, FailAfter: 3, PassAfter: 2, Func: func(context.Context) error {
			if failing.Load() {
				return errDown
			}
			return nil
		}})
		if r := state(t, mo, "db"); r.State != monitor.Unknown || mo.Status().Ready {
			t.Errorf("before the first run: %v, ready %v, want unknown and not ready", r.State, mo.Status().Ready)
		}
		time.Sleep(time.Second)
		if r := state(t, mo, "db"); r.State != monitor.Pass || !mo.Status().Ready {
			t.Errorf("after the first run: %v, want pass", r.State)
		}
		failing.Store(true)
		time.Sleep(24 * time.Second) // two runs
		if r := state(t, mo, "db"); r.State != monitor.Pass || r.Fails != 2 || r.Error == "" {
			t.Errorf("after two failures: %+v, want still pass, with the error shown", r)
		}
		time.Sleep(10 * time.Second)
		if r := state(t, mo, "db"); r.State != monitor.Fail || mo.Status().Ready {
			t.Errorf("after three failures: %+v, want fail", r)
		}
		failing.Store(false)
		time.Sleep(12 * time.Second)
		if r := state(t, mo, "db"); r.State != monitor.Fail {
			t.Errorf("after one success of two: %v, want fail", r.State)
		}
		time.Sleep(12 * time.Second)
		if r := state(t, mo, "db"); r.State != monitor.Pass || r.Error != "" {
			t.Errorf("after two successes: %+v, want pass and no error", r)
		}
	})
}

// The database of a check stops answering, and the check ignores its context.
func TestACheckThatHangsFailsReadinessByItsThreshold(t *testing.T) {
	for _, c := range []struct {
		name        string
		passesFirst bool
		failAfter   int
		after       time.Duration // of hanging
		ready       bool
		fails       int
	}{
		{"from the start", false, 3, 1200 * time.Millisecond, false, 1},
		{"after it passed, before the threshold", true, 3, 5000 * time.Millisecond, true, 2},
		{"after it passed, at the threshold", true, 3, 5200 * time.Millisecond, false, 3},
		{"after it passed, threshold one", true, 1, 1200 * time.Millisecond, false, 1},
		{"after it passed, long after", true, 3, time.Minute, false, 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mo := start(t)
				var runs atomic.Int32
				var hanging atomic.Bool
				hanging.Store(!c.passesFirst)
				began, release := make(chan struct{}, 1), make(chan struct{})
				register(t, mo, monitor.Check{Name: "db", Interval: 2 * time.Second, Timeout: time.Second, FailAfter: c.failAfter, Func: func(context.Context) error {
					runs.Add(1)
					if hanging.Load() {
						began <- struct{}{}
						<-release // ignores its context
					}
					return nil
				}})
				if c.passesFirst {
					synctest.Wait()
					hanging.Store(true)
				}
				<-began
				before := runs.Load()
				time.Sleep(c.after)
				if r := state(t, mo, "db"); mo.Status().Ready != c.ready || r.Fails != c.fails || r.Stale {
					t.Errorf("after %v: %+v, ready %v; want %d failures, ready %v", c.after, r, mo.Status().Ready, c.fails, c.ready)
				}
				if n := runs.Load(); n != before {
					t.Errorf("%d more runs beside the one that hangs", n-before)
				}
				hanging.Store(false)
				close(release)
				time.Sleep(5 * time.Second)
				if r := state(t, mo, "db"); r.State != monitor.Pass || !mo.Status().Ready {
					t.Errorf("after it came back: %+v, want pass and ready", r)
				}
			})
		})
	}
}

func TestTimeoutAndPanicAreFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t)
		register(t, mo, monitor.Check{Name: "slow", Timeout: time.Second, Func: func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("ping: %w", ctx.Err())
		}})
		register(t, mo, monitor.Check{Name: "panics", Func: func(context.Context) error { panic("boom") }})
		register(t, mo, monitor.Check{Name: "exits", Func: func(context.Context) error { runtime.Goexit(); return nil }})
		time.Sleep(1500 * time.Millisecond)
		for name, want := range map[string]string{"slow": "ping: context deadline exceeded", "panics": "panic: boom", "exits": "it ended its goroutine"} {
			if r := state(t, mo, name); r.State != monitor.Fail || r.Error != want {
				t.Errorf("%s: %v %q, want fail %q", name, r.State, r.Error, want)
			}
		}
	})
}

func TestSoftAndDegradedOnlyWarn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t)
		register(t, mo, monitor.Check{Name: "cache", Severity: monitor.Soft, Func: func(context.Context) error { return errDown }})
		register(t, mo, monitor.Check{Name: "replica", Func: func(context.Context) error { return monitor.Degraded(errDown) }})
		synctest.Wait()
		s := mo.Status()
		if s.State != monitor.Warn || !s.Ready {
			t.Errorf("state %v, ready %v; want warn and ready", s.State, s.Ready)
		}
		if c, _ := s.Check("cache"); c.State != monitor.Fail {
			t.Errorf("the soft check shows %v, want fail", c.State)
		}
		if c, _ := s.Check("replica"); c.State != monitor.Warn {
			t.Errorf("the degraded check shows %v, want warn", c.State)
		}
	})
}

func TestStartupCheckRunsUntilItPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t)
		var runs atomic.Int32
		register(t, mo, monitor.Check{Name: "migrate", Probe: monitor.Startup, Interval: time.Second, Func: func(context.Context) error {
			if runs.Add(1) < 3 {
				return errDown
			}
			return nil
		}})
		synctest.Wait()
		if s := mo.Status(); s.Started || s.Ready || !s.Live {
			t.Errorf("before: %+v, want neither started nor ready, but alive", s)
		}
		time.Sleep(time.Hour)
		if s := mo.Status(); !s.Started || !s.Ready || s.State != monitor.Pass {
			t.Errorf("after: %+v, want started and ready", s)
		}
		if n := runs.Load(); n != 3 {
			t.Errorf("%d runs, want 3: none after it passed", n)
		}
	})
}

func TestPassiveCheckFailsInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t)
		register(t, mo, monitor.Check{Name: "backup", TTL: time.Minute})
		for range 10 {
			mo.Beat("backup", nil)
			time.Sleep(50 * time.Second)
		}
		if r := state(t, mo, "backup"); r.State != monitor.Pass {
			t.Errorf("with beats: %v, want pass", r.State)
		}
		time.Sleep(time.Minute)
		if r := state(t, mo, "backup"); r.State != monitor.Fail || r.Error != "no beat for 1m0s" {
			t.Errorf("in silence: %+v, want fail", r)
		}
		mo.Beat("backup", nil)
		if r := state(t, mo, "backup"); r.State != monitor.Pass {
			t.Errorf("after a beat: %v, want pass", r.State)
		}
		mo.Beat("nobody", nil) // ignored
	})
}

func TestLivenessFailsWhenALoopStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t)
		beat := mo.Liveness("consumer", 10*time.Second)
		time.Sleep(9 * time.Second)
		beat()
		time.Sleep(9 * time.Second)
		if !mo.Status().Live {
			t.Error("dead though it turns")
		}
		time.Sleep(2 * time.Second)
		if mo.Status().Live {
			t.Error("alive though it has not turned for 11 s of 10")
		}
	})
}

func TestStrangersSeeServiceAndVersionAlone(t *testing.T) {
	all := monitor.Instance{ID: "orders-1", Service: "orders", Version: "1.2.0", Address: "10.0.0.7:80", Zone: "a"}
	mo := start(t, monitor.WithInstance(all), monitor.WithDetails(func(r *http.Request) bool { return r.URL.Query().Has("admin") }))
	for target, want := range map[string]string{
		"/statusz":       `{"service":"orders","version":"1.2.0"}`,
		"/statusz?admin": `{"id":"orders-1","service":"orders","version":"1.2.0","address":"10.0.0.7:80","zone":"a"}`,
	} {
		w := httptest.NewRecorder()
		mo.Handler().ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		var got struct {
			Instance json.RawMessage `json:"instance"`
		}
		var line bytes.Buffer
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || json.Compact(&line, got.Instance) != nil || line.String() != want {
			t.Errorf("%s: %s, %v, want %s", target, line.String(), err, want)
		}
	}
}

func TestProbesOverHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t, monitor.WithService("orders"), monitor.WithPhase(monitor.Starting),
			monitor.WithDetails(func(r *http.Request) bool { return r.Header.Get("X-Admin") == "yes" }))
		register(t, mo, monitor.Check{Name: "db", Func: func(context.Context) error { return nil }})
		register(t, mo, monitor.Check{Name: "cache", Severity: monitor.Soft, Func: func(context.Context) error { return errDown }})
		synctest.Wait()
		h := mo.Handler()
		get := func(path, admin string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("X-Admin", admin)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		codes := func(want ...int) {
			t.Helper()
			for i, path := range []string{"/livez", "/startupz", "/readyz", "/healthz"} {
				if got := get(path, "").Code; got != want[i] {
					t.Errorf("%s in phase %v: %d, want %d", path, mo.Status().Phase, got, want[i])
				}
			}
		}
		codes(200, 200, 503, 503)
		mo.SetPhase(monitor.Running)
		codes(200, 200, 200, 200)
		mo.SetPhase(monitor.Draining)
		codes(200, 200, 503, 503)

		if b := get("/readyz?verbose", "").Body.String(); strings.Contains(b, "db") || b != "failed\n" {
			t.Errorf("a stranger sees %q", b)
		}
		if b := get("/readyz?verbose", "yes").Body.String(); !strings.Contains(b, "[+]db pass\n") || !strings.Contains(b, "[-]cache fail: connection refused\n") {
			t.Errorf("the admin sees %q", b)
		}
		var s struct {
			Word string `json:"status"`
			monitor.Status
		}
		w := get("/statusz", "yes")
		if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || s.Word != "warn" || s.Phase != monitor.Draining || len(s.Checks) != 2 {
			t.Errorf("/statusz: %v, %s", err, w.Body)
		}
		if b := get("/statusz", "").Body.String(); strings.Contains(b, "refused") || strings.Contains(b, s.Instance.ID) || strings.Contains(b, `"id"`) {
			t.Errorf("a stranger sees %s", b)
		}
		mo.Observe(monitor.Endpoint{Method: "GET /x"}, time.Millisecond, nil)
		var st monitor.Stats
		if err := json.Unmarshal(get("/statsz", "yes").Body.Bytes(), &st); err != nil || len(st.Endpoints) != 1 || st.Process.Goroutines == 0 {
			t.Errorf("/statsz: %v, %+v", err, st)
		}
		if w := get("/nothing", ""); w.Code != 404 {
			t.Errorf("/nothing: %d, want 404", w.Code)
		}
	})
}

func TestWatchYieldsChangesAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t)
		var phases []monitor.Phase
		var wg sync.WaitGroup
		wg.Go(func() {
			for s := range mo.Watch(t.Context()) {
				phases = append(phases, s.Phase)
			}
		})
		for _, p := range []monitor.Phase{monitor.Running, monitor.Draining, monitor.Draining} {
			synctest.Wait()
			mo.SetPhase(p)
		}
		time.Sleep(time.Minute)
		mo.Close(t.Context())
		wg.Wait()
		if want := []monitor.Phase{monitor.Running, monitor.Draining}; len(phases) != 2 || phases[0] != want[0] || phases[1] != want[1] {
			t.Errorf("got %v, want %v", phases, want)
		}
	})
}

func TestOnChangeTellsOldAndNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		mo := start(t, monitor.WithOnChange(func(old, new monitor.Status) {
			seen = append(seen, fmt.Sprintf("%v-%v", old.Ready, new.Ready))
		}))
		synctest.Wait()
		mo.SetPhase(monitor.Draining)
		synctest.Wait()
		mo.SetPhase(monitor.Running)
		synctest.Wait()
		if got := strings.Join(seen, " "); got != "true-false false-true" {
			t.Errorf("got %q", got)
		}
	})
}

// What changes right after the start is a change, though nobody has looked before it.
func TestOnChangeSaysWhatChangesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		told   bool
		change func(mo monitor.Monitor)
	}{
		"the phase": {true, func(mo monitor.Monitor) { mo.SetPhase(monitor.Draining) }},
		"a check that fails": {true, func(mo monitor.Monitor) {
			register(t, mo, monitor.Check{Name: "db", Func: func(context.Context) error { return errors.New("down") }})
		}},
		"a check that passes": {false, func(mo monitor.Monitor) {
			register(t, mo, monitor.Check{Name: "db", Func: func(context.Context) error { return nil }})
		}},
		"nothing": {false, func(monitor.Monitor) {}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen []string
				mo := start(t, monitor.WithOnChange(func(old, new monitor.Status) {
					seen = append(seen, fmt.Sprintf("%v-%v", old.Ready, new.Ready))
				}))
				c.change(mo)
				synctest.Wait()
				if got := strings.Join(seen, " "); (got == "true-false") != c.told || len(seen) > 1 {
					t.Errorf("got %q, want a change: %v", got, c.told)
				}
			})
		})
	}
}

func TestNamesAreReadBack(t *testing.T) {
	type name interface {
		encoding.TextMarshaler
		encoding.TextUnmarshaler
	}
	for _, pair := range [][2]name{
		{new(monitor.Pass), new(monitor.State)}, {new(monitor.Draining), new(monitor.Phase)}, {new(monitor.Gone), new(monitor.Presence)},
	} {
		text, err := pair[0].MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := pair[1].UnmarshalText(text); err != nil || !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s is read as %v, %v", text, pair[1], err)
		}
		if err := pair[1].UnmarshalText([]byte("odd")); err == nil || !strings.Contains(err.Error(), `"odd"`) || !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("an unknown name is read as %v, %v", pair[1], err)
		}
	}
	cause := errors.New("cause")
	if err := monitor.Degraded(cause); !errors.Is(err, cause) || !monitor.IsDegraded(err) || monitor.IsDegraded(cause) || monitor.Degraded(nil) != nil {
		t.Errorf("Degraded: %v", err)
	}
}

func TestBadInputIsRefused(t *testing.T) {
	ok := func(context.Context) error { return nil }
	for name, opt := range map[string]monitor.Option{
		"nil": nil, "service": monitor.WithService(""), "phase": monitor.WithPhase(monitor.Stopped), "logger": monitor.WithLogger(nil),
		"interval": monitor.WithInterval(-1), "driver": monitor.WithDriver("", nil), "policy": monitor.WithPolicy(monitor.Policy{MinHealthy: 2}),
		"details": monitor.WithDetails(nil), "expected": monitor.WithExpected(nil),
		"on change": monitor.WithOnChange(nil), "memory": monitor.Memory(nil), "dial": monitor.WithDialTimeout(0),
		"least share": monitor.WithPolicy(monitor.Policy{MinHealthy: -.1}), "open": monitor.WithPolicy(monitor.Policy{FailOpen: -.1}), "all open": monitor.WithPolicy(monitor.Policy{FailOpen: 1.1}),
		"ttl": monitor.WithPolicy(monitor.Policy{TTL: -1}), "keep": monitor.WithPolicy(monitor.Policy{Keep: -1}),
	} {
		if _, err := monitor.New(opt); !errors.Is(err, monitor.ErrInvalid) || !strings.HasPrefix(err.Error(), "monitor: new: ") {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	m := monitor.NewReports()
	if _, err := monitor.New(monitor.Memory(m), monitor.Memory(m)); !errors.Is(err, monitor.ErrInvalid) {
		t.Errorf("two backends: %v", err)
	}
	least, err := monitor.New(monitor.WithPhase(monitor.Draining), monitor.WithInterval(time.Hour), monitor.WithPolicy(monitor.Policy{MinHealthy: 1, FailOpen: 1}))
	if err != nil {
		t.Fatalf("the least of each: %v", err)
	}
	if err := least.Close(t.Context()); err != nil {
		t.Error(err)
	}
	mo := start(t)
	for says, c := range map[string][2]monitor.Check{
		"without a name":       {{Name: "1", Func: ok}, {Func: ok}},
		"needs Func or TTL":    {{Name: "2", TTL: time.Hour}, {Name: "2"}},
		"has both":             {{Name: "3", Func: ok}, {Name: "3", Func: ok, TTL: 1}},
		"negative duration":    {{Name: "4", Func: ok}, {Name: "4", TTL: -1}},
		"negative duration ":   {{Name: "5", Func: ok}, {Name: "5", Func: ok, Interval: -1}},
		"negative duration  ":  {{Name: "6", Func: ok}, {Name: "6", Func: ok, Timeout: -1}},
		"negative duration   ": {{Name: "7", Func: ok}, {Name: "7", Func: ok, Delay: -1}},
		"negative threshold":   {{Name: "8", Func: ok, FailAfter: 1}, {Name: "8", Func: ok, FailAfter: -1}},
		"negative threshold ":  {{Name: "9", Func: ok, PassAfter: 1}, {Name: "9", Func: ok, PassAfter: -1}},
		"unknown probe":        {{Name: "10", Func: ok, Probe: monitor.Info}, {Name: "10", Func: ok, Probe: monitor.Info + 1}},
		"or severity":          {{Name: "11", Func: ok, Severity: monitor.Soft}, {Name: "11", Func: ok, Severity: monitor.Soft + 1}},
	} {
		if err := mo.Register(c[1]); !errors.Is(err, monitor.ErrInvalid) || !strings.Contains(err.Error(), strings.TrimSpace(says)) {
			t.Errorf("%v, want %q", err, says)
		}
		register(t, mo, c[0])
	}
	for name, c := range map[string]monitor.Check{
		"no name": {Func: ok}, "nothing to do": {Name: "x"}, "both": {Name: "x", Func: ok, TTL: 1}, "negative": {Name: "x", Func: ok, Interval: -1},
		"threshold": {Name: "x", Func: ok, FailAfter: -1}, "probe": {Name: "x", Func: ok, Probe: 9},
	} {
		if err := mo.Register(c); !errors.Is(err, monitor.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	register(t, mo, monitor.Check{Name: "x", Func: ok})
	if err := mo.Register(monitor.Check{Name: "x", Func: ok}); !errors.Is(err, monitor.ErrExists) {
		t.Errorf("twice: %v, want ErrExists", err)
	}
	if !mo.Deregister("x") || mo.Deregister("x") {
		t.Error("Deregister does not say what was there")
	}
	mo.Close(t.Context())
	if err := mo.Register(monitor.Check{Name: "y", Func: ok}); !errors.Is(err, monitor.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

func TestCloseDoesNotWaitLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo, err := monitor.New()
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		register(t, mo, monitor.Check{Name: "hangs", Func: func(context.Context) error { <-release; return nil }})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := mo.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v, want deadline exceeded", err)
		}
		close(release)
	})
}
