package router

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

type front struct {
	o        *options
	life     *life.Life
	mu       sync.Mutex // held while services is replaced
	services atomic.Pointer[map[string]*service]
	rules    atomic.Pointer[rules]
	ruled    chan struct{} // closed when the rule source has answered, or there is none
}

// New returns a Router. WithDiscovery is required; what discovery gives stays
// the user's to close.
func New(opts ...Option) (Router, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	f := &front{o: o, life: life.New(), ruled: make(chan struct{})}
	f.services.Store(&map[string]*service{})
	if st, ok := o.strategy.(starter); ok {
		if err := st.start(o, f.life); err != nil {
			return nil, fault.Wrap("router", "new", "", fault.Mark(ErrInvalid, err))
		}
	}
	if all, err := compileRules(o.rules); err != nil {
		return nil, fault.Wrap("router", "new", "", fault.Mark(ErrInvalid, err))
	} else if len(all) > 0 {
		f.rules.Store(&all)
	}
	if o.ruleSource != nil {
		f.life.Go(f.followRules)
	} else {
		close(f.ruled)
	}
	if o.driven {
		return f, nil
	}
	if o.share != nil {
		f.life.Go(f.publish)
	}
	f.life.Go(func(ctx context.Context) {
		t := time.NewTicker(tick)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				f.tick()
			}
		}
	})
	return f, nil
}

// followRules puts new rules in force. What is wrong leaves the old ones.
func (f *front) followRules(ctx context.Context) {
	answered := sync.OnceFunc(func() { close(f.ruled) })
	defer answered()
	for list, err := range f.o.ruleSource.Rules(ctx) {
		if ctx.Err() != nil {
			return
		}
		var all rules
		if err == nil {
			all, err = compileRules(append(slices.Clone(f.o.rules), list...))
		}
		if err == nil {
			f.rules.Store(&all)
			for _, s := range *f.services.Load() {
				s.reroute()
			}
		} else {
			f.o.logger.Error("router: rules not changed", "error", err)
		}
		answered()
	}
}

func (f *front) tick() {
	for _, s := range *f.services.Load() {
		s.refresh()
	}
}

// service returns a service that has members, and waits for them if need be.
func (f *front) service(ctx context.Context, name string) (*service, error) {
	s := (*f.services.Load())[name]
	if s == nil {
		var err error
		if s, err = f.add(name); err != nil {
			return nil, err
		}
	}
	if s.members.Load() != nil {
		return s, nil
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
		err := ctx.Err()
		if why := s.failed.Load(); why != nil {
			err = fmt.Errorf("%w: discovery: %w", err, *why)
		}
		return nil, fault.Wrap("router", "select", name, err)
	case <-f.life.Done():
		return nil, fault.Wrap("router", "select", name, ErrClosed)
	}
	if s.members.Load() == nil {
		f.forget(s)
		return nil, fault.Wrap("router", "select", name, *s.failed.Load())
	}
	return s, nil
}

func (f *front) add(name string) (*service, error) {
	if name == "" {
		return nil, fault.New(ErrInvalid, "router", "select", "", "empty service name")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := (*f.services.Load())[name]; s != nil {
		return s, nil
	}
	s := newService(f.o, name, &f.rules, f.ruled)
	if !f.life.Go(s.follow) {
		return nil, fault.Wrap("router", "select", name, ErrClosed)
	}
	if f.o.share != nil {
		f.life.Go(func(ctx context.Context) {
			select {
			case <-s.ready:
			case <-ctx.Done():
			}
			if s.members.Load() != nil { // else discovery refused it
				s.listen(ctx)
			}
		})
	}
	all := maps.Clone(*f.services.Load())
	all[name] = s
	f.services.Store(&all)
	return s, nil
}

// forget drops a service that discovery refuses to watch, so that its name may
// be tried again.
func (f *front) forget(s *service) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := maps.Clone(*f.services.Load())
	if all[s.name] == s {
		delete(all, s.name)
		f.services.Store(&all)
	}
}

// fill reads the options into a request, and returns the labels.
func (r *Request) fill(opts []SelectOption) (labels *labelSet) {
	for i := range opts {
		switch o := &opts[i]; o.kind {
		case byLabels:
			labels = o.labels
		case byMethod:
			r.method = o.text
		case byKey:
			r.Key, r.HasKey = hash(0, o.text), true
		case byExclusion:
			r.exclude = o.ids
		}
	}
	return labels
}

func (f *front) Pick(ctx context.Context, name string, opts ...SelectOption) (p Pick, err error) {
	s, err := f.service(ctx, name)
	if err != nil {
		return Pick{}, err
	}
	a := attempts.Get().(*attempt)
	a.request = Request{}
	p.Variant, err = s.pick(a, a.request.fill(opts))
	if err != nil {
		a.discard()
		return Pick{}, err
	}
	// Field by field: copies of a whole Pick are among what a call costs most.
	p.Instance, p.Panic, p.a, p.gen = a.node.instance.Load(), a.request.Panic, a, a.gen.Load()
	return p, nil
}

// pick chooses a node and opens the attempt on it. The request in the attempt
// is filled from the caller's options.
func (s *service) pick(a *attempt, labels *labelSet) (variant string, err error) {
	r := &a.request
	r.now, r.random = s.o.now(), s.o.rand()
	if s.o.driven && s.due(r.now) {
		s.drive(r.now)
	}
	m := s.members.Load()
	sub, rule, branch := m.route(s.o, r, labels)
	if len(sub.nodes) == 0 {
		return "", s.nothing(m, rule, labels)
	}
	r.force, r.mean = time.Duration(s.force.Load()), s.mean.value()
	r.slowStart = time.Duration(s.slowStart.Load())
	r.Aperture, r.Panic = int(sub.aperture.Load()), sub.panic.Load()
	if s.o.breakers != nil {
		r.breaker, r.heed = s.method(r.method), !r.Panic || s.o.breakers.FailFast
		r.guarded = r.heed && s.tripped.Load() > 0
	}
	i := sub.chooser.Choose(r, sub.nodes)
	if i < 0 && len(r.exclude) > 0 { // all were tried: again, rather than not at all
		r.exclude = nil
		i = sub.chooser.Choose(r, sub.nodes)
	}
	if s.o.breakers != nil {
		i, a.trial = s.enter(r, sub, i)
		if i < 0 && s.o.breakers.FailFast {
			r.Panic = true // ejections hold nobody back any more, breakers do
			if i, a.trial = s.enter(r, sub, -1); i < 0 {
				return "", s.open(r, sub)
			}
		}
	}
	if i < 0 {
		r.Panic, r.guarded = true, false
		i = another(r, sub.nodes)
	}
	a.open(s, sub.nodes[i])
	if rule != nil && branch >= 0 {
		variant = rule.variants[branch]
	}
	return variant, nil
}

// nothing says why there is nothing to choose from.
func (s *service) nothing(m *members, rule *applied, labels *labelSet) error {
	if len(m.all) > 0 {
		e := &NoMatchError{Service: s.name, Labels: maps.Clone(labels.all()), Known: len(m.all)}
		if rule != nil {
			e.Rule = rule.Name
		}
		return e
	}
	return fault.Wrap("router", "select", s.name, ErrNoInstances)
}

func (f *front) Select(ctx context.Context, name string, opts ...SelectOption) (Next, error) {
	s, err := f.service(ctx, name)
	if err != nil {
		return nil, err
	}
	var first Request
	labels := first.fill(opts)
	first.now, first.random = s.o.now(), s.o.rand()
	m := s.members.Load()
	if sub, rule, _ := m.route(s.o, &first, labels); len(sub.nodes) == 0 {
		return nil, s.nothing(m, rule, labels)
	}
	var given []string
	return func() (Pick, error) {
		a := attempts.Get().(*attempt)
		a.request = first
		a.request.exclude = append(first.exclude[:len(first.exclude):len(first.exclude)], given...)
		variant, err := s.pick(a, labels)
		if err != nil {
			a.discard()
			return Pick{}, err
		}
		p := Pick{a.node.instance.Load(), variant, a.request.Panic, a, a.gen.Load()}
		if slices.Contains(given, p.Instance.ID) {
			p.close(Cancelled)
			return Pick{}, fault.Wrap("router", "next", name, ErrExhausted)
		}
		given = append(given, p.Instance.ID)
		return p, nil
	}, nil
}

func (f *front) Record(sample Sample) {
	s := (*f.services.Load())[sample.Service]
	if s == nil {
		return
	}
	s.mu.Lock()
	n := s.nodes[sample.Instance]
	s.mu.Unlock()
	if n == nil {
		return
	}
	if s.o.breakers != nil {
		if b := n.breaker(s.method(sample.Method)); b != nil {
			b.record(sample.Outcome.Class)
		}
	}
	s.done(n, sample.Outcome)
}

func (f *front) Close(ctx context.Context) error {
	return f.life.Close(func() error {
		if f.o.share != nil {
			if err := f.publishOnce(ctx); err != nil {
				f.o.logger.Warn("router: the last of what was seen is not shared", "error", err)
			}
		}
		return nil
	})
}

// drive does what otherwise goes on in the background.
func (s *service) drive(now time.Duration) {
	s.refresh()
	if s.o.share != nil && now-s.published >= s.o.share.Interval {
		s.published = now
		if err := s.publish(context.Background()); err != nil {
			s.o.logger.Warn("router: what was seen is not shared", "error", err)
		}
	}
}

// due reports whether a refresh is.
func (s *service) due(now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now-s.ticked >= tick
}
