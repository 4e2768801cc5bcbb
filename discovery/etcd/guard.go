package etcd

import (
	"context"
	"sync"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// guard is one stream that watches the keys that a Discovery has written, each by
// itself, so that a heartbeat learns whether somebody deleted or replaced one,
// and nothing is sent while nobody does. The client's own watch would take two
// goroutines for each key.
type guard struct {
	l      *leases
	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex       // locked after l.mu
	ids   map[string]int64 // by key
	keys  map[int64]string
	last  int64
	queue []*etcdserverpb.WatchRequest
	poke  chan struct{} // holds one token: the queue isn't empty
}

// keepGuard starts a guard of all keys if there is none. A stream that broke is
// replaced by the next heartbeat.
func (l *leases) keepGuard() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.guard != nil || l.closed {
		return
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(l.c.Ctx()))
	g := &guard{l: l, cancel: cancel, ended: make(chan struct{}), ids: map[string]int64{}, keys: map[int64]string{}, poke: make(chan struct{}, 1)}
	l.guard = g
	for key, w := range l.own {
		if !w.once {
			g.join(key, w.revision+1)
		}
	}
	go g.run(ctx)
}

// watchKey guards a key from a revision on.
func (l *leases) watchKey(key string, from int64) {
	l.keepGuard()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.guard != nil {
		l.guard.join(key, from)
	}
}

// touched reports whether somebody else has changed a key since it was written.
func (l *leases) touched(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.own[key]
	return w.touched > w.revision
}

// changed takes note of a change, which may be our own.
func (l *leases) changed(key string, revision int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, ok := l.own[key]; ok && revision > w.touched {
		w.touched = revision
		l.own[key] = w
	}
}

// unguarded is called when changes may have been missed: the next round of each
// lease reads its keys.
func (l *leases) unguarded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.shared {
		s.doubt.Store(true)
	}
}

// end ends the guard, for good.
func (l *leases) end() {
	l.mu.Lock()
	l.closed = true
	g := l.guard
	l.mu.Unlock()
	if g != nil {
		g.cancel()
		<-g.ended
	}
}

// join guards one more key.
func (g *guard) join(key string, from int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ids[key] != 0 {
		return
	}
	g.last++
	g.ids[key], g.keys[g.last] = g.last, key
	g.create(g.last, key, from)
}

// leave guards a key no longer.
func (g *guard) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	id := g.ids[key]
	if id == 0 {
		return
	}
	delete(g.ids, key)
	delete(g.keys, id)
	g.send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CancelRequest{CancelRequest: &etcdserverpb.WatchCancelRequest{WatchId: id}}})
}

func (g *guard) create(id int64, key string, from int64) {
	g.send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: &etcdserverpb.WatchCreateRequest{
		WatchId: id, Key: []byte(key), StartRevision: from,
	}}})
}

// send puts a request into the queue. Called with g.mu held.
func (g *guard) send(r *etcdserverpb.WatchRequest) {
	g.queue = append(g.queue, r)
	select {
	case g.poke <- struct{}{}:
	default:
	}
}

// run lasts until the stream breaks or is ended.
func (g *guard) run(ctx context.Context) {
	defer close(g.ended)
	defer g.l.unguarded()
	defer func() {
		g.cancel()
		g.l.mu.Lock()
		defer g.l.mu.Unlock()
		g.l.guard = nil
	}()
	stream, err := etcdserverpb.NewWatchClient(g.l.c.ActiveConnection()).Watch(ctx)
	if err != nil {
		return
	}
	sent := make(chan struct{})
	defer func() { g.cancel(); <-sent }()
	go func() {
		defer close(sent)
		g.deliver(ctx, stream)
	}()
	for {
		r, err := stream.Recv()
		if err != nil || !g.take(r) {
			return
		}
	}
}

// deliver sends what is in the queue.
func (g *guard) deliver(ctx context.Context, stream etcdserverpb.Watch_WatchClient) {
	for {
		select {
		case <-g.poke:
		case <-ctx.Done():
			return
		}
		g.mu.Lock()
		all := g.queue
		g.queue = nil
		g.mu.Unlock()
		for _, r := range all {
			if stream.Send(r) != nil {
				return // Recv has the reason
			}
		}
	}
}

// take notes what a response says, and reports whether the stream is good.
func (g *guard) take(r *etcdserverpb.WatchResponse) bool {
	for _, e := range r.Events {
		g.l.changed(string(e.Kv.Key), e.Kv.ModRevision)
	}
	if !r.Canceled {
		return true
	}
	if r.CompactRevision > 0 { // what happened before is gone: the lease's keys tell
		g.l.unguarded()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key, wanted := g.keys[r.WatchId]
	if wanted && r.CompactRevision > 0 {
		g.create(r.WatchId, key, r.CompactRevision)
	}
	return !wanted || r.CompactRevision > 0 // else it is refused
}
