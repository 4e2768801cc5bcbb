package wrapper

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/router"
)

// RetryPolicy says when a client sends again. The zero value is the default.
type RetryPolicy struct {
	// Attempts is how often a call is sent at the most; 0 means 3, 1 never again.
	Attempts int `json:"attempts,omitempty"`
	// Min and Max bound the wait before a retry, with full jitter; 0 means 10 ms and 1 s.
	Min time.Duration `json:"min,omitempty"`
	Max time.Duration `json:"max,omitempty"`
	// Ratio is the share of calls that may be retries, over about 10 s; 0 means 0.2.
	Ratio float64 `json:"ratio,omitempty"`
	// PerSecond is how many retries are allowed each second whatever the ratio; 0 means 3.
	PerSecond float64 `json:"per_second,omitempty"`
	// Buffer is how many bytes of a body without GetBody are kept to be sent
	// again; 0 means 64 KiB.
	Buffer int `json:"buffer,omitempty"`
	// Statuses are answers after which an idempotent call is sent again, beside
	// 502, 503, 504, and 429 that says when to come back: 500, say, where it passes by.
	// They are 500 to 599. The default is none.
	Statuses []int `json:"statuses,omitempty"`
	// Late is the shortest time after which an idempotent call without an answer
	// is sent to a second instance too: when it has also waited three times as
	// long as 99 of 100 answers of that service took. If the call has a
	// deadline, half of what is left may be sooner. It takes from the budget of
	// retries. 0 means 1 s, and below 0 is never.
	Late time.Duration `json:"late,omitempty"`
}

func (p RetryPolicy) validate() error {
	if p.Attempts < 0 || p.Min < 0 || p.Max < 0 || p.Ratio < 0 || p.PerSecond < 0 || p.Buffer < 0 {
		return errors.New("negative number in retry policy")
	}
	if !(p.Ratio <= 1) {
		return errors.New("retry ratio above 1")
	}
	if math.IsNaN(p.PerSecond) {
		return errors.New("no number in retry policy")
	}
	for _, code := range p.Statuses {
		if code < 500 || code > 599 {
			return fmt.Errorf("status %d in retry policy, want 500 to 599", code)
		}
	}
	return nil
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	orDefault(&p.Attempts, 3)
	orDefault(&p.Min, 10*time.Millisecond)
	orDefault(&p.Max, time.Second)
	orDefault(&p.Ratio, 0.2)
	orDefault(&p.PerSecond, 3)
	orDefault(&p.Buffer, 64<<10)
	orDefault(&p.Late, time.Second)
	return p
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// wait is how long to wait before the retry after the nth attempt.
func (p RetryPolicy) wait(n int) time.Duration {
	top := p.Max
	if n < 20 && p.Min<<n < p.Max {
		top = p.Min << n
	}
	return rand.N(top + 1)
}

// result is what an attempt came to, as far as it decides about another one.
type result struct {
	class    router.Class
	status   int
	proto    string        // the version of HTTP
	pushback time.Duration // Retry-After, or the reset of RateLimit
	pushed   bool
	noRetry  bool // the server has spent its own retries
	own      bool // it failed by what the caller gave: its body, or a request that no transport takes
	err      error
}

// again decides whether a call may be sent again after r.
func (r result) again(idempotent bool, p RetryPolicy) bool {
	if r.noRetry || r.own || r.err == errSilent { // the last: the call's time is over
		return false
	}
	switch r.class {
	case router.Unsent:
		return true
	case router.Connect, router.Timeout:
		return idempotent
	case router.Overload:
		return idempotent && (r.status != 429 || r.pushed)
	case router.ServerError:
		return idempotent && (r.status == http.StatusBadGateway || slices.Contains(p.Statuses, r.status))
	}
	return false
}

// budget bounds the share of calls that are sent again, as Finagle's does: each
// call puts in a fraction of a token, each retry takes one out when it is
// scheduled.
type budget struct {
	ratio, perSecond float64
	most             float64 // a burst of retries may follow many calls, but not without end

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func newBudget(ratio, perSecond float64) *budget {
	return &budget{ratio: ratio, perSecond: perSecond, most: 10*max(perSecond, 1) + 100*ratio, tokens: perSecond, last: time.Now()}
}

// deposit is called for each call.
func (b *budget) deposit() {
	b.mu.Lock()
	b.tokens = min(b.tokens+b.ratio, b.most)
	b.mu.Unlock()
}

// take reports whether a retry may be scheduled.
func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = min(b.tokens+b.perSecond*now.Sub(b.last).Seconds(), b.most)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// giveBack returns what was taken for a retry that was not sent.
func (b *budget) giveBack() {
	b.mu.Lock()
	b.tokens = min(b.tokens+1, b.most)
	b.mu.Unlock()
}
