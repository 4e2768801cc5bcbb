package sync_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/sim"
	dsync "github.com/micro/go-platform/sync"
)

// TestSimulated plays three processes that want the same locks and permits
// through faults, over a backend on a fourth host. The backend is a model that just
// keeps the rules of Driver: it gives a lock away the moment that TTL has passed,
// by a clock of its own, which runs up to a tenth faster or slower. There are never more holders
// whose contexts live than there may be, tokens rise, no living holder is refused
// by a fence, and when the faults are over the locks are handed on.
func TestSimulated(t *testing.T) {
	sim.Test(t, sim.World{
		Seeds: 120,
		Known: []sim.Case{{
			Name: "Unlock waited beyond its context while another release of the same claim was under way",
			Seed: 1,
		}, {
			Name:   "the world did not let a permit end by itself while its release waited for a backend that was down",
			Seed:   3199,
			Faults: []sim.Fault{{At: 3105973255, For: 1915582819, Kind: sim.Crash, From: "server"}},
		}, {
			Name: "what an Unlock had no time for when Close was called stayed at the backend",
			Seed: 380,
		}},
		Mix: sim.Mix{
			Nodes: []string{"a", "b", "c", "server"}, Max: 12, During: 8 * time.Second, Longest: 5 * time.Second,
			Kinds: []sim.Kind{sim.Cut, sim.Isolate, sim.Freeze, sim.Reset, sim.Forget, sim.Delay, sim.Slow, sim.Lossy, sim.Kill, sim.Crash},
		},
		Run: func(s *sim.Sim) { newSimLocks(s).run() },
	})
}

const (
	simTTL     = 2 * time.Second
	simTimeout = time.Second // of a request
	simPermits = 2
)

// simLocks is the world: the backend's host, and the processes.
type simLocks struct {
	*sim.Sim
	backend *simBackend
	calm    atomic.Bool // all faults are over, and have been for some time
	server  *sim.Backend

	mu      gosync.Mutex
	live    map[string][]dsync.Lock // by id, that somebody holds, or did
	given   map[uint64]bool         // tokens
	last    map[string]uint64       // the highest token of a lock
	fences  map[string]*dsync.Fence
	grants  map[string]int // by id
	process map[string]*simProcess
}

type simProcess struct {
	w    *simLocks
	name string
	stop context.CancelFunc
	done gosync.WaitGroup
}

func newSimLocks(s *sim.Sim) *simLocks {
	rate := 0.9 + 0.2*s.Dice("clock").Float64()
	w := &simLocks{
		Sim: s, backend: &simBackend{begin: time.Now(), rate: rate, keys: map[string]*simKey{}, over: map[string]bool{}, released: map[uint64]bool{}},
		live: map[string][]dsync.Lock{}, given: map[uint64]bool{}, last: map[string]uint64{}, fences: map[string]*dsync.Fence{"lock": {}},
		process: map[string]*simProcess{}, grants: map[string]int{},
	}
	s.Logf("the backend's clock runs at %.3f", rate)
	s.Handle(sim.Kill, s.WhileUp(func(f sim.Fault) (func(), error) { return w.restart(f.From, s.Net().Host(f.From).Kill) }))
	s.Handle(sim.Crash, s.WhileUp(func(f sim.Fault) (func(), error) { return w.restart(f.From, s.Net().Host(f.From).Crash) }))
	return w
}

// restart ends a process, and begins it again. The backend keeps what it had.
func (w *simLocks) restart(name string, die func()) (func(), error) {
	w.mu.Lock()
	p := w.process[name]
	w.mu.Unlock()
	die()
	if name == "server" {
		w.server.Stop()
		return func() { w.Net().Host(name).Boot(); w.server.Start() }, nil
	}
	p.end()
	return func() { w.Net().Host(name).Boot(); w.begin(name) }, nil
}

func (w *simLocks) begin(name string) {
	ctx, stop := context.WithCancel(w.Context())
	p := &simProcess{w: w, name: name, stop: stop}
	host := w.Net().Host(name)
	d := &simDriver{host.Client(w.Net().Host("server").Addr(80)), w}
	s, err := dsync.New(dsync.WithDriver("sim", func(context.Context) (dsync.Driver, error) { return d, nil }), dsync.WithLazy(),
		dsync.WithTimeout(simTimeout), dsync.WithDefaults(dsync.TTL(simTTL)), dsync.WithLogger(w.Logger(name)))
	if err != nil {
		panic(err)
	}
	w.mu.Lock()
	w.process[name] = p
	w.mu.Unlock()
	var working gosync.WaitGroup
	for _, id := range []string{"lock", "permits"} {
		dice := w.Dice(name + id + fmt.Sprint(w.Time()))
		working.Go(func() {
			for ctx.Err() == nil {
				w.hold(ctx, s, name, id, time.Duration(dice.Int64N(int64(2*simTTL))))
				time.Sleep(time.Duration(dice.Int64N(int64(simTTL / 2))))
			}
		})
	}
	p.done.Go(func() {
		<-ctx.Done()
		s.Close()
		working.Wait()
		d.Client.Close()
	})
}

func (p *simProcess) end() {
	p.stop()
	p.done.Wait()
}

// hold takes a lock or a permit, and works with it for some time.
func (w *simLocks) hold(ctx context.Context, s dsync.Sync, name, id string, d time.Duration) {
	patience := 5 * time.Second
	calm := w.calm.Load()
	if calm && d%3 == 0 { // too little to hear of a grant
		patience = d % (3 * time.Millisecond)
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var l dsync.Lock
	var err error
	if id == "permits" {
		l, err = s.Semaphore(wait, id, simPermits)
	} else {
		l, err = s.Lock(wait, id)
	}
	if err != nil {
		w.Logf("%s: no %s: %v", name, id, err)
		if calm {
			w.nothingLeft(ctx, name)
		}
		return
	}
	w.granted(name, id, l)
	for end := time.Now().Add(d); time.Now().Before(end) && l.Context().Err() == nil; time.Sleep(100 * time.Millisecond) {
		if f := w.fences[id]; f != nil && l.Context().Err() == nil {
			if err := f.Check(l.Token()); err != nil {
				w.Failf("%s holds %s, and the fence says %v", name, id, err)
			}
			if err := f.Check(l.Token() - 1); err == nil {
				w.Failf("%s holds %s with token %d, and the fence lets pass who is late", name, id, l.Token())
			}
		}
	}
	w.Logf("%s: releases %s %d: %v", name, id, l.Token(), context.Cause(l.Context()))
	w.release(ctx, name, id, l)
}

// nothingLeft fails if the backend still has what nobody was given.
func (w *simLocks) nothingLeft(ctx context.Context, name string) {
	time.Sleep(simTTL / 4)
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, token := range w.backend.tokens(simTTL / 8) {
		if !w.given[token] {
			w.Failf("%s was given nothing, and the backend has a grant %d", name, token)
		}
	}
}

// release gives up what is held, sometimes without time for it, and then again. It is lost
// only if it ended by itself meanwhile.
func (w *simLocks) release(ctx context.Context, name, id string, l dsync.Lock) {
	chance := int(l.Token()) * 7 % 10
	lived := l.Context().Err() == nil
	short, cancel := context.WithTimeout(ctx, time.Duration(chance)*time.Millisecond)
	first := l.Unlock(short)
	cancel()
	if first != nil && lived && w.calm.Load() { // the background tries again
		time.Sleep(simTTL / 4)
		if ctx.Err() == nil && !w.backend.wasReleased(l.Token()) {
			w.Failf("%s: Unlock of %s %d says %v, and nobody tries again", name, id, l.Token(), first)
		}
	}
	time.Sleep(time.Duration(20+chance*20) * time.Millisecond)
	again := l.Unlock(ctx)
	w.Logf("%s: has released %s %d: %v, then %v", name, id, l.Token(), first, again)
	switch {
	case first == nil && again != nil:
		w.Failf("%s: %s is released, and Unlock then says %v", name, id, again)
	case first == nil && !w.backend.wasReleased(l.Token()):
		w.Failf("%s: Unlock says that %s %d is released, and the backend that it has ended by itself", name, id, l.Token())
	case lived && errors.Is(again, dsync.ErrLost) && w.backend.wasReleased(l.Token()):
		w.Failf("%s: %s %d was released, and Unlock says %v, then %v", name, id, l.Token(), first, again)
	}
}

func (w *simLocks) granted(name, id string, l dsync.Lock) {
	w.mu.Lock()
	defer w.mu.Unlock()
	most := 1
	if id == "permits" {
		most = simPermits
	}
	w.grants[id]++
	w.given[l.Token()] = true
	w.Logf("%s: has %s %d", name, id, l.Token())
	live := slices.DeleteFunc(w.live[id], func(l dsync.Lock) bool { return l.Context().Err() != nil })
	w.live[id] = append(live, l)
	if n := len(w.live[id]); n > most && l.Context().Err() == nil {
		w.Failf("%d hold %s when %s gets it with token %d, want at most %d", n, id, name, l.Token(), most)
	}
	if most == 1 && l.Token() <= w.last[id] {
		w.Failf("%s gets %s with token %d after %d", name, id, l.Token(), w.last[id])
	}
	w.last[id] = max(w.last[id], l.Token())
}

func (w *simLocks) run() {
	w.server = w.Net().Host("server").Serve(80, w.backend.answer)
	names := []string{"a", "b", "c"}
	for _, name := range names {
		w.begin(name)
	}
	w.Play()
	w.Logf("all faults are over")
	time.Sleep(simTTL)
	w.calm.Store(true)
	time.Sleep(simTTL + 5*time.Second) // what a dead process had is over, and calls that waited have ended
	for _, id := range []string{"lock", "permits"} {
		w.mu.Lock()
		before := w.grants[id]
		w.mu.Unlock()
		if !w.Until(15*time.Second, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.grants[id] > before }) {
			w.Failf("nobody gets %s", id) // who does is another matter: the backend is not fair
		}
	}
	for _, p := range w.process {
		p.end()
	}
	if left := w.backend.held(); len(left) > 0 {
		w.Failf("after Close the backend still has %q", left)
	}
	w.server.Stop()
}

// simBackend is the model: locks with a time to live, granted to who asks first after the end.
type simBackend struct {
	begin time.Time
	rate  float64 // how fast its clock runs

	mu       gosync.Mutex
	token    uint64
	keys     map[string]*simKey
	over     map[string]bool // claims that were released: they get nothing more
	released map[uint64]bool // by token
}

// wasReleased reports that a grant has ended by its release.
func (b *simBackend) wasReleased(token uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.released[token]
}

type simKey struct {
	limit   int
	holders map[string]simGrant // by nonce
}

type simGrant struct {
	token uint64
	since time.Time
	until time.Duration // by its own clock
}

type simRequest struct {
	Key, Nonce string
	Limit      int
	TTL        time.Duration
}

type simReply struct {
	Token  uint64
	Status string // "", "held", "lost", "conflict"
}

func (b *simBackend) now() time.Duration {
	return time.Duration(float64(time.Since(b.begin)) * b.rate)
}

func (b *simBackend) answer(op string, body []byte) any {
	var r simRequest
	if err := json.Unmarshal(body, &r); err != nil {
		panic(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	k := b.keys[r.Key]
	if k == nil {
		k = &simKey{holders: map[string]simGrant{}}
		b.keys[r.Key] = k
	}
	for nonce, g := range k.holders {
		if g.until <= now {
			delete(k.holders, nonce)
		}
	}
	g, has := k.holders[r.Nonce]
	switch op {
	case "acquire":
		switch {
		case b.over[r.Nonce]:
			return simReply{Status: "lost"}
		case has: // the reply was lost; who asks counts its time from now on
			k.holders[r.Nonce] = simGrant{g.token, g.since, now + r.TTL}
			return simReply{Token: g.token}
		case len(k.holders) == 0:
			k.limit = r.Limit
		case k.limit != r.Limit:
			return simReply{Status: "conflict"}
		case len(k.holders) >= k.limit:
			return simReply{Status: "held"}
		}
		b.token++
		k.holders[r.Nonce] = simGrant{b.token, time.Now(), now + r.TTL}
		return simReply{Token: b.token}
	case "renew":
		if !has {
			return simReply{Status: "lost"}
		}
		k.holders[r.Nonce] = simGrant{g.token, g.since, now + r.TTL}
		return simReply{Token: g.token}
	}
	b.over[r.Nonce] = true
	delete(k.holders, r.Nonce)
	if !has {
		return simReply{Status: "lost"}
	}
	b.released[g.token] = true
	return simReply{}
}

// tokens are those of grants that are so old, or older.
func (b *simBackend) tokens(old time.Duration) (all []uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.keys {
		for _, g := range k.holders {
			if g.until > b.now() && time.Since(g.since) >= old {
				all = append(all, g.token)
			}
		}
	}
	return all
}

// held is what somebody still has.
func (b *simBackend) held() (keys []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, k := range b.keys {
		for _, g := range k.holders {
			if g.until > b.now() {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// simDriver asks the model. Who waits asks again and again.
type simDriver struct {
	*sim.Client
	w *simLocks
}

func (d *simDriver) Claim(r dsync.Request) dsync.Claim { return &simClaim{Request: r, d: d} }
func (d *simDriver) Features() dsync.Features          { return dsync.Features{Limits: true, Durable: true} }
func (d *simDriver) Ping(context.Context) error        { return nil }
func (d *simDriver) Close() error                      { return nil }

func (d *simDriver) Holder(context.Context, string) (dsync.Candidate, error) {
	return dsync.Candidate{}, dsync.ErrUnsupported
}

func (d *simDriver) Watch(context.Context, string, func(dsync.Candidate)) error {
	return dsync.ErrUnsupported
}

type simClaim struct {
	dsync.Request
	d    *simDriver
	busy atomic.Bool // with a call: there is one at a time, the driver is promised
}

func (c *simClaim) ask(ctx context.Context, op string) (simReply, error) {
	if c.busy.Swap(true) {
		c.d.w.Failf("%s of a claim on %s while another call is under way", op, c.Key)
	}
	defer c.busy.Store(false)
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var reply simReply
	err := c.d.Call(ctx, op, simRequest{c.Key, c.Nonce, c.Limit, c.TTL}, &reply)
	switch {
	case errors.Is(err, sim.ErrUnsent):
		return reply, fault.Mark(dsync.ErrUnavailable, err)
	case err != nil:
		return reply, fault.Mark(dsync.ErrUnknownOutcome, err)
	}
	switch reply.Status {
	case "held":
		return reply, dsync.ErrHeld
	case "lost":
		return reply, dsync.ErrLost
	case "conflict":
		return reply, dsync.ErrConflict
	}
	return reply, nil
}

func (c *simClaim) Acquire(ctx context.Context, wait bool) (dsync.Grant, error) {
	for first := true; ; first = false {
		sent := time.Now()
		reply, err := c.ask(ctx, "acquire")
		switch {
		case err == nil:
			return dsync.Grant{Token: reply.Token, Until: sent.Add(c.TTL)}, nil
		case ctx.Err() != nil:
			return dsync.Grant{}, ctx.Err()
		case errors.Is(err, dsync.ErrHeld) && wait, !first && (errors.Is(err, dsync.ErrUnavailable) || errors.Is(err, dsync.ErrUnknownOutcome)):
		default:
			return dsync.Grant{}, err
		}
		if err := backoff.Sleep(ctx, 300*time.Millisecond); err != nil {
			return dsync.Grant{}, err
		}
	}
}

func (c *simClaim) Renew(ctx context.Context) (time.Time, error) {
	sent := time.Now()
	_, err := c.ask(ctx, "renew")
	return sent.Add(c.TTL), err
}

func (c *simClaim) Release(ctx context.Context) error {
	_, err := c.ask(ctx, "release")
	return err
}
