package outlet

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// run sends until stop, and then what is left.
func (o *Outlet[T, B]) run() {
	defer o.end()
	timer := time.NewTimer(o.Age)
	defer timer.Stop()
	armed := false // the timer runs for what waits
	for {
		o.mu.Lock()
		waits, closing := o.waiting.Items > 0, o.closing
		now := closing || o.done() < o.urgent || o.whole()
		o.mu.Unlock()
		switch {
		case !waits:
			armed = false
			if closing {
				o.note() // what was lost last has no item behind it
				return
			}
			<-o.wake
		case now:
			armed = false
			o.note()
			o.next()
		default:
			if !armed {
				timer.Reset(o.Age)
				armed = true
			}
			select {
			case <-timer.C:
				o.due()
			case <-o.wake:
			}
		}
	}
}

// due makes all that waits urgent.
func (o *Outlet[T, B]) due() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.urgent = o.stats.Accepted.Items
}

// next sends the oldest batch.
func (o *Outlet[T, B]) next() {
	o.mu.Lock()
	b, n := o.Store.Take()
	o.waiting.sub(n)
	o.mu.Unlock()
	o.send(b, n)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Store.Done(b)
}

// note tells the receiver what was lost since the last note.
func (o *Outlet[T, B]) note() {
	if o.Note == nil || o.ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	lost := o.stats.Lost()
	since := lost
	since.sub(o.noted)
	o.noted = lost
	o.mu.Unlock()
	if since.Items == 0 {
		return
	}
	b, bytes := o.Note(since)
	if bytes == 0 {
		return
	}
	n := Count{1, uint64(bytes)}
	o.mu.Lock()
	o.stats.Accepted.plus(n) // it is an item like another, but ahead of those that somebody waits for
	o.queued.plus(n)
	o.urgent++
	for i := range o.waiters {
		o.waiters[i].until++
	}
	o.mu.Unlock()
	o.send(b, n)
}

// errNothing is the error of a Send that has none for what it left.
var errNothing = errors.New("the driver left items without an error")

// send brings a batch out, as often as it takes.
func (o *Outlet[T, B]) send(b B, left Count) {
	var failing time.Time // since when
	for left.Items > 0 {
		if o.ctx.Err() != nil {
			o.settle(outcome{unsent: left})
			return
		}
		r := o.attempt(b, left)
		var out outcome
		out.sent, out.refused, b = o.cut(b, r.Sent, r.Refused)
		out.failed, _, b = o.cut(b, r.Failed, 0)
		out.why, out.err = r.Why, r.Err
		left.sub(out.all())
		if r.Sent+r.Refused+r.Failed > 0 {
			o.failures, failing = 0, time.Time{}
		} else if r.Err == nil {
			out.err = errNothing
		}
		if left.Items == 0 {
			out.err = nil
		}
		if out.err != nil && failing.IsZero() {
			failing = time.Now()
		}
		if out.err != nil && o.RetryFor > 0 && time.Since(failing) >= o.RetryFor {
			out.failed.plus(left)
			out.why, out.err, left = out.err, nil, Count{}
			o.settle(out)
			o.pause(r.Err)
			return
		}
		o.settle(out)
		if out.err != nil {
			o.pause(out.err)
		}
	}
}

// attempt calls Send, whose counts are held within what there is.
func (o *Outlet[T, B]) attempt(b B, left Count) Result {
	select {
	case <-o.hurry: // who is in a hurry has this attempt
	default:
	}
	ctx, cancel := context.WithTimeout(o.ctx, o.Timeout)
	defer cancel()
	r := o.Send(ctx, b)
	n := int(left.Items)
	r.Sent = min(max(r.Sent, 0), n)
	r.Refused = min(max(r.Refused, 0), n-r.Sent)
	r.Failed = min(max(r.Failed, 0), n-r.Sent-r.Refused)
	return r
}

// cut takes the first x+y items off b. Which of them are the y is not known, so
// that the bytes are shared.
func (o *Outlet[T, B]) cut(b B, x, y int) (first, second Count, rest B) {
	if x+y == 0 {
		return Count{}, Count{}, b
	}
	rest, bytes := o.Store.Rest(b, x+y)
	share := bytes * y / (x + y)
	return Count{uint64(x), uint64(bytes - share)}, Count{uint64(y), uint64(share)}, rest
}

// pause waits before the attempt that follows err. Who is in a hurry cuts it
// short, unless the receiver has asked for it.
func (o *Outlet[T, B]) pause(err error) {
	d, asked := o.Retry.Wait(o.failures), RetryAfter(err)
	o.failures++
	if o.RetryFor > 0 {
		asked = min(asked, o.RetryFor)
	}
	hurry := o.hurry
	if asked > 0 {
		hurry = nil
	}
	timer := time.NewTimer(max(d, asked))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
	case <-o.ctx.Done():
	}
}

// RetryAfter returns how long the receiver asked to wait, by a method
// RetryAfter of err, or 0.
func RetryAfter(err error) time.Duration {
	var r interface{ RetryAfter() time.Duration }
	if errors.As(err, &r) {
		return r.RetryAfter()
	}
	return 0
}

// end is the end of run.
func (o *Outlet[T, B]) end() {
	o.mu.Lock()
	abandoned := o.abandoned
	close(o.stopped)
	o.mu.Unlock()
	if abandoned { // nobody waits for it any more
		_ = fault.Guard(o.Close)
	}
}
