package router

import (
	"context"
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
	place    atomic.Pointer[place] // among this client's peers; nil: it has none
	ruled    chan struct{}         // closed when the rule source has answered, or there is none
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
	if o.peers != "" {
		f.life.Go(f.followPeers)
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
	err := fault.Guard(func() error {
		for list, err := range f.o.ruleSource.Rules(ctx) {
			if ctx.Err() != nil {
				break
			}
			f.takeRules(list, err)
			answered()
		}
		return nil
	})
	if err != nil {
		f.o.logger.Error("router: rules do not change any more", "error", err)
	}
}

// takeRules puts WithRules' rules, followed by list, in force. If the source failed or
// a rule is wrong, the old ones stay.
func (f *front) takeRules(list []Rule, err error) {
	var all rules
	if err == nil {
		all, err = compileRules(append(slices.Clone(f.o.rules), list...))
	}
	if err != nil {
		f.o.logger.Error("router: rules not changed", "error", err)
		return
	}
	f.rules.Store(&all)
	for _, s := range *f.services.Load() {
		s.reroute()
	}
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
	s.done(n, sample.Outcome, false)
}

func (f *front) Close(ctx context.Context) error {
	return f.life.Close(func() error {
		if f.o.share != nil {
			ctx, cancel := context.WithTimeout(ctx, f.o.share.Interval) // for all services
			defer cancel()
			err := f.publishOnce(ctx)
			if err != nil {
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
