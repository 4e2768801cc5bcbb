package monitor

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/internal/watch"
)

// front is the Monitor.
type front struct {
	o       options
	scope   string
	life    *life.Life
	driver  Driver // nil without a backend
	start   time.Time
	calls   sync.WaitGroup // runs of checks
	record  *recorder
	cluster *cluster
	seq     uint64 // of reports; only publish touches it

	mu      sync.Mutex
	self    Instance
	unnamed bool   // self has an id that was made at random
	was     string // the id before Identify
	phase   Phase
	checks  map[string]*registered
	loops   []*loop
	watches map[*watch.Coalesce[struct{}]]struct{}
}

type registered struct {
	*runner
	cancel context.CancelFunc
}

// New returns a Monitor, which watches nothing before Register.
func New(opts ...Option) (Monitor, error) {
	var o options
	if err := o.apply(opts); err != nil {
		return nil, err
	}
	f := &front{
		o: o, scope: "monitor", life: life.New(), start: time.Now(), phase: o.phase, self: o.instance, unnamed: o.unnamed,
		record: newRecorder(maxEndpoints), cluster: newCluster(o.instance, o.policy, o.expected),
		checks: map[string]*registered{}, watches: map[*watch.Coalesce[struct{}]]struct{}{},
	}
	f.cluster.done = f.life.Done()
	if o.backend.Chosen() {
		f.scope = "monitor/" + o.backend.Name
		d, err := o.backend.Open(f.scope, nil)
		if err != nil {
			return nil, err
		}
		f.driver = d
	}
	f.run()
	return f, nil
}

// run starts what goes on until Close.
func (f *front) run() {
	f.life.Go(f.publishAll)
	if f.driver != nil {
		f.life.Go(func(ctx context.Context) {
			o := watch.Options{OnError: func(err error) {
				f.o.logger.Warn("monitor: reports of others don't come", "backend", f.o.backend.Name, "error", err)
			}}
			watch.Follow(ctx, o, func(ctx context.Context, _ struct{}, progress func(struct{})) error {
				return f.driver.Watch(ctx, func(r Report) { f.cluster.take(r); progress(struct{}{}) })
			})
		})
	}
	if f.o.onChange != nil {
		began, _ := f.judge(func(string) bool { return true }, true)
		f.life.Go(func(ctx context.Context) { f.changes(ctx, began) })
	}
}

// publishAll publishes the report at intervals and after each change, at most
// ten times a second.
func (f *front) publishAll(ctx context.Context) {
	for s := range f.statuses(ctx, f.o.interval) {
		f.publish(ctx, s)
		f.cluster.expire()
		if backoff.Sleep(ctx, 100*time.Millisecond) != nil {
			return
		}
	}
}

func (f *front) publish(ctx context.Context, s Status) error {
	f.seq++
	r := Report{
		Status: s, Stats: f.Stats(), Interval: f.o.interval, TTL: f.o.policy.TTL, At: time.Now(),
		// The start makes a new process's reports newer than those of an older one with the same id.
		Seq: uint64(f.start.UnixMilli())<<seqBits + f.seq,
	}
	f.mu.Lock()
	r.Was = f.was
	f.mu.Unlock()
	f.cluster.take(r)
	if f.driver == nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, f.o.interval)
	defer cancel()
	err := fault.Late(ctx, f.o.interval, fault.Guard(func() error { return f.driver.Publish(limited, r) }))
	if err != nil && ctx.Err() == nil {
		f.o.logger.Warn("monitor: report not published", "backend", f.o.backend.Name, "error", err)
	}
	return err
}

func (f *front) Register(c Check) error {
	c, err := c.normalise()
	if err != nil {
		return fault.Wrap(f.scope, "register", c.Name, fault.Mark(ErrInvalid, err))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.life.Closed() {
		return fault.Wrap(f.scope, "register", c.Name, ErrClosed)
	}
	if f.checks[c.Name] != nil {
		return fault.Wrap(f.scope, "register", c.Name, ErrExists)
	}
	ctx, cancel := context.WithCancel(f.life.Context())
	r := &registered{runner: newRunner(c, f.wake), cancel: cancel}
	f.checks[c.Name] = r
	if c.Func != nil {
		f.life.Go(func(context.Context) { r.run(ctx, &f.calls) })
	}
	return nil
}

func (f *front) Deregister(name string) bool {
	f.mu.Lock()
	r := f.checks[name]
	delete(f.checks, name)
	f.mu.Unlock()
	if r == nil {
		return false
	}
	r.cancel()
	r.stop()
	f.wake()
	return true
}

func (f *front) Beat(name string, err error) {
	f.mu.Lock()
	r := f.checks[name]
	f.mu.Unlock()
	if r != nil {
		r.beat(err)
	}
}

func (f *front) Liveness(name string, stall time.Duration) func() {
	l := newLoop(name, stall)
	f.mu.Lock()
	f.loops = append(f.loops, l)
	f.mu.Unlock()
	return l.beat
}

func (f *front) Identify(in Instance) {
	f.mu.Lock()
	self := &f.self
	if in.ID != "" && f.unnamed {
		f.was, f.unnamed = self.ID, false
		self.ID = in.ID
	}
	self.Service, self.Version = cmp.Or(self.Service, in.Service), cmp.Or(self.Version, in.Version)
	self.Address, self.Zone = cmp.Or(self.Address, in.Address), cmp.Or(self.Zone, in.Zone)
	f.cluster.identify(*self)
	f.mu.Unlock()
	f.wake()
}

func (f *front) SetPhase(p Phase) {
	f.mu.Lock()
	if p <= Stopped {
		f.phase = p
	}
	f.mu.Unlock()
	f.wake()
}

func (f *front) Observe(e Endpoint, d time.Duration, err error) { f.record.observe(e, d, err) }

func (f *front) Enter(e Endpoint) func() { return f.record.enter(e) }

func (f *front) Stats() Stats {
	endpoints, dropped := f.record.stats()
	return Stats{Process: process(f.start), Endpoints: endpoints, Dropped: dropped}
}

func (f *front) Cluster() Cluster { return f.cluster }

func (f *front) Close(ctx context.Context) error {
	return f.life.Close(func() error {
		f.mu.Lock()
		f.phase = Stopped
		for _, r := range f.checks {
			r.stop()
		}
		f.mu.Unlock()
		err := f.publish(ctx, f.Status())
		if f.driver != nil {
			err = errors.Join(err, f.driver.Close())
		}
		returned := make(chan struct{})
		go func() { f.calls.Wait(); close(returned) }()
		select {
		case <-returned:
		case <-ctx.Done():
			err = errors.Join(err, fmt.Errorf("a check has not returned: %w", ctx.Err()))
		}
		return fault.Wrap(f.scope, "close", "", err)
	})
}

func randomID() string { return strings.ToLower(rand.Text()[:16]) }
