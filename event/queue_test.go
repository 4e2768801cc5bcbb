package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// filled is a queue of records named by key and number: "a1 a2 b1".
func filled(names string) *queue {
	q := newQueue(func(r *Record) string { return r.Subject })
	fill(q, names)
	return q
}

func fill(q *queue, names string) {
	var ds []Delivered
	for _, id := range strings.Fields(names) {
		ds = append(ds, Delivered{Record: &Record{ID: id, Type: "t", Subject: id[:1]}, Attempt: 1})
	}
	q.push(ds)
}

func namesOf(ts []*task) string {
	var names []string
	for _, t := range ts {
		names = append(names, t.d.Record.ID)
	}
	return strings.Join(names, " ")
}

func idsOf(ds []Delivered) string {
	var ids []string
	for _, d := range ds {
		ids = append(ids, d.Record.ID)
	}
	return strings.Join(ids, " ")
}

// ready takes what may run; it does not wait.
func ready(q *queue) []*task {
	q.mu.Lock()
	none := len(q.ready) == q.first
	q.mu.Unlock()
	if none {
		return nil
	}
	return q.take(nil, 1000)
}

func wantQueue(t *testing.T, q *queue, held, blocked, retrying, lanes int) {
	t.Helper()
	all := len(q.held())
	q.mu.Lock()
	defer q.mu.Unlock()
	if all != held || q.n != held || q.blocked != blocked || q.retrying != retrying || len(q.lanes) != lanes {
		t.Errorf("%d held, %d blocked, %d retrying in %d lanes, want %d, %d, %d in %d", q.n, q.blocked, q.retrying, len(q.lanes), held, blocked, retrying, lanes)
	}
}

// Of each key one task is ready, and the next one when it is finished.
func TestALaneHasOneTaskAtATime(t *testing.T) {
	q := filled("a1 a2 b1 a3")
	wantQueue(t, q, 4, 2, 0, 2)
	ts := ready(q)
	if got := namesOf(ts); got != "a1 b1" {
		t.Fatalf("ready are %q, want the first of each key", got)
	}
	for _, c := range []struct {
		finish               int
		ready                string
		held, blocked, lanes int
	}{{1, "", 3, 2, 1}, {0, "a2", 2, 1, 1}} {
		if n := q.finish(ts[c.finish]); n != c.held {
			t.Errorf("%d are held, want %d", n, c.held)
		}
		wantQueue(t, q, c.held, c.blocked, 0, c.lanes)
		if c.ready != "" {
			if got := namesOf(ready(q)); got != c.ready {
				t.Errorf("ready is %q, want %q", got, c.ready)
			}
		}
	}
	// What is no record has no key, and waits for nothing.
	q.push([]Delivered{{Record: &Record{ID: "x", Subject: "a"}, Err: errors.New("no record")}})
	if got := namesOf(ready(q)); got != "x" {
		t.Errorf("ready is %q, want what is no record", got)
	}
}

// Tasks are taken in order, no more than asked for, and what is put back comes first,
// unless it was lost meanwhile.
func TestWhatIsPutBackComesFirst(t *testing.T) {
	q := filled("a1 b1 c1 d1")
	first := q.take(nil, 2)
	if got := namesOf(first); got != "a1 b1" {
		t.Fatalf("took %q, want two", got)
	}
	q.putBack(first)
	if got := namesOf(q.take(nil, 3)); got != "a1 b1 c1" {
		t.Errorf("took %q, want what was put back first", got)
	}
	rest := q.take(nil, 2)
	q.lost()
	q.putBack(rest)
	wantQueue(t, q, 0, 0, 0, 0)
	fill(q, "e1")
	if got := namesOf(q.take(nil, 2)); got != "e1" {
		t.Errorf("took %q, want what came after the loss only", got)
	}
	if n := q.finish(rest[0]); n != 1 || !q.gone(rest[0]) {
		t.Errorf("a task that was lost counts when it ends: %d held, want 1", n)
	}
}

// Who waits for a task is woken by each way in which there may be one.
func TestWhoWaitsForATaskIsWoken(t *testing.T) {
	for name, c := range map[string]struct {
		wake func(q *queue, a *task)
		want string
	}{
		"a new one":            {func(q *queue, _ *task) { fill(q, "b1") }, "b1"},
		"one that is put back": {func(q *queue, a *task) { q.putBack([]*task{a}) }, "a1"},
		"the next of a key":    {func(q *queue, a *task) { q.finish(a) }, "a2"},
		"the next attempt":     {func(q *queue, a *task) { q.later(a, time.Second) }, "a1"},
		"the end":              {func(q *queue, _ *task) { q.stop() }, ""},
		"the next of a key after what is lost between attempts": {func(q *queue, a *task) {
			q.later(a, time.Hour)
			q.drop(func(d *Delivered) bool { return d.Record.ID == "a1" })
		}, "a2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := filled("a1 a2")
				a := q.take(nil, 1)[0]
				got := make(chan string, 1)
				go func() { got <- namesOf(q.take(nil, 1)) }()
				synctest.Wait()
				c.wake(q, a)
				time.Sleep(2 * time.Second)
				select {
				case got := <-got:
					if got != c.want {
						t.Errorf("took %q, want %q", got, c.want)
					}
				default:
					q.stop()
					t.Error("still waits")
				}
			})
		})
	}
}

// A window has room while fewer than its number may run; once full, when no more than
// low may. What waits for its key or its next attempt does not count, up to all that
// may be held.
func TestTheRoomOfAQueue(t *testing.T) {
	for _, c := range []struct {
		name, held  string
		window, low int
		free        func(q *queue, ts []*task)
		before      bool
	}{
		{"below the window", "a1 b1", 3, 1, nil, true},
		{"at the window", "a1 b1 c1", 3, 1, func(q *queue, ts []*task) { q.finish(ts[0]); q.finish(ts[1]) }, false},
		{"above low", "a1 b1 c1", 3, 1, func(q *queue, ts []*task) { q.finish(ts[0]) }, false},
		{"between attempts", "a1 b1 c1", 3, 1, func(q *queue, ts []*task) { q.later(ts[0], time.Hour); q.later(ts[1], time.Hour) }, false},
		{"some lost", "a1 b1 c1", 3, 1, func(q *queue, ts []*task) {
			q.putBack(ts)
			q.drop(func(d *Delivered) bool { return d.Record.ID < "c" })
		}, false},
		{"all lost", "a1 b1 c1", 3, 1, func(q *queue, _ []*task) { q.lost() }, false},
		{"of one key", "a1 a2 a3", 3, 1, nil, true},
		{"all that may be held but one", strings.Repeat("a1 ", maxHeld-1), 3, 1, nil, true},
		{"all that may be held", strings.Repeat("a1 ", maxHeld), 3, 1, func(q *queue, ts []*task) { q.finish(ts[0]) }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := filled(c.held)
			ts := q.take(nil, 3)
			room := make(chan bool, 1)
			go func() { room <- q.room(c.window, c.low) }()
			synctest.Wait()
			if len(room) != 0 != c.before {
				t.Errorf("%s: there is room: %v, want %v", c.name, !c.before, c.before)
			}
			if c.free != nil {
				c.free(q, ts)
			}
			synctest.Wait()
			if want := c.name != "above low"; len(room) != 0 != want {
				t.Errorf("%s: then there is room: %v, want %v", c.name, !want, want)
			}
			q.stop()
			synctest.Wait()
			if ok := <-room; ok != (c.name != "above low") {
				t.Errorf("%s: room says %v", c.name, ok)
			}
			if q.room(c.window, c.low) {
				t.Errorf("%s: there is room after the end", c.name)
			}
			q.lost()
		})
	}
}

// What is dropped is dropped wherever it is, and what stays goes on: in its lane, ready,
// between attempts. What runs stays.
func TestWhatIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := filled("a1 a2 a3 b1 b2 c1 c2 d1")
		ts := q.take(nil, 1) // a1 runs
		later := q.take(nil, 1)[0]
		q.later(later, time.Minute) // b1 is between attempts
		wantQueue(t, q, 8, 4, 1, 4)
		q.drop(func(d *Delivered) bool { return strings.Contains("a2 b1 c1", d.Record.ID) })
		wantQueue(t, q, 5, 1, 0, 4)
		if got := namesOf(ready(q)); got != "d1 c2 b2" {
			t.Errorf("ready are %q, want what stays, and the next of what was dropped", got)
		}
		q.finish(ts[0])
		if got := namesOf(ready(q)); got != "a3" {
			t.Errorf("behind what ran is %q, want a3", got)
		}
		time.Sleep(time.Hour) // the timer of what was dropped was stopped
		synctest.Wait()
		wantQueue(t, q, 4, 0, 0, 4)
		if got := namesOf(ready(q)); got != "" {
			t.Errorf("then %q is ready, want nothing", got)
		}
	})
}

// A task waits for its next attempt alone with its key, and not at all once it was lost
// or the queue has ended.
func TestTheNextAttemptIsLater(t *testing.T) {
	for name, c := range map[string]struct {
		before, after func(q *queue)
		retrying      int
		ready         string
	}{
		"held":           {nil, nil, 1, "b1 a1"},
		"lost before":    {func(q *queue) { q.lost() }, nil, 0, ""},
		"lost after":     {nil, func(q *queue) { q.lost() }, 0, ""},
		"ended before":   {func(q *queue) { q.stop() }, nil, 0, ""},
		"drained after":  {nil, func(q *queue) { q.stop(); q.drain() }, 0, ""},
		"another's lost": {nil, func(q *queue) { q.drop(func(d *Delivered) bool { return d.Record.ID == "b1" }) }, 1, "a1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := filled("a1 a2 b1")
				a := q.take(nil, 1)[0]
				if c.before != nil {
					c.before(q)
				}
				q.later(a, time.Second)
				if c.after != nil {
					c.after(q)
				}
				if _, n := q.counts(); n != c.retrying {
					t.Errorf("%d wait for their next attempt, want %d", n, c.retrying)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if _, n := q.counts(); n != 0 {
					t.Errorf("%d wait in the end, want none", n)
				}
				if got := namesOf(ready(q)); !q.stopped && got != c.ready {
					t.Errorf("ready are %q, want %q", got, c.ready)
				}
			})
		})
	}
}

// What an ended queue holds is for who drains it, in order, also what came since.
func TestAnEndedQueueIsDrained(t *testing.T) {
	q := filled("a1 a2 b1")
	ts := q.take(nil, 2)
	q.later(ts[0], time.Hour)
	q.stop()
	if got := q.take(nil, 1); len(got) != 0 {
		t.Errorf("took %q after the end", namesOf(got))
	}
	fill(q, "c1")
	if got := idsOf(q.held()); got != "a1 a2 b1 c1" {
		t.Errorf("held are %q, want all", got)
	}
	if got := idsOf(q.drain()); got != "a1 a2 b1 c1" {
		t.Errorf("drained %q, want all", got)
	}
	wantQueue(t, q, 0, 0, 0, 0)
	if got := q.drain(); len(got) != 0 {
		t.Errorf("drained %q twice", idsOf(got))
	}
}

// A batch is what is ready, up to its limit; one that is not full waits for more, a task
// that is to be alone is, and two who collect do not take from each other.
func TestABatchIsCollected(t *testing.T) {
	for _, c := range []struct {
		name, has, alone string
		limit            int
		wait             time.Duration
		later            string // comes after a second
		want, rest       string
		took             time.Duration
	}{
		{"full", "a1 b1 c1", "", 3, time.Hour, "", "a1 b1 c1", "", 0},
		{"more than full", "a1 b1 c1 d1", "", 3, time.Hour, "", "a1 b1 c1", "d1", 0},
		{"not full", "a1 b1", "", 3, 2 * time.Second, "", "a1 b1", "", 2 * time.Second},
		{"full before its time", "a1 b1", "", 3, 2 * time.Second, "c1", "a1 b1 c1", "", time.Second},
		{"more, and still not full", "a1", "", 3, 2 * time.Second, "c1", "a1 c1", "", 2 * time.Second},
		{"without a wait", "a1", "", 3, 0, "c1", "a1", "", 0},
		{"alone", "a1 b1", "a1", 3, time.Hour, "", "a1", "b1", 0},
		{"behind others", "a1 b1 c1", "b1", 3, time.Hour, "", "a1", "b1 c1", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := filled(c.has)
			for _, task := range q.ready {
				task.alone = c.alone == task.d.Record.ID
			}
			began := time.Now()
			if c.later != "" {
				time.AfterFunc(time.Second, func() { fill(q, c.later) })
			}
			got := q.collect(nil, c.limit, c.wait)
			if namesOf(got) != c.want || time.Since(began) != c.took {
				t.Errorf("%s: %q after %v, want %q after %v", c.name, namesOf(got), time.Since(began), c.want, c.took)
			}
			if rest := namesOf(ready(q)); rest != c.rest {
				t.Errorf("%s: %q is left, want %q", c.name, rest, c.rest)
			}
			time.Sleep(time.Hour)
		})
	}
}

// What a batch leaves is for another who waits; the end wakes who collects, and what it
// had stays held.
func TestWhoCollectsABatchIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := filled("a1")
		got := make(chan string, 2)
		go func() { got <- namesOf(q.collect(nil, 2, time.Hour)) }()
		synctest.Wait()
		go func() { got <- namesOf(q.collect(nil, 2, time.Minute)) }()
		synctest.Wait()
		fill(q, "b1 c1 d1")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		list := []string{<-got, <-got}
		all := strings.Fields(strings.Join(list, " "))
		slices.Sort(all)
		if len(list[0]) != len("a1 b1") || !slices.Equal(all, []string{"a1", "b1", "c1", "d1"}) {
			t.Errorf("collected %q, want two and two", list)
		}
		fill(q, "e1")
		go func() { got <- fmt.Sprint(len(q.collect(nil, 2, time.Hour))) }()
		synctest.Wait()
		q.stop()
		if n := <-got; n != "0" {
			t.Errorf("collected %s after the end, want none", n)
		}
		if got := idsOf(q.drain()); got != "a1 b1 c1 d1 e1" {
			t.Errorf("held were %q, want all that was not finished", got)
		}
	})
}
