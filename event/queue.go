package event

import (
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
	lane     *lane
	timer    *time.Timer // runs until the next attempt
	gone     bool        // no longer held; see lost
	prev     *task       // in the list of what is held
	next     *task
}

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
	ready    []*task
	lanes    map[string]*lane
	head     task // of the ring of what is held
	n        int  // held
	blocked  int  // of those, waiting in a lane
	retrying int  // of those, between attempts
	stopped  bool
}

func newQueue(key func(*Record) string) *queue {
	q := &queue{key: key, lanes: map[string]*lane{}}
	q.some.L, q.space.L = &q.mu, &q.mu
	q.head.prev, q.head.next = &q.head, &q.head
	return q
}

// push adds records. After stop they are only kept for drain.
func (q *queue) push(ds []Delivered) {
	if len(ds) == 0 {
		return
	}
	tasks := make([]task, len(ds))
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, d := range ds {
		t := &tasks[i]
		t.d = d
		t.prev, t.next = q.head.prev, &q.head
		t.prev.next, t.next.prev = t, t
		q.n++
		if q.key != nil && d.Err == nil {
			k := q.key(d.Record)
			if l := q.lanes[k]; l != nil {
				t.lane = l
				l.waiting = append(l.waiting, t)
				q.blocked++
				continue
			}
			t.lane = &lane{key: k}
			q.lanes[k] = t.lane
		}
		q.ready = append(q.ready, t)
	}
	q.some.Broadcast()
}

// room waits until less than a window of records is runnable. It reports
// false after stop.
func (q *queue) room(window int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stopped && (q.n-q.blocked-q.retrying >= window || q.n >= maxHeld) {
		q.space.Wait()
	}
	return !q.stopped
}

// take appends up to limit ready tasks to buf, at least one, or none after stop.
func (q *queue) take(buf []*task, limit int) []*task {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stopped && len(q.ready) == 0 {
		q.some.Wait()
	}
	if q.stopped {
		return buf
	}
	n := min(limit, len(q.ready))
	buf = append(buf, q.ready[:n]...)
	clear(q.ready[:n])
	if q.ready = q.ready[n:]; len(q.ready) == 0 {
		q.ready = nil
	}
	return buf
}

// finish lets go of a task that is done, and returns how many are held.
func (q *queue) finish(t *task) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.gone {
		return q.n
	}
	q.unlink(t)
	if l := t.lane; l != nil {
		if len(l.waiting) == 0 {
			delete(q.lanes, l.key)
		} else {
			q.ready = append(q.ready, l.waiting[0])
			l.waiting[0] = nil
			l.waiting = l.waiting[1:]
			q.blocked--
			q.some.Signal()
		}
	}
	q.space.Signal()
	return q.n
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
	q.space.Signal()
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
	q.space.Signal()
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
	q.ready, q.blocked, q.retrying = nil, 0, 0
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
