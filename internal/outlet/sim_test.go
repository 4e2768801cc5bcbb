package outlet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/outlet"
	"github.com/micro/go-platform/internal/sim"
)

// TestSimulated plays a program with two outlets, one to a receiver on another
// host and one to a disk that may stall, through faults. Whatever happens, Push does not
// wait, the queues stay within their bounds, what is counted as sent has arrived, once it is
// counted it is not sent again, and in order; Flush and Close end in their time,
// what they say is lost adds up, and at the end each item is either sent or lost.
func TestSimulated(t *testing.T) {
	sim.Test(t, sim.World{
		Seeds: 400,
		Mix: sim.Mix{
			Nodes: []string{"program", "receiver"}, Max: 8, During: 8 * time.Second, Longest: 6 * time.Second,
			Kinds: []sim.Kind{sim.Cut, sim.Freeze, sim.Reset, sim.Forget, sim.Delay, sim.Slow, sim.Lossy, sim.Kill, simStall, simRefuse, simPushback},
		},
		Run: func(s *sim.Sim) { newSimOutlets(s).run() },
	})
}

const (
	simStall    sim.Kind = "stall"    // a write to the disk does not return before the end
	simRefuse   sim.Kind = "refuse"   // both refuse or give up the first items of a batch
	simPushback sim.Kind = "pushback" // the receiver asks for a second of peace

	simGrace   = 200 * time.Millisecond
	simTimeout = 500 * time.Millisecond // of an attempt
	simItems   = 40
	simBytes   = 2000
)

// simOutlets is the world.
type simOutlets struct {
	*sim.Sim
	group   *outlet.Group
	net     *simOut
	disk    *simOut
	model   *simReceiver
	server  *sim.Backend
	client  *sim.Client
	working sync.WaitGroup

	mu      sync.Mutex
	stalled chan struct{} // closed when a stall ends; nil without one
	refuse  int
	closing bool
	over    atomic.Bool // Close has returned
	said    uint64      // losses that errors of Flush and Close counted
}

// simOut is one outlet, and what is known of its items.
type simOut struct {
	*outlet.Outlet[item, []item]
	w     *simOutlets
	notes bool

	mu     sync.Mutex
	pushed outlet.Count
	last   int          // the newest that was sent
	sent   map[int]bool // by id
	all    uint64       // items that Send said it sent, notes included
	least  int          // bytes of an item
	noted  uint64       // losses that notes have counted
	told   int
	closed int
}

// simReceiver is the model: what arrived.
type simReceiver struct {
	mu       sync.Mutex
	got      map[int]bool
	pushback bool
	refuse   int
}

type simReply struct {
	Sent, Refused int
	Later         bool
}

type laterError struct{}

func (laterError) Error() string             { return "later" }
func (laterError) RetryAfter() time.Duration { return time.Second }

func newSimOutlets(s *sim.Sim) *simOutlets {
	w := &simOutlets{Sim: s, model: &simReceiver{got: map[int]bool{}}, group: outlet.NewGroup("sim", "items")}
	w.server = s.Net().Host("receiver").Serve(80, w.model.answer)
	w.client = s.Net().Host("program").Client(s.Net().Host("receiver").Addr(80))
	dice := s.Dice("options")
	w.net = w.outlet("net", w.overNet, dice)
	w.disk = w.outlet("disk", w.toDisk, dice)
	w.group.Members = []outlet.Member{w.net, w.disk}
	s.Handle(simStall, func(sim.Fault) (func(), error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.stalled != nil {
			return nil, errors.New("it stalls already")
		}
		w.stalled = make(chan struct{})
		return w.flow, nil
	})
	s.Handle(simRefuse, func(f sim.Fault) (func(), error) {
		return w.set(func(on bool) {
			w.refuse, w.model.refuse = 0, 0
			if on {
				w.refuse, w.model.refuse = 2, 2
			}
		}), nil
	})
	s.Handle(simPushback, func(sim.Fault) (func(), error) { return w.set(func(on bool) { w.model.pushback = on }), nil })
	s.Handle(sim.Kill, s.WhileUp(func(f sim.Fault) (func(), error) {
		if f.From == "program" {
			return nil, errors.New("it is what is under test")
		}
		s.Net().Host(f.From).Kill()
		w.server.Stop()
		return w.server.Start, nil
	}))
	return w
}

func (w *simOutlets) set(f func(bool)) func() {
	do := func(on bool) {
		w.mu.Lock()
		w.model.mu.Lock()
		f(on)
		w.model.mu.Unlock()
		w.mu.Unlock()
	}
	do(true)
	return func() { do(false) }
}

// flow ends a stall.
func (w *simOutlets) flow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled != nil {
		close(w.stalled)
		w.stalled = nil
	}
}

func (w *simOutlets) outlet(name string, send func(context.Context, []item) (simReply, error), dice *rand.Rand) *simOut {
	o := &simOut{w: w, sent: map[int]bool{}, notes: dice.IntN(2) == 0, least: 5 + 20*dice.IntN(4)}
	c := outlet.Config[item, []item]{
		Name: name, Items: simItems, Bytes: simBytes, BatchItems: 8, Age: 100 * time.Millisecond, Timeout: simTimeout, Grace: simGrace,
		Retry: backoff.Policy{Min: 20 * time.Millisecond, Max: time.Second}, RetryFor: time.Duration(dice.IntN(3)) * time.Second,
		Store: &simStore{list{most: 8}}, Send: func(ctx context.Context, b []item) outlet.Result { return o.send(ctx, b, send) },
		Tell:  func(outlet.Trouble) { o.mu.Lock(); o.told++; o.mu.Unlock() },
		Close: func() error { o.mu.Lock(); o.closed++; o.mu.Unlock(); return nil },
	}
	if o.notes {
		c.Note = func(lost outlet.Count) ([]item, int) { return []item{{id: -int(lost.Items), bytes: 10}}, 10 }
	}
	o.Outlet = outlet.New(c)
	return o
}

// send judges one attempt.
func (o *simOut) send(ctx context.Context, b []item, send func(context.Context, []item) (simReply, error)) outlet.Result {
	o.mu.Lock()
	for _, i := range b {
		if o.sent[i.id] {
			o.w.Failf("%s: %d is sent again, after it was counted as sent", o.Name, i.id)
		}
	}
	if o.closed > 0 || o.w.over.Load() {
		o.w.Failf("%s: Send begins after Close", o.Name)
	}
	o.mu.Unlock()
	r, err := send(ctx, b)
	o.w.Logf("%s: %d items from %d on: %+v, %v", o.Name, len(b), b[0].id, r, err)
	result := outlet.Result{Sent: r.Sent, Refused: r.Refused, Err: err}
	if r.Refused > 0 {
		result.Why = errors.New("refused")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all += uint64(r.Sent)
	for _, i := range b[:r.Sent] {
		if i.id < 0 {
			o.noted += uint64(-i.id)
			continue
		}
		if i.id <= o.last {
			o.w.Failf("%s: %d is sent after %d", o.Name, i.id, o.last)
		}
		o.last, o.sent[i.id] = i.id, true
	}
	return result
}

func (w *simOutlets) overNet(ctx context.Context, b []item) (r simReply, err error) {
	ids := make([]int, len(b))
	for i := range b {
		ids[i] = b[i].id
	}
	if err := w.client.Call(ctx, "take", ids, &r); err != nil {
		return simReply{}, err
	}
	if r.Later {
		return r, laterError{}
	}
	if r.Sent+r.Refused < len(b) {
		return r, errors.New("no room for the others")
	}
	return r, nil
}

// answer takes a batch: all of it, or some.
func (m *simReceiver) answer(_ string, body []byte) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []int
	if err := json.Unmarshal(body, &ids); err != nil {
		panic(err)
	}
	if m.pushback {
		return simReply{Later: true}
	}
	r := simReply{Sent: len(ids)}
	if m.refuse > 0 {
		r.Sent = len(ids) / 2
		r.Refused = min(m.refuse, len(ids)-r.Sent)
	}
	for _, id := range ids[:r.Sent] {
		m.got[id] = true
	}
	return r
}

// toDisk is slow, and does not heed its context.
func (w *simOutlets) toDisk(_ context.Context, b []item) (simReply, error) {
	time.Sleep(3 * time.Millisecond)
	w.mu.Lock()
	stalled, refuse := w.stalled, w.refuse
	w.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
	if refuse > 0 {
		return simReply{Sent: len(b) / 2}, errors.New("the disk is full")
	}
	return simReply{Sent: len(b)}, nil
}

// produce pushes items until ctx ends.
func (o *simOut) produce(ctx context.Context, dice *rand.Rand) {
	for id := 1; ctx.Err() == nil; {
		for range 1 + dice.IntN(6)*dice.IntN(3) {
			o.push(item{id, o.least + dice.IntN(o.least)}, dice.IntN(20) == 0)
			id++
		}
		time.Sleep(time.Duration(dice.IntN(120)) * time.Millisecond)
	}
}

func (o *simOut) push(i item, urgent bool) {
	o.mu.Lock()
	o.pushed.Items++
	o.pushed.Bytes += uint64(i.bytes)
	o.mu.Unlock()
	start := time.Now()
	o.Push(i, i.bytes, urgent)
	if waited := time.Since(start); waited > 0 {
		o.w.Failf("%s: Push waited for %v", o.Name, waited)
	}
	o.balance()
}

// balance checks what holds at any moment.
func (o *simOut) balance() {
	s := o.Stats()
	all := s.Queued
	for _, c := range []outlet.Count{s.Sent, s.Refused, s.Failed, s.Unsent} {
		all.Items, all.Bytes = all.Items+c.Items, all.Bytes+c.Bytes
	}
	if s.Accepted != all {
		o.w.Failf("%s: %+v were accepted, and %+v are somewhere", o.Name, s.Accepted, all)
	}
	if s.Queued.Items > simItems+1 || s.Queued.Bytes > simBytes+10 { // and a note
		o.w.Failf("%s: the queue holds %+v", o.Name, s.Queued)
	}
}

// flush flushes now and then.
func (w *simOutlets) flush(ctx context.Context, dice *rand.Rand) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(dice.IntN(1500)) * time.Millisecond)
		bound := time.Duration(1+dice.IntN(800)) * time.Millisecond
		within, cancel := context.WithTimeout(context.Background(), bound)
		before := []uint64{w.net.Stats().Accepted.Items, w.disk.Stats().Accepted.Items}
		start := time.Now()
		err := w.group.Flush(within)
		cancel()
		if took := time.Since(start); took > bound+time.Millisecond {
			w.Failf("Flush took %v of %v", took, bound)
		}
		w.mu.Lock()
		closing := w.closing
		w.mu.Unlock()
		if closing {
			return // the error may be Close's
		}
		w.hear(err)
		if errors.Is(err, fault.Timeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fault.Closed) {
			continue
		}
		for i, o := range []*simOut{w.net, w.disk} {
			s := o.Stats()
			if done := s.Accepted.Items - s.Queued.Items; done < before[i] && !o.notes {
				w.Failf("%s: Flush returned with %d of %d done: %v", o.Name, done, before[i], err)
			}
		}
	}
}

var simLost = regexp.MustCompile(`(\d+) items`)

// hear adds up the losses that errors count.
func (w *simOutlets) hear(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range simLost.FindAllStringSubmatch(err.Error(), -1) {
		n, _ := strconv.ParseUint(m[1], 10, 64)
		w.said += n
	}
}

func (w *simOutlets) run() {
	for _, o := range []*simOut{w.net, w.disk} {
		o.Start()
	}
	ctx, stop := context.WithCancel(w.Context())
	w.working.Go(func() { w.net.produce(ctx, w.Dice("net")) })
	w.working.Go(func() { w.disk.produce(ctx, w.Dice("disk")) })
	w.working.Go(func() { w.flush(ctx, w.Dice("flush")) })
	dice := w.Dice("end")
	early := dice.IntN(2) == 0 // Close comes while faults last
	played := make(chan struct{})
	go func() { defer close(played); w.Play() }()
	if early {
		time.Sleep(time.Duration(dice.Int64N(int64(10 * time.Second))))
	} else {
		<-played
		if !w.Until(10*time.Second, w.flows) {
			w.Failf("10 s after the last fault nothing is sent")
		}
	}
	after := dice.IntN(2) == 0 // some is pushed after Close
	if !after {
		stop()
		w.working.Wait()
	}
	w.close(time.Duration(dice.IntN(3000))*time.Millisecond, early)
	stop()
	w.working.Wait()
	<-played
	w.flow()
	time.Sleep(10 * time.Second) // what stalled ends
	w.audit()
	w.client.Close()
	w.server.Stop()
}

// flows reports that what is pushed now arrives.
func (w *simOutlets) flows() bool {
	a, b := w.net.Stats().Sent.Items, w.disk.Stats().Sent.Items
	time.Sleep(500 * time.Millisecond)
	return w.net.Stats().Sent.Items > a && w.disk.Stats().Sent.Items > b
}

func (w *simOutlets) close(bound time.Duration, early bool) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	start := time.Now()
	err := w.group.Close(ctx)
	w.over.Store(true)
	w.Logf("Close within %v: %v after %v", bound, err, time.Since(start))
	if took := time.Since(start); took > bound+2*simGrace+time.Millisecond {
		w.Failf("Close took %v of %v", took, bound)
	}
	if !early && bound > 2*time.Second && (w.net.Stats().Unsent.Items > 0 || w.disk.Stats().Unsent.Items > 0) {
		w.Failf("with all well Close had %v, and left %+v and %+v", bound, w.net.Stats().Unsent, w.disk.Stats().Unsent)
	}
	if again := w.group.Close(context.Background()); fmt.Sprint(again) != fmt.Sprint(err) {
		w.Failf("Close says %v, and then %v", err, again)
	}
	w.hear(err)
	lost := uint64(0)
	for _, o := range []*simOut{w.net, w.disk} {
		s := o.Stats()
		lost += s.Lost().Items - s.Closed.Items
		if s.Queued.Items > 0 || s.Queued.Bytes > 0 {
			w.Failf("%s: Close left %+v", o.Name, s.Queued)
		}
	}
	w.mu.Lock()
	said := w.said
	w.mu.Unlock()
	if closed := w.net.Stats().Closed.Items + w.disk.Stats().Closed.Items; said < lost || said > lost+closed {
		w.Failf("%d items are lost, and the errors of Flush and Close say %d", lost, said)
	}
}

// audit checks what adds up at the end.
func (w *simOutlets) audit() {
	for _, o := range []*simOut{w.net, w.disk} {
		o.balance()
		s := o.Stats()
		o.mu.Lock()
		defer o.mu.Unlock()
		came := s.Accepted
		notes := came.Items + s.Full.Items + s.Closed.Items - o.pushed.Items
		if !o.notes && notes != 0 {
			w.Failf("%s: of %d items %d are known", o.Name, o.pushed.Items, came.Items+s.Full.Items+s.Closed.Items)
		}
		if bytes := came.Bytes + s.Full.Bytes + s.Closed.Bytes - 10*notes; bytes != o.pushed.Bytes {
			w.Failf("%s: of %d bytes %d are known", o.Name, o.pushed.Bytes, bytes)
		}
		if o.noted > s.Lost().Items {
			w.Failf("%s: the notes count %d losses, and there are %d", o.Name, o.noted, s.Lost().Items)
		}
		// What is sent after Close has given up waiting for it counts as lost.
		if s.Sent.Items > o.all || s.Sent.Items < o.all && s.Unsent.Items == 0 {
			w.Failf("%s: %d were sent, and %d are counted", o.Name, o.all, s.Sent.Items)
		}
		if o.closed != 1 {
			w.Failf("%s was closed %d times", o.Name, o.closed)
		}
		if most := 4 + 2*int(w.Time()/outlet.Seldom); o.told > most {
			w.Failf("%s: notified of trouble %d times", o.Name, o.told)
		}
	}
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	for id := range w.net.sent {
		if !w.model.got[id] {
			w.Failf("%d is counted as sent, and did not arrive", id)
		}
	}
}

// simStore is a list of items of any size.
type simStore struct{ list }

func (s *simStore) Add(i item, bytes int) { s.list.Add(i.id, bytes) }
