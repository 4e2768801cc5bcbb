package sim

import (
	"container/heap"
	"time"
)

// event is something that happens at a time. Equal times happen in the order
// in which they were scheduled, so that runs repeat.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

// world is the clock and what is to come.
type world struct {
	now  time.Duration
	seq  uint64
	todo events
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.todo, event{w.now + d, w.seq, do})
}

// run goes on until nothing is left or the time is over.
func (w *world) run(end time.Duration) {
	for len(w.todo) > 0 && w.todo[0].at <= end {
		e := heap.Pop(&w.todo).(event)
		w.now = e.at
		e.do()
	}
}
