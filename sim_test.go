package platform_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/sim"
	"github.com/micro/go-platform/log"
)

// TestSimulated plays two whole programs that are started, stopped and killed, through faults: a
// registry, a receiver of logs and a caller are on hosts of their own. A program
// listens before it is registered, and has deregistered before it stops listening; the calls in
// progress end before its job does, and that before the parts are closed; what was opened is closed
// once; Run returns in its time; and a line of the log has arrived, or Run says that it is lost.
func TestSimulated(t *testing.T) {
	quiet := make(chan os.Signal, 1)      // outside of all bubbles: the first Notify starts a goroutine that stays
	signal.Notify(quiet, syscall.SIGALRM) // which nobody sends, and Windows has too
	defer signal.Stop(quiet)
	sim.Test(t, sim.World{
		Seeds: 80,
		Mix: sim.Mix{
			Nodes: []string{"a", "b", "registry", "logs"}, Max: 8, During: 10 * time.Second, Longest: 6 * time.Second,
			Kinds: []sim.Kind{simDeploy, simDeploy, simDeploy, sim.Cut, sim.Isolate, sim.Freeze, sim.Reset, sim.Forget, sim.Delay, sim.Slow, sim.Lossy, sim.Kill},
		},
		Run: func(s *sim.Sim) { newSimPrograms(s).run() },
	})
}

const (
	simDeploy sim.Kind = "deploy" // a program is told to stop, and is started again at the end

	simStop  = 4 * time.Second
	simTTL   = 3 * time.Second
	simShort = 2500 * time.Millisecond // the longest call that is to end well, also when the program stops
)

// simPrograms is the world.
type simPrograms struct {
	*sim.Sim
	registry *simRegistry
	logs     *simLogs
	servers  map[string]*sim.Backend
	caller   *http.Client

	over atomic.Bool // all faults are

	mu      gosync.Mutex
	program map[string]*simProgram
}

// simProgram is one life of a program, from New to the end of Run.
type simProgram struct {
	w    *simPrograms
	name string
	stop context.CancelFunc
	done chan struct{}

	mu         gosync.Mutex
	accepting  bool
	registered bool
	leaving    bool // Deregister was called
	left       bool // and has succeeded
	stopping   time.Time
	killed     bool
	closed     map[string]int // parts
	calls      int            // in progress
	jobEnded   bool
	slow       bool // its job does not end in time
}

func newSimPrograms(s *sim.Sim) *simPrograms {
	w := &simPrograms{
		Sim: s, registry: &simRegistry{entries: map[string]simEntry{}}, logs: &simLogs{got: map[string]bool{}}, servers: map[string]*sim.Backend{},
		program: map[string]*simProgram{},
	}
	w.servers["registry"] = s.Net().Host("registry").Serve(80, w.registry.answer)
	w.servers["logs"] = s.Net().Host("logs").Serve(80, w.logs.answer)
	w.caller = &http.Client{Transport: &http.Transport{DialContext: s.Net().Host("caller").DialContext, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	s.Handle(simDeploy, s.WhileUp(func(f sim.Fault) (func(), error) { return w.restart(f, func(p *simProgram) {}) }))
	s.Handle(sim.Kill, s.WhileUp(func(f sim.Fault) (func(), error) {
		return w.restart(f, func(p *simProgram) {
			if p != nil {
				p.mu.Lock()
				p.killed = true
				p.mu.Unlock()
			}
			s.Net().Host(f.From).Kill()
		})
	}))
	return w
}

func (w *simPrograms) restart(f sim.Fault, die func(*simProgram)) (func(), error) {
	w.mu.Lock()
	p, b := w.program[f.From], w.servers[f.From]
	w.mu.Unlock()
	if p == nil && (f.Kind == simDeploy || b == nil) {
		return nil, errors.New("it is not of this kind")
	}
	die(p)
	if b != nil {
		b.Stop()
	} else {
		p.end()
	}
	return func() {
		if b != nil {
			b.Start()
		} else {
			w.begin(f.From)
		}
	}, nil
}

// begin starts a program; one that can't start is started again, as a supervisor does.
func (w *simPrograms) begin(name string) {
	ctx, stop := context.WithCancel(w.Context())
	p := &simProgram{w: w, name: name, stop: stop, done: make(chan struct{}), closed: map[string]int{}}
	p.slow = w.Dice(fmt.Sprint("job of ", name, w.Time())).IntN(8) == 0
	w.mu.Lock()
	w.program[name] = p
	w.mu.Unlock()
	go func() {
		defer close(p.done)
		err := p.live(ctx)
		for ctx.Err() == nil {
			w.Logf("%s: Run: %v", name, err)
			time.Sleep(300 * time.Millisecond)
			p.mu.Lock()
			p.accepting, p.registered, p.leaving, p.left, p.jobEnded, p.closed = false, false, false, false, false, map[string]int{}
			p.mu.Unlock()
			err = p.live(ctx)
		}
	}()
}

// end tells the program to stop, and waits for that.
func (p *simProgram) end() {
	p.mu.Lock()
	p.stopping = time.Now()
	p.mu.Unlock()
	p.stop()
	<-p.done
}

// live is one run.
func (p *simProgram) live(ctx context.Context) error {
	w, host := p.w, p.w.Net().Host(p.name)
	registry, logs := host.Client(w.Net().Host("registry").Addr(80)), host.Client(w.Net().Host("logs").Addr(80))
	defer registry.Close()
	defer logs.Close()
	life := fmt.Sprintf("%s@%v", p.name, w.Time())
	app, err := platform.New("greeter", platform.WithInstance(p.name), platform.WithStopTimeout(simStop),
		platform.WithDiscovery(discovery.WithDriver("sim", func(context.Context) (discovery.Driver, error) { return &simDiscovery{p, registry}, nil }),
			discovery.WithLazy(), discovery.WithTTL(simTTL), discovery.WithTimeout(time.Second), discovery.WithRetry(50*time.Millisecond, 500*time.Millisecond)),
		platform.WithLog(log.WithDriver("sim", func(context.Context) (log.Driver, error) { return &simLog{p, logs}, nil }), log.WithLazy(),
			log.WithErrors(func(string, error) {})))
	if err != nil {
		w.Failf("%s does not start: %v", p.name, err)
		return err
	}
	l, err := host.Listen(80)
	if err != nil {
		w.Failf("%s: %v", p.name, err)
		return err
	}
	lines := 0
	say := func(text string) {
		if p.late() {
			return // the log may be closed
		}
		p.mu.Lock()
		lines++
		id := fmt.Sprint(life, "#", lines)
		p.mu.Unlock()
		app.Logger("world").Info(text, "line", id)
	}
	say("begin")
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		took, _ := time.ParseDuration(r.URL.Query().Get("took"))
		if took > simShort { // until it is cut off
			_ = backoff.Sleep(r.Context(), took)
			return
		}
		p.count(1)
		defer p.count(-1)
		time.Sleep(took)
		say("served")
		_, _ = io.WriteString(rw, r.URL.Query().Get("id"))
	})
	err = app.Run(ctx, platform.Listener(&simListener{l, p}, platform.HTTP("", handler)), platform.Job(func(ctx context.Context) error { return p.job(ctx, app, say) }))
	w.Logf("%s: Run has ended: %v", life, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if took := time.Since(p.stopping); !p.stopping.IsZero() && took > simStop+1200*time.Millisecond && !p.slow {
		w.Failf("%s: Run took %v to stop", life, took)
	}
	if !p.jobEnded && !p.stopping.IsZero() {
		w.Failf("%s: Run has ended, and the job goes on", life)
	}
	if p.calls > 0 && !p.killed {
		w.Failf("%s: Run has ended, and %d calls go on", life, p.calls)
	}
	if !p.slow && w.calm() && err != nil && strings.Contains(err.Error(), "a job has not ended") && !strings.Contains(err.Error(), "deregister") {
		w.Failf("%s: the calls in progress left no time for the job, and Run says %v", life, err)
	}
	for _, part := range []string{"discovery", "log"} {
		if n := p.closed[part]; n != 1 {
			w.Failf("%s: %s was closed %d times", life, part, n)
		}
	}
	w.logs.judge(w, life, lines, err)
	return err
}

func (p *simProgram) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls += n
	if n > 0 && p.jobEnded && !p.killed {
		p.w.Failf("%s: a call begins when the job has ended", p.name)
	}
}

// late reports whether all the time to stop has passed, after which parts are closed
// whatever goes on.
func (p *simProgram) late() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.stopping.IsZero() && time.Since(p.stopping) >= simStop
}

// job publishes until it is to end, and once more.
func (p *simProgram) job(ctx context.Context, app *platform.App, say func(string)) error {
	publish := func(ctx context.Context) {
		err := app.Event().Publish(ctx, &event.Record{Type: "beat", Data: []byte("1")})
		if errors.Is(err, event.ErrClosed) && !p.late() && !p.slow {
			p.w.Failf("%s: the stream is closed while the job runs", p.name)
		}
	}
	for ctx.Err() == nil {
		publish(ctx)
		_ = backoff.Sleep(ctx, 400*time.Millisecond)
	}
	if p.slow {
		time.Sleep(simStop)
	}
	p.mu.Lock()
	if calls := p.calls; calls > 0 && time.Since(p.stopping) < simStop*9/10 && !p.stopping.IsZero() {
		p.w.Failf("%s: the job is to end, and there are %d calls in progress", p.name, calls)
	}
	p.jobEnded = true
	p.mu.Unlock()
	publish(context.WithoutCancel(ctx))
	say("the job ends")
	return ctx.Err()
}

// simListener knows when it is used, and when it is closed.
type simListener struct {
	net.Listener
	p *simProgram
}

func (l *simListener) Accept() (net.Conn, error) {
	l.p.mu.Lock()
	l.p.accepting = true
	l.p.mu.Unlock()
	return l.Listener.Accept()
}

func (l *simListener) Close() error {
	l.p.mu.Lock()
	if l.p.registered && !l.p.leaving && !l.p.killed {
		l.p.w.Failf("%s stops listening, and has not deregistered", l.p.name)
	}
	l.p.mu.Unlock()
	return l.Listener.Close()
}

// call calls instances that are registered, until ctx ends. Some calls take longer than others;
// a few take longer than the program has to stop.
func (w *simPrograms) call(ctx context.Context) {
	var calls gosync.WaitGroup
	defer calls.Wait()
	dice := w.Dice("caller")
	for n := 0; ctx.Err() == nil; n++ {
		time.Sleep(time.Duration(30+dice.IntN(500)) * time.Millisecond)
		took := time.Duration(dice.IntN(600)) * time.Millisecond
		switch dice.IntN(12) {
		case 0, 1:
			took = simShort/2 + time.Duration(dice.Int64N(int64(simShort/2)))
		case 2:
			took = 2 * simStop
		}
		if all := w.registry.all(); len(all) > 0 {
			e := all[dice.IntN(len(all))]
			calls.Go(func() { w.callOne(e, strconv.Itoa(n), took) })
		}
	}
}

func (w *simPrograms) callOne(e discovery.Entry, id string, took time.Duration) {
	w.mu.Lock()
	p := w.program[e.ID]
	w.mu.Unlock()
	resp, err := w.caller.Get(fmt.Sprintf("http://%s/?took=%v&id=%s", e.Address, took, id))
	text := ""
	if err == nil {
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		text = string(body)
	}
	w.Logf("caller: %s at %s, for %v: %q, %v", id, e.ID, took, text, err)
	p.mu.Lock()
	excused := p.killed || !p.stopping.IsZero() && !p.left || !w.gentle() || took > simShort
	p.mu.Unlock()
	if text != id && !excused {
		w.Failf("%s is registered, and a call to it ends with %q, %v", e.ID, text, err)
	}
}

// gentle reports that no fault comes between callers and programs, nor keeps one from
// registering.
func (w *simPrograms) gentle() bool {
	return !slices.ContainsFunc(w.Faults(), func(f sim.Fault) bool {
		return f.Kind != simDeploy && (f.From != "logs" || f.To == "registry")
	})
}

// calm reports that all is well but for programs that are told to stop, now or in all of the run.
func (w *simPrograms) calm() bool { return w.over.Load() || w.gentle() }

func (w *simPrograms) run() {
	w.begin("a")
	w.begin("b")
	ctx, stop := context.WithCancel(w.Context())
	var calling gosync.WaitGroup
	calling.Go(func() { w.call(ctx) })
	w.Play()
	w.Logf("all faults are over")
	if !w.Until(15*time.Second, func() bool { return len(w.registry.all()) == 2 }) {
		w.Failf("15 s after the last fault these are registered: %v", w.registry.all())
	}
	time.Sleep(simTTL) // until calls that a fault held up are over
	w.over.Store(true)
	stop()
	for _, p := range w.program { // with calls in progress
		p.end()
	}
	calling.Wait()
	if left := w.registry.all(); len(left) > 0 {
		w.Failf("with all well these have not deregistered: %v", left)
	}
	for _, b := range w.servers {
		b.Stop()
	}
	w.caller.CloseIdleConnections()
	time.Sleep(time.Minute)
}

// simLogs is the model of a receiver of logs.
type simLogs struct {
	mu  gosync.Mutex
	got map[string]bool
}

func (m *simLogs) answer(_ string, body []byte) any {
	var lines []string
	if err := json.Unmarshal(body, &lines); err != nil {
		panic(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range lines {
		m.got[l] = true
	}
	return true
}

var simDropped = regexp.MustCompile(`(\d+) records`)

// judge says what is missing of a life's lines, and not said to be lost.
func (m *simLogs) judge(w *simPrograms, life string, lines int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	missing, said := 0, 0
	for n := 1; n <= lines; n++ {
		if !m.got[fmt.Sprint(life, "#", n)] {
			missing++
		}
	}
	if err != nil {
		for _, n := range simDropped.FindAllStringSubmatch(err.Error(), -1) {
			k, _ := strconv.Atoi(n[1])
			said += k
		}
		if strings.Contains(err.Error(), "a job has not ended") {
			said++ // its last line comes when the log is closed, or just before
		}
	}
	if missing > said {
		w.Failf("%s: of %d lines %d have not arrived, and Run says %v", life, lines, missing, err)
	}
}

// simLog is the driver of a log.
type simLog struct {
	p      *simProgram
	client *sim.Client
}

var simLine = regexp.MustCompile(`"line":"([^"]*)"`)

func (d *simLog) Encoding() log.Encoding { return log.JSON() }

func (d *simLog) Write(ctx context.Context, b log.Batch) (int, error) {
	lines := []string{}
	for _, record := range b.Records() {
		if m := simLine.FindSubmatch(record); m != nil {
			lines = append(lines, string(m[1]))
		}
	}
	within, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var ok bool
	if err := d.client.Call(within, "take", lines, &ok); err != nil {
		return 0, err
	}
	return b.Len(), nil
}

func (d *simLog) Ping(context.Context) error { return nil }
func (d *simLog) Close() error               { d.p.close("log"); return nil }

// close notes that a part is closed.
func (p *simProgram) close(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed[part]++
	if p.registered && !p.leaving {
		p.w.Failf("%s: %s is closed, and nobody has deregistered", p.name, part)
	}
	if !p.slow && !p.jobEnded && p.registered && (p.stopping.IsZero() || time.Since(p.stopping) < simStop) {
		p.w.Failf("%s: %s is closed while the job runs", p.name, part)
	}
}

// simRegistry is the model of a registry.
type simRegistry struct {
	mu      gosync.Mutex
	entries map[string]simEntry
}

type simEntry struct {
	discovery.Entry
	until time.Time
}

// all is who is registered.
func (m *simRegistry) all() (all []discovery.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, e := range m.entries {
		if !time.Now().Before(e.until) {
			delete(m.entries, id)
			continue
		}
		all = append(all, e.Entry)
	}
	slices.SortFunc(all, func(a, b discovery.Entry) int { return int(a.ID[0]) - int(b.ID[0]) })
	return all
}

func (m *simRegistry) answer(op string, body []byte) any {
	var e discovery.Entry
	if op != "list" && op != "ping" {
		if err := json.Unmarshal(body, &e); err != nil {
			panic(err)
		}
	}
	all := m.all()
	m.mu.Lock()
	defer m.mu.Unlock()
	held, there := m.entries[e.ID]
	switch {
	case op == "list":
		return all
	case op == "register": // the same address: a predecessor's
		m.entries[e.ID] = simEntry{e, time.Now().Add(e.TTL)}
	case op == "renew" && (!there || held.Owner != e.Owner):
		return "none"
	case op == "renew":
		held.until = time.Now().Add(e.TTL)
		m.entries[e.ID] = held
	case op == "deregister" && there && held.Owner == e.Owner:
		delete(m.entries, e.ID)
	}
	return ""
}

// simDiscovery is the driver of discovery.
type simDiscovery struct {
	p      *simProgram
	client *sim.Client
}

func (d *simDiscovery) ask(ctx context.Context, op string, in any, out any) error {
	err := d.client.Call(ctx, op, in, out)
	switch {
	case errors.Is(err, sim.ErrUnsent):
		return fault.Mark(discovery.ErrUnavailable, err)
	case err != nil:
		return fault.Mark(discovery.ErrUnknownOutcome, err)
	}
	return nil
}

func (d *simDiscovery) Ping(ctx context.Context) error {
	var status string
	return d.ask(ctx, "ping", nil, &status)
}

func (d *simDiscovery) Register(ctx context.Context, e discovery.Entry, _ func(discovery.Entry) bool) error {
	p := d.p
	var status string
	err := d.ask(ctx, "register", e, &status)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.accepting && err == nil {
		p.w.Failf("%s is registered, and accepts no connection yet", p.name)
	}
	p.registered = p.registered || err == nil
	return err
}

func (d *simDiscovery) Renew(ctx context.Context, e discovery.Entry) error {
	var status string
	err := d.ask(ctx, "renew", e, &status)
	if err == nil && status == "none" {
		err = discovery.ErrNotFound
	}
	return err
}

func (d *simDiscovery) Deregister(ctx context.Context, e discovery.Entry) error {
	p := d.p
	p.mu.Lock()
	if late := time.Since(p.stopping); !p.leaving && !p.stopping.IsZero() && p.registered && late > 100*time.Millisecond && p.w.calm() {
		p.w.Failf("%s deregisters %v after it was told to stop", p.name, late)
	}
	p.leaving = true
	p.mu.Unlock()
	var status string
	err := d.ask(ctx, "deregister", e, &status)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = p.left || err == nil
	return err
}

func (d *simDiscovery) Services(context.Context) ([]string, error) {
	return nil, discovery.ErrUnsupported
}

func (d *simDiscovery) Watch(ctx context.Context, _ string, deliver func(discovery.Update)) error {
	for {
		within, cancel := context.WithTimeout(ctx, time.Second)
		var all []discovery.Entry
		err := d.ask(within, "list", nil, &all)
		cancel()
		if err != nil {
			return err
		}
		u := discovery.Update{}
		for _, e := range all {
			u.Instances = append(u.Instances, e.Instance)
		}
		deliver(u)
		if err := backoff.Sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

func (d *simDiscovery) Close() error { d.p.close("discovery"); return nil }
