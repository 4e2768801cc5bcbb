package router

import (
	"context"
	"maps"
	"slices"

	"github.com/micro/go-platform/internal/fault"
)

// fill reads the options into a request, and returns the labels.
func (r *Request) fill(opts []SelectOption) (labels *labelSet) {
	for i := range opts {
		switch o := &opts[i]; o.kind {
		case byLabels:
			labels = o.labels
		case byMethod:
			r.method = o.text
		case byKey:
			r.Key, r.HasKey = hash(o.text), true
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
	r.service, r.now, r.random = s, s.o.now(), a.number(s.o)
	if s.o.driven && s.due(r.now) {
		s.drive(r.now)
	}
	m := s.members.Load()
	sub, rule, branch := m.route(s, r, labels)
	if len(sub.nodes) == 0 {
		return "", s.nothing(m, rule, labels)
	}
	r.Aperture, r.Panic = int(sub.aperture.Load()), sub.panic.Load()
	if spill := s.spill.value(); spill > 0 {
		r.spilled = r.chance() < spill
	}
	if s.o.breakers != nil {
		r.breaker, r.heed = s.method(r.method), !r.Panic || s.o.breakers.FailFast
		r.guarded = r.heed && s.tripped.Load() > 0
	}
	i := sub.choose(r)
	if s.o.breakers != nil {
		i, a.trial = s.enter(r, sub, i)
		if i < 0 && s.o.breakers.FailFast {
			r.Panic, r.last = true, true // ejections hold nobody back any more, breakers do
			i, a.trial = s.enter(r, sub, -1)
			if i < 0 {
				return "", s.open(r, sub)
			}
		}
	}
	if i < 0 {
		r.Panic, r.guarded, r.last = true, false, true
		i = another(r, sub.nodes)
	}
	a.open(sub.nodes[i])
	if rule != nil && branch >= 0 {
		variant = rule.variants[branch]
	}
	return variant, nil
}

// choose asks the strategy: for one of the nodes, then for a last choice, then
// for one that was excluded.
func (s *subset) choose(r *Request) int {
	i := s.ask(r)
	if i < 0 && s.last {
		r.last = true
		i = s.ask(r)
	}
	if i < 0 && len(r.exclude) > 0 { // all were tried: again, rather than not at all
		r.exclude, r.last = nil, false
		return s.choose(r)
	}
	return i
}

// ask is Choose, where an index that isn't there is any node in rotation: the
// strategy may be the user's own.
func (s *subset) ask(r *Request) int {
	i := s.chooser.Choose(r, s.nodes)
	if i < 0 || i >= len(s.nodes) {
		return another(r, s.nodes)
	}
	return i
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
	first.service, first.now, first.random = s, s.o.now(), s.o.rand()
	m := s.members.Load()
	if sub, rule, _ := m.route(s, &first, labels); len(sub.nodes) == 0 {
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
