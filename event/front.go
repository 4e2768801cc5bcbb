package event

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
)

// front is what is the same on every backend.
type front struct {
	o      *options
	scope  string // of errors: "event/redis"
	driver Driver
	memory *memory    // the driver, if it is this one
	life   *life.Life // ends with Close, before the handlers have returned

	mu      sync.Mutex
	subs    map[*subscription]struct{}
	closing bool

	late sync.RWMutex // held for reading while a handler publishes during Close
	gone bool         // the driver is closed, or about to be

	requests    *requests
	timekeeping sync.Once
	nudge       chan struct{} // something was scheduled here

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
		o: o, scope: "event/" + o.backend.Name, life: life.New(),
		subs: map[*subscription]struct{}{}, nudge: make(chan struct{}, 1), requests: newRequests(), closed: make(chan struct{}),
	}
	f.driver, err = o.backend.Open(f.scope, func(advice string) {
		o.settings.Logger.Warn("event: "+advice, "backend", o.backend.Name)
	})
	if err != nil {
		return nil, err
	}
	f.memory, _ = f.driver.(*memory)
	if o.settings.Retention != (Retention{}) {
		trimmer, ok := f.driver.(trimmer)
		if !ok {
			f.driver.Close(context.Background())
			return nil, fault.New(ErrUnsupported, f.scope, "new", "", "retention")
		}
		f.life.Go(func(ctx context.Context) { f.trim(ctx, trimmer) })
	}
	if f.memory != nil && f.memory.schedule.some() { // of a journal
		f.keepTime(0)
	}
	return f, nil
}

// trim keeps to the retention until Close.
func (f *front) trim(ctx context.Context, t trimmer) {
	tick := time.NewTicker(f.o.trimEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		call, _, cancel := f.limited(ctx)
		err := fault.Guard(func() error { _, err := t.Trim(call, f.o.settings.Retention); return err })
		if err != nil && ctx.Err() == nil {
			f.o.settings.Logger.Warn("event: retention failed", "backend", f.o.backend.Name, "error", err)
		}
		cancel()
	}
}

func (f *front) wrap(op, subject string, err error) error {
	return fault.Wrap(f.scope, op, subject, err)
}

// limited gives a context without a deadline the default.
func (f *front) limited(ctx context.Context) (context.Context, fronts.Limit, context.CancelFunc) {
	return fronts.Limited(ctx, f.o.timeout)
}

func (f *front) Publish(ctx context.Context, records ...*Record) error {
	if f.memory != nil && !f.life.Closed() {
		// Nobody need wait for what takes so little: the log knows whether it is closed.
	} else if f.life.Enter() {
		defer f.life.Leave()
	} else { // a handler finishes its work: Close waits for it
		f.late.RLock()
		defer f.late.RUnlock()
		if h, ok := ctx.Value(deliveryKey{}).(*handling); !ok || h.s.f != f || f.gone {
			return f.wrap("publish", "", fault.Closed)
		}
	}
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
	if f.memory != nil {
		return f.publishHere(ctx, records, limits)
	}
	f.keepTime(askOften) // of what others have scheduled; nobody else can in a memory
	now := time.Now().UTC()
	filled, list := make([]Record, len(records)), make([]*Record, len(records))
	for i, r := range records {
		if err := f.fill(ctx, &filled[i], r, i, now, limits); err != nil {
			return err
		}
		list[i] = &filled[i]
	}
	bounded, limit, cancel := f.limited(ctx)
	defer cancel()
	n, err := f.driver.Append(bounded, list)
	return f.published(list[0], len(list), n, limit.Late(bounded, err))
}

// publishHere is publish without a copy on the way into the log.
func (f *front) publishHere(ctx context.Context, records []*Record, limits bool) error {
	now := time.Now()
	utc := now.UTC()
	if len(records) == 1 && f.memory.j == nil {
		var c Record // stays on the stack
		if err := f.fill(ctx, &c, records[0], 0, utc, limits); err != nil {
			return err
		}
		return f.published(records[0], 1, 0, f.memory.appendOne(&c, now))
	}
	d := f.memory.drafts.Get().(*draft)
	defer func() { f.memory.drafts.Put(d.reset()) }()
	for i, r := range records {
		var c Record
		if err := f.fill(ctx, &c, r, i, utc, limits); err != nil {
			return err
		}
		d.add(&c)
	}
	return f.published(records[0], len(records), 0, f.memory.append(d, now))
}

// fill makes c what is published for r, the ith of a Publish.
func (f *front) fill(ctx context.Context, c, r *Record, i int, now time.Time, limits bool) error {
	if r == nil {
		return f.wrap("publish", "", invalidf("record %d is nil", i))
	}
	*c = *r
	c.fill(ctx, f.o.source, now)
	if f.o.inject != nil {
		c.Metadata = maps.Clone(c.Metadata)
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
	return nil
}

// published makes the error of a Publish of which n records are in the stream.
func (f *front) published(first *Record, of, n int, err error) error {
	if err == nil {
		return nil
	}
	if of > 1 {
		err = &PublishError{Published: n, Err: fault.Adopt("event", err)}
		return &fault.Error{Scope: f.scope, Op: "publish", Cause: err} // err says its kind itself
	}
	return f.wrap("publish", subjectOf(first), err)
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
	ctx, limit, cancel := f.limited(ctx)
	defer cancel()
	groups, err := f.driver.Groups(ctx)
	return foldGroups(groups), f.wrap("groups", "", limit.Late(ctx, err))
}

func (f *front) DeleteGroup(ctx context.Context, name string) error {
	if !f.life.Enter() {
		return f.wrap("delete group", name, fault.Closed)
	}
	defer f.life.Leave()
	if err := checkName("group", name); err != nil {
		return f.wrap("delete group", name, err)
	}
	ctx, limit, cancel := f.limited(ctx)
	defer cancel()
	divided := false
	if _, divides := f.driver.(roster); divides { // first: what fails here can be asked for again
		var err error
		divided, err = f.deleteParts(ctx, name)
		if err != nil {
			return f.wrap("delete group", name, limit.Late(ctx, err))
		}
	}
	err := f.driver.DeleteGroup(ctx, name)
	if divided && errors.Is(err, fault.NotFound) {
		err = nil
	}
	return f.wrap("delete group", name, limit.Late(ctx, err))
}

func (f *front) Features() Features {
	var fs Features
	if d, ok := f.driver.(featured); ok {
		fs = d.Features()
	}
	fs.Backend = f.o.backend.Name
	_, fs.Retention = f.driver.(trimmer)
	_, fs.Scheduled = f.driver.(scheduler)
	_, fs.Partitions = f.driver.(roster)
	return fs
}

func (f *front) Close(ctx context.Context) error {
	f.closeOnce.Do(func() { go f.shutdown() })
	err := awaitEnd(ctx, f.closed, f.running)
	if err == nil {
		err = f.closeErr
	}
	return f.wrap("close", "", err)
}

// running counts the handlers that run.
func (f *front) running() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subs {
		n += int(s.running.Load())
	}
	return n
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
		<-s.left
	}
	f.late.Lock() // a handler that was left behind may still publish
	f.gone = true
	f.late.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), f.o.timeout)
	defer cancel()
	f.closeErr = fault.Guard(func() error { return f.driver.Close(ctx) })
	for _, s := range subs {
		<-s.done
	}
	close(f.closed)
}

// forget is called by a subscription that has ended.
func (f *front) forget(s *subscription) {
	f.mu.Lock()
	delete(f.subs, s)
	f.mu.Unlock()
}
