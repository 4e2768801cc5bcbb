package sql

import (
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
)

// tail tells who waits that there is more. While somebody waits, one goroutine
// asks the database, ever less often until something happens.
type tail struct {
	d *driver

	mu      sync.Mutex
	last    int64
	wake    chan struct{} // closed when last grows; nil while nobody waits
	waiting int
	asking  bool
	stop    context.CancelFunc
	ended   chan struct{}
}

const (
	askFirst = 5 * time.Millisecond
	askLast  = 250 * time.Millisecond
)

// wait returns when there is something after n.
func (t *tail) wait(ctx context.Context, n int64) error {
	t.mu.Lock()
	t.waiting++
	defer func() {
		t.mu.Lock()
		t.waiting--
		if t.waiting == 0 && t.asking {
			t.stop()
		}
		t.mu.Unlock()
	}()
	for t.last <= n {
		if t.wake == nil {
			t.wake = make(chan struct{})
		}
		if !t.asking {
			t.ask()
		}
		wake, ended := t.wake, t.ended
		t.mu.Unlock()
		select {
		case <-wake:
		case <-ended: // stopped for want of others, as this one came
		case <-ctx.Done():
			return ctx.Err()
		}
		t.mu.Lock()
	}
	t.mu.Unlock()
	return nil
}

// advance says what the newest number is, and reports whether it is new.
func (t *tail) advance(last int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last <= t.last {
		return false
	}
	t.last = last
	if t.wake != nil {
		close(t.wake)
		t.wake = nil
	}
	return true
}

// ask starts the goroutine. t.mu is held.
func (t *tail) ask() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.asking, t.stop, t.ended = true, cancel, ended
	go func() {
		defer close(ended)
		defer func() {
			t.mu.Lock()
			t.asking = false
			t.mu.Unlock()
		}()
		for pause := askFirst; backoff.Sleep(ctx, pause) == nil; {
			call, done := context.WithTimeout(ctx, writeTimeout)
			last, _, err := t.d.ends(call)
			done()
			if err == nil && t.advance(last) {
				pause = askFirst
			} else {
				pause = min(2*pause, askLast)
			}
		}
	}()
}

// close waits for the goroutine. Nobody waits any more.
func (t *tail) close() {
	t.mu.Lock()
	ended := t.ended
	if t.asking {
		t.stop()
	}
	t.mu.Unlock()
	if ended != nil {
		<-ended
	}
}
