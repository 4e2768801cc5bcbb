package event_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/sim"
)

// TestSimulated plays three processes that publish, and that are members of an
// ordered and of a plain group, through faults, over a backend on a fourth host:
// a model of a stream that keeps its records and their deliveries, by the clock that
// all have. What was acknowledged is handled or a dead letter, the records of one
// key in order; the subscription without a group gets the stream, each record
// once; one member of the ordered group at a time begins anything; and no
// handler runs after Close.
func TestSimulated(t *testing.T) {
	sim.Test(t, sim.World{
		Seeds: 30,
		Mix: sim.Mix{
			Nodes: []string{"a", "b", "c", "server"}, Max: 10, During: 8 * time.Second, Longest: 5 * time.Second,
			Kinds: []sim.Kind{sim.Cut, sim.Isolate, sim.Freeze, sim.Reset, sim.Forget, sim.Delay, sim.Slow, sim.Lossy, sim.Kill, sim.Crash},
		},
		Run: func(s *sim.Sim) { newSimEvents(s).run() },
	})
}

const (
	simAckWait  = time.Second
	simAttempts = 4
)

// simEvents is the world. What it knows of a record is under its ID.
type simEvents struct {
	*sim.Sim
	model  *simStream
	server *sim.Backend

	mu      sync.Mutex
	process map[string]*simMember
	sure    []*event.Record            // acknowledged
	sent    map[string]*event.Record   // also those that were not
	done    map[string]map[string]bool // by group: handled, by ID
	before  map[string][]string        // by key: IDs that were acknowledged, in order
}

type simMember struct {
	name   string
	as     string // of the groups' members
	stream event.Stream
	client *sim.Client
	stop   context.CancelFunc
	work   sync.WaitGroup
	closed bool // guarded by the world's mu
}

func newSimEvents(s *sim.Sim) *simEvents {
	w := &simEvents{
		Sim: s, model: &simStream{groups: map[string]*simGroup{}}, process: map[string]*simMember{},
		sent: map[string]*event.Record{}, done: map[string]map[string]bool{"ordered": {}, "plain": {}}, before: map[string][]string{},
	}
	s.Handle(sim.Kill, s.WhileUp(func(f sim.Fault) (func(), error) { return w.restart(f.From, s.Net().Host(f.From).Kill) }))
	s.Handle(sim.Crash, s.WhileUp(func(f sim.Fault) (func(), error) { return w.restart(f.From, s.Net().Host(f.From).Crash) }))
	return w
}

func (w *simEvents) restart(name string, die func()) (func(), error) {
	w.mu.Lock()
	m := w.process[name]
	w.mu.Unlock()
	die()
	if name == "server" {
		w.server.Stop()
	} else {
		w.end(m)
	}
	return func() {
		w.Net().Host(name).Boot()
		if name == "server" {
			w.server.Start()
		} else {
			w.begin(name)
		}
	}, nil
}

func (w *simEvents) begin(name string) {
	ctx, stop := context.WithCancel(w.Context())
	host := w.Net().Host(name)
	m := &simMember{name: name, as: fmt.Sprintf("%s-%v", name, w.Time()), client: host.Client(w.Net().Host("server").Addr(80)), stop: stop}
	s, err := event.New(event.WithDriver("sim", func(context.Context, event.Settings) (event.Driver, error) { return &simDriver{m.client}, nil }),
		event.WithLazy(), event.WithTimeout(time.Second), event.WithLogger(w.Logger(name)))
	if err != nil {
		panic(err)
	}
	m.stream = s
	w.mu.Lock()
	w.process[name] = m
	w.mu.Unlock()
	dice := w.Dice(fmt.Sprint(name, w.Time()))
	m.work.Go(func() { w.publish(ctx, m, dice) })
	for group, opts := range map[string][]event.SubscribeOption{
		"ordered": {event.Ordered(event.BySubject), event.Concurrency(3)},
		"plain":   {event.Concurrency(2)},
	} {
		opts = append(opts, event.Group(group), event.Consumer(m.as), event.From(event.Beginning()), event.AckWait(simAckWait), event.MaxAttempts(simAttempts),
			event.Backoff(50*time.Millisecond, 400*time.Millisecond), event.Batch(8))
		m.work.Go(func() {
			for ctx.Err() == nil {
				_, err := s.Subscribe(ctx, func(ctx context.Context, r *event.Record) error { return w.handle(m, group, r) }, opts...)
				if err == nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
}

// end closes a process. If its host is dead nothing of that gets out.
func (w *simEvents) end(m *simMember) {
	m.stop()
	m.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := m.stream.Close(ctx); errors.Is(err, event.ErrTimeout) {
		w.Failf("%s: Close: %v", m.name, err)
	}
	w.mu.Lock()
	m.closed = true
	w.mu.Unlock()
	m.client.Close()
}

// publish has a key at a time, and another when the outcome of a record is not known:
// that may come at any time.
func (w *simEvents) publish(ctx context.Context, m *simMember, dice *rand.Rand) {
	keys := 0
	key := ""
	for n := 0; ctx.Err() == nil; n++ {
		if key == "" || dice.IntN(10) == 0 {
			keys++
			key = fmt.Sprintf("%s-%v-%d", m.name, w.Time(), keys)
		}
		r := &event.Record{ID: fmt.Sprintf("%s/%d", key, n), Type: "did", Subject: key, Data: []byte(strconv.Itoa(dice.IntN(100)))}
		w.mu.Lock()
		w.sent[r.ID] = r
		w.mu.Unlock()
		err := m.stream.Publish(ctx, r)
		w.Logf("%s publishes %s: %v", m.name, r.ID, err)
		w.mu.Lock()
		switch {
		case err == nil:
			w.sure = append(w.sure, r)
			w.before[key] = append(w.before[key], r.ID)
		case errors.Is(err, event.ErrUnavailable):
			delete(w.sent, r.ID)
		default:
			key = ""
		}
		w.mu.Unlock()
		time.Sleep(time.Duration(dice.IntN(400)) * time.Millisecond)
	}
}

// handle takes some time, fails sometimes, and always for some records.
func (w *simEvents) handle(m *simMember, group string, r *event.Record) error {
	w.Logf("%s, %s: begins %s", m.name, group, r.ID)
	w.mu.Lock()
	if m.closed {
		w.Failf("%s, %s: %s begins after Close", m.name, group, r.ID)
	}
	if w.sent[r.ID] == nil {
		w.Failf("%s, %s: %s was certainly not published", m.name, group, r.ID)
	}
	if group == "ordered" {
		if holder := w.model.holder(group); holder != m.as {
			w.Failf("%s: begins %s while it is the turn of %q", m.as, r.ID, holder)
		}
		if w.model.isDone(group, r.ID) {
			w.Failf("%s: begins %s, which the group has acknowledged", m.as, r.ID)
		}
		for _, id := range w.before[r.Subject] {
			if id == r.ID {
				break
			}
			if !w.done[group][id] && !w.model.isDead(group, id) {
				w.Failf("%s: %s begins before %s is done", m.name, r.ID, id)
			}
		}
	}
	w.mu.Unlock()
	luck, _ := strconv.Atoi(string(r.Data))
	took := time.Duration(luck) * time.Millisecond
	if luck%10 == 0 {
		took = simAckWait * 3 / 2 // so that others wait for it when a turn ends
	}
	time.Sleep(took)
	w.mu.Lock()
	if m.closed {
		w.Failf("%s, %s: %s goes on after Close", m.name, group, r.ID)
	}
	w.mu.Unlock()
	switch {
	case luck < 5:
		return errors.New("it always fails")
	case (luck+int(w.Time()/time.Millisecond))%10 == 0:
		return errors.New("it failed")
	}
	w.mu.Lock()
	w.done[group][r.ID] = true
	w.mu.Unlock()
	w.Logf("%s, %s: has done %s", m.name, group, r.ID)
	return nil
}

func (w *simEvents) run() {
	w.server = w.Net().Host("server").Serve(80, w.model.answer)
	names := []string{"a", "b", "c"}
	for _, name := range names {
		w.begin(name)
	}
	live := w.follow()
	w.Play()
	w.Logf("all faults are over")
	for _, name := range names {
		w.process[name].stop() // publishing
	}
	var left []string
	handled := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		left = nil
		for group, done := range w.done {
			for _, r := range w.sure {
				if !done[r.ID] && !w.model.isDead(group, r.ID) {
					left = append(left, group+" "+r.ID)
				}
			}
		}
		return len(left) == 0
	}
	if !w.Until(60*time.Second, handled) {
		w.Failf("60 s after the last fault these are neither handled nor dead: %q", left)
	}
	if !w.Until(20*time.Second, func() bool { return len(live.records()) == len(w.model.ids()) }) || !slices.Equal(live.records(), w.model.ids()) {
		w.Failf("the subscription without a group was handed %q, the stream is %q", live.records(), w.model.ids())
	}
	for _, name := range names {
		w.end(w.process[name])
	}
	live.close()
	for _, r := range w.sure {
		if !slices.Contains(w.model.ids(), r.ID) {
			w.Failf("%s was acknowledged and is not in the stream", r.ID)
		}
	}
	w.server.Stop()
}
