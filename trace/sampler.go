package trace

import (
	"encoding/binary"
	"math"
	"path"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// A Sampler decides at its start whether a span is recorded and sent. It is
// asked for every span, must be fast and safe for concurrent use. A debug
// context (B3) is always sampled, without asking.
type Sampler interface {
	Sample(p Params) bool
}

// SamplerFunc is a function that is a Sampler.
type SamplerFunc func(p Params) bool

// Sample calls f.
func (f SamplerFunc) Sample(p Params) bool { return f(p) }

// Params is what a Sampler knows of the span that is about to start.
type Params struct {
	TraceID TraceID
	Name    string
	Kind    Kind
	Links   []Link
	Parent  SpanContext // the zero value on a root
	// Decided reports whether Parent, or a caller that sent a decision
	// without ids, has decided; Parent.Sampled() is that decision.
	Decided bool
}

// Always samples every span.
func Always() Sampler { return SamplerFunc(func(Params) bool { return true }) }

// Never samples none.
func Never() Sampler { return SamplerFunc(func(Params) bool { return false }) }

// Ratio samples the share p of all traces, from 0 to 1, by the 56 bits of the
// trace id that are random, so that every service with the same p decides
// alike, and one with a larger p samples at least what one with a smaller does.
// A p outside is taken as the nearer end.
func Ratio(p float64) Sampler {
	const span = 1 << 56
	switch {
	case p >= 1:
		return Always()
	case !(p > 0): // NaN too
		return Never()
	}
	threshold := uint64(math.Round((1 - p) * span))
	return SamplerFunc(func(q Params) bool {
		return binary.BigEndian.Uint64(q.TraceID[8:])&(span-1) >= threshold
	})
}

// RateLimit samples at most perSecond spans a second, with a burst of as many
// (at least one).
func RateLimit(perSecond float64) Sampler {
	if !(perSecond > 0) {
		return Never()
	}
	b := &bucket{rate: perSecond, burst: max(1, perSecond)}
	b.tokens = b.burst
	return SamplerFunc(func(Params) bool { return b.take(time.Now()) })
}

// bucket is a token bucket.
type bucket struct {
	mu          sync.Mutex
	rate, burst float64
	tokens      float64
	last        time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.last.IsZero() {
		b.tokens = min(b.burst, b.tokens+b.rate*max(0, now.Sub(b.last).Seconds()))
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// ParentOr does what the parent decided, and asks root where there is no
// decision to follow.
func ParentOr(root Sampler) Sampler { return parentOr{root} }

type parentOr struct{ root Sampler }

func (s parentOr) Sample(p Params) bool {
	if p.Decided {
		return p.Parent.Sampled()
	}
	return s.root.Sample(p)
}

// checkSampler finds what can't be in a sampler.
func checkSampler(s Sampler) error {
	if fronts.Nil(s) {
		return fault.Markf(ErrInvalid, "nil Sampler")
	}
	switch s := s.(type) {
	case parentOr:
		return checkSampler(s.root)
	case *byName:
		for _, r := range s.rules {
			if _, err := path.Match(r.Name, ""); err != nil {
				return fault.Markf(ErrInvalid, "pattern %q: %w", r.Name, err)
			}
			if err := checkSampler(r.Sampler); err != nil {
				return err
			}
		}
		return checkSampler(s.otherwise)
	}
	return nil
}

// A Rule gives the spans whose name matches Name, a pattern as in path.Match, a
// sampler.
type Rule struct {
	Name    string
	Sampler Sampler
}

// ByName asks the first rule that matches, else otherwise. New returns an error
// for a malformed pattern.
func ByName(otherwise Sampler, rules ...Rule) Sampler {
	return &byName{otherwise: otherwise, rules: rules}
}

type byName struct {
	otherwise Sampler
	rules     []Rule
}

func (b *byName) Sample(p Params) bool {
	for _, r := range b.rules {
		if ok, _ := path.Match(r.Name, p.Name); ok {
			return r.Sampler.Sample(p)
		}
	}
	return b.otherwise.Sample(p)
}
