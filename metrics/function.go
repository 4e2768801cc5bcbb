package metrics

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long an export or a scrape waits for a function.
const patience = time.Second

// function calls a function of the user's, which may panic or hang. A call is
// shared by all who want the value at the same time; one that hangs is waited
// for once, and the gauge has no value until it returns.
type function struct {
	call   func() float64
	failed func(why string)

	mu   sync.Mutex
	now  *call // in progress, if any
	told atomic.Bool
}

type call struct {
	done  chan struct{}
	value float64 // NaN if the function panicked
	late  bool    // somebody waited in vain; guarded by mu
}

func (f *function) value() (v float64, ok bool) {
	f.mu.Lock()
	c := f.now
	if c == nil {
		c = &call{done: make(chan struct{}), value: math.NaN()}
		f.now = c
		go f.run(c)
	}
	late := c.late
	f.mu.Unlock()
	if late {
		return 0, false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.value, true
	case <-timer.C:
	}
	f.mu.Lock()
	c.late = true
	f.mu.Unlock()
	f.tell(fmt.Sprintf("it did not return within %v", patience))
	return 0, false
}

func (f *function) run(c *call) {
	returned := false
	defer func() {
		if p := recover(); p != nil {
			f.tell(fmt.Sprintf("it panicked: %v", p))
		} else if !returned {
			f.tell("it ended its goroutine")
		}
		f.mu.Lock()
		f.now = nil
		f.mu.Unlock()
		close(c.done)
	}()
	c.value = f.call()
	returned = true
}

// onCollect makes f one that a snapshot begins with.
func (r *registry) onCollect(f func()) (unregister func()) {
	fn := &function{call: func() float64 { f(); return 0 }, failed: func(why string) {
		r.invalid.Add(1)
		r.logger.Error("metrics: a function of OnCollect failed, what it measures may be old", "why", why)
	}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.callbacks = append(r.callbacks, fn)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.callbacks = slices.DeleteFunc(r.callbacks, func(one *function) bool { return one == fn })
	}
}

// collect calls the functions of OnCollect, all at once.
func (r *registry) collect() {
	r.mu.Lock()
	all := slices.Clone(r.callbacks)
	r.mu.Unlock()
	var wg sync.WaitGroup
	for _, fn := range all {
		wg.Go(func() { fn.value() })
	}
	wg.Wait()
}

// tell reports the first failure of a function.
func (f *function) tell(why string) {
	if f.told.CompareAndSwap(false, true) {
		f.failed(why)
	}
}
