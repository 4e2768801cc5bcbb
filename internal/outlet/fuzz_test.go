package outlet_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/outlet"
)

// Whatever programs push and receivers do, every item is in one count, the queue
// is bounded, what is sent is sent once and in order, Close is bounded, and no
// goroutine is left (synctest would say so).
func FuzzEveryItemIsCounted(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, uint8(seed*7), uint8(seed*13))
	}
	f.Fuzz(func(t *testing.T, seed uint64, shape, trouble uint8) {
		synctest.Test(t, func(t *testing.T) { play(t, rand.New(rand.NewPCG(seed, 0)), shape, trouble) })
	})
}

// erratic answers in every way that a receiver can.
func erratic(rnd *rand.Rand, trouble uint8, hung chan struct{}, deaf *atomic.Bool) func(context.Context, []item) outlet.Result {
	return func(ctx context.Context, b []item) outlet.Result {
		n := len(b)
		if uint8(rnd.Uint32()) >= trouble {
			return outlet.Result{Sent: n}
		}
		switch rnd.IntN(9) {
		case 0:
			return outlet.Result{Err: errors.New("refused")}
		case 1:
			return outlet.Result{Sent: rnd.IntN(n + 1), Err: later{errors.New("busy"), time.Duration(rnd.IntN(30)) * time.Second}}
		case 2:
			return outlet.Result{Sent: rnd.IntN(n + 1), Failed: 1, Why: errors.New("bad")}
		case 3:
			return outlet.Result{Sent: rnd.IntN(n + 2), Refused: rnd.IntN(n + 2), Failed: rnd.IntN(n + 2), Why: errors.New("odd")}
		case 4:
			return outlet.Result{}
		case 5:
			time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
			return outlet.Result{Sent: n, Err: errors.New("an error beside success")}
		case 6:
			<-ctx.Done()
			return outlet.Result{Err: ctx.Err()}
		case 7:
			if rnd.IntN(20) == 0 {
				deaf.Store(true)
				<-hung
			}
		}
		return outlet.Result{Refused: n, Why: errors.New("not this tenant")}
	}
}

func play(t *testing.T, rnd *rand.Rand, shape, trouble uint8) {
	hung := make(chan struct{})
	var deaf atomic.Bool
	r := &receiver{do: erratic(rand.New(rand.NewPCG(rnd.Uint64(), 1)), trouble, hung, &deaf)}
	var notes atomic.Uint64 // of 5 bytes each
	var l *list
	o, g := open(r, func(c *outlet.Config[int, []item]) {
		c.Items, c.Bytes = []int{0, 1, 7, 100}[shape&3], []int{0, 50, 500, 5000}[shape>>2&3]
		c.BatchItems, c.BatchBytes = []int{0, 1, 10, 30}[shape>>4&3], []int{0, 64}[shape>>6&1]
		l = &list{most: max(c.BatchItems, 1)}
		c.Store = l
		if shape>>7 == 1 {
			c.RetryFor = 20 * time.Second
			c.Note = func(outlet.Count) ([]item, int) {
				notes.Add(1)
				return []item{{id: -1, bytes: 5}}, 5
			}
		}
	})
	var mu sync.Mutex
	var pushed outlet.Count
	id := 0
	var all sync.WaitGroup
	for range rnd.IntN(60) {
		switch rnd.IntN(5) {
		case 0:
			time.Sleep(time.Duration(rnd.IntN(5000)) * time.Millisecond)
		case 1:
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(5000))*time.Millisecond)
			all.Go(func() { defer cancel(); _ = g.Flush(ctx) })
		default:
			urgent := rnd.IntN(10) == 0
			n, bytes := rnd.IntN(30), 1+rnd.IntN(100)
			mu.Lock()
			for range n { // one at a time, so that the order is known
				o.Push(id, bytes, urgent)
				id++
				pushed.Items++
				pushed.Bytes += uint64(bytes)
			}
			mu.Unlock()
		}
		if rnd.IntN(4) == 0 {
			synctest.Wait()
			s := o.Stats()
			balanced(t, s, outlet.Count{Items: pushed.Items + notes.Load(), Bytes: pushed.Bytes + 5*notes.Load()})
			if o.Items > 0 && s.Queued.Items > uint64(o.Items)+1 || o.Bytes > 0 && s.Queued.Bytes > uint64(o.Bytes)+5 { // a note is above the bounds
				t.Fatalf("the bounds are %d and %d: %+v", o.Items, o.Bytes, s)
			}
		}
	}
	began, bound := time.Now(), time.Duration(rnd.IntN(20000))*time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	err := g.Close(ctx)
	if took := time.Since(began); took > bound+time.Second {
		t.Fatalf("Close took %v of %v", took, bound)
	}
	all.Wait()
	close(hung)
	synctest.Wait()
	s := o.Stats()
	balanced(t, s, outlet.Count{Items: pushed.Items + notes.Load(), Bytes: pushed.Bytes + 5*notes.Load()})
	if s.Queued != (outlet.Count{}) || r.closes() != 1 {
		t.Fatalf("after Close: closed %d times, %+v", r.closes(), s)
	}
	stalled := errors.Is(err, fault.Timeout)
	if !stalled && (l.taken != 0 || len(l.wait) > 0 || s.Sent.Items != uint64(len(r.got))) {
		t.Fatalf("the receiver has %d, %d batches are not done, %d wait: %+v", len(r.got), l.taken, len(l.wait), s)
	}
	if stalled && !deaf.Load() {
		t.Fatalf("Close: %v", err)
	}
	ids := slices.DeleteFunc(r.ids(), func(id int) bool { return id < 0 })
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Fatalf("sent out of order, or twice: %v", ids)
	}
}
