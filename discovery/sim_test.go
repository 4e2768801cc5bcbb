package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/sim"
)

// TestSimulated plays five instances of a service and two readers through faults,
// over a registry on a host of its own: a model that keeps the rules of Driver, by a clock of its
// own, and that may come back without its memory. While the faults last, no reader drops an
// instance that lives and can be reached from the registry's host; what has deregistered does
// not come back; watches have each snapshot once, in order. When they are over, all
// readers see exactly the instances that live.
func TestSimulated(t *testing.T) {
	sim.Test(t, sim.World{
		Seeds: 150,
		Known: []sim.Case{{
			Name:   "instances that had all come at once counted as come instead of each other when they expired",
			Seed:   1,
			Faults: []sim.Fault{{At: simTTL / 6, For: simTTL * 3 / 2, Kind: simApart, From: "registry", Size: 5}},
		}},
		Draw: simFaults,
		Run:  func(s *sim.Sim) { newSimServices(s).run() },
	})
}

// simFaults are mixed. In some runs nothing happens but that most instances can't reach the registry, or that
// it is down for about as long as entries live, or forgets them.
func simFaults(s *sim.Sim) []sim.Fault {
	dice := s.Dice("registry")
	within := func(from, to time.Duration) time.Duration { return from + time.Duration(dice.Int64N(int64(to-from))) }
	switch dice.IntN(5) {
	case 0:
		f := sim.Fault{At: within(0, simTTL), For: within(simTTL+time.Second, 2*simTTL), Kind: simApart, From: "registry", Size: 3 + dice.IntN(3)}
		if f.Size == 3 { // as one may have come after the others, and take a place, but not so long before
			f.At += simTTL + 2*time.Second
		}
		return []sim.Fault{f}
	case 1:
		faults := make([]sim.Fault, 4+dice.IntN(3))
		for i := range faults {
			kind := []sim.Kind{sim.Kill, sim.Crash, simEmpty}[dice.IntN(3)]
			at := time.Duration(i) * 3 * simTTL
			faults[i] = sim.Fault{At: within(at, at+simTTL), For: within(simTTL*3/5, simTTL), Kind: kind, From: "registry"}
			if kind == simEmpty { // so short that nothing else tells readers that entries may be missing
				faults[i].For /= 4
			}
		}
		return faults
	}
	return sim.Mix{
		Nodes: append([]string{"registry", "registry"}, append(simReaders, simInstances...)...), Max: 9, During: 10 * time.Second, Longest: 10 * time.Second,
		Kinds: []sim.Kind{sim.Cut, sim.Isolate, sim.Freeze, sim.Reset, sim.Forget, sim.Delay, sim.Slow, sim.Lossy, sim.Kill, sim.Crash, simEmpty, simLeave},
	}.Draw(s.Dice("faults"))
}

const (
	simEmpty sim.Kind = "empty" // the registry restarts without its memory
	simLeave sim.Kind = "leave" // an instance deregisters, and registers again at the end
	simApart sim.Kind = "apart" // the first Size instances can't reach the registry, which readers can

	simTTL     = 3 * time.Second
	simTimeout = time.Second
)

var (
	simInstances = []string{"i1", "i2", "i3", "i4", "i5"}
	simReaders   = []string{"r1", "r2"}
)

// simServices is the world.
type simServices struct {
	*sim.Sim
	model  *simRegistry
	server *sim.Backend

	mu        sync.Mutex
	process   map[string]*simProcess
	left      map[string]time.Time // of instances whose Deregister has succeeded, since when
	disturbed map[string]bool      // instances that a fault of their own has
}

// simProcess is an instance, or a reader.
type simProcess struct {
	w       *simServices
	name    string
	d       Discovery
	client  *sim.Client
	r       Registration
	stop    context.CancelFunc
	working sync.WaitGroup
	began   time.Time

	mu   sync.Mutex
	last Snapshot // of the watch
	gone map[string]bool
}

func newSimServices(s *sim.Sim) *simServices {
	dice := s.Dice("clock")
	w := &simServices{
		Sim: s, model: &simRegistry{begin: time.Now(), rate: 0.97 + 0.06*dice.Float64()}, process: map[string]*simProcess{},
		left: map[string]time.Time{}, disturbed: map[string]bool{},
	}
	w.model.forget()
	for _, f := range s.Faults() {
		for _, n := range simInstances {
			if f.From == n || f.To == n || f.Kind == simApart {
				w.disturbed[n] = true
			}
		}
	}
	w.server = s.Net().Host("registry").Serve(80, w.model.answer)
	s.Handle(sim.Kill, s.WhileUp(func(f sim.Fault) (func(), error) { return w.restart(f.From, s.Net().Host(f.From).Kill, false) }))
	s.Handle(sim.Crash, s.WhileUp(func(f sim.Fault) (func(), error) { return w.restart(f.From, s.Net().Host(f.From).Crash, false) }))
	s.Handle(simEmpty, s.WhileUp(func(f sim.Fault) (func(), error) {
		if f.From != "registry" {
			return nil, errors.New("it has nothing to forget")
		}
		return w.restart(f.From, s.Net().Host(f.From).Kill, true)
	}))
	s.Handle(simLeave, s.WhileUp(w.leave))
	s.Handle(simApart, w.apart)
	return w
}

func (w *simServices) at(name string) *simProcess {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.process[name]
}

func (w *simServices) restart(name string, die func(), empty bool) (func(), error) {
	p := w.at(name)
	die()
	if name == "registry" {
		w.server.Stop()
	} else {
		p.end()
	}
	return func() {
		w.Net().Host(name).Boot()
		if name == "registry" {
			if empty {
				w.model.forget()
			}
			w.server.Start()
		} else {
			w.begin(name)
		}
	}, nil
}

// leave deregisters an instance, whose process goes on.
func (w *simServices) leave(f sim.Fault) (func(), error) {
	if !slices.Contains(simInstances, f.From) {
		return nil, errors.New("it is not registered")
	}
	p := w.at(f.From)
	r := p.registration()
	if r == nil { // it could not register yet
		return nil, errors.New("it is not registered yet")
	}
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Second)
	defer cancel()
	err := r.Deregister(ctx)
	w.Logf("%s leaves: %v", f.From, err)
	if err == nil {
		w.mu.Lock()
		w.left[f.From] = time.Now()
		w.mu.Unlock()
	}
	return func() {
		w.mu.Lock()
		delete(w.left, f.From)
		w.mu.Unlock()
		p.end()
		w.begin(f.From)
	}, nil
}

// apart cuts off so many instances for so long that their entries expire, which is more than is believed:
// at its end readers see all.
func (w *simServices) apart(f sim.Fault) (func(), error) {
	var ends []func()
	for _, name := range simInstances[:f.Size] {
		end, err := w.Net().Handler(sim.Cut)(sim.Fault{From: name, To: "registry"})
		if err != nil {
			return nil, err
		}
		ends = append(ends, end)
	}
	return func() {
		for _, r := range simReaders {
			s, _ := w.at(r).d.Lookup("s")
			if ids := names(s); !slices.Equal(slices.Sorted(slices.Values(ids)), simInstances) || s.Preserved != f.Size {
				w.Failf("the registry has not heard of %d instances for %v, and %s sees %v, %d of them preserved", f.Size, f.For, r, ids, s.Preserved)
			}
		}
		for _, end := range ends {
			end()
		}
	}, nil
}

func (w *simServices) begin(name string) {
	ctx, stop := context.WithCancel(w.Context())
	p := &simProcess{w: w, name: name, stop: stop, began: time.Now(), gone: map[string]bool{}}
	p.client = w.Net().Host(name).Client(w.Net().Host("registry").Addr(80))
	p.d = must(New(WithDriver("sim", func(context.Context) (Driver, error) { return &simDriver{p.client}, nil }), WithLazy(),
		WithTTL(simTTL), WithTimeout(simTimeout), WithRetry(50*time.Millisecond, 500*time.Millisecond), WithLogger(w.Logger(name))))
	w.mu.Lock()
	w.process[name] = p
	w.mu.Unlock()
	if slices.Contains(simReaders, name) {
		p.working.Go(func() { p.watch(ctx) })
		return
	}
	p.working.Go(func() {
		in := Instance{Service: "s", ID: name, Address: w.Net().Host(name).Addr(80)}
		for ctx.Err() == nil {
			r, err := p.d.Register(ctx, in)
			w.Logf("%s registers: %v", name, err)
			if err == nil {
				p.mu.Lock()
				p.r = r
				p.mu.Unlock()
				return
			}
			if errors.Is(err, ErrExists) && !strings.Contains(err.Error(), "registered here") {
				w.Failf("%s: its own entry of before keeps it out: %v", name, err)
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
}

// registration is nil as long as there is none.
func (p *simProcess) registration() Registration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.r
}

func (p *simProcess) end() {
	p.stop()
	start := time.Now()
	_ = p.d.Close()
	if took := time.Since(start); took > simTimeout+100*time.Millisecond {
		p.w.Failf("%s: Close took %v", p.name, took)
	}
	p.working.Wait()
	p.client.Close()
}

// watch follows the service as a reader does.
func (p *simProcess) watch(ctx context.Context) {
	for s, err := range p.d.Watch(ctx, "s") {
		if err != nil {
			return
		}
		p.judge(s)
	}
}

// judge holds a snapshot against the one before it.
func (p *simProcess) judge(s Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, before := p.w, p.last
	p.last = s
	ids := names(s)
	w.Logf("%s sees %v, %v, preserved %d, unconfirmed %d", p.name, ids, s.State, s.Preserved, s.Unconfirmed)
	if s.Revision <= before.Revision && before.Revision > 0 {
		w.Failf("%s: revision %d after %d", p.name, s.Revision, before.Revision)
	}
	for _, id := range names(before) {
		if slices.Contains(ids, id) {
			continue
		}
		p.gone[id] = true
		w.mu.Lock()
		if !w.disturbed[id] && w.process[id].began.Add(simTTL).Before(time.Now()) {
			w.Failf("%s drops %s, which lives, and which no fault has reached", p.name, id)
		}
		w.mu.Unlock()
	}
	for _, id := range ids {
		w.mu.Lock()
		if at, left := w.left[id]; left && p.gone[id] && !slices.Contains(names(before), id) {
			w.Failf("%s: %s is back, which left at %v", p.name, id, at)
		}
		w.mu.Unlock()
		delete(p.gone, id)
	}
	if n := len(ids) - s.Preserved - s.Unconfirmed; n < 0 || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != len(ids) {
		w.Failf("%s: a snapshot that can't be: %+v", p.name, s)
	}
}

func names(s Snapshot) (ids []string) {
	for _, in := range s.Instances {
		ids = append(ids, in.ID)
	}
	return ids
}

// sees reports whether a reader sees exactly the instances that live, as the registry has them.
func (w *simServices) sees(reader string) bool {
	s, ok := w.process[reader].d.Lookup("s")
	return ok && s.State == Live && s.Preserved == 0 && s.Unconfirmed == 0 && slices.Equal(names(s), simInstances)
}

func (w *simServices) run() {
	for _, name := range slices.Concat(simInstances, simReaders) {
		w.begin(name)
	}
	all := func() bool { return w.sees("r1") && w.sees("r2") }
	if !w.Until(5*time.Second, all) {
		w.Failf("the readers do not see all")
	}
	w.Play()
	w.Logf("all faults are over")
	if !w.Until(30*time.Second, all) {
		for _, r := range simReaders {
			s, _ := w.process[r].d.Lookup("s")
			w.Failf("30 s after the last fault %s sees %v: %+v", r, names(s), s)
		}
	}
	w.mu.Lock()
	w.disturbed["i1"], w.disturbed["i2"] = true, true
	w.mu.Unlock()
	dead := w.end("i1") // without a word: a crash
	if !w.Until(simTTL+1500*time.Millisecond, func() bool { return w.lacks("i1") }) {
		w.Failf("%s after the death of i1 somebody sees it still", time.Since(dead))
	}
	before := time.Now()
	if err := w.process["i2"].registration().Deregister(w.Context()); err != nil {
		w.Failf("deregister: %v", err)
	}
	if !w.Until(time.Second, func() bool { return w.lacks("i2") }) {
		w.Failf("%v after i2 has left somebody sees it still", time.Since(before))
	}
	for _, name := range []string{"i3", "i4", "i5"} {
		if err := w.process[name].registration().Err(); err != nil {
			w.Failf("%s: with all well its registration has the error %v", name, err)
		}
	}
	for _, r := range simReaders {
		p := w.process[r]
		s, _ := p.d.Lookup("s")
		p.mu.Lock()
		if s.Revision != p.last.Revision {
			w.Failf("%s: the watch ends with revision %d, and Lookup has %d", r, p.last.Revision, s.Revision)
		}
		p.mu.Unlock()
	}
	w.mu.Lock()
	for _, name := range simInstances { // all leave now, and readers that end later see it
		w.disturbed[name] = true
	}
	w.mu.Unlock()
	for name, p := range w.process {
		if name != "i1" {
			p.end()
		}
	}
	if left := w.model.ids(); len(left) > 0 {
		w.Failf("after Close the registry still has %q", left)
	}
	w.server.Stop()
}

// end crashes a process, so that the registry is not told, and returns when.
func (w *simServices) end(name string) time.Time {
	w.Net().Host(name).Crash()
	at := time.Now()
	w.process[name].end()
	return at
}

func (w *simServices) lacks(id string) bool {
	return !slices.ContainsFunc(simReaders, func(r string) bool {
		s, _ := w.process[r].d.Lookup("s")
		return slices.Contains(names(s), id)
	})
}

// simRegistry is the model.
type simRegistry struct {
	begin time.Time
	rate  float64

	mu      sync.Mutex
	epoch   int
	version int
	entries map[string]simEntry
	fates   map[string]simFate // of what is gone, since the epoch began
}

type simEntry struct {
	Entry
	until time.Duration
}

type simFate struct {
	version int
	fate    Fate
}

type simAsk struct {
	Entry    Entry
	Replace  bool
	Held     string // the owner whose entry Replace is about
	Version  int
	Epoch    int
	Instance string
}

type simSays struct {
	Status         string
	Held           *Entry
	Epoch, Version int
	Entries        []Entry
	Fates          map[string]Fate
	Same           bool
}

// forget is a start without memory.
func (m *simRegistry) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	m.version++
	m.entries, m.fates = map[string]simEntry{}, map[string]simFate{}
}

func (m *simRegistry) now() time.Duration {
	return time.Duration(float64(time.Since(m.begin)) * m.rate)
}

func (m *simRegistry) ids() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	return slices.Sorted(maps.Keys(m.entries))
}

// expire is called with mu held.
func (m *simRegistry) expire() {
	for id, e := range m.entries {
		if e.until <= m.now() {
			m.remove(id, Expired)
		}
	}
}

func (m *simRegistry) remove(id string, why Fate) {
	m.version++
	delete(m.entries, id)
	m.fates[id] = simFate{m.version, why}
}

func (m *simRegistry) answer(op string, body []byte) any {
	var a simAsk
	if err := json.Unmarshal(body, &a); err != nil {
		panic(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	held, there := m.entries[a.Entry.ID]
	switch op {
	case "register":
		if there && held.Owner != a.Entry.Owner && !(a.Replace && held.Owner == a.Held) {
			return simSays{Status: "exists", Held: &held.Entry}
		}
		m.version++
		delete(m.fates, a.Entry.ID)
		m.entries[a.Entry.ID] = simEntry{a.Entry, m.now() + a.Entry.TTL}
	case "renew":
		switch {
		case !there:
			return simSays{Status: "none"}
		case held.Owner != a.Entry.Owner:
			return simSays{Status: "exists"}
		}
		held.until = m.now() + a.Entry.TTL
		m.entries[a.Entry.ID] = held
	case "deregister":
		if there && held.Owner == a.Entry.Owner {
			m.remove(a.Entry.ID, Deregistered)
		}
	case "watch":
		s := simSays{Epoch: m.epoch, Version: m.version, Same: a.Epoch == m.epoch && a.Version == m.version}
		if s.Same {
			return s
		}
		for _, e := range m.entries {
			s.Entries = append(s.Entries, e.Entry)
		}
		if a.Epoch == m.epoch {
			s.Fates = map[string]Fate{}
			for id, f := range m.fates {
				if f.version > a.Version {
					s.Fates[id] = f.fate
				}
			}
		}
		return s
	}
	return simSays{}
}

// simDriver asks the model.
type simDriver struct{ *sim.Client }

func (d *simDriver) ask(ctx context.Context, op string, a simAsk) (s simSays, err error) {
	err = d.Call(ctx, op, a, &s)
	switch {
	case err == nil && s.Status == "exists":
		return s, ErrExists
	case err == nil && s.Status == "none":
		return s, ErrNotFound
	case errors.Is(err, sim.ErrUnsent):
		return s, fault.Mark(ErrUnavailable, err)
	case err != nil:
		return s, fault.Mark(ErrUnknownOutcome, err)
	}
	return s, nil
}

func (d *simDriver) Ping(ctx context.Context) error {
	_, err := d.ask(ctx, "ping", simAsk{})
	return err
}

func (d *simDriver) Register(ctx context.Context, e Entry, replace func(Entry) bool) error {
	s, err := d.ask(ctx, "register", simAsk{Entry: e})
	if errors.Is(err, ErrExists) && s.Held != nil && replace(*s.Held) {
		_, err = d.ask(ctx, "register", simAsk{Entry: e, Replace: true, Held: s.Held.Owner})
	}
	return err
}

func (d *simDriver) Renew(ctx context.Context, e Entry) error {
	_, err := d.ask(ctx, "renew", simAsk{Entry: e})
	return err
}

func (d *simDriver) Deregister(ctx context.Context, e Entry) error {
	_, err := d.ask(ctx, "deregister", simAsk{Entry: e})
	return err
}

func (d *simDriver) Services(context.Context) ([]string, error) { return nil, ErrUnsupported }
func (d *simDriver) Close() error                               { return nil }

// Watch asks for news again and again. A registry that answers nothing for a second ends it.
func (d *simDriver) Watch(ctx context.Context, _ string, deliver func(Update)) error {
	last := simAsk{Epoch: -1}
	for {
		within, cancel := context.WithTimeout(ctx, simTimeout)
		s, err := d.ask(within, "watch", last)
		cancel()
		if err != nil {
			return err
		}
		if s.Epoch != last.Epoch && last.Epoch >= 0 {
			return fault.Markf(ErrUnavailable, "the registry has begun again")
		}
		last.Epoch, last.Version = s.Epoch, s.Version
		u := Update{Same: s.Same, TTL: func(string) time.Duration { return simTTL }, Fate: func(id string) Fate { return s.Fates[id] }}
		for _, e := range s.Entries {
			u.Instances = append(u.Instances, e.Instance)
		}
		deliver(u)
		if err := backoff.Sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}
