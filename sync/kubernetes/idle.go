package kubernetes

import (
	"context"
	gosync "sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/life"
)

// idle are Leases of locks that were released here, as they were then. They are
// deleted a moment later unless somebody has taken them: etcd would fill up with
// those of ids that are used once. A waiter takes one that is there in one
// request instead of two, and so does the next claim of this process.
type idle struct {
	life   *life.Life
	remove func(ctx context.Context, l *lease) error

	mu      gosync.Mutex
	all     map[string]released
	running bool
}

type released struct {
	*lease
	due time.Time
}

const (
	idleFor = time.Second
	maxIdle = 1000 // those above it stay
)

func (i *idle) put(l *lease) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.all) >= maxIdle {
		return
	}
	if i.all == nil {
		i.all = map[string]released{}
	}
	i.all[l.Name] = released{l, time.Now().Add(idleFor)}
	if !i.running {
		i.running = i.life.Go(i.run)
	}
}

// take returns a Lease that nobody held a moment ago, for a claim.
func (i *idle) take(name string) (*lease, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	r, ok := i.all[name]
	delete(i.all, name)
	return r.lease, ok
}

// run deletes until there is nothing left. When the life ends it deletes what is
// there, as far as that takes a moment.
func (i *idle) run(ctx context.Context) {
	for {
		due, more := i.due(ctx.Err() != nil)
		i.delete(ctx, due)
		if !more {
			return
		}
		_ = backoff.Sleep(ctx, idleFor/2)
	}
}

// due returns and forgets what is to be deleted now.
func (i *idle) due(all bool) (due []*lease, more bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	for name, r := range i.all {
		if all || !now.Before(r.due) {
			due = append(due, r.lease)
			delete(i.all, name)
		}
	}
	i.running = len(i.all) > 0 || len(due) > 0
	return due, i.running
}

// delete deletes Leases that are as they were released. What fails stays: who
// next uses its id releases it again.
func (i *idle) delete(ctx context.Context, due []*lease) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), idleFor)
	defer cancel()
	for _, l := range due {
		_ = i.remove(closing, l)
	}
}
