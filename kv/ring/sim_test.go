package ring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/sim"
	"github.com/micro/go-platform/kv"
)

// TestSimulated plays a ring of five to nine nodes through faults, one seed after
// the other. While they last, writers put, delete, add and read through any node;
// when they are over, the nodes must agree, nothing acknowledged may be lost, and
// nothing deleted may come back, also when the tombstones are gone.
func TestSimulated(t *testing.T) {
	sim.Test(t, sim.World{
		Seeds: 3,
		Known: []sim.Case{{
			Name: "two nodes that could not reach each other both dropped what they had, also what only they had",
			Seed: 33,
			Faults: []sim.Fault{
				{At: 1716513131, For: 447786759, Kind: sim.Forget, From: "e", To: "d"},
				{At: 5513190192, For: 66977007, Kind: sim.Kill, From: "a"},
				{At: 6941616506, For: 1834718907, Kind: sim.Slow, From: "b", To: "d", Size: 256},
			},
		}, {
			Name:   "when a service had been cut in halves, all nodes dropped all that they had",
			Seed:   sixNodes,
			Faults: halves(),
		}, {
			Name:   "a node that was cut off for longer than tombstones live brought deleted keys back",
			Seed:   2,
			Faults: []sim.Fault{{At: 2 * time.Second, For: 2 * simTombs, Kind: sim.Isolate, From: "b"}},
		}, {
			Name:   "a node to which the registry showed nobody else brought deleted keys back",
			Seed:   2,
			Faults: []sim.Fault{{At: 2 * time.Second, For: 2 * simTombs, Kind: apart, From: "b"}},
		}, {
			Name:   "two nodes to which the registry showed each other only brought deleted keys back",
			Seed:   2,
			Faults: []sim.Fault{{At: 2 * time.Second, For: 2 * simTombs, Kind: apart, From: "b", To: "c"}},
		}, {
			Name:   "of two halves that the registry showed apart both brought deleted keys back, or dropped all",
			Seed:   sixNodes,
			Faults: []sim.Fault{{At: 2 * time.Second, For: 2 * simTombs, Kind: apart, From: "f", To: "de"}},
		}, {
			Name: "two of five that were apart took themselves for most when the registry showed the first of the others",
			Seed: 154,
			Faults: []sim.Fault{
				{At: 4654962181, For: 40950447, Kind: sim.Lossy, From: "e", To: "a", Size: 55},
				{At: 5409091125, For: 16281610581, Kind: apart, From: "d", To: "e"},
			},
		}, {
			Name: "a node that could not drop what it did not own any more gave it back when the tombstone had ended",
			Seed: 319,
			Faults: []sim.Fault{
				{At: 249843804, For: 1663442746, Kind: sim.Kill, From: "f"},
				{At: 1697516020, For: 9242684388, Kind: sim.Cut, From: "a", To: "e"},
			},
		}, {
			Name: "a node left one out for seconds that others reached again, could not compare, and dropped what only it had",
			Seed: 668,
			Faults: []sim.Fault{
				{At: 6092215849, For: 2213523876, Kind: sim.Lossy, From: "d", To: "a", Size: 50},
				{At: 6302518017, For: 5039299901, Kind: sim.Cut, From: "c", To: "a"},
				{At: 6783897872, For: 767728109, Kind: sim.Slow, From: "a", To: "b", Size: 256},
				{At: 7058290195, For: 226343058, Kind: sim.Kill, From: "c"},
			},
		}},
		Draw: func(s *sim.Sim) []sim.Fault {
			faults := sim.Mix{
				Nodes: simNodes(s), Max: 10, During: 8 * time.Second, Longest: 10 * time.Second,
				Kinds: []sim.Kind{sim.Cut, sim.Isolate, sim.Freeze, sim.Reset, sim.Forget, sim.Delay, sim.Slow, sim.Lossy, sim.Kill, sim.Crash},
			}.Draw(s.Dice("faults"))
			if dice := s.Dice("apart"); dice.IntN(3) == 0 {
				names := simNodes(s)
				from := dice.IntN(len(names))
				f := sim.Fault{At: time.Duration(dice.Int64N(int64(8 * time.Second))), For: time.Duration(dice.Int64N(int64(3 * simTombs))), Kind: apart, From: names[from]}
				if dice.IntN(2) == 0 {
					f.To = names[(from+1)%len(names)]
				}
				faults = append(faults, f)
			}
			return faults
		},
		Run: func(s *sim.Sim) { newSimRing(s, simNodes(s)).run() },
	})
}

// TestALongWayIsTriedForLongEnough: two nodes that are as far from each other that it
// takes longer to connect than to miss a peer do so, also if others reach them.
func TestALongWayIsTriedForLongEnough(t *testing.T) {
	sim.Test(t, sim.World{
		Seeds: 2,
		Draw:  func(*sim.Sim) []sim.Fault { return nil },
		Run: func(s *sim.Sim) {
			w := newSimRing(s, simNodes(s))
			for _, f := range []sim.Fault{{From: "a", To: "c", Size: 350}, {From: "c", To: "a", Size: 350}} {
				if _, err := s.Net().Handler(sim.Delay)(f); err != nil {
					panic(err)
				}
			}
			for _, name := range w.names {
				w.begin(name)
			}
			if !w.Until(20*time.Second, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.settled() }) {
				w.Failf("they are not connected after 20 s")
			}
			for _, n := range w.nodes {
				n.close()
			}
			w.close()
			time.Sleep(time.Minute) // until the servers are done with their connections
		},
	})
}

// TestAPeerThatOthersReachAgainIsTakenBack: a node that left a dead one out goes by the
// members of the others as soon as these have it back, also while it can't connect itself.
func TestAPeerThatOthersReachAgainIsTakenBack(t *testing.T) {
	sim.Test(t, sim.World{
		Seeds: 2,
		Draw:  func(*sim.Sim) []sim.Fault { return nil },
		Run: func(s *sim.Sim) {
			w := newSimRing(s, simNodes(s))
			for _, name := range w.names {
				w.begin(name)
			}
			if !w.Until(10*time.Second, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.settled() }) {
				w.Failf("the nodes do not find each other")
			}
			heal, err := s.Net().Handler(sim.Cut)(sim.Fault{From: "c", To: "a"})
			if err != nil {
				panic(err)
			}
			s.Net().Host("c").Kill()
			w.end("c")
			counts := func() bool { return slices.Contains(w.nodes["a"].v.Load().peers, "c") }
			if !w.Until(5*time.Second, func() bool { return !counts() }) {
				w.Failf("the dead peer was not left out")
			}
			w.begin("c")
			if !w.Until(3*simDetection/2, counts) {
				w.Failf("a peer that the others reach is not taken back in time")
			}
			heal()
			for _, n := range w.nodes {
				n.close()
			}
			w.close()
			time.Sleep(time.Minute)
		},
	})
}

// halves cuts six nodes into two times three, for longer than tombstones live.
func halves() (faults []sim.Fault) {
	for _, a := range []string{"a", "b", "c"} {
		for _, b := range []string{"d", "e", "f"} {
			faults = append(faults, sim.Fault{At: 3 * time.Second, For: simTombs * 3 / 2, Kind: sim.Cut, From: a, To: b})
		}
	}
	return faults
}

const sixNodes = 4 // a seed that has as many

func simNodes(s *sim.Sim) []string {
	return []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}[:5+s.Dice("size").IntN(5)]
}

const (
	simTombs     = 8 * time.Second
	simDetection = time.Second
	simPort      = 80

	simRegistryTTL = 5 * time.Second

	// apart is a fault: the node From, and those whose names To has, have only each
	// other, on the network and in the registry, as the others have.
	apart sim.Kind = "apart"

	// joins is not a fault: the node From begins only then.
	joins sim.Kind = "joins"
)

// simRing is a service whose instances have nodes, on a simulated network.
type simRing struct {
	*sim.Sim
	names []string
	stock int                            // keys of a writer that are there before the first fault
	brief bool                           // it ends before the tombstones do
	views map[string]discovery.Discovery // what the registry shows to each node
	whole *table                         // of all nodes

	mu         sync.Mutex // guards what follows
	nodes      map[string]*simNode
	registered map[string]bool
	in         map[[2]string]discovery.Registration // of a node in what another one sees
	apart      string                               // the nodes that have only each other
	busy       map[string]int                       // writers that use a node
	epochs     map[string]uint64                    // of sets of members
	down       string                               // the node that is out of reach as a whole: one at a time may be, is the promise
}

type simNode struct {
	*Node
	store  kv.KV
	server *http.Server
	served chan struct{}
}

func newSimRing(s *sim.Sim, names []string) *simRing {
	w := &simRing{
		Sim: s, names: names, views: map[string]discovery.Discovery{}, nodes: map[string]*simNode{}, registered: map[string]bool{},
		in: map[[2]string]discovery.Registration{}, busy: map[string]int{}, epochs: map[string]uint64{},
	}
	var all []member
	for _, name := range w.names {
		d, err := discovery.New()
		if err != nil {
			panic(err)
		}
		w.views[name] = d
		all = append(all, member{id: name})
	}
	w.whole = place(all, 2)
	for _, f := range s.Faults() {
		if !slices.Contains(w.names, f.From) || f.Kind != apart && f.To != "" && !slices.Contains(w.names, f.To) {
			s.Failf("no node %s or %s: the case is for another number of nodes", f.From, f.To)
		}
	}
	for _, k := range []sim.Kind{sim.Isolate, sim.Freeze} {
		w.Handle(k, w.alone(s.Net().Handler(k)))
	}
	w.Handle(apart, w.alone(w.split))
	w.Handle(joins, func(f sim.Fault) (func(), error) { w.begin(f.From); return nil, nil })
	w.Handle(sim.Kill, w.alone(func(f sim.Fault) (func(), error) {
		s.Net().Host(f.From).Kill()
		w.end(f.From)
		return func() { w.begin(f.From) }, nil
	}))
	w.Handle(sim.Crash, w.alone(func(f sim.Fault) (func(), error) {
		s.Net().Host(f.From).Crash()
		w.end(f.From)
		return func() { s.Net().Host(f.From).Boot(); w.begin(f.From) }, nil
	}))
	return w
}

// alone lets a fault that takes a whole node away happen only while all others
// have what they own.
func (w *simRing) alone(h sim.Handler) sim.Handler {
	return func(f sim.Fault) (func(), error) {
		w.mu.Lock()
		if w.down != "" || !w.settled() || w.nodes[f.From] == nil {
			w.mu.Unlock()
			return nil, errors.New("another node is missed still, or this one has not begun")
		}
		w.down = f.From
		w.mu.Unlock()
		back := func() { w.mu.Lock(); w.down = ""; w.mu.Unlock() }
		end, err := h(f)
		if err != nil {
			back()
			return nil, err
		}
		return func() {
			if end != nil {
				end()
			}
			back()
		}, nil
	}
}

// split keeps some nodes apart. Who uses the ring stays with the others: two sides
// that both write may both have written the same key.
func (w *simRing) split(f sim.Fault) (func(), error) {
	w.mu.Lock()
	w.apart = f.From + f.To
	w.mu.Unlock()
	w.Until(time.Minute, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !slices.ContainsFunc(w.names, func(name string) bool { return w.isApart(name) && w.busy[name] > 0 })
	})
	var heal []func()
	for _, a := range w.names {
		for _, b := range w.names {
			if w.isApart(a) != w.isApart(b) {
				end, err := w.Net().Handler(sim.Cut)(sim.Fault{From: a, To: b})
				if err != nil {
					return nil, err
				}
				heal = append(heal, end)
			}
		}
	}
	w.enter()
	return func() {
		for _, end := range heal {
			end()
		}
		w.mu.Lock()
		was := w.apart
		w.apart = ""
		w.mu.Unlock()
		w.enter()
		w.mu.Lock()
		w.apart = was
		w.mu.Unlock()
		w.Until(time.Minute, w.meet)
		w.mu.Lock()
		w.apart = ""
		w.mu.Unlock()
	}, nil
}

// onOneSide reports that some nodes that will be kept apart are all that have a key:
// the others lose it, as they do if as many die.
func (w *simRing) onOneSide(key string) bool {
	return slices.ContainsFunc(w.Faults(), func(f sim.Fault) bool {
		if f.Kind != apart || f.To == "" {
			return false
		}
		return !slices.ContainsFunc(w.whole.owners[partition(hash(key))], func(owner string) bool { return !strings.Contains(f.From+f.To, owner) })
	})
}

// meet reports that all nodes know of each other again.
func (w *simRing) meet() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		if v := n.v.Load(); v == nil || v.all != len(w.nodes) {
			return false
		}
	}
	return true
}

func (w *simRing) isApart(name string) bool { return strings.Contains(w.apart, name) }

// settled reports that all nodes know each other and have what they own, and nothing
// else. Called with mu held.
func (w *simRing) settled() bool {
	return w.complete(func(n *simNode, v *view) bool { return !n.leftovers(v) })
}

// complete reports that all nodes know each other and have what they own, and that
// each of them is as asked. Called with mu held.
func (w *simRing) complete(is func(*simNode, *view) bool) bool {
	var all []member
	for name := range w.nodes {
		all = append(all, member{id: name})
	}
	slices.SortFunc(all, func(a, b member) int { return strings.Compare(a.id, b.id) })
	who := fmt.Sprint(all)
	if w.epochs[who] == 0 {
		w.epochs[who] = place(all, 2).epoch // which takes time
	}
	want := w.epochs[who]
	for _, n := range w.nodes {
		n.Node.mu.RLock()
		v, missing := n.v.Load(), n.missing
		ok := v != nil && v.epoch == want && missing == 0 && v.agreed.Load() && is(n, v)
		n.Node.mu.RUnlock()
		if !ok {
			return false
		}
	}
	return true
}

// begin starts a node, without memory, and registers it.
func (w *simRing) begin(name string) {
	host := w.Net().Host(name)
	n, err := New(w.views[name], "cells", name, WithKey(testKey), WithDetection(simDetection), WithInterval(time.Second),
		WithTombstones(simTombs), WithMaxBytes(1<<20), WithDial(host.DialContext), WithLogger(w.Logger(name)))
	if err != nil {
		panic(err)
	}
	store, err := kv.New(Backend(n), kv.WithLazy())
	if err != nil {
		panic(err)
	}
	l, err := host.Listen(simPort)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/.ring", n)
	sn := &simNode{n, store, &http.Server{Handler: mux}, make(chan struct{})}
	go func() { _ = sn.server.Serve(l); close(sn.served) }()
	w.mu.Lock()
	w.nodes[name] = sn
	w.mu.Unlock()
	w.register(name)
}

// register enters a node in the registry, unless it is there still.
func (w *simRing) register(name string) {
	w.mu.Lock()
	w.registered[name] = true
	w.mu.Unlock()
	w.enter()
}

// enter brings what the registry shows to each node up to date.
func (w *simRing) enter() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, to := range w.names {
		for _, name := range w.names {
			key := [2]string{to, name}
			is, want := w.in[key], w.registered[name] && w.isApart(name) == w.isApart(to)
			if want == (is != nil) {
				continue
			}
			if !want {
				_ = is.Deregister(w.Context())
				delete(w.in, key)
				continue
			}
			r, err := w.views[to].Register(w.Context(), discovery.Instance{Service: "cells", ID: name, Address: w.Net().Host(name).Addr(simPort)})
			if err != nil {
				panic(err)
			}
			w.in[key] = r
		}
	}
}

// end ends a node's process. The registry drops it after a while.
func (w *simRing) end(name string) {
	w.mu.Lock()
	n := w.nodes[name]
	delete(w.nodes, name)
	w.mu.Unlock()
	n.close()
	time.AfterFunc(simRegistryTTL, func() {
		w.mu.Lock()
		gone := w.nodes[name] == nil
		w.registered[name] = w.registered[name] && !gone
		w.mu.Unlock()
		if gone {
			w.enter()
		}
	})
}

func (n *simNode) close() {
	n.store.Close()
	n.Node.Close()
	n.server.Close()
	<-n.served
}

// close closes the registries.
func (w *simRing) close() {
	for _, d := range w.views {
		d.Close()
	}
}

// any returns a node that runs, to be used until done.
func (w *simRing) any(dice *rand.Rand) (name string, store kv.KV, done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		name := w.names[dice.IntN(len(w.names))]
		if n := w.nodes[name]; n != nil && !w.isApart(name) {
			w.busy[name]++
			return name, n.store, func() { w.mu.Lock(); w.busy[name]--; w.mu.Unlock() }
		}
	}
}

func (w *simRing) run() {
	for _, name := range w.names {
		if !slices.ContainsFunc(w.Faults(), func(f sim.Fault) bool { return f.Kind == joins && f.From == name }) {
			w.begin(name)
		}
	}
	isSettled := func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.settled() }
	if !w.Until(10*time.Second, isSettled) {
		w.Failf("the nodes do not find each other")
	}
	ctx, stop := context.WithCancel(w.Context())
	var writers []*simWriter
	var writing sync.WaitGroup
	for i := range 3 {
		writer := &simWriter{w: w, name: fmt.Sprint("writer ", i), dice: w.Dice(fmt.Sprint("writer ", i)), strict: w.gentle()}
		writers = append(writers, writer)
		writer.fill(ctx, w.stock)
		writing.Go(func() { writer.run(ctx) })
	}
	w.Play()
	stop()
	writing.Wait()
	w.Logf("all faults are over")
	if !w.Until(30*time.Second, isSettled) {
		w.Failf("30 s after the last fault the nodes do not agree yet")
	}
	time.Sleep(simLife) // whatever ends by itself has
	for _, writer := range writers {
		writer.check()
	}
	if !w.brief {
		time.Sleep(simTombs) // until the tombstones have ended, too
		for _, writer := range writers {
			writer.check()
		}
	}
	for _, n := range w.nodes {
		n.close()
	}
	w.close()
	bytes, dials := w.Net().Traffic()
	time.Sleep(time.Minute)
	if b, d := w.Net().Traffic(); b != bytes || d != dials {
		w.Failf("after Close the nodes sent %d bytes, and dialled %d times", b-bytes, d-dials)
	}
}

// calm reports that no fault lasts and that the nodes are done with those that did: what
// they read is right.
func (w *simRing) calm() bool {
	now := w.Time()
	if slices.ContainsFunc(w.Faults(), func(f sim.Fault) bool { return f.Kind != joins && f.At <= now && now <= f.At+f.For }) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.complete(func(*simNode, *view) bool { return true })
}

// gentle reports that no fault can make a node take part in a minority, which may
// read old values.
func (w *simRing) gentle() bool {
	return !slices.ContainsFunc(w.Faults(), func(f sim.Fault) bool {
		return f.Kind != joins && f.Kind != sim.Kill && f.Kind != sim.Crash && f.Kind != sim.Reset && (f.Kind != sim.Delay || f.Size > 100)
	})
}

const simLife = 3 * time.Second // the longest TTL

// simWriter has keys of its own, so that it knows what may be there.
type simWriter struct {
	w       *simRing
	name    string
	dice    *rand.Rand
	strict  bool // reads must be right also while faults last
	keys    []*simKey
	stock   []*simKey // of keys, those that are there and will be written once more
	named   int       // keys, also those that nobody is to write
	written int
}

// simKey is one key and what it may have: what was acknowledged last, and if the outcome of
// the last write is not known, what that wrote.
type simKey struct {
	name    string
	may     []string // "": nothing
	ends    time.Time
	retired bool // the outcome of a write is unknown, so that it may come at any time: none follows
	counter bool
	least   int64 // of a counter
	most    int64
	left    int // how often it is written before it is left as it is
}

func (s *simWriter) run(ctx context.Context) {
	for ctx.Err() == nil {
		s.step(ctx)
		time.Sleep(time.Duration(20+s.dice.IntN(160)) * time.Millisecond)
	}
}

func (s *simWriter) step(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*time.Second)
	defer cancel()
	if len(s.stock) > 0 && s.dice.IntN(2) == 0 {
		k := s.stock[0]
		s.stock = s.stock[1:]
		s.last(ctx, k)
		return
	}
	live := slices.DeleteFunc(slices.Clone(s.keys), func(k *simKey) bool { return k.retired || k.left == 0 })
	if len(live) < 6 {
		s.named++
		for s.w.onOneSide(fmt.Sprintf("%s key %d", s.name, s.named)) {
			s.named++
		}
		k := &simKey{name: fmt.Sprintf("%s key %d", s.name, s.named), may: []string{""}, counter: s.dice.IntN(5) == 0, left: 1 + s.dice.IntN(8)}
		s.keys, live = append(s.keys, k), append(live, k)
	}
	k := live[s.dice.IntN(len(live))]
	node, store, done := s.w.any(s.dice)
	defer done()
	what := s.dice.IntN(10)
	s.written++
	k.left--
	value := strconv.Itoa(s.written)
	var err error
	var next string
	var ends time.Time
	switch {
	case what < 3 && (s.strict || s.w.stock > 0 && s.w.calm()):
		s.read(ctx, k, node, store)
		return
	case k.counter:
		_, err = store.Add(ctx, k.name, 1)
		k.most++
		if err == nil {
			k.least++
		} else if !errors.Is(err, kv.ErrUnknownOutcome) {
			k.most--
		}
		k.retired = err != nil && errors.Is(err, kv.ErrUnknownOutcome)
		s.w.Logf("%s on %s: add %s = %v", s.name, node, k.name, err)
		return
	case what < 7:
		next = value
		_, err = store.Put(ctx, k.name, []byte(value))
	case what < 8:
		next = value
		life := simLife/3 + time.Duration(s.dice.Int64N(int64(simLife/3*2)))
		ends = time.Now().Add(life)
		_, err = store.Put(ctx, k.name, []byte(value), kv.TTL(life))
	default:
		err = store.Delete(ctx, k.name)
	}
	s.wrote(ctx, k, node, next, ends, err)
}

// fill writes keys before the first fault.
func (s *simWriter) fill(ctx context.Context, n int) {
	for len(s.stock) < n {
		s.named++
		s.written++
		k := &simKey{name: fmt.Sprintf("%s key %d", s.name, s.named), may: []string{strconv.Itoa(s.written)}}
		node, store, done := s.w.any(s.dice)
		_, err := store.Put(ctx, k.name, []byte(k.may[0]))
		done()
		if err != nil {
			s.w.Failf("%s on %s: put %s before the first fault: %v", s.name, node, k.name, err)
		}
		s.keys, s.stock = append(s.keys, k), append(s.stock, k)
	}
}

// last writes a key for the last time: nothing hides it if what it replaces comes back.
func (s *simWriter) last(ctx context.Context, k *simKey) {
	node, store, done := s.w.any(s.dice)
	defer done()
	switch s.dice.IntN(3) {
	case 0:
		s.wrote(ctx, k, node, "", time.Time{}, store.Delete(ctx, k.name))
	case 1:
		life := simLife/30 + time.Duration(s.dice.Int64N(int64(simLife/3)))
		s.put(ctx, k, node, store, life)
	case 2:
		s.put(ctx, k, node, store, 0)
	}
}

func (s *simWriter) put(ctx context.Context, k *simKey, node string, store kv.KV, life time.Duration) {
	s.written++
	value := strconv.Itoa(s.written)
	var ends time.Time
	var opts []kv.PutOption
	if life > 0 {
		ends = time.Now().Add(life)
		opts = append(opts, kv.TTL(life))
	}
	_, err := store.Put(ctx, k.name, []byte(value), opts...)
	s.wrote(ctx, k, node, value, ends, err)
}

// wrote notes what a key may have after a write.
func (s *simWriter) wrote(ctx context.Context, k *simKey, node, next string, ends time.Time, err error) {
	s.w.Logf("%s on %s: put %s %q (ends %v) = %v", s.name, node, k.name, next, !ends.IsZero(), err)
	switch {
	case err == nil:
		k.may, k.ends = []string{next}, ends
		if !ends.IsZero() {
			k.may = append(k.may, "")
		}
		if s.strict { // at once, on another node: it may own the key since
			node, store, done := s.w.any(s.dice)
			s.read(ctx, k, node, store)
			done()
		}
	case errors.Is(err, kv.ErrUnknownOutcome):
		k.may, k.retired = append(k.may, next), true
		if !ends.IsZero() {
			k.may = append(k.may, "")
		}
	case !errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
		s.w.Failf("%s on %s: %s: %v", s.name, node, k.name, err)
	}
}

func (s *simWriter) read(ctx context.Context, k *simKey, node string, store kv.KV) {
	got, err := get(ctx, store, k.name)
	if err != nil || !s.strict && !s.w.calm() {
		return // it could not, or need not be right
	}
	s.judge(k, node, got)
}

func get(ctx context.Context, store kv.KV, key string) (string, error) {
	item, err := store.Get(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		err = nil
	}
	return string(bytes.Clone(item.Value)), err
}

func (s *simWriter) judge(k *simKey, node, got string) {
	if k.counter {
		n, _ := strconv.ParseInt("0"+got, 10, 64)
		if n < k.least || n > k.most {
			s.w.Failf("%s: the counter %s is %q, want %d to %d", node, k.name, got, k.least, k.most)
		}
		return
	}
	if !slices.Contains(k.may, got) {
		s.w.Failf("%s: %s has %q, want one of %q", node, k.name, got, k.may)
	}
}

// check reads all keys on all nodes.
func (s *simWriter) check() {
	ctx, cancel := context.WithTimeout(s.w.Context(), 10*time.Second)
	defer cancel()
	for _, k := range s.keys {
		var all []string
		for _, name := range s.w.names {
			got, err := get(ctx, s.w.nodes[name].store, k.name)
			if err != nil {
				s.w.Failf("%s: %s after all faults: %v", name, k.name, err)
				continue
			}
			s.judge(k, name, got)
			if !k.ends.IsZero() && !k.retired && got != "" {
				s.w.Failf("%s: %s has %q, whose life has ended", name, k.name, got)
			}
			all = append(all, got)
		}
		if slices.Sort(all); len(all) > 0 && all[0] != all[len(all)-1] {
			s.w.Failf("%s: the nodes read %q", k.name, all)
		}
	}
}
