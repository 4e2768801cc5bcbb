package consul

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/internal/due"
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
	queue   due.Queue[uint64] // indexes
	running bool
	stop    chan struct{}
	closed  bool
	done    sync.WaitGroup
	wake    chan struct{}
}

func (r *reaper) init(remove func(string, uint64)) {
	r.remove = remove
	r.stop, r.wake = make(chan struct{}), make(chan struct{}, 1)
}

// add has an item removed after its end, if it still has the index then.
func (r *reaper) add(name string, index uint64, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.queue.Get(name)
	if r.closed || ok && known.Value >= index || !ok && r.queue.Len() >= maxReap {
		return
	}
	r.queue.Set(name, end.Add(grace), index)
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

// index returns that of an item that is to be removed, 0 of another.
func (r *reaper) index(name string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, _ := r.queue.Get(name)
	return e.Value
}

// forget has an item not removed that was deleted when it had the index: it may
// have been written again.
func (r *reaper) forget(name string, index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, _ := r.queue.Get(name); e.Value == index {
		r.queue.Remove(name)
	}
}

func (r *reaper) run() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		r.mu.Lock()
		next, ok := r.queue.First()
		if r.closed || !ok {
			r.running = false
			r.mu.Unlock()
			return
		}
		wait := time.Until(next.At)
		if wait <= 0 {
			r.queue.Remove(next.Name)
		}
		r.mu.Unlock()
		if wait <= 0 {
			r.remove(next.Name, next.Value)
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
