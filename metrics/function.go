package metrics

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long an export or a scrape waits for a GaugeFunc.
const patience = time.Second

// function calls a GaugeFunc of the user's, which may panic or hang. A call is
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
	defer func() {
		if p := recover(); p != nil {
			f.tell(fmt.Sprintf("it panicked: %v", p))
		}
		f.mu.Lock()
		f.now = nil
		f.mu.Unlock()
		close(c.done)
	}()
	c.value = f.call()
}

// tell reports the first failure of a function.
func (f *function) tell(why string) {
	if f.told.CompareAndSwap(false, true) {
		f.failed(why)
	}
}
