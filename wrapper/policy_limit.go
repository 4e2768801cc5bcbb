package wrapper

import (
	"context"
	"errors"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
)

// Limit bounds calls by their number, their rate, or both. A call beyond it
// fails with router.ErrLimited: one that came in is answered 429.
type Limit struct {
	// Concurrency is how many may be in progress; 0 is any number.
	Concurrency int `json:"concurrency,omitempty"`
	// PerSecond is how many may begin each second; 0 is any number.
	PerSecond float64 `json:"per_second,omitempty"`
	// Burst is how many may begin at once after a pause; 0 means PerSecond, and
	// at least 1.
	Burst int `json:"burst,omitempty"`
	// Wait makes calls wait for their turn instead of failing: until their deadline,
	// and those that go out without one for 30 s. At most a thousand wait for a
	// place in Concurrency.
	Wait bool `json:"wait,omitempty"`
	// Name is the limit's name in the RateLimit header fields; "" means "default".
	Name string `json:"name,omitempty"`
}

func (l Limit) validate() error {
	if l.Concurrency < 0 || !(l.PerSecond >= 0) || l.Burst < 0 || l.Concurrency == 0 && l.PerSecond == 0 {
		return errors.New("limit without a number above 0")
	}
	return nil
}

// maxWaiting is how many calls wait for the places of one limit.
const maxWaiting = 1000

func (l Limit) limiter() (limits.Limiter, error) {
	var all pair
	if l.PerSecond > 0 {
		rate, err := l.rate()
		if err != nil {
			return nil, err
		}
		all = append(all, rate)
	}
	if l.Concurrency > 0 {
		places, err := l.places()
		if err != nil {
			return nil, err
		}
		all = append(all, places)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	if !l.Wait { // what finds no place must not cost a token
		all[0], all[1] = all[1], all[0]
	}
	return all, nil
}

// places limits how many calls are in progress.
func (l Limit) places() (limits.Limiter, error) {
	if l.Wait {
		return limits.Queue(l.Concurrency, maxWaiting)
	}
	return limits.Concurrency(l.Concurrency)
}

// rate limits how many calls begin.
func (l Limit) rate() (limits.Limiter, error) {
	burst := l.Burst
	if burst == 0 {
		burst = max(int(l.PerSecond), 1)
	}
	rate, err := limits.TokenBucket(l.PerSecond, burst)
	if err == nil && l.Name != "" {
		rate, err = limits.Named(l.Name, rate)
	}
	if err == nil && l.Wait {
		rate, err = limits.Waiting(rate)
	}
	return rate, err
}

// pair asks several limiters.
type pair []limits.Limiter

type permits []limits.Permit

func (l pair) Acquire(ctx context.Context) (limits.Permit, error) {
	var got permits
	for _, one := range l {
		p, err := one.Acquire(ctx)
		if err != nil {
			got.Release(router.Outcome{Class: router.Cancelled})
			return nil, err
		}
		got = append(got, p)
	}
	return got, nil
}

// State is that of the rate.
func (l pair) State(ctx context.Context) limits.State {
	for _, one := range l {
		if s := limits.StateOf(ctx, one); s.Window > 0 {
			return s
		}
	}
	return limits.State{}
}

func (p permits) Release(o router.Outcome) {
	for _, one := range p {
		one.Release(o)
	}
}
