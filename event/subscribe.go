package event

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

func (f *front) Subscribe(ctx context.Context, h Handler, opts ...SubscribeOption) (Subscription, error) {
	return f.subscribe(ctx, h, nil, opts)
}

func (f *front) SubscribeBatch(ctx context.Context, h BatchHandler, opts ...SubscribeOption) (Subscription, error) {
	return f.subscribe(ctx, nil, h, opts)
}

// subscribe opens a subscription with one of the two kinds of handlers.
func (f *front) subscribe(ctx context.Context, h Handler, bh BatchHandler, opts []SubscribeOption) (Subscription, error) {
	if !f.life.Enter() {
		return nil, f.wrap("subscribe", "", fault.Closed)
	}
	defer f.life.Leave()
	if h == nil && bh == nil {
		return nil, f.wrap("subscribe", "", invalidf("nil handler"))
	}
	o, err := newSubscribeOptions(opts)
	if err != nil {
		return nil, f.wrap("subscribe", "", err)
	}
	f.caughtKey(o)
	if o.batchWaitSet && bh == nil {
		return nil, f.wrap("subscribe", o.group, invalidf("BatchWait without a BatchHandler"))
	}
	ctx, limit, cancel := f.limited(ctx)
	defer cancel()
	if o.partitions > 0 {
		s, err := f.subscribeParts(ctx, o, h, bh)
		if err != nil {
			return nil, f.wrap("subscribe", o.group, limit.Late(ctx, err))
		}
		f.keepTime(0)
		return s, nil
	}
	o.fresh, err = f.checkWhole(ctx, o)
	if err != nil {
		return nil, f.wrap("subscribe", o.group, limit.Late(ctx, err))
	}
	s, err := f.begin(ctx, o, h, bh)
	if err != nil {
		return nil, f.wrap("subscribe", o.group, limit.Late(ctx, err))
	}
	f.keepTime(0) // who reads also publishes what others have scheduled
	return s, nil
}

// begin opens and starts a subscription.
func (f *front) begin(ctx context.Context, o *subscribeOptions, h Handler, bh BatchHandler) (*subscription, error) {
	source, err := f.open(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.fresh {
		remove, err := f.settleWhole(ctx, o)
		if err != nil {
			source.Close(ctx)
			if remove {
				f.driver.DeleteGroup(ctx, o.group) // if it fails, the next Subscribe returns ErrConflict
			}
			return nil, err
		}
	}
	s := newSubscription(f, o, source)
	s.h, s.bh = h, bh
	f.mu.Lock()
	if f.closing {
		f.mu.Unlock()
		source.Close(ctx)
		return nil, fault.Closed
	}
	f.subs[s] = struct{}{}
	f.mu.Unlock()
	s.start()
	return s, nil
}

// open makes what a subscription fetches from.
func (f *front) open(ctx context.Context, o *subscribeOptions) (Member, error) {
	from, err := f.resolve(ctx, o.from)
	if err != nil {
		return nil, err
	}
	if o.group == "" {
		if f.memory != nil {
			return f.memory.follow(from, o.patterns)
		}
		page, err := f.driver.Read(ctx, ReadRequest{From: from})
		if err != nil {
			return nil, err
		}
		l := &live{f: f, next: page.Next, filter: Filter{Types: o.patterns}}
		l.missed.Store(page.Missed)
		return l, nil
	}
	m, err := f.driver.Join(ctx, GroupConfig{
		Name: cmp.Or(o.joinAs, o.group), Consumer: cmp.Or(o.consumer, newConsumer()), Types: o.patterns, Start: from, AckWait: o.ackWait, Exclusive: o.key != nil,
	})
	if err == nil && fronts.Nil(m) {
		err = errors.New("the driver gave no member")
	}
	return m, err
}

// newConsumer names a member so that a person can tell where it runs.
func newConsumer() string {
	var b [6]byte
	rand.Read(b[:])
	return fmt.Sprintf("%d-%x", os.Getpid(), b)
}

// live reads the stream for one subscription without a group: it is a member
// of nothing, and acknowledges nothing.
type live struct {
	f      *front
	filter Filter
	mu     sync.Mutex // guards next against Lag
	next   string     // set by Fetch only
	missed atomic.Int64
}

func (l *live) Fetch(ctx context.Context, limit int) ([]Delivered, error) {
	for {
		from := Beginning()
		if l.next != "" {
			from = After(l.next)
		}
		page, err := l.f.readPage(ctx, ReadRequest{From: from, Filter: l.filter, Max: limit})
		if err != nil {
			return nil, err
		}
		if page.Next != "" || page.Missed > 0 { // "": the stream was made again, and has nothing yet
			l.mu.Lock()
			l.next = page.Next
			l.mu.Unlock()
		}
		l.missed.Add(page.Missed)
		if len(page.Records) > 0 {
			ds := make([]Delivered, len(page.Records))
			for i, r := range page.Records {
				ds[i] = Delivered{Record: r, Attempt: 1}
			}
			return ds, nil
		}
		if !page.More {
			if err := l.f.driver.Wait(ctx, l.next); err != nil {
				return nil, err
			}
		}
	}
}

func (l *live) gaps() int64 { return l.missed.Load() }

func (l *live) Ack(context.Context, []Delivered) error     { return nil }
func (l *live) Extend(context.Context, []Delivered) error  { return nil }
func (l *live) Release(context.Context, []Delivered) error { return nil }
func (l *live) Close(context.Context) error                { return nil }

func (l *live) Lag(ctx context.Context) (Lag, error) {
	b, ok := l.f.driver.(behinder)
	if !ok {
		return Lag{Behind: -1}, nil
	}
	l.mu.Lock()
	next := l.next
	l.mu.Unlock()
	n, err := b.Behind(ctx, next)
	return Lag{Behind: n}, err
}
