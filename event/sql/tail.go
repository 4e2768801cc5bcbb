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
	shrunk  int           // how often last became less
	most    int64         // the newest number that there ever was
	at      int64         // when it was, by the database's clock
	wake    chan struct{} // closed when last changes; nil while nobody waits
	waiting int
	asking  bool
	stop    context.CancelFunc
	ended   chan struct{}
}

const (
	askFirst = 5 * time.Millisecond
	askLast  = 250 * time.Millisecond
)

// wait returns when there is something after n, or the stream has lost its end.
func (t *tail) wait(ctx context.Context, n int64) error {
	t.mu.Lock()
	t.waiting++
	shrunk := t.shrunk
	defer func() {
		t.mu.Lock()
		t.waiting--
		if t.waiting == 0 && t.asking {
			t.stop()
		}
		t.mu.Unlock()
	}()
	for t.last <= n && t.shrunk == shrunk {
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

// advance says that a number was given.
func (t *tail) advance(last int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last > t.last {
		t.set(last)
	}
}

// set is called with t.mu held.
func (t *tail) set(last int64) {
	t.last = last
	if t.wake != nil {
		close(t.wake)
		t.wake = nil
	}
}

// seen is when the newest number that there ever was was the newest: what is stored
// under a lower one after that is new.
func (t *tail) seen() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at
}

// newest is the newest number that is known.
func (t *tail) newest() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// saw says that the newest number was last now, after newest returned before. It is less
// when the database was restored.
func (t *tail) saw(before, last, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last >= t.most {
		t.most, t.at = last, now
	}
	switch {
	case last > t.last:
		t.set(last)
	case last < before:
		t.shrunk++
		t.set(last)
	}
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
			before := t.newest()
			_, _, err := t.d.ends(call)
			done()
			if err == nil && t.newest() != before {
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
