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
		Counter: true, Versions: true, Shared: true, Evicts: true, ExpiryStep: time.Millisecond,
		MaxValue: int(min(maxValue, d.n.store.items.MaxSize()-kv.MaxKey-recordOverhead)),
	}
}

func (d *driver) Close() error { return nil }

// Ping waits for an owner that can be reached.
func (d *driver) Ping(ctx context.Context) error {
	return d.retry(ctx, func(v *view) error {
		for _, id := range v.owners[0] {
			if id == d.n.self {
				return nil
			}
			if _, err := d.n.call(ctx, id, opPing, nil); err == nil {
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
		_, _, v := d.n.stands(0)
		var err error
		switch {
		case d.n.life.Closed():
			return fault.Markf(kv.ErrUnavailable, "the node is closed")
		case v == nil || len(v.owners[0]) == 0:
			err = fault.Markf(kv.ErrUnavailable, "service %q has no instances", d.n.service)
		default:
			err = f(v)
		}
		if err == nil || !errors.Is(err, errMoved) && !errors.Is(err, errUnsent) && fault.KindOf(err) != kv.ErrUnavailable {
			return err
		}
		if ended := backoff.Sleep(ctx, patience.Wait(tries)); ended != nil {
			return fault.Markf(kv.ErrUnavailable, "%w (%w)", err, ended)
		}
	}
}

func (d *driver) Get(ctx context.Context, key string) (item kv.Item, err error) {
	p := partition(hash(key))
	err = d.retry(ctx, func(v *view) error {
		var last error
		for i, id := range v.owners[p] {
			within, cancel := ctx, context.CancelFunc(func() {})
			if id != d.n.self && i < len(v.owners[p])-1 {
				within, cancel = context.WithTimeout(ctx, firstWithin)
			}
			rec, err := d.getFrom(within, id, key)
			cancel()
			if err == nil {
				item = itemOf(key, rec)
				return nil
			}
			if errors.Is(err, kv.ErrNotFound) {
				return kv.ErrNotFound
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			last = err
		}
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

func (d *driver) getFrom(ctx context.Context, id, key string) (record, error) {
	if id == d.n.self {
		return d.n.get(ctx, key)
	}
	a, err := d.n.call(ctx, id, opGet, putBytes(putU32(make([]byte, 0, len(key)+8), left(ctx)), key))
	if err == nil {
		err = errorOf(a)
	}
	if err != nil {
		return record{}, err
	}
	r := &reader{b: a.body}
	rec := r.record()
	if r.bad || rec.over(time.Now()) {
		return rec, kv.ErrNotFound
	}
	return rec, nil
}

// left is how many milliseconds ctx lasts.
func left(ctx context.Context) uint32 {
	at, ok := ctx.Deadline()
	if !ok {
		return 60_000
	}
	return uint32(min(max(time.Until(at).Milliseconds(), 1), 600_000))
}

// write has a write decided by the primary.
func (d *driver) write(ctx context.Context, w write) (version uint64, sum int64, err error) {
	p := partition(hash(w.Key))
	err = d.retry(ctx, func(v *view) (err error) {
		primary := v.owners[p][0]
		if primary == d.n.self {
			own := w
			own.Value = append([]byte{}, w.Value...)
			version, sum, err = d.n.decide(ctx, own)
			return err
		}
		body := putWrite(putU32(make([]byte, 0, len(w.Key)+len(w.Value)+64), left(ctx)), w)
		a, err := d.n.call(ctx, primary, opWrite, body)
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
		if version, sum = r.u64(), int64(r.u64()); r.bad {
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
