package metrics

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
)

// New returns a Metrics. What is counted is in memory, for Snapshot and for the
// scrape handler of metrics/prometheus. With push backends, each has to answer
// within WithDialTimeout, else the error is ErrUnavailable and names it;
// WithLazy starts without asking.
func New(opts ...Option) (Metrics, error) {
	o := defaults()
	if err := fronts.New("metrics", &o, opts); err != nil {
		return nil, err
	}
	r := newRegistry(o.limit, o.logger)
	r.native = o.native
	r.resource = ownLabels(o.resource)
	f := &front{registry: r, life: life.New()}
	for _, d := range o.drivers {
		driver, err := fronts.Open("metrics/"+d.name, o.dial, o.lazy, d.open, nil)
		if err != nil {
			for _, other := range f.exporters {
				_ = other.driver.Close()
			}
			return nil, err
		}
		e := newExporter(d.name, driver, &o, r)
		if s, ok := driver.(Sampler); ok {
			e.sampler = len(r.samplers)
			r.samplers = append(r.samplers, s.Samples())
		}
		f.exporters = append(f.exporters, e)
	}
	if o.runtime {
		r.runtime = runtimeCollector(r)
	}
	s := (&scope{front: f}).with(o.namespace, o.labels)
	s.root = true
	r.common = len(s.keys)
	for _, e := range f.exporters {
		f.life.Go(e.run)
	}
	if o.idle > 0 {
		f.life.Go(func(ctx context.Context) { f.sweep(ctx, o.idle) })
	}
	return s, nil
}

// front is what all scopes of one New share.
type front struct {
	registry  *registry
	exporters []*exporter
	life      *life.Life
	closed    atomic.Bool
	once      sync.Once
	err       error
}

func (f *front) Stats() Stats {
	r := f.registry
	s := Stats{Overflowed: map[string]uint64{}, Conflicts: r.conflicts.Load(), Invalid: r.invalid.Load(), Freed: r.freed.Load()}
	r.mu.Lock()
	for _, one := range r.families {
		one.mu.Lock()
		s.Series += len(one.series)
		one.mu.Unlock()
		if n := one.overflowed.Load(); n > 0 {
			s.Overflowed[one.name] = n
		}
	}
	r.mu.Unlock()
	for _, e := range f.exporters {
		s.Exporters = append(s.Exporters, e.snapshotStats())
	}
	return s
}

func (f *front) Flush(ctx context.Context) error {
	if f.closed.Load() {
		return fault.Wrap("metrics", "flush", "", fault.Closed)
	}
	return f.export(ctx, "flush")
}

// export exports to all backends at once.
func (f *front) export(ctx context.Context, op string) error {
	errs := make([]error, len(f.exporters))
	var wg sync.WaitGroup
	for i, e := range f.exporters {
		wg.Go(func() { errs[i] = fault.Wrap("metrics/"+e.name, op, "", e.export(ctx)) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (f *front) close(ctx context.Context) error {
	f.once.Do(func() {
		f.closed.Store(true)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			_ = f.life.Close(nil) // the loops; an export in progress ends with its context
		}()
		select {
		case <-stopped:
		case <-ctx.Done():
		}
		errs := []error{f.export(ctx, "close")}
		for _, e := range f.exporters {
			errs = append(errs, fault.Wrap("metrics/"+e.name, "close", "", fault.Guard(e.driver.Close)))
		}
		f.err = errors.Join(errs...)
	})
	return f.err
}

func floatOf(bits *atomic.Uint64) float64 { return math.Float64frombits(bits.Load()) }
