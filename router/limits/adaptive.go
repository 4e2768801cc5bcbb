package limits

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/router"
)

// Gradient limits concurrency to what keeps latency near its best: the limit
// shrinks by the ratio of the usual latency to the current one, and grows by
// the square root of itself (after Netflix's concurrency-limits, Gradient2). It
// begins at least, and stays between least and most.
func Gradient(least, most int) (Limiter, error) {
	if least < 1 || most < least {
		return nil, fault.New(router.ErrInvalid, "router", "gradient limit", "", "from %d to %d, want 1 or more and no less", least, most)
	}
	return &gradient{least: float64(least), most: float64(most), limit: max(float64(least), min(20, float64(most)))}, nil
}

type gradient struct {
	least, most float64

	mu    sync.Mutex
	limit float64
	busy  int
	usual float64 // latency, nanoseconds
	sum   float64 // of the latencies of a batch
	batch int
	full  bool // the limit was reached during the batch
}

func (g *gradient) Acquire(context.Context) (Permit, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if float64(g.busy) >= g.limit-1 {
		g.full = true
	}
	if float64(g.busy) >= g.limit {
		return nil, &Error{Limiter: "gradient limit", State: State{Limit: int64(g.limit)}}
	}
	g.busy++
	return g, nil
}

// gradientTolerance is how far above the usual the latency may be before the
// limit shrinks.
const gradientTolerance = 1.5

// Release learns from the call.
func (g *gradient) Release(o router.Outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	switch {
	case o.Class == router.Cancelled || o.Class == router.ClientError:
		return
	case o.Class == router.Overload || o.Class == router.Timeout: // it said so itself
		g.limit = max(g.least, g.limit*0.9)
		return
	case o.Latency <= 0 || o.Class.Failed():
		return
	}
	g.sum += float64(o.Latency)
	g.batch++
	if float64(g.batch) >= g.limit {
		g.adjust(g.sum / float64(g.batch))
		g.sum, g.batch, g.full = 0, 0, false
	}
}

// adjust moves the limit by the latency of a batch of calls.
func (g *gradient) adjust(latency float64) {
	switch {
	case g.usual == 0:
		g.usual = latency
	case latency < g.usual:
		g.usual += 0.1 * (latency - g.usual)
	case !g.full || g.limit <= g.least:
		// What is slow at the limit may be slow because of it: only a latency
		// that the limit did not make is taken for the usual one.
		g.usual += 0.02 * (latency - g.usual)
	}
	if !g.full { // what is not used says nothing about what could be
		return
	}
	ratio := min(max(gradientTolerance*g.usual/latency, 0.5), 1)
	next := g.limit*ratio + math.Sqrt(g.limit)
	g.limit = min(max(g.limit+0.2*(next-g.limit), g.least), g.most)
}

// Throttle refuses calls locally with the chance max(0, (calls − k·accepted) ÷
// (calls + pad)) over the last 10 s, so that a backend in trouble sees few
// calls more than it can take (Site Reliability Engineering, Handling
// Overload). Usual are k 2 and pad 8.
func Throttle(k, pad float64) (Limiter, error) {
	if !(k >= 1) || !(pad >= 0) {
		return nil, fault.New(router.ErrInvalid, "router", "throttle", "", "k %v and pad %v, want k from 1 and pad from 0", k, pad)
	}
	return &throttle{k: k, pad: pad, start: time.Now()}, nil
}

const throttleSlots = 10 // of a second each

type throttle struct {
	k, pad float64
	start  time.Time

	mu              sync.Mutex
	second          int64 // the current one, as of the last call
	calls, accepted float64
	slots           [throttleSlots]struct{ calls, accepted float64 }
}

// turn goes on to a second, and forgets those that are 10 s old. The lock is held.
func (t *throttle) turn(second int64) {
	for range min(second-t.second, throttleSlots) {
		t.second++
		slot := &t.slots[t.second%throttleSlots]
		t.calls, t.accepted = t.calls-slot.calls, t.accepted-slot.accepted
		slot.calls, slot.accepted = 0, 0
	}
	t.second = max(t.second, second)
}

func (t *throttle) Acquire(context.Context) (Permit, error) {
	second := int64(time.Since(t.start) / time.Second)
	t.mu.Lock()
	defer t.mu.Unlock()
	if second > t.second {
		t.turn(second)
	}
	// The chance is of the calls before this one.
	calls := max(t.calls, 0) // a call that was cancelled later than 10 s counts below zero
	chance := (calls - t.k*t.accepted) / (calls + t.pad)
	t.calls++
	t.slots[t.second%throttleSlots].calls++
	if chance > 0 && rand.Float64() < chance {
		return nil, &Error{Limiter: "throttle"}
	}
	return t, nil
}

// Release learns from the call. It counts in the second of the last Acquire,
// and saves a look at the clock.
func (t *throttle) Release(o router.Outcome) {
	if o.Class.Failed() { // also overload: it was not accepted
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := &t.slots[t.second%throttleSlots]
	if o.Class == router.Cancelled { // by the caller: it says nothing of the backend
		t.calls--
		slot.calls--
		return
	}
	t.accepted++
	slot.accepted++
}
