package router

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// BreakerPolicy says when a Breaker opens and how it closes again. The zero
// value of a field means its default.
type BreakerPolicy struct {
	Consecutive int           // failures in a row that open it; default 5
	Share       float64       // share of failures, of Least outcomes or more in 10 s, that opens it; default 0.5
	Least       int           // default 20
	Hang        time.Duration // a call that takes longer, up to twice as long, counts as failed before it ends; default 0: never

	Open    time.Duration // how long it stays open, ± 20 %; twice as long each time that trials fail; default 2 s
	Longest time.Duration // what Open grows to; default 1 min

	// Trials is how many calls in a row must go well before it closes, and
	// how many may be on trial at the same time. The default is 3, the most 8.
	Trials int
	// Lease is how long a trial may take. One that has not reported by then
	// has failed, so that it can't keep the breaker half-open; default 10 s.
	Lease time.Duration
	// Ramp is how long the share of calls that get through grows after it has
	// closed, from a tenth to all; default 5 s.
	Ramp time.Duration
}

const mostTrials = 8

func (p BreakerPolicy) checked() (BreakerPolicy, error) {
	if p.Consecutive < 0 || !(p.Share >= 0 && p.Share <= 1) || p.Least < 0 || p.Hang < 0 || p.Open < 0 || p.Longest < 0 ||
		p.Trials < 0 || p.Trials > mostTrials || p.Lease < 0 || p.Ramp < 0 {
		return p, fmt.Errorf("breaker policy out of range: %+v", p)
	}
	def(&p.Consecutive, 5)
	def(&p.Share, 0.5)
	def(&p.Least, 20)
	def(&p.Open, 2*time.Second)
	def(&p.Longest, max(time.Minute, p.Open))
	def(&p.Trials, 3)
	def(&p.Lease, 10*time.Second)
	def(&p.Ramp, 5*time.Second)
	return p, nil
}

// NewBreaker returns a closed Breaker, for calls that no Router picks the
// instance of. Those of a Router are made by WithBreakers.
func NewBreaker(p BreakerPolicy) (*Breaker, error) {
	p, err := p.checked()
	if err != nil {
		return nil, fault.Wrap("router", "new breaker", "", fault.Mark(ErrInvalid, err))
	}
	start := time.Now()
	b := &Breaker{}
	b.init(&p, func() time.Duration { return time.Since(start) }, rand.Uint64)
	return b, nil
}

// Allow lets a call through, or returns an *OpenError. The Trial must be Done
// exactly once. Allow and Done do not allocate, nor wait.
func (b *Breaker) Allow() (Trial, error) {
	w := b.word.Load()
	if state(w) == Closed && b.p.Hang == 0 {
		return Trial{b: b, word: w}, nil
	}
	t, ok := b.allow(b.now())
	if !ok {
		return Trial{}, b.refusal()
	}
	return t, nil
}

// State says whether it lets calls through.
func (b *Breaker) State() State { return b.stateAt(b.now()) }

// Trial is a call that a Breaker let through. The zero Trial is of no breaker.
type Trial struct {
	b    *Breaker
	word uint32 // the breaker's when the call began
	slot int8   // its lease + 1, if it is a trial in the narrow sense
	turn uint32 // in which it began, see Breaker.hung
}

// Done says how the call went. A call that was Cancelled says nothing, and a
// trial that was makes room for another one.
func (t Trial) Done(c Class) {
	if t.b != nil {
		t.b.done(t, c)
	}
}

// State is that of a Breaker.
type State uint8

// The states of a Breaker.
const (
	Closed   State = iota // every call gets through
	Open                  // none does
	HalfOpen              // some do, on trial
	Ramping               // a share does, which grows
	states
)

// String returns "closed", "open", "half-open" or "ramping".
func (s State) String() string {
	if s > Ramping {
		return "invalid"
	}
	return [...]string{"closed", "open", "half-open", "ramping"}[s]
}

// MarshalText writes the state as String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(text []byte) error {
	for v := range Ramping + 1 {
		if v.String() == string(text) {
			*s = v
			return nil
		}
	}
	return fault.Markf(ErrInvalid, "breaker state %q", text)
}

// OpenError is an ErrOpen that says when a call may be tried.
type OpenError struct {
	Service string        // "" if the breaker is by itself
	After   time.Duration // about; 0: not known
}

func (e *OpenError) Error() string {
	s := "router: "
	if e.Service != "" {
		s += fmt.Sprintf("every instance of %q: ", e.Service)
	}
	s += ErrOpen.Error()
	if e.After > 0 {
		s += fmt.Sprintf(", again in %v", e.After.Round(time.Millisecond))
	}
	return s
}

// Unwrap makes an OpenError an ErrOpen, which is an ErrUnavailable.
func (e *OpenError) Unwrap() error { return ErrOpen }

// RetryAfter is After, for those who answer callers.
func (e *OpenError) RetryAfter() time.Duration { return e.After }
