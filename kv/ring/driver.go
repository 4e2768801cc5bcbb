package ring

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// Backend makes the ring a store's backend. The node is the caller's: Close of
// the store leaves it open, and several stores may share it.
func Backend(n *Node) kv.Option {
	return kv.WithDriver("ring", func(context.Context) (kv.Driver, error) {
		if n == nil {
			return nil, fault.Markf(kv.ErrInvalid, "nil node")
		}
		return &driver{n}, nil
	})
}

type driver struct{ n *Node }

// firstWithin is how long a read waits for one owner before it asks the next.
const firstWithin = 300 * time.Millisecond

var patience = backoff.Policy{Min: 2 * time.Millisecond, Max: 100 * time.Millisecond}

func (d *driver) Features() kv.Features {
	return kv.Features{
		Batch: true, Counter: true, Versions: true, Shared: true, Evicts: true, Deadlines: true, ExpiryStep: time.Millisecond,
		MaxValue: int(min(maxValue, d.n.store.items.MaxSize()-kv.MaxKey-recordOverhead)),
	}
}

func (d *driver) Close() error { return nil }

// bounded makes a deadline that only Deadline tells of end the context, too.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if at, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, at)
	}
	return ctx, func() {}
}

// Ping waits for an owner that can be reached.
func (d *driver) Ping(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return d.retry(ctx, func(v *view) error {
		for _, id := range v.owners[0] {
			if id == d.n.self {
				return nil
			}
			if _, err := v.call(ctx, id, opPing, nil); err == nil {
				return nil
			}
		}
		return fault.Markf(kv.ErrUnavailable, "no owner of service %q can be reached", d.n.service)
	})
}

// retry calls f until it is sure of its outcome: as long as it returns errMoved
// or ErrUnavailable, and ctx lasts.
func (d *driver) retry(ctx context.Context, f func(*view) error) error {
	if !d.n.life.Enter() {
		return fault.Markf(kv.ErrUnavailable, "the node is closed")
	}
	defer d.n.life.Leave()
	for tries := 0; ; tries++ {
		v := d.n.v.Load()
		var err error
		switch {
		case d.n.life.Closed():
			return fault.Markf(kv.ErrUnavailable, "the node is closed")
		case v == nil || len(v.owners[0]) == 0:
			err = fault.Markf(kv.ErrUnavailable, "service %q has no instances", d.n.service)
		default:
			err = f(v)
		}
		if err == nil || !errors.Is(err, errMoved) && !errors.Is(err, errUnsent) && fault.KindOf(err) != fault.Unavailable {
			return err
		}
		if ended := backoff.Sleep(ctx, patience.Wait(tries)); ended != nil {
			return fault.Markf(kv.ErrUnavailable, "%w (%w)", err, ended)
		}
	}
}

// Get reads from this node if it is an owner, else asks the primary. Only if
// that does not answer it looks further.
func (d *driver) Get(ctx context.Context, key string) (kv.Item, error) {
	n, p, skip := d.n, partition(hash(key)), 0
	if v := n.v.Load(); v != nil && !n.life.Closed() {
		now := time.Now()
		rec, there, sure := n.near(v, p, key, now)
		if sure && !there {
			return kv.Item{}, kv.ErrNotFound
		}
		if there {
			return itemOf(key, rec), nil
		}
		if l := v.first[p]; l != nil {
			rec, err := l.get(ctx, key, now, len(v.owners[p]) > 1)
			switch {
			case err == nil:
				return itemOf(key, rec), nil
			case errors.Is(err, fault.NotFound):
				return kv.Item{}, err
			case ctx.Err() != nil:
				return kv.Item{}, ctx.Err()
			}
			skip = 1 // it was asked
		}
	}
	return d.search(ctx, key, p, skip)
}

// search asks the owners in turn, again and again until one answers for sure.
// It begins behind the first skip.
func (d *driver) search(ctx context.Context, key string, p uint16, skip int) (item kv.Item, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err = d.retry(ctx, func(v *view) error {
		last := errUnsent
		for i, id := range v.owners[p] {
			if i < skip {
				continue
			}
			var rec record
			var err error
			if l := v.links[id]; l != nil {
				rec, err = l.get(ctx, key, time.Now(), i < len(v.owners[p])-1)
			} else {
				rec, err = d.n.get(ctx, key)
			}
			if err == nil {
				item = itemOf(key, rec)
				return nil
			}
			if errors.Is(err, fault.NotFound) {
				return kv.ErrNotFound
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			last = err
		}
		skip = 0
		return fault.Mark(kv.ErrUnavailable, last)
	})
	return item, err
}

func itemOf(key string, r record) kv.Item {
	item := kv.Item{Key: key, Value: r.value, Revision: kv.Revision(r.version)}
	if item.Value == nil {
		item.Value = []byte{}
	}
	if r.expires != 0 {
		item.Expires = time.UnixMilli(r.expires)
	}
	return item
}

// get asks a peer as an owner of key. If there are others to ask it does not
// wait for long.
func (l *link) get(ctx context.Context, key string, now time.Time, others bool) (record, error) {
	c := l.conn.Load()
	if c == nil {
		return record{}, errUnsent
	}
	giveUp, ok := ctx.Deadline()
	if soon := now.Add(firstWithin); others && (!ok || soon.Before(giveUp)) {
		giveUp = soon
	}
	ms := left(ctx, now)
	a, err := c.call(ctx, opGet, giveUp, func(b []byte) []byte { return putBytes(putU32(b, ms), key) })
	if err == nil && a.status != stOK {
		err = errorOf(a)
	}
	if err != nil {
		return record{}, err
	}
	r := &reader{b: a.body}
	rec := r.record()
	if r.bad {
		return rec, errFrame
	}
	if rec.over(now) {
		return rec, kv.ErrNotFound
	}
	return rec, nil
}

// left is how many milliseconds ctx lasts.
func left(ctx context.Context, now time.Time) uint32 {
	at, ok := ctx.Deadline()
	if !ok {
		return 60_000
	}
	return uint32(min(max(at.Sub(now).Milliseconds(), 1), 600_000))
}

// write has a write decided by the primary.
func (d *driver) write(ctx context.Context, w write) (version uint64, sum int64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	p := partition(hash(w.Key))
	err = d.retry(ctx, func(v *view) (err error) {
		primary := v.owners[p][0]
		if primary == d.n.self {
			own := w
			own.Value = append([]byte{}, w.Value...)
			version, sum, err = d.n.decide(ctx, own)
			return err
		}
		body := putWrite(putU32(make([]byte, 0, len(w.Key)+len(w.Value)+64), left(ctx, time.Now())), w)
		a, err := v.call(ctx, primary, opWrite, body)
		switch {
		case errors.Is(err, errUnsent):
			return err
		case err != nil:
			return fault.Mark(kv.ErrUnknownOutcome, err)
		}
		if err := errorOf(a); err != nil {
			return err
		}
		r := &reader{b: a.body}
		version, sum = r.u64(), int64(r.u64())
		if r.bad {
			return fault.Mark(kv.ErrUnknownOutcome, errFrame)
		}
		return nil
	})
	return version, sum, err
}

func (d *driver) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	version, _, err := d.write(ctx, write{Write: w, kind: kindPut})
	return kv.Revision(version), err
}

func (d *driver) Delete(ctx context.Context, key string, rev kv.Revision) error {
	_, _, err := d.write(ctx, write{Write: kv.Write{Key: key, IfRevision: rev}, kind: kindDelete})
	return err
}

func (d *driver) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	_, sum, err := d.write(ctx, write{Write: kv.Write{Key: key, TTL: ttl}, kind: kindAdd, delta: delta})
	return sum, err
}
