package event

import (
	"slices"
	"sync"
	"time"
)

// maxHeld is how many records a subscription holds at most, counting those
// that wait behind another of their key.
const maxHeld = 10_000

// task is a record that the subscription holds.
type task struct {
	d        Delivered
	tries    int   // attempts that this subscription has made before
	failures int   // of dead-lettering it
	final    error // why it goes to the dead letters
	alone    bool  // its batch failed as a whole: the next one has only this
	lane     *lane
	timer    *time.Timer // runs until the next attempt
	gone     bool        // no longer held; see lost
	prev     *task       // in the list of what is held
	next     *task       // there, or in that of the free ones
}

// attempt is the number of the attempt that is next, or running.
func (t *task) attempt() int { return t.d.Attempt + t.tries }

// lane is the tasks of one key. It exists while one of them is held.
type lane struct {
	key     string
	waiting []*task // behind the one that is ready, running or between attempts
}

// queue decides what may run: anything, or with keys one task of each key.
type queue struct {
	key func(*Record) string

	mu       sync.Mutex
	some     sync.Cond // ready grew, or stopped
	space    sync.Cond // there is room, or stopped
	ready    []*task   // from first on
	first    int
	lanes    map[string]*lane
	head     task  // of the ring of what is held
	free     *task // to be used again
	n        int   // held
	blocked  int   // of those, waiting in a lane
	retrying int   // of those, between attempts
	low      int   // room waits until so few may run; negative while it doesn't wait
	stopped  bool
}

func newQueue(key func(*Record) string) *queue {
	q := &queue{key: key, lanes: map[string]*lane{}, low: -1}
	q.some.L, q.space.L = &q.mu, &q.mu
	q.head.prev, q.head.next = &q.head, &q.head
	return q
}

// push adds records. After stop they are only kept for drain.
func (q *queue) push(ds []Delivered) {
	if len(ds) == 0 {
		return
	}
	var keys []string
	if q.key != nil {
		keys = make([]string, len(ds))
		for i := range ds {
			if r := ds[i].record(); ds[i].Err == nil {
				keys[i] = q.key(r)
			}
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range ds {
		t := q.add(ds[i])
		if keys != nil && ds[i].Err == nil {
			if l := q.lanes[keys[i]]; l != nil {
				t.lane = l
				l.waiting = append(l.waiting, t)
				q.blocked++
				continue
			}
			t.lane = &lane{key: keys[i]}
			q.lanes[keys[i]] = t.lane
		}
		q.ready = append(q.ready, t)
	}
	q.some.Broadcast()
}

// hold keeps a record that is being handled.
func (q *queue) hold(d Delivered) *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.add(d)
}

// add makes a task. q.mu is held.
func (q *queue) add(d Delivered) *task {
	if q.free == nil {
		fresh := make([]task, 16)
		for i := range fresh[1:] {
			fresh[i].next = &fresh[i+1]
		}
		q.free = &fresh[0]
	}
	t := q.free
	q.free = t.next
	*t = task{d: d, prev: q.head.prev, next: &q.head}
	t.prev.next, t.next.prev = t, t
	q.n++
	return t
}

// room waits until less than a window of records is runnable, and when it has to
// wait until no more than low are: fetching a few at a time costs more than it
// gains. It reports false after stop.
func (q *queue) room(window, low int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for limit := window - 1; !q.stopped && !q.below(limit); limit = low {
		q.low = low
		q.space.Wait()
	}
	q.low = -1
	return !q.stopped
}

// below reports whether no more than some tasks are runnable. q.mu is held.
func (q *queue) below(limit int) bool {
	return q.n-q.blocked-q.retrying <= limit && q.n < maxHeld
}

// left wakes room when there is some. q.mu is held.
func (q *queue) left() {
	if q.low >= 0 && q.below(q.low) {
		q.space.Signal()
	}
}

// take appends up to limit ready tasks to buf, at least one, or none after stop.
func (q *queue) take(buf []*task, limit int) []*task {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stopped && len(q.ready) == q.first {
		q.some.Wait()
	}
	if q.stopped {
		return buf
	}
	ready := q.ready[q.first:min(q.first+limit, len(q.ready))]
	buf = append(buf, ready...)
	clear(ready)
	q.first += len(ready)
	if q.first == len(q.ready) {
		q.ready, q.first = q.ready[:0], 0
	}
	return buf
}

// putBack returns tasks that were taken and not begun: they are next.
func (q *queue) putBack(ts []*task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var held []*task
	for _, t := range ts {
		if !t.gone {
			held = append(held, t)
		}
	}
	q.ready, q.first = append(held, q.ready[q.first:]...), 0
	q.some.Broadcast()
}

// finish releases a task that is done, which the caller must not use any
// more, and returns how many are held.
func (q *queue) finish(t *task) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.gone {
		return q.n
	}
	q.unlink(t)
	q.pass(t.lane)
	*t = task{next: q.free}
	q.free = t
	q.left()
	return q.n
}

// pass makes the next task of a lane ready, whose turn is over. q.mu is held.
func (q *queue) pass(l *lane) {
	switch {
	case l == nil:
	case len(l.waiting) == 0:
		delete(q.lanes, l.key)
	default:
		q.ready = append(q.ready, l.waiting[0])
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		q.blocked--
		q.some.Signal()
	}
}

// drop forgets some of what is held and does not run. What runs stays: its end is
// that of its lane's turn.
func (q *queue) drop(which func(*Delivered) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	forget := func(t *task) bool {
		if !which(&t.d) {
			return false
		}
		q.unlink(t)
		return true
	}
	for _, l := range q.lanes { // before lanes pass on, so that they pass on what stays
		before := len(l.waiting)
		l.waiting = slices.DeleteFunc(l.waiting, forget)
		q.blocked -= before - len(l.waiting)
	}
	ready := slices.Clone(q.ready[q.first:])
	q.ready, q.first = q.ready[:0], 0
	for _, t := range ready {
		if !forget(t) {
			q.ready = append(q.ready, t)
		}
	}
	for _, t := range ready {
		if t.gone {
			q.pass(t.lane)
		}
	}
	for t := q.head.next; t != &q.head; {
		next := t.next
		if t.timer != nil && forget(t) {
			t.timer.Stop()
			t.timer = nil
			q.retrying--
			q.pass(t.lane)
		}
		t = next
	}
	q.left()
	q.some.Broadcast()
}

func (q *queue) unlink(t *task) {
	t.prev.next, t.next.prev = t.next, t.prev
	t.prev, t.next, t.gone = nil, nil, true
	q.n--
}

// later makes a task ready again after a while. Its lane waits for it.
func (q *queue) later(t *task, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.gone || q.stopped {
		return
	}
	q.retrying++
	q.left()
	t.timer = time.AfterFunc(wait, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if t.timer == nil {
			return // stopped or lost
		}
		t.timer = nil
		q.retrying--
		q.ready = append(q.ready, t)
		q.some.Signal()
	})
}

// lost forgets everything that is held: it is another member's now. What runs
// goes on; its end only counts for its acknowledgement.
func (q *queue) lost() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget()
	q.left()
}

func (q *queue) forget() []Delivered {
	all := make([]Delivered, 0, q.n)
	for t := q.head.next; t != &q.head; {
		next := t.next
		all = append(all, t.d)
		if t.timer != nil {
			t.timer.Stop()
			t.timer = nil
		}
		q.unlink(t)
		t = next
	}
	clear(q.lanes)
	q.ready, q.first, q.blocked, q.retrying = nil, 0, 0, 0
	return all
}

// gone reports whether a task is no longer held.
func (q *queue) gone(t *task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return t.gone
}

// stop lets no task begin. The queue keeps what it has for drain.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.some.Broadcast()
	q.space.Broadcast()
}

// drain empties a stopped queue.
func (q *queue) drain() []Delivered {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.forget()
}

// held returns what is held.
func (q *queue) held() []Delivered {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]Delivered, 0, q.n)
	for t := q.head.next; t != &q.head; t = t.next {
		all = append(all, t.d)
	}
	return all
}

func (q *queue) counts() (held, retrying int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n, q.retrying
}
