package event

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// BatchHandler is called with several records at once, oldest first, each its
// own copy; options Batch and BatchWait say how many. nil means that all are
// done. A BatchErrors says which failed: those are tried again, the others are
// done. After any other error, a panic or a HandlerTimeout all have failed, and
// each is tried again in a batch of its own, so that one bad record does not take
// others to the dead letters. Attempts are counted for each record by itself.
//
// The context is a Handler's, except that it carries no root and parent: use
// ContextWithCause for what belongs to one record. WithPropagation's extract is
// not called.
type BatchHandler func(ctx context.Context, records []*Record) error

// BatchErrors are the errors of a BatchHandler by the index of the record. Those
// that are not in it, or are nil, are done. Terminate and Retry count for their
// record.
type BatchErrors map[int]error

func (e BatchErrors) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records failed", len(e))
	for n, i := range e.indexes() {
		if n == 3 {
			b.WriteString(", …")
			break
		}
		fmt.Fprintf(&b, ", %d: %v", i, e[i])
	}
	return b.String()
}

// Unwrap returns the errors by index.
func (e BatchErrors) Unwrap() []error {
	var list []error
	for _, i := range e.indexes() {
		if e[i] != nil {
			list = append(list, e[i])
		}
	}
	return list
}

func (e BatchErrors) indexes() []int {
	return slices.Sorted(maps.Keys(e))
}

// of returns the error of each of n records.
func (e BatchErrors) of(n int) ([]error, error) {
	errs := make([]error, n)
	for i, err := range e {
		if i < 0 || i >= n {
			return nil, fmt.Errorf("the handler reports record %d of %d: %w", i, n, e)
		}
		errs[i] = err
	}
	return errs, nil
}

// BatchWait is how long a BatchHandler's batch that is not full waits for more
// records. The default is 10 ms; 0 takes what is there.
func BatchWait(d time.Duration) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) error {
		if d < 0 {
			return invalidf("batch wait %v, want 0 or more", d)
		}
		o.batchWait, o.batchWaitSet = d, true
		return nil
	})
}

// batches runs a BatchHandler until stop.
func (r *runner) batches() {
	s := r.s
	buf := make([]*task, 0, min(s.o.batch, 256))
	for {
		buf = s.q.collect(buf[:0], s.o.batch, s.o.batchWait)
		if len(buf) == 0 {
			return
		}
		if !r.attemptAll(buf) {
			return
		}
	}
}

// attemptAll makes one attempt at a batch, and decides what comes after it. It
// reports false if its handler was left behind.
func (r *runner) attemptAll(taken []*task) bool {
	s := r.s
	if s.holder != nil && !s.holder.Holds() {
		s.q.lost() // another member may be at it
		return true
	}
	r.batch = r.batch[:0]
	records := make([]*Record, 0, len(taken))
	ds := make([]Delivered, 0, len(taken)) // of the batch: a task is another's when it is finished
	for _, t := range taken {
		if s.q.gone(t) {
			continue // lost, and fetched again
		}
		d := t.d
		if !s.begin(d) {
			s.q.finish(t)
			continue
		}
		if out := s.ready(t); out != nil {
			r.batch, records, ds = append(r.batch, t), append(records, &out.record), append(ds, d)
		} else {
			s.end(d, s.giveUp(t))
		}
	}
	if len(records) == 0 {
		return true
	}
	err, mine := r.callAll(records)
	if !mine { // who left it behind has ended it
		return false
	}
	errs := make([]error, len(records))
	if partial, ok := partialOf(err); ok {
		if list, bad := partial.of(len(records)); bad == nil {
			errs, err = list, nil
		} else {
			err = bad
		}
	}
	for i, t := range r.batch {
		t.alone = err != nil
		s.end(ds[i], s.decide(t, errors.Join(err, errs[i])))
	}
	return true
}

// partialOf finds a BatchErrors that err is or wraps. Joined with other errors, as
// of a commit that failed, it does not count: those are of the whole batch.
func partialOf(err error) (BatchErrors, bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		if p, ok := err.(BatchErrors); ok {
			return p, true
		}
	}
	return nil, false
}

// callAll runs the handler, and reports false if it was left behind. A panic is
// an error.
func (r *runner) callAll(records []*Record) (err error, mine bool) {
	s, first := r.s, r.batch[0]
	h := &handling{s: s, id: records[0].ID, position: records[0].Position, attempt: first.attempt(), several: true}
	s.running.Add(1)
	r.now.Store(h)
	defer r.returned(h, &err, &mine)
	return s.bh(h, records), true
}

// collect waits for a ready task, and then no longer than wait until there are as
// many as limit; it appends them to buf. A task that is to be alone is. None after
// stop.
func (q *queue) collect(buf []*task, limit int, wait time.Duration) []*task {
	buf = q.take(buf, 1)
	if len(buf) == 0 || buf[0].alone {
		return buf
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var late bool
	var timer *time.Timer
	for {
		for q.first < len(q.ready) && len(buf) < limit && !q.ready[q.first].alone {
			buf = append(buf, q.ready[q.first])
			q.ready[q.first] = nil
			q.first++
		}
		if q.first == len(q.ready) {
			q.ready, q.first = q.ready[:0], 0
		} else {
			q.some.Signal() // for another runner
			late = true
		}
		if q.stopped {
			return buf[:0] // they stay held, and are released
		}
		if late || len(buf) == limit || wait == 0 {
			break
		}
		if timer == nil {
			timer = time.AfterFunc(wait, func() {
				q.mu.Lock()
				defer q.mu.Unlock()
				late = true
				q.some.Broadcast()
			})
			defer timer.Stop()
		}
		q.some.Wait()
	}
	return buf
}
