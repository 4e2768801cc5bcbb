package consul

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// grace is how long after the end of its life an item is removed: a reader
// whose clock is behind still sees it until then.
const grace = 2 * time.Second

// maxReap bounds what is remembered. What is over is removed by who meets it.
const maxReap = 1 << 16

// reap removes an item unless it was written again.
func (d *driver) reap(name string, index uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_, _, _ = d.KV().DeleteCAS(&api.KVPair{Key: name, ModifyIndex: index}, (&api.WriteOptions{}).WithContext(ctx))
}

// reaper removes items whose life is over, one after another, on a goroutine
// that runs while there are any.
type reaper struct {
	remove func(name string, index uint64)

	mu      sync.Mutex
	queue   ends
	known   map[string]uint64 // index by name, of what is in queue
	running bool
	stop    chan struct{}
	closed  bool
	done    sync.WaitGroup
	wake    chan struct{}
}

func (r *reaper) init(remove func(string, uint64)) {
	r.remove, r.known = remove, map[string]uint64{}
	r.stop, r.wake = make(chan struct{}), make(chan struct{}, 1)
}

// add has an item removed after its end, if it still has the index then.
func (r *reaper) add(name string, index uint64, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.queue) >= maxReap || r.known[name] == index {
		return
	}
	r.known[name] = index
	heap.Push(&r.queue, ending{name, index, end.Add(grace)})
	if !r.running {
		r.running = true
		r.done.Go(r.run)
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reaper) run() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		r.mu.Lock()
		if r.closed || len(r.queue) == 0 {
			r.running = false
			r.mu.Unlock()
			return
		}
		next := r.queue[0]
		wait := time.Until(next.at)
		if wait <= 0 {
			heap.Pop(&r.queue)
			if r.known[next.name] == next.index {
				delete(r.known, next.name)
			} else {
				next.name = "" // written again since, and in the queue again
			}
		}
		r.mu.Unlock()
		if wait <= 0 {
			if next.name != "" {
				r.remove(next.name, next.index)
			}
			continue
		}
		t.Reset(wait)
		select {
		case <-t.C:
		case <-r.wake:
		case <-r.stop:
		}
	}
}

func (r *reaper) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.stop)
	}
	r.mu.Unlock()
	r.done.Wait()
}

type ending struct {
	name  string
	index uint64
	at    time.Time
}

// ends is a heap by time, for container/heap.
type ends []ending

func (h ends) Len() int           { return len(h) }
func (h ends) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h ends) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *ends) Push(v any)        { *h = append(*h, v.(ending)) }
func (h *ends) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
