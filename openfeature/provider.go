package openfeature

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/config"
	of "github.com/open-feature/go-sdk/openfeature"
)

// providerName is the provider's in the metadata of OpenFeature.
const providerName = "go-platform"

// Provider evaluates the flags of a configuration. It is safe for concurrent use.
type Provider struct {
	cfg  config.Config
	path string

	flags  atomic.Pointer[map[string]*flag] // nil: not ready
	events chan of.Event

	life sync.Mutex // of Init and Shutdown
	now  *session   // nil: not initialized
	swap sync.Mutex // of flags
}

// session is the time between Init and Shutdown.
type session struct {
	cancel func()
	ended  bool // guarded by swap
}

var (
	_ of.FeatureProvider = (*Provider)(nil)
	_ of.StateHandler    = (*Provider)(nil)
	_ of.EventHandler    = (*Provider)(nil)
)

// Option configures New.
type Option func(*Provider) error

// WithPath reads the flags at another path of the configuration than "flags".
func WithPath(path string) Option {
	return func(p *Provider) error { p.path = path; return nil }
}

// New makes a provider over cfg, which must stay open for as long as the provider
// is used. Give it to OpenFeature's SetProviderAndWait, which reads the flags.
func New(cfg config.Config, opts ...Option) (*Provider, error) {
	if cfg == nil {
		return nil, fmt.Errorf("openfeature: %w: nil configuration", config.ErrInvalid)
	}
	p := &Provider{cfg: cfg, path: "flags", events: make(chan of.Event, 1)}
	for _, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("openfeature: %w: nil option", config.ErrInvalid)
		}
		if err := opt(p); err != nil {
			return nil, fmt.Errorf("openfeature: %w", err)
		}
	}
	return p, nil
}

// Metadata implements OpenFeature's FeatureProvider.
func (p *Provider) Metadata() of.Metadata { return of.Metadata{Name: providerName} }

// Hooks implements OpenFeature's FeatureProvider. Spans and Exposures are added by
// the program.
func (p *Provider) Hooks() []of.Hook { return nil }

// EventChannel implements OpenFeature's EventHandler.
func (p *Provider) EventChannel() <-chan of.Event { return p.events }

// Init reads the flags and follows their changes. Flags that are wrong are an
// error.
func (p *Provider) Init(of.EvaluationContext) error {
	p.life.Lock()
	defer p.life.Unlock()
	if p.now != nil {
		return nil
	}
	s := &session{}
	cancel, err := p.cfg.Subscribe(p.path, func(_ context.Context, c config.Change) (commit func(), err error) {
		next, err := compile(c.New)
		if err != nil {
			return nil, err
		}
		return func() { p.set(s, next) }, nil
	})
	if err != nil {
		return fmt.Errorf("openfeature: flags at %q: %w", p.path, err)
	}
	s.cancel = cancel
	p.now = s
	return nil
}

// Shutdown stops following the configuration. Evaluations then return their
// defaults. Init begins again.
func (p *Provider) Shutdown() {
	p.life.Lock()
	defer p.life.Unlock()
	if p.now == nil {
		return
	}
	p.now.cancel()
	p.swap.Lock()
	p.now.ended = true // a change that is on its way comes too late
	p.flags.Store(nil)
	p.swap.Unlock()
	p.now = nil
}

// set puts flags in force.
func (p *Provider) set(s *session, next map[string]*flag) {
	p.swap.Lock()
	defer p.swap.Unlock()
	if s.ended {
		return
	}
	before := p.flags.Swap(&next)
	if before != nil {
		p.changed(*before, next)
	}
}

// changed emits which flags differ. If the SDK has not taken the last event, both
// become one.
func (p *Provider) changed(before, now map[string]*flag) {
	keys := map[string]bool{}
	for key, f := range now {
		if old := before[key]; old == nil || old.text != f.text {
			keys[key] = true
		}
	}
	for key := range before {
		if now[key] == nil {
			keys[key] = true
		}
	}
	if len(keys) == 0 {
		return
	}
	for {
		e := of.Event{ProviderName: providerName, EventType: of.ProviderConfigChange, ProviderEventDetails: of.ProviderEventDetails{
			Message: "the configuration has changed", FlagChanges: slices.Sorted(maps.Keys(keys)),
		}}
		select {
		case p.events <- e:
			return
		case waiting := <-p.events:
			for _, key := range waiting.FlagChanges {
				keys[key] = true
			}
		}
	}
}

// resolve evaluates a flag; as gives its value the type that the caller wants.
func resolve[T any](p *Provider, key string, normal T, attributes of.FlattenedContext, as func(v any) (T, bool)) (T, of.ProviderResolutionDetail) {
	failed := func(e of.ResolutionError) (T, of.ProviderResolutionDetail) {
		return normal, of.ProviderResolutionDetail{ResolutionError: e, Reason: of.ErrorReason}
	}
	flags := p.flags.Load()
	if flags == nil {
		return failed(of.NewProviderNotReadyResolutionError("the provider is not initialized, or shut down"))
	}
	f := (*flags)[key]
	switch {
	case f == nil:
		return failed(of.NewFlagNotFoundResolutionError(fmt.Sprintf("no flag %q", key)))
	case f.disabled:
		return normal, of.ProviderResolutionDetail{Reason: of.DisabledReason}
	}
	variant, value, reason, err := f.decide(key, attributes)
	if errors.Is(err, errNoKey) {
		return failed(of.NewTargetingKeyMissingResolutionError(fmt.Sprintf("flag %q: %v", key, err)))
	}
	typed, ok := as(value)
	if !ok {
		return failed(of.NewTypeMismatchResolutionError(fmt.Sprintf("flag %q is %s", key, kindOf(value))))
	}
	return typed, of.ProviderResolutionDetail{Reason: reason, Variant: variant}
}

// BooleanEvaluation implements OpenFeature's FeatureProvider.
func (p *Provider) BooleanEvaluation(_ context.Context, key string, normal bool, attributes of.FlattenedContext) of.BoolResolutionDetail {
	v, d := resolve(p, key, normal, attributes, func(v any) (bool, bool) { b, ok := v.(bool); return b, ok })
	return of.BoolResolutionDetail{Value: v, ProviderResolutionDetail: d}
}

// StringEvaluation implements OpenFeature's FeatureProvider.
func (p *Provider) StringEvaluation(_ context.Context, key string, normal string, attributes of.FlattenedContext) of.StringResolutionDetail {
	v, d := resolve(p, key, normal, attributes, func(v any) (string, bool) { s, ok := v.(string); return s, ok })
	return of.StringResolutionDetail{Value: v, ProviderResolutionDetail: d}
}

// FloatEvaluation implements OpenFeature's FeatureProvider.
func (p *Provider) FloatEvaluation(_ context.Context, key string, normal float64, attributes of.FlattenedContext) of.FloatResolutionDetail {
	v, d := resolve(p, key, normal, attributes, number)
	return of.FloatResolutionDetail{Value: v, ProviderResolutionDetail: d}
}

// IntEvaluation implements OpenFeature's FeatureProvider. A number that is not
// whole is TYPE_MISMATCH.
func (p *Provider) IntEvaluation(_ context.Context, key string, normal int64, attributes of.FlattenedContext) of.IntResolutionDetail {
	v, d := resolve(p, key, normal, attributes, whole)
	return of.IntResolutionDetail{Value: v, ProviderResolutionDetail: d}
}

// ObjectEvaluation implements OpenFeature's FeatureProvider. Its value is that of
// any flag, with numbers as float64; the caller may change it.
func (p *Provider) ObjectEvaluation(_ context.Context, key string, normal any, attributes of.FlattenedContext) of.InterfaceResolutionDetail {
	v, d := resolve(p, key, normal, attributes, func(v any) (any, bool) { return plain(v), true })
	return of.InterfaceResolutionDetail{Value: v, ProviderResolutionDetail: d}
}
