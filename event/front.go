package event

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
)

// front is what is the same on every backend.
type front struct {
	o      *options
	scope  string // of errors: "event/redis"
	driver Driver
	life   *life.Life // ends with Close, before the handlers have returned

	mu      sync.Mutex
	subs    map[*subscription]struct{}
	closing bool

	closeOnce sync.Once
	closed    chan struct{} // the driver is closed
	closeErr  error
}

func newFront(opts []Option) (Stream, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	f := &front{
		o: o, scope: "event/" + o.name, life: life.New(),
		subs: map[*subscription]struct{}{}, closed: make(chan struct{}),
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.dialTimeout)
	defer cancel()
	if f.driver, err = o.open(ctx, o.settings); err != nil {
		return nil, f.wrap("open", "", err)
	}
	if !o.lazy {
		if err := f.driver.Ping(ctx); err != nil {
			if fault.KindOf(err) == context.DeadlineExceeded {
				err = fault.Markf(fault.Unavailable, "no answer within %v: %w", o.dialTimeout, err)
			}
			f.driver.Close(context.Background())
			return nil, f.wrap("open", "", err)
		}
	}
	if o.settings.Retention != (Retention{}) {
		trimmer, ok := f.driver.(Trimmer)
		if !ok {
			f.driver.Close(context.Background())
			return nil, fault.New(fault.Unsupported, f.scope, "open", "", "retention")
		}
		f.life.Go(func(ctx context.Context) { f.trim(ctx, trimmer) })
	}
	return f, nil
}

// trim keeps to the retention until Close.
func (f *front) trim(ctx context.Context, t Trimmer) {
	tick := time.NewTicker(f.o.trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		call, cancel := f.deadline(ctx)
		if _, err := t.Trim(call, f.o.settings.Retention); err != nil && ctx.Err() == nil {
			f.o.settings.Logger.Warn("event: retention failed", "backend", f.o.name, "error", err)
		}
		cancel()
	}
}

func (f *front) wrap(op, subject string, err error) error {
	return fault.Wrap(f.scope, op, subject, err)
}

// deadline gives a context without one the default.
func (f *front) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, f.o.timeout)
}

func (f *front) Publish(ctx context.Context, records ...*Record) error {
	if f.life.Enter() {
		defer f.life.Leave()
	} else if h, ok := ctx.Value(deliveryKey{}).(*handling); !ok || h.f != f {
		return f.wrap("publish", "", fault.Closed)
	} // else a handler finishes its work: Close waits for it
	return f.publish(ctx, records, true)
}

// publish fills, checks and appends. Dead letters are not held to the limits:
// what is in the stream already has to go somewhere.
func (f *front) publish(ctx context.Context, records []*Record, limits bool) error {
	if len(records) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return f.wrap("publish", "", err)
	}
	now := time.Now().UTC()
	var filled []Record
	var list []*Record
	if len(records) == 1 { // one allocation
		one := &struct {
			record [1]Record
			list   [1]*Record
		}{}
		filled, list = one.record[:], one.list[:]
	} else {
		filled, list = make([]Record, len(records)), make([]*Record, len(records))
	}
	keeper, keeps := f.driver.(keeper)
	for i, r := range records {
		if r == nil {
			return f.wrap("publish", "", invalidf("record %d is nil", i))
		}
		c := &filled[i]
		*c = *r
		c.fill(ctx, f.o.source, now)
		if keeps {
			c.Metadata, c.Data = maps.Clone(r.Metadata), slices.Clone(r.Data)
		}
		if f.o.inject != nil {
			if !keeps {
				c.Metadata = maps.Clone(c.Metadata)
			}
			if c.Metadata == nil {
				c.Metadata = map[string]string{}
			}
			f.o.inject(ctx, c.Metadata)
		}
		if limits {
			if err := c.check(f.o.maxBytes); err != nil {
				return f.wrap("publish", subjectOf(r), err)
			}
		}
		list[i] = c
	}
	var n int
	var err error
	if keeps {
		n, err = keeper.adopt(list)
	} else {
		ctx, cancel := f.deadline(ctx)
		defer cancel()
		n, err = f.driver.Append(ctx, list)
	}
	if err != nil {
		if len(records) > 1 {
			err = &PublishError{Published: n, Err: err}
			return &fault.Error{Scope: f.scope, Op: "publish", Cause: err} // err says its kind itself
		}
		return f.wrap("publish", subjectOf(list[0]), err)
	}
	return nil
}

func subjectOf(r *Record) string {
	if r.ID == "" {
		return r.Type
	}
	return r.Type + " " + r.ID
}

func (f *front) Groups(ctx context.Context) ([]GroupInfo, error) {
	if !f.life.Enter() {
		return nil, f.wrap("groups", "", fault.Closed)
	}
	defer f.life.Leave()
	ctx, cancel := f.deadline(ctx)
	defer cancel()
	groups, err := f.driver.Groups(ctx)
	return groups, f.wrap("groups", "", err)
}

func (f *front) DeleteGroup(ctx context.Context, name string) error {
	if !f.life.Enter() {
		return f.wrap("delete group", name, fault.Closed)
	}
	defer f.life.Leave()
	if err := checkSegment("group", name); err != nil {
		return f.wrap("delete group", name, err)
	}
	ctx, cancel := f.deadline(ctx)
	defer cancel()
	return f.wrap("delete group", name, f.driver.DeleteGroup(ctx, name))
}

func (f *front) Features() Features {
	var fs Features
	if d, ok := f.driver.(Featured); ok {
		fs = d.Features()
	}
	fs.Backend = f.o.name
	_, fs.Retention = f.driver.(Trimmer)
	return fs
}

func (f *front) Close(ctx context.Context) error {
	f.closeOnce.Do(func() { go f.shutdown() })
	select {
	case <-f.closed:
		return f.wrap("close", "", f.closeErr)
	case <-ctx.Done():
	}
	select {
	case <-f.closed:
		return f.wrap("close", "", f.closeErr)
	default:
	}
	running := 0
	f.mu.Lock()
	for s := range f.subs {
		running += s.Stats().Running
	}
	f.mu.Unlock()
	return f.wrap("close", "", fault.Mark(fault.Timeout, fmt.Errorf("%d handlers still running: %w", running, ctx.Err())))
}

// shutdown runs until the last handler has returned, however long that is
// after the Close that started it.
func (f *front) shutdown() {
	f.mu.Lock()
	f.closing = true
	subs := make([]*subscription, 0, len(f.subs))
	for s := range f.subs {
		subs = append(subs, s)
		s.stop()
	}
	f.mu.Unlock()
	f.life.Close(nil) // ends queries and the janitor, waits for calls in progress
	for _, s := range subs {
		<-s.done
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.o.timeout)
	defer cancel()
	f.closeErr = f.driver.Close(ctx)
	close(f.closed)
}

// forget is called by a subscription that has ended.
func (f *front) forget(s *subscription) {
	f.mu.Lock()
	delete(f.subs, s)
	f.mu.Unlock()
}

// keeper is a driver in this process, which saves copies: it keeps the records
// that it is given, and returns those that it has, which nobody changes then.
type keeper interface {
	adopt(records []*Record) (int, error)
	find(q ReadRequest) ([]*Record, Page, error)
}

// counter is an atomic count of Stats.
type counter = atomic.Int64
