package wrapper

import (
	"context"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/micro/go-platform/router"
)

// arrival is how an attempt ended.
type arrival struct {
	a    *clientAttempt
	resp *http.Response
	err  error
}

// try sends an attempt. If its answer takes too long, and the call may be sent
// twice, another instance is asked beside it. It returns the attempt that
// counts.
func (c *clientCall) try(a *clientAttempt) arrival {
	c.began = true
	wait, pays, late := c.patience()
	if wait <= 0 {
		resp, err := a.roundTrip()
		return c.learn(arrival{a, resp, err})
	}
	a.cuttable()
	second := &c.backup
	if a.Number > 1 {
		second = &backup{}
	}
	second.call, second.first, second.pays, a.backup = c, a, pays, second
	timer := time.AfterFunc(wait, second.send)
	resp, err := a.roundTrip()
	one := arrival{a, resp, err}
	if timer.Stop() {
		return c.learn(one)
	}
	r := second.decide(one)
	if late && r.a != a && r.err == nil && a.result.err == errBeaten && r.a.Latency < wait/4 {
		// The other one answered in a fraction of the time in which this one
		// said nothing: that speaks against the instance.
		a.result.class = router.Timeout
		a.overdue = true
	}
	if r.a != a {
		lose(one)
	} else {
		second.cancel()
	}
	return c.learn(r)
}

// learn notes how long an answer took.
func (c *clientCall) learn(r arrival) arrival {
	if r.err == nil && !r.a.result.class.Failed() {
		d := r.a.Latency - r.a.Connecting
		c.target.took.add(d)
		if h := c.target.hedges; h != nil {
			h.add(d)
		}
	}
	return r
}

// patience is how long to wait before a second instance is asked, 0 indefinitely,
// and which budget pays for that. late means that the first is overdue by then,
// and not just slower than most.
func (c *clientCall) patience() (wait time.Duration, pays *budget, late bool) {
	if !c.routed || c.body != nil || !c.idempotent() {
		return 0, nil, false
	}
	if h := c.target.hedges; h != nil {
		h.deposit()
		if d, known := h.after(c.plan.hedge.Min); known {
			return d, h.budget, false
		}
		return 0, nil, false
	}
	if c.plan.retry.Attempts <= c.record.Attempts || c.plan.attempt > 0 {
		return 0, nil, false
	}
	var left time.Duration
	if end, ok := c.ctx.Deadline(); ok {
		left = max(time.Until(end), 1)
	}
	return c.target.late(c.plan.retry.Late, left), c.target.budget, true
}

// backup is a backup request (Dean and Barroso, The Tail at Scale): a second
// attempt, sent while a first one that is late goes on.
type backup struct {
	call  *clientCall
	first *clientAttempt
	pays  *budget

	mu        sync.Mutex     // held while an instance is picked
	allowed   bool           // the first is on its way
	due       bool           // the time was up before it was
	firstDone bool           // it came back
	attempt   *clientAttempt // nil if none was sent
	ended     chan struct{}  // closed when got holds
	got       arrival
}

// allow lets the backup be sent, at once if its time has come already.
func (t *backup) allow() {
	t.mu.Lock()
	t.allowed = true
	due := t.due
	t.mu.Unlock()
	if due {
		go t.send()
	}
}

// send asks another instance, on the timer's goroutine.
func (t *backup) send() {
	b := t.begin()
	if b == nil {
		return
	}
	life := t.call.t.w.life
	defer life.Leave()
	defer close(t.ended)
	stop := context.AfterFunc(life.Context(), func() { b.bound.cancel(nil) }) // Close waits for it
	defer stop()
	resp, err := t.roundTrip(b)
	t.got = arrival{b, resp, err}
	if err == nil && !b.result.class.Failed() {
		t.first.bound.cancel(errBeaten)
	}
}

// roundTrip sends the second attempt. A panic of a transport or a token's source
// ends in nobody's frame here: it must not end the process.
func (t *backup) roundTrip(b *clientAttempt) (resp *http.Response, err error) {
	defer func() {
		v := recover()
		if v != nil {
			t.call.t.w.o.faults.report(b.ctx, "a second attempt", v, debug.Stack())
			resp, err = nil, errPanicked
			b.result = result{class: router.Cancelled, err: err, own: true}
		}
	}()
	return b.roundTrip()
}

// begin picks the instance, nil if there is no other, or no budget.
func (t *backup) begin() (other *clientAttempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.call
	defer c.t.w.o.faults.caught(c.ctx, "the choice of a second instance")
	if !t.allowed {
		t.due = true
		return nil
	}
	if t.firstDone || c.ctx.Err() != nil || !c.t.w.pay(t.pays, &c.record, hedgeAttempt) {
		return nil
	}
	before := c.record.Instance
	b, err := c.attempt()
	another := err == nil && b.Instance.ID != t.first.Instance.ID
	if !another || !c.t.w.life.Enter() { // there is no other instance, or the Wrapper is closed
		t.pays.giveBack()
		if err == nil {
			b.over = true
			b.pick.Done(router.Outcome{Class: router.Cancelled})
			c.record.Attempts--
		}
		c.record.Instance = before
		return nil
	}
	b.beside = true
	b.cuttable()
	t.attempt, t.ended = b, make(chan struct{})
	return b
}

// decide returns the arrival that counts, given the first's: a good one, and
// if the first isn't, the other may be.
func (t *backup) decide(one arrival) arrival {
	t.mu.Lock()
	t.firstDone = true
	b := t.attempt
	t.mu.Unlock()
	if b == nil || one.err == nil && !one.a.result.class.Failed() {
		return one
	}
	<-t.ended
	if t.got.err == nil && !t.got.a.result.class.Failed() || one.err == errBeaten {
		return t.got
	}
	lose(t.got)
	t.attempt = nil
	return one
}

// stop ends the backup, or keeps it from being sent.
func (t *backup) stop() {
	t.mu.Lock()
	t.firstDone = true
	t.mu.Unlock()
	t.cancel()
}

// cancel ends the backup, which nobody waits for any more.
func (t *backup) cancel() {
	b := t.attempt
	if b == nil {
		return
	}
	select {
	case <-t.ended: // by itself: it counts as it went
		lose(t.got)
		return
	default:
	}
	b.bound.cancel(nil)
	last := func(context.Context) {
		<-t.ended
		b.result.class = router.Cancelled // that nobody waited says nothing about the instance
		lose(t.got)
	}
	if !t.call.t.w.life.Go(last) {
		last(t.call.ctx)
	}
}

// lose ends an attempt that nobody waits for.
func lose(r arrival) {
	discard(r.resp)
	r.a.done(nil)
}
