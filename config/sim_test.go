package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/sim"
)

// TestSimulated plays a program with two sources, each on a server of its own, through
// faults, while both documents change. Subscribers and a validator refuse
// some contents, one subscriber panics at some, and one is late now and then. What is refused is seen
// by nobody; what runs is always one whole document of each source, and never goes back, also not
// by a start from the last-known-good file; a commit comes after its swap and after nothing else;
// Reload says the truth; and after the faults the newest contents run, also when a subscriber is late with
// them and nothing else happens.
func TestSimulated(t *testing.T) {
	sim.Test(t, sim.World{
		Seeds: 150,
		Known: []sim.Case{{
			Name: "the last-known-good file held what a source had said since, and what was refused then: the program did not start",
			Seed: 94,
		}, {
			Name: "Reload said nothing of a source that could not be read, and that was back when the change was made",
			Seed: 123,
		}, {
			Name: "what ran after a refused change was not saved while another source was down, and a start went back behind it",
			Seed: 11,
		}, {
			Name: "Close waited for one subscriber after the other",
			Seed: 135,
		}},
		Mix: sim.Mix{
			Nodes: []string{"program", "first", "second"}, Max: 8, During: 8 * time.Second, Longest: 5 * time.Second,
			Kinds: []sim.Kind{sim.Cut, sim.Isolate, sim.Freeze, sim.Reset, sim.Forget, sim.Delay, sim.Slow, sim.Lossy, sim.Kill},
		},
		Run: func(s *sim.Sim) { newSimConfigs(s).run() },
	})
}

const (
	simPrepare = 500 * time.Millisecond
	simRead    = 800 * time.Millisecond
)

// good reports whether the program takes a document with that number. Why not: the subscriber of
// x, the validator, or the subscriber of y, which panics.
func good(n int) bool { return !vetoed(n) && n%7 != 5 && n%11 != 4 }

func vetoed(n int) bool { return n%7 == 3 }

// simConfigs is the world.
type simConfigs struct {
	*sim.Sim
	dir     string
	models  map[string]*simDocument // by host
	servers map[string]*sim.Backend
	calm    atomic.Bool // nothing changes any more

	mu      sync.Mutex
	program *simProgram
	last    map[string]int // the newest number that has run, by host
}

// simDocument is the model of a source: {"first": {"x": n, "y": n}}.
type simDocument struct {
	name string
	mu   sync.Mutex
	n    int
}

func (d *simDocument) now() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

func (d *simDocument) set(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n = n
}

func (d *simDocument) answer(string, []byte) any { return d.now() }

// simSource reads a document over the network, and watches it by asking often. What a watch has to
// say takes its time now and then, so that a read overtakes it.
type simSource struct {
	name   string
	client *sim.Client
	dice   *rand.Rand // of Watch
}

func (s *simSource) Name() string { return s.name }

func (s *simSource) Read(ctx context.Context) (config.Content, error) {
	var n int
	if err := s.client.Call(ctx, "read", nil, &n); err != nil {
		return config.Content{}, fmt.Errorf("%w: %w", config.ErrUnavailable, err)
	}
	text := fmt.Sprintf(`{%q: {"x": %d, "y": %d}}`, s.name, n, n)
	return config.Content{Parts: []config.Part{{Data: []byte(text)}}, Revision: strconv.Itoa(n)}, nil
}

func (s *simSource) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	for last := ""; ; {
		within, cancel := context.WithTimeout(ctx, simRead)
		c, err := s.Read(within)
		cancel()
		if err != nil {
			return err
		}
		if c.Revision != last {
			if s.dice.IntN(8) == 0 && backoff.Sleep(ctx, time.Duration(s.dice.IntN(1500))*time.Millisecond) != nil {
				return ctx.Err()
			}
			deliver(c, nil)
			last = c.Revision
		}
		if err := backoff.Sleep(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s *simSource) Close() error { s.client.Close(); return nil }

// simProgram is a Config and who follows it.
type simProgram struct {
	w       *simConfigs
	config  config.Config
	pairs   map[string]*config.Binding[simPair]
	stop    context.CancelFunc
	working sync.WaitGroup
	closed  bool
	ready   atomic.Bool // all have subscribed: before that the validator refuses what they would

	mu       sync.Mutex
	dice     *rand.Rand
	lastLate bool           // a subscriber will be late with the last change
	prepared map[string]int // by path
	running  map[string]int // by path: what was committed last
}

type simPair struct{ X, Y int }

func newSimConfigs(s *sim.Sim) *simConfigs {
	w := &simConfigs{Sim: s, models: map[string]*simDocument{}, servers: map[string]*sim.Backend{}, last: map[string]int{}}
	var err error
	if w.dir, err = os.MkdirTemp("", "sim"); err != nil {
		panic(err)
	}
	for _, name := range []string{"first", "second"} {
		w.models[name] = &simDocument{name: name, n: 1}
		w.servers[name] = s.Net().Host(name).Serve(80, w.models[name].answer)
	}
	s.Handle(sim.Kill, s.WhileUp(w.restart))
	return w
}

func (w *simConfigs) restart(f sim.Fault) (func(), error) {
	w.Net().Host(f.From).Kill()
	if f.From == "program" {
		w.mu.Lock()
		p := w.program
		w.mu.Unlock()
		p.end()
		return w.begin, nil
	}
	b := w.servers[f.From]
	b.Stop()
	return b.Start, nil
}

// begin starts the program: as there is a last-known-good file it starts whatever is down.
func (w *simConfigs) begin() {
	ctx, stop := context.WithCancel(w.Context())
	p := &simProgram{w: w, stop: stop, pairs: map[string]*config.Binding[simPair]{}, prepared: map[string]int{}, running: map[string]int{}, dice: w.Dice(fmt.Sprint("program", w.Time()))}
	opts := []config.Option{
		config.WithTimeout(simRead), config.WithPrepareTimeout(simPrepare), config.WithLogger(w.Logger("config")),
		config.WithLastKnownGood(filepath.Join(w.dir, "good.json"), 0),
		config.WithValidator(func(_ context.Context, next *config.Snapshot) error {
			for name := range w.models {
				if n := next.Get(name + ".x").Int(0); n%7 == 5 || !good(n) && !p.ready.Load() {
					return fmt.Errorf("%s is %d", name, n)
				}
			}
			return nil
		}),
	}
	for name := range w.models {
		client := w.Net().Host("program").Client(w.Net().Host(name).Addr(80))
		opts = append(opts, config.WithSource(&simSource{name, client, w.Dice(fmt.Sprint("watch ", name, w.Time()))}))
	}
	c, err := config.New(opts...)
	if err != nil {
		w.Failf("the program does not start: %v", err)
		panic(err)
	}
	p.config = c
	for name := range w.models {
		for _, end := range []string{".x", ".y"} {
			path := name + end
			if _, err := c.Subscribe(path, func(ctx context.Context, ch config.Change) (func(), error) { return p.ask(ctx, path, ch) }); err != nil {
				w.Failf("subscribe %s: %v", path, err)
			}
		}
		if p.pairs[name], err = config.Bind[simPair](c, name); err != nil {
			w.Failf("bind: %v", err)
		}
	}
	for name := range w.models {
		p.working.Go(func() { p.follow(ctx, name) })
	}
	p.ready.Store(true)
	p.working.Go(func() { p.reload(ctx) })
	w.mu.Lock()
	w.program = p
	w.mu.Unlock()
}

// darkStarts begins the program again, in some runs, while no source is there: with what ran last.
func (w *simConfigs) darkStarts(dice *rand.Rand) {
	for range dice.IntN(3) * 3 {
		time.Sleep(time.Duration(dice.IntN(1000)) * time.Millisecond)
		for _, b := range w.servers {
			b.Stop()
		}
		w.program.end()
		w.begin()
		for _, b := range w.servers {
			b.Start()
		}
	}
}

func (p *simProgram) end() {
	p.stop()
	start := time.Now()
	if err := p.config.Close(); err != nil {
		p.w.Failf("close: %v", err)
	}
	if took := time.Since(start); took > 1100*time.Millisecond {
		p.w.Failf("Close took %v", took)
	}
	p.working.Wait()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
}

// ask is a subscriber.
func (p *simProgram) ask(ctx context.Context, path string, ch config.Change) (func(), error) {
	n := ch.New.Int(0)
	p.mu.Lock()
	late := p.running[path] > 0 && p.dice.IntN(12) == 0
	took := time.Duration(p.dice.IntN(3000)) * time.Millisecond
	if p.w.calm.Load() {
		late, took = p.lastLate, 3*time.Second
		p.lastLate = false
	}
	if old, known := ch.Old.Int(0), p.running[path]; old != known {
		p.w.Failf("%s is asked about a change from %d, and %d runs", path, old, known)
	}
	p.prepared[path] = n
	if p.closed {
		p.w.Failf("%s is asked after Close", path)
	}
	p.mu.Unlock()
	p.w.Logf("%s is asked about %d", path, n)
	if late {
		time.Sleep(took)
	}
	switch {
	case path[len(path)-1] == 'x' && vetoed(n):
		return nil, errors.New("not this one")
	case path[len(path)-1] == 'y' && n%11 == 4:
		panic("what is this?")
	}
	return func() { p.commit(path, n) }, nil
}

func (p *simProgram) commit(path string, n int) {
	p.w.Logf("%s is told that %d runs", path, n)
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := p.prepared[path]; got != n {
		p.w.Failf("%s is told to run %d, and was asked about %d", path, n, got)
	}
	if p.config != nil {
		if got := p.config.Get(path).Int(0); got != n {
			p.w.Failf("%s is told to run %d while %d runs", path, n, got)
		}
	}
	p.running[path] = n
}

// follow watches a document.
func (p *simProgram) follow(ctx context.Context, name string) {
	last := 0
	for ch, err := range p.config.Watch(ctx, name) {
		if err != nil {
			return
		}
		if old := ch.Old.At("x").Int(0); old != last {
			p.w.Failf("%s changes from %d, and was %d", name, old, last)
		}
		p.see(name, ch.New)
		last = ch.New.At("x").Int(0)
	}
}

// see judges what runs.
func (p *simProgram) see(name string, v config.Value) {
	x, y := v.At("x").Int(0), v.At("y").Int(0)
	w := p.w
	if x != y || !good(x) {
		w.Failf("%s runs with %d and %d", name, x, y)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if x < w.last[name] {
		w.Failf("%s runs with %d after %d", name, x, w.last[name])
	}
	w.last[name] = max(w.last[name], x)
	if b := p.pairs[name]; b != nil {
		if pair := b.Load(); pair.X != pair.Y || !good(pair.X) {
			w.Failf("%s is bound to %+v", name, pair)
		}
	}
}

// reload asks now and then, and holds the answer against what the servers had.
func (p *simProgram) reload(ctx context.Context) {
	dice := p.w.Dice(fmt.Sprint("reload", p.w.Time()))
	for ctx.Err() == nil && !p.w.calm.Load() {
		if backoff.Sleep(ctx, time.Duration(200+dice.IntN(2500))*time.Millisecond) != nil {
			return
		}
		before := map[string]int{}
		for name, m := range p.w.models {
			before[name] = m.now()
		}
		within, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := p.config.Reload(within)
		cancel()
		for name, n := range before {
			got := p.config.Get(name + ".x").Int(0)
			if err == nil && got < n {
				p.w.Failf("Reload says nothing, and %s is %d instead of %d", name, got, n)
			}
		}
		p.w.see(p)
	}
}

func (w *simConfigs) see(p *simProgram) {
	s := p.config.Snapshot()
	for name := range w.models {
		p.see(name, s.Get(name))
	}
}

// change changes a document until ctx ends.
func (w *simConfigs) change(ctx context.Context, m *simDocument) {
	dice := w.Dice(m.name)
	for ctx.Err() == nil {
		time.Sleep(time.Duration(20+dice.IntN(700)) * time.Millisecond)
		m.set(m.now() + 1)
	}
}

func (w *simConfigs) run() {
	defer os.RemoveAll(w.dir)
	w.begin()
	ctx, stop := context.WithCancel(w.Context())
	var changing sync.WaitGroup
	for _, m := range w.models {
		changing.Go(func() { w.change(ctx, m) })
	}
	w.Play()
	w.darkStarts(w.Dice("dark"))
	stop()
	changing.Wait()
	p := w.program
	p.mu.Lock()
	p.lastLate = w.Dice("end").IntN(2) == 0
	p.mu.Unlock()
	w.calm.Store(true)
	want := map[string]int{}
	for name, m := range w.models {
		for n := m.now() + 1; ; n++ {
			if good(n) {
				m.set(n)
				want[name] = n
				break
			}
		}
	}
	w.Logf("all faults are over: %v", want)
	runs := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for name, n := range want {
			if p.config.Get(name+".x").Int(0) != n || p.running[name+".x"] != n || p.running[name+".y"] != n || *p.pairs[name].Load() != (simPair{n, n}) {
				return false
			}
		}
		return true
	}
	if !w.Until(30*time.Second, runs) {
		s, _ := json.Marshal(p.config.Health())
		w.Failf("30 s after the last fault %v does not run, but %v: %s", want, p.running, s)
	}
	if !w.Until(10*time.Second, func() bool { return p.config.Health().OK }) {
		w.Failf("all is well, and Health says %+v", p.config.Health())
	}
	w.see(p)
	p.end()
	for _, b := range w.servers {
		b.Stop()
	}
	time.Sleep(time.Minute) // who is late has returned
}
