package outlet

import (
	"cmp"
	"errors"

	"github.com/micro/go-platform/internal/fault"
)

// Count is a number of items, and their bytes.
type Count struct{ Items, Bytes uint64 }

func (c *Count) add(items, bytes int) { c.Items += uint64(items); c.Bytes += uint64(bytes) }
func (c *Count) plus(d Count)         { c.Items += d.Items; c.Bytes += d.Bytes }
func (c *Count) sub(d Count)          { c.Items -= d.Items; c.Bytes -= d.Bytes }

// Stats counts what became of items.
type Stats struct {
	Accepted Count // into the queue, ever
	Queued   Count // wait or are being sent, now
	Sent     Count

	Bad     Count // dropped: could not be pushed
	Full    Count // dropped: found the queue full
	Closed  Count // dropped: came after Close
	Refused Count // by the receiver
	Failed  Count // given up after an error
	Unsent  Count // Close had no more time for them

	Batches   uint64 // attempts that sent something
	Errors    uint64
	Retries   uint64
	LastError string // the last reason of a loss or a retry
}

// Lost is what did not reach the receiver.
func (s *Stats) Lost() Count {
	var n Count
	for _, c := range [...]Count{s.Bad, s.Full, s.Closed, s.Refused, s.Failed, s.Unsent} {
		n.plus(c)
	}
	return n
}

// Stats returns the counts.
func (o *Outlet[T, B]) Stats() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stats
	s.Queued = o.queued
	return s
}

// outcome is what an attempt came to.
type outcome struct {
	sent, refused, failed, unsent Count
	why, err                      error // of what is lost; of what is sent again
}

func (c *outcome) all() (n Count) {
	for _, x := range [...]Count{c.sent, c.refused, c.failed, c.unsent} {
		n.plus(x)
	}
	return n
}

// settle counts what an attempt came to, wakes who waited for it, and tells of
// trouble.
func (o *Outlet[T, B]) settle(c outcome) {
	o.mu.Lock()
	if o.abandoned { // it is all counted already
		o.mu.Unlock()
		return
	}
	o.count(c)
	o.queued.sub(c.all())
	o.wakeWaiters()
	told, ok := o.trouble(c)
	o.mu.Unlock()
	if ok {
		o.tell(told)
	}
}

// tell calls a function of the user's; sending goes on after its panic.
func (o *Outlet[T, B]) tell(t Trouble) {
	_ = fault.Guard(func() error { o.Tell(t); return nil })
}

// count adds to the stats. o.mu is held.
func (o *Outlet[T, B]) count(c outcome) {
	s := &o.stats
	s.Sent.plus(c.sent)
	s.Refused.plus(c.refused)
	s.Failed.plus(c.failed)
	s.Unsent.plus(c.unsent)
	o.progress.Add(c.sent.Items)
	if c.sent.Items > 0 {
		s.Batches++
	}
	for _, err := range [...]error{c.why, c.err} {
		if err == nil {
			continue
		}
		s.Errors++
		if o.ctx.Err() == nil || s.LastError == "" { // once Close gives up, errors say only that
			s.LastError = err.Error()
		}
	}
	if c.err != nil && o.ctx.Err() == nil {
		s.Retries++
	}
	if c.unsent.Items > 0 {
		s.LastError = cmp.Or(s.LastError, "no time was left")
	}
}

// wakeWaiters closes the channels of those whose items are sent or lost. o.mu is held.
func (o *Outlet[T, B]) wakeWaiters() {
	left := o.waiters[:0]
	for _, w := range o.waiters {
		if o.done() >= w.until {
			close(w.done)
		} else {
			left = append(left, w)
		}
	}
	o.waiters = left
}

// abandon counts as lost what a Send holds that does not return. It reports false
// if it did, after all.
func (o *Outlet[T, B]) abandon() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.stopped:
		return false
	default:
	}
	o.abandoned = true
	o.stats.Unsent.plus(o.queued)
	o.stats.LastError = cmp.Or(o.stats.LastError, "stalled")
	o.queued = Count{}
	o.wakeWaiters()
	return true
}

// Try calls f; a panic in it, or in what its error says, is an error that is
// fault.Invalid.
func Try(f func() (int, error)) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, fault.Mark(fault.Invalid, fault.Panicked(p))
		}
	}()
	n, err = f()
	if err != nil {
		_ = err.Error()
	}
	return n, err
}

var errFull = errors.New("the queue is full")
