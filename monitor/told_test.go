package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/monitor"
)

// published is a backend that notes what is published, when, and answers as its
// function says.
type published struct {
	answer func() error
	watch  func(ctx context.Context, f func(monitor.Report)) error
	ping   func(ctx context.Context) error

	mu      sync.Mutex
	reports []monitor.Report
	at      []time.Time
	watched []time.Time
}

func (p *published) Publish(_ context.Context, r monitor.Report) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports, p.at = append(p.reports, r), append(p.at, time.Now())
	if p.answer == nil {
		return nil
	}
	return p.answer()
}

func (p *published) Watch(ctx context.Context, f func(monitor.Report)) error {
	p.mu.Lock()
	p.watched = append(p.watched, time.Now())
	p.mu.Unlock()
	if p.watch != nil {
		return p.watch(ctx, f)
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p *published) Ping(ctx context.Context) error {
	if p.ping != nil {
		return p.ping(ctx)
	}
	return nil
}
func (p *published) Close() error { return nil }

func (p *published) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.reports)
}

func (p *published) option() monitor.Option {
	return monitor.WithDriver("published", func(context.Context) (monitor.Driver, error) { return p, nil })
}

// logged returns a logger and what it was told.
func logged(t *testing.T) (*slog.Logger, func() string) {
	t.Helper()
	m := log.NewRecorder(1<<20, log.Logfmt())
	l, err := log.New(log.Memory(m))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l.Logger(""), func() string {
		if err := l.Flush(context.Background()); err != nil {
			t.Error(err)
		}
		return strings.Join(m.Records(), "")
	}
}

// A report is published at once when the status changes, at most ten times a
// second, and at intervals; each is newer than those before, the last one says
// goodbye.
func TestWhenReportsArePublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &published{}
		mo := start(t, p.option(), monitor.WithInterval(time.Hour), monitor.WithInstance(monitor.Instance{ID: "a", Service: "s"}))
		began := time.Now()
		step := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			if n := p.count(); n != want {
				t.Fatalf("%s: %d reports, want %d", what, n, want)
			}
		}
		step("at once", 1)
		time.Sleep(time.Minute)
		step("nothing changed", 1)
		mo.SetPhase(monitor.Draining)
		step("a change", 2)
		for range 20 {
			mo.SetPhase(monitor.Running)
			mo.SetPhase(monitor.Draining)
		}
		time.Sleep(100*time.Millisecond - 1)
		step("more changes, a tenth of a second not over", 2)
		time.Sleep(time.Nanosecond)
		step("a tenth of a second later", 3)
		time.Sleep(time.Hour)
		step("an hour later", 4)
		if at := p.at[3].Sub(began) % time.Hour; at > time.Second {
			t.Errorf("the report of the interval came %v after it", at)
		}
		if err := mo.Close(t.Context()); err != nil {
			t.Error(err)
		}
		step("Close", 5)
		time.Sleep(2 * time.Hour)
		step("after Close", 5)
		for i, r := range p.reports {
			phase := []monitor.Phase{monitor.Running, monitor.Draining, monitor.Draining, monitor.Draining, monitor.Stopped}[i]
			if r.Status.Phase != phase || r.Interval != time.Hour || r.TTL != 3*time.Hour || !r.At.Equal(p.at[i]) || i > 0 && r.Seq <= p.reports[i-1].Seq || r.Status.Instance.ID != "a" {
				t.Errorf("report %d of %v: %+v", i, p.at[i], r)
			}
		}
	})
}

// A failed report is said to the logger, one that arrives is not; that of Close
// is in its error.
func TestAReportThatFailsIsSaid(t *testing.T) {
	for name, fails := range map[string]bool{"fails": true, "arrives": false} {
		synctest.Test(t, func(t *testing.T) {
			p := &published{}
			if fails {
				p.answer = func() error { return errDown }
			}
			l, told := logged(t)
			mo, err := monitor.New(p.option(), monitor.WithLogger(l))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(11 * time.Second)
			n := p.count()
			if got := strings.Count(told(), "report not published"); n != 3 || fails && got != n || !fails && got != 0 {
				t.Errorf("a report %s: told %d times of %d", name, got, n)
			}
			if err := mo.Close(t.Context()); errors.Is(err, errDown) != fails {
				t.Errorf("a report %s: Close: %v", name, err)
			}
		})
	}
}

// A watch that brings reports and then fails is begun again soon, each time; one
// that brings none is waited for longer and longer.
func TestAWatchThatFailsIsBegunAgain(t *testing.T) {
	for name, c := range map[string]struct {
		brings      bool
		least, most int // watches in a minute
	}{"brings a report": {true, 600, 1300}, "brings nothing": {false, 12, 60}} {
		synctest.Test(t, func(t *testing.T) {
			p := &published{watch: func(_ context.Context, f func(monitor.Report)) error {
				if c.brings {
					f(monitor.Report{Status: monitor.Status{Instance: monitor.Instance{ID: "b", Service: "s"}}, Seq: 1, TTL: time.Minute})
				}
				return errDown
			}}
			l, told := logged(t)
			mo := start(t, p.option(), monitor.WithLogger(l))
			time.Sleep(time.Minute)
			p.mu.Lock()
			n := len(p.watched)
			p.mu.Unlock()
			if n < c.least || n > c.most || strings.Count(told(), "reports of others don't come") != n {
				t.Errorf("%s: %d watches in a minute, want %d to %d, each told: %d", name, n, c.least, c.most, strings.Count(told(), "don't come"))
			}
			if got := len(mo.Cluster().View("s").Members) == 1; got != c.brings {
				t.Errorf("%s: it is seen: %v", name, got)
			}
		})
	}
}

// New waits for the backend's first answer for as long as it may, by default
// five seconds.
func TestHowLongNewWaits(t *testing.T) {
	for _, c := range []struct {
		opts []monitor.Option
		want time.Duration
	}{{nil, 5 * time.Second}, {[]monitor.Option{monitor.WithDialTimeout(time.Minute)}, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			p := &published{ping: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
			began := time.Now()
			mo, err := monitor.New(append(c.opts, p.option())...)
			if took := time.Since(began); mo != nil || !errors.Is(err, monitor.ErrUnavailable) || took != c.want {
				t.Errorf("New took %v, want %v: %v", took, c.want, err)
			}
		})
	}
}

// A check that is gone, and a monitor that is closed, change nothing any more:
// neither a beat nor its silence is told.
func TestACheckThatIsGoneIsSilent(t *testing.T) {
	for _, how := range []string{"deregistered", "closed"} {
		synctest.Test(t, func(t *testing.T) {
			p := &published{}
			mo := start(t, p.option(), monitor.WithInterval(24*time.Hour))
			register(t, mo, monitor.Check{Name: "backup", TTL: time.Minute})
			mo.Beat("backup", nil)
			time.Sleep(time.Second)
			before := p.count()
			if how == "closed" {
				if err := mo.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else if !mo.Deregister("backup") {
				t.Fatal("it was not there")
			}
			time.Sleep(30 * time.Second)
			mo.Beat("backup", errDown)
			time.Sleep(time.Hour)
			if n := p.count(); n != before+1 {
				t.Errorf("%s: %d reports, want one more than %d", how, n, before)
			}
			if r, ok := mo.Status().Check("backup"); ok != (how == "closed") || ok && r.State != monitor.Pass {
				t.Errorf("%s: %+v", how, r)
			}
		})
	}
}

// Beats are for passive checks alone, and for those that are there.
func TestABeatOfACheckThatIsNotPassive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t)
		register(t, mo, monitor.Check{Name: "db", Func: func(context.Context) error { return nil }})
		register(t, mo, monitor.Check{Name: "backup", TTL: time.Minute})
		synctest.Wait()
		for _, name := range []string{"db", "backup", "nobody"} {
			mo.Beat(name, errDown)
		}
		if db, backup := state(t, mo, "db"), state(t, mo, "backup"); db.State != monitor.Pass || backup.State != monitor.Fail || backup.Error != errDown.Error() || len(mo.Status().Checks) != 2 {
			t.Errorf("%+v, %+v", db, backup)
		}
	})
}

// The silence of a passive check is told when its time is over, to the moment.
// One of the startup has done its part when it has passed.
func TestTheMomentOfSilence(t *testing.T) {
	for _, p := range []monitor.Probe{monitor.Readiness, monitor.Startup, monitor.Info} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var at []time.Duration
			mo := start(t, monitor.WithOnChange(func(_, new monitor.Status) { at = append(at, time.Since(began)) }))
			register(t, mo, monitor.Check{Name: "backup", TTL: 1500 * time.Millisecond, Probe: p})
			mo.Beat("backup", nil)
			time.Sleep(700 * time.Millisecond)
			mo.Beat("backup", nil)
			time.Sleep(1499 * time.Millisecond)
			if r := state(t, mo, "backup"); r.State != monitor.Pass {
				t.Errorf("probe %d, just in time: %+v", p, r)
			}
			time.Sleep(time.Minute)
			s := mo.Status()
			r, _ := s.Check("backup")
			want := map[monitor.Probe]monitor.State{monitor.Readiness: monitor.Fail, monitor.Startup: monitor.Pass, monitor.Info: monitor.Warn}[p]
			if r.State != monitor.Fail || r.Fails != 1 || s.State != want || s.Ready != (p != monitor.Readiness) || !s.Started {
				t.Errorf("probe %d, in silence: %+v", p, s)
			}
			last := 2200 * time.Millisecond
			if len(at) == 0 || at[len(at)-1] != last {
				t.Errorf("probe %d: changes after %v, want one at %v", p, at, last)
			}
		})
	}
}

// What a check means for the process, by its probe, its severity and its state:
// before a result, while it is well, warns, and fails.
func TestWhatAStateMeans(t *testing.T) {
	const well, warns, bad = monitor.Pass, monitor.Warn, monitor.Fail
	for _, c := range []struct {
		probe          monitor.Probe
		severity       monitor.Severity
		result         error
		none           bool // there is no result yet
		state          monitor.State
		ready, started bool
	}{
		{monitor.Readiness, monitor.Critical, nil, true, bad, false, true},
		{monitor.Readiness, monitor.Critical, nil, false, well, true, true},
		{monitor.Readiness, monitor.Critical, monitor.Degraded(errDown), false, warns, true, true},
		{monitor.Readiness, monitor.Critical, errDown, false, bad, false, true},
		{monitor.Readiness, monitor.Soft, nil, true, warns, true, true},
		{monitor.Readiness, monitor.Soft, nil, false, well, true, true},
		{monitor.Readiness, monitor.Soft, errDown, false, warns, true, true},
		{monitor.Startup, monitor.Critical, nil, true, bad, false, false},
		{monitor.Startup, monitor.Critical, nil, false, well, true, true},
		{monitor.Startup, monitor.Critical, errDown, false, bad, false, false},
		{monitor.Startup, monitor.Soft, errDown, false, warns, true, true},
		{monitor.Startup, monitor.Soft, nil, true, warns, true, true},
		{monitor.Info, monitor.Critical, nil, true, warns, true, true},
		{monitor.Info, monitor.Critical, nil, false, well, true, true},
		{monitor.Info, monitor.Critical, errDown, false, warns, true, true},
	} {
		mo := start(t)
		register(t, mo, monitor.Check{Name: "x", TTL: time.Hour, Probe: c.probe, Severity: c.severity})
		if !c.none {
			mo.Beat("x", c.result)
		}
		if s := mo.Status(); s.State != c.state || s.Ready != c.ready || s.Started != c.started || !s.Live {
			t.Errorf("probe %d, severity %d, %v, no result %v: %v, ready %v, started %v", c.probe, c.severity, c.result, c.none, s.State, s.Ready, s.Started)
		}
	}
}

// A loop may stand for as long as it said, and no longer.
func TestTheMomentALoopStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mo := start(t)
		beat := mo.Liveness("loop", 10*time.Second)
		time.Sleep(time.Second)
		beat()
		time.Sleep(10 * time.Second)
		if s := mo.Status(); !s.Live || s.State != monitor.Pass {
			t.Errorf("for just as long: %+v", s)
		}
		time.Sleep(time.Millisecond)
		if s := mo.Status(); s.Live || s.State != monitor.Fail || !s.Ready || s.Checks[0].Error != "has not turned for 10.001s" || s.Checks[0].State != monitor.Fail {
			t.Errorf("a millisecond longer: %+v", s)
		}
		beat()
		if s := mo.Status(); !s.Live || s.State != monitor.Pass || s.Checks[0].State != monitor.Pass {
			t.Errorf("when it turns again: %+v", s)
		}
	})
}

// Checks and loops stand by name, members by id, services by name.
func TestListsStandInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := observer(t)
		for _, i := range []int{5, 2, 8, 0, 9, 1, 7, 4, 6, 3} {
			if i%2 == 0 {
				o.Liveness(fmt.Sprint(i), time.Hour)
			} else {
				register(t, o.Monitor, monitor.Check{Name: fmt.Sprint(i), TTL: time.Hour})
			}
			o.hear(fmt.Sprint(i), 1, nil)
			o.hear("x", uint64(i)+1, func(r *monitor.Report) { r.Status.Instance.Service = fmt.Sprint(i) })
		}
		const all = "0123456789"
		checks, members := "", ""
		for _, c := range o.Status().Checks {
			checks += c.Name
		}
		for _, m := range o.view().Members {
			members += m.Status.Instance.ID
		}
		if services := strings.Join(o.Cluster().Services(), ""); checks != all || members != all || services != all+"ops"+"orders" {
			t.Errorf("checks %s, members %s, services %s", checks, members, services)
		}
	})
}

// Each report counts under what it says, and a failing check under its name.
func TestWhatAViewCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := observer(t, monitor.WithExpected(func(string) ([]string, bool) { return make([]string, 9), true }), monitor.WithInterval(time.Second), monitor.WithPolicy(monitor.Policy{TTL: time.Hour}))
		checked := func(state monitor.State, shared bool) func(*monitor.Report) {
			return func(r *monitor.Report) {
				r.Status.Checks = []monitor.Result{{Name: "db", State: state, Shared: shared}, {Name: "well", State: monitor.Pass}}
			}
		}
		for i, change := range []func(*monitor.Report){
			nil, checked(monitor.Warn, false), // pass
			warns, func(r *monitor.Report) { warns(r); checked(monitor.Warn, true)(r) }, func(r *monitor.Report) { warns(r); r.Status.Phase = monitor.Starting }, // warn
			fails, starts, func(r *monitor.Report) { fails(r); r.Status.Ready = true; checked(monitor.Fail, false)(r) }, // fail
			unknown,                                                                          // unknown
			stopped, func(r *monitor.Report) { stopped(r); checked(monitor.Fail, false)(r) }, // stopped
			func(r *monitor.Report) { r.TTL = time.Second; checked(monitor.Fail, false)(r) }, // lost
		} {
			o.hear(fmt.Sprint(i), 1, change)
		}
		time.Sleep(2 * time.Second)
		v := o.view()
		if got := fmt.Sprint(v.Pass, v.Warn, v.Fail, v.Unknown, v.Stopped, v.Lost, v.ByCheck); got != "2 3 3 1 2 1 map[db:2]" {
			t.Errorf("pass, warn, fail, unknown, stopped, lost, by check: %s", got)
		}
		if want := "[3 fail 3 warn 1 unknown 1 lost]"; fmt.Sprint(v.Reasons) != want || v.Verdict != monitor.Warn || v.Observer != "me" {
			t.Errorf("%v, for %v, want %s", v.Verdict, v.Reasons, want)
		}
	})
}

// What a function of WithOnChange does wrong is said to the logger, and the next
// change is told all the same.
func TestAFunctionOfOnChangeThatPanics(t *testing.T) {
	for _, panics := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l, told := logged(t)
			var calls atomic.Int32
			mo := start(t, monitor.WithLogger(l), monitor.WithOnChange(func(_, _ monitor.Status) {
				if calls.Add(1); panics {
					panic("oops")
				}
			}))
			for _, p := range []monitor.Phase{monitor.Draining, monitor.Running} {
				synctest.Wait()
				mo.SetPhase(p)
			}
			synctest.Wait()
			if n := strings.Count(told(), "WithOnChange failed"); calls.Load() != 2 || panics && n != 2 || !panics && n != 0 {
				t.Errorf("panics %v: %d calls, told %d times", panics, calls.Load(), n)
			}
		})
	}
}

// A phase that there is not is no phase.
func TestAPhaseThatThereIsNot(t *testing.T) {
	mo := start(t)
	for p, want := range map[monitor.Phase]monitor.Phase{monitor.Draining: monitor.Draining, monitor.Stopped: monitor.Stopped, monitor.Stopped + 1: monitor.Running} {
		mo.SetPhase(monitor.Running)
		mo.SetPhase(p)
		if got := mo.Status().Phase; got != want {
			t.Errorf("SetPhase(%v) left %v", p, got)
		}
	}
}

// A probe answers for its own checks and loops, and every answer says that it is
// text for now: no browser guesses what it is, nobody keeps it.
func TestEachProbeHasItsChecks(t *testing.T) {
	mo := start(t, monitor.WithDetails(func(r *http.Request) bool { return r.URL.Query().Has("admin") }))
	for name, p := range map[string]monitor.Probe{"ready": monitor.Readiness, "startup": monitor.Startup, "info": monitor.Info} {
		register(t, mo, monitor.Check{Name: name, TTL: time.Hour, Probe: p})
		mo.Beat(name, map[string]error{"info": errDown}[name])
	}
	mo.Liveness("loop", time.Hour)
	for probe, has := range map[string]string{"/livez": "loop", "/readyz": "ready startup", "/healthz": "ready startup", "/startupz": "startup"} {
		for _, name := range []string{"", "loop", "ready", "startup", "info", "none"} {
			w := httptest.NewRecorder()
			mo.Handler().ServeHTTP(w, httptest.NewRequest("GET", strings.TrimSuffix(probe+"/"+name, "/"), nil))
			want := 404
			if name == "" || slices.Contains(strings.Fields(has), name) {
				want = 200
			}
			h := w.Header()
			if w.Code != want || h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff" || want == 200 && (h.Get("Cache-Control") != "no-store" || w.Body.String() != "ok\n") {
				t.Errorf("%s/%s: %d %q, want %d; %v", probe, name, w.Code, w.Body, want, h)
			}
		}
	}
	for query, want := range map[string]string{
		"?verbose":       "ok\n",
		"?admin":         "ok\n",
		"?admin&verbose": "[-]info fail: connection refused\n[+]loop pass\n[+]ready pass\n[+]startup pass\nphase running\nok\n",
	} {
		w := httptest.NewRecorder()
		mo.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz"+query, nil))
		if w.Body.String() != want {
			t.Errorf("/readyz%s: %q, want %q", query, w.Body, want)
		}
	}
	mo.Observe(monitor.Endpoint{Method: "m"}, time.Second, nil)
	for path, kind := range map[string]string{"/statusz": "application/health+json", "/statsz": "application/json"} {
		for _, admin := range []bool{false, true} {
			w := httptest.NewRecorder()
			mo.Handler().ServeHTTP(w, httptest.NewRequest("GET", path+map[bool]string{true: "?admin"}[admin], nil))
			if h := w.Header(); h.Get("Content-Type") != kind || h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v", path, h)
			}
			if got := strings.Contains(w.Body.String(), "checks") || strings.Contains(w.Body.String(), "endpoints"); got != admin {
				t.Errorf("%s, admin %v: %s", path, admin, w.Body)
			}
		}
	}
}

// Who the process is, by its options and by what Identify fills in: itself knows
// it, also as the one that observes.
func TestWhoTheProcessIs(t *testing.T) {
	type in = monitor.Instance
	for name, c := range map[string]struct {
		opts     []monitor.Option
		identify in
		want     in
	}{
		"service and instance": {[]monitor.Option{monitor.WithService("s"), monitor.WithInstance(in{ID: "a"})}, in{}, in{ID: "a", Service: "s"}},
		"another service":      {[]monitor.Option{monitor.WithService("s"), monitor.WithInstance(in{ID: "a", Service: "t"})}, in{}, in{ID: "a", Service: "t"}},
		"the service later":    {[]monitor.Option{monitor.WithInstance(in{ID: "a", Zone: "z"}), monitor.WithService("s")}, in{}, in{ID: "a", Service: "s", Zone: "z"}},
		"identified":           {[]monitor.Option{monitor.WithService("s")}, in{ID: "b", Service: "t", Version: "1", Address: "h:1", Zone: "z"}, in{ID: "b", Service: "s", Version: "1", Address: "h:1", Zone: "z"}},
		"identified, by name":  {[]monitor.Option{monitor.WithInstance(in{ID: "a", Version: "2", Address: "h:2", Zone: "y"})}, in{ID: "b", Service: "t", Version: "1", Address: "h:1", Zone: "z"}, in{ID: "a", Service: "t", Version: "2", Address: "h:2", Zone: "y"}},
	} {
		mo := start(t, c.opts...)
		mo.Identify(c.identify)
		if got := mo.Status().Instance; got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if got := mo.Cluster().View("s").Observer; got != c.want.ID {
			t.Errorf("%s: %q observes, want %q", name, got, c.want.ID)
		}
	}
}

// JSON is for eyes too: a field stands on a line of its own.
func TestJSONIsReadable(t *testing.T) {
	mo := start(t)
	for _, path := range []string{"/statusz", "/statsz"} {
		w := httptest.NewRecorder()
		mo.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if !strings.HasPrefix(w.Body.String(), "{\n  \"") {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}
