package event

import (
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/wrapper"
)

const (
	lagEvery   = 10 * time.Second       // how often the backend is asked for lags at the most
	lagTimeout = 5 * time.Second        // of one question
	lagWait    = 500 * time.Millisecond // how long a scrape waits for the answers
)

// meter keeps metrics of a stream's subscriptions. A nil meter keeps none.
type meter struct {
	system string

	redelivered, dead, dropped, missed *metrics.Vec[metrics.Counter]
	held, lag                          *metrics.Vec[metrics.Gauge]
	stop                               func()

	mu     sync.Mutex
	seen   map[*subscription]event.Stats // when last read; a stream's own may be uncomparable
	groups map[string]bool               // that have gauges
	asked  time.Time                     // when lags were last asked for
	asking chan struct{}                 // closed when the answers are there; nil if nobody asks
	ctx    context.Context               // ends when the stream is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newMeter(a wrapper.Adapter, system string) *meter {
	m := a.Metrics()
	if m == nil {
		return nil
	}
	counter := func(name, help string) *metrics.Vec[metrics.Counter] {
		return m.CounterVec(name, []string{"messaging.system", "messaging.consumer.group.name"}, metrics.Unit("{message}"), metrics.Help(help))
	}
	gauge := func(name, help string) *metrics.Vec[metrics.Gauge] {
		return m.GaugeVec(name, []string{"messaging.system", "messaging.consumer.group.name", "platform.state"}, metrics.Unit("{message}"), metrics.Help(help))
	}
	me := &meter{
		system: system, seen: map[*subscription]event.Stats{}, groups: map[string]bool{},
		redelivered: counter("platform.messaging.redelivered", "Messages that another consumer had before."),
		dead:        counter("platform.messaging.dead_letters", "Messages that went to the dead letters."),
		dropped:     counter("platform.messaging.dropped", "Messages that were given up without dead letters."),
		missed:      counter("platform.messaging.missed", "Messages that retention removed before they were read; some backends count a gap as one."),
		held:        gauge("platform.messaging.held", "Messages that this process has and that are not done, by state: waiting, running or retrying."),
		lag:         gauge("platform.messaging.lag", "How far a group is behind, by state: pending was handed out and not acknowledged, behind was not handed out."),
	}
	me.ctx, me.cancel = context.WithCancel(context.Background())
	me.stop = a.OnCollect(me.collect)
	return me
}

func (me *meter) begin(s *subscription) {
	if me == nil {
		return
	}
	me.mu.Lock()
	defer me.mu.Unlock()
	me.seen[s] = event.Stats{}
	for _, c := range []*metrics.Vec[metrics.Counter]{me.redelivered, me.dead, me.dropped, me.missed} {
		c.With(me.system, s.Group()) // at 0: what comes to be counted is an increase
	}
}

// end takes in the last numbers of a subscription that was closed.
func (me *meter) end(s *subscription) {
	if me == nil {
		return
	}
	me.mu.Lock()
	defer me.mu.Unlock()
	me.count(s)
	delete(me.seen, s)
	me.gauges()
}

// close takes in the last numbers of all.
func (me *meter) close() {
	if me == nil {
		return
	}
	me.stop()
	me.mu.Lock()
	me.cancel() // a scrape that goes on begins no question after that
	me.mu.Unlock()
	me.wg.Wait()
	me.mu.Lock()
	defer me.mu.Unlock()
	for s := range me.seen {
		me.count(s)
	}
	clear(me.seen)
	me.gauges()
}

func (me *meter) collect() {
	answers := me.read()
	if answers == nil {
		return
	}
	timer := time.NewTimer(lagWait)
	defer timer.Stop()
	select {
	case <-answers:
	case <-timer.C:
	}
}

// read takes in what the subscriptions say, and asks for their lags if that is due.
func (me *meter) read() (answers chan struct{}) {
	me.mu.Lock()
	defer me.mu.Unlock() // also when one panics
	for s := range me.seen {
		me.count(s)
	}
	me.gauges()
	return me.ask()
}

// count adds what a subscription has more than before. mu is held.
func (me *meter) count(s *subscription) {
	before, known := me.seen[s]
	if !known {
		return
	}
	now, group := s.Stats(), s.Group()
	me.redelivered.With(me.system, group).Add(now.Redelivered - before.Redelivered)
	me.dead.With(me.system, group).Add(now.Dead - before.Dead)
	me.dropped.With(me.system, group).Add(now.Dropped - before.Dropped)
	me.missed.With(me.system, group).Add(now.Missed - before.Missed)
	me.seen[s] = now
}

// gauges sets what each group's subscriptions hold together. mu is held.
func (me *meter) gauges() {
	type states struct{ waiting, running, retrying int }
	groups := map[string]*states{}
	for s, now := range me.seen {
		g := groups[s.Group()]
		if g == nil {
			g = &states{}
			groups[s.Group()] = g
			me.groups[s.Group()] = true
		}
		g.running += now.Running
		g.retrying += now.Retrying
		g.waiting += max(now.Held-now.Running-now.Retrying, 0)
	}
	for name := range me.groups {
		g := groups[name]
		if g == nil {
			for _, state := range []string{"waiting", "running", "retrying"} {
				me.held.Delete(me.system, name, state)
			}
			for _, state := range []string{"pending", "behind"} {
				me.lag.Delete(me.system, name, state)
			}
			delete(me.groups, name)
			continue
		}
		me.held.With(me.system, name, "waiting").Set(float64(g.waiting))
		me.held.With(me.system, name, "running").Set(float64(g.running))
		me.held.With(me.system, name, "retrying").Set(float64(g.retrying))
	}
}

// ask asks the backend for the lags if that is due, and returns what is closed
// when the answers are there; nil if it isn't due. mu is held.
func (me *meter) ask() (answers chan struct{}) {
	if me.asking != nil {
		return me.asking
	}
	if time.Since(me.asked) < lagEvery || len(me.seen) == 0 || me.ctx.Err() != nil {
		return nil
	}
	one := map[string]*subscription{} // of each group: they have the same lag
	for s := range me.seen {
		one[s.Group()] = s
	}
	me.asked, me.asking = time.Now(), make(chan struct{})
	answers = me.asking
	me.wg.Go(func() {
		var all sync.WaitGroup
		for _, s := range one {
			all.Go(func() { me.askOne(s) })
		}
		all.Wait()
		me.mu.Lock()
		defer me.mu.Unlock()
		me.asking = nil
		close(answers)
	})
	return answers
}

// askOne sets the lag of a subscription's group. Without an answer it has none.
func (me *meter) askOne(s *subscription) {
	ctx, cancel := context.WithTimeout(me.ctx, lagTimeout)
	defer cancel()
	var lag event.Lag
	err := fault.Guard(func() (err error) { lag, err = s.Lag(ctx); return err })
	me.mu.Lock()
	defer me.mu.Unlock()
	if _, open := me.seen[s]; !open {
		return
	}
	set := func(state string, n int64, known bool) {
		if known {
			me.lag.With(me.system, s.Group(), state).Set(float64(n))
		} else {
			me.lag.Delete(me.system, s.Group(), state)
		}
	}
	set("pending", lag.Pending, err == nil)
	set("behind", lag.Behind, err == nil && lag.Behind >= 0)
}
