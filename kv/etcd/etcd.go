package etcd

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"
	"unicode/utf8"

	engine "github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/internal/batch"
	"github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/kv"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Backend stores in the etcd cluster at addr, over an engine of its own:
// "etcds://user:password@a,b,c" and the other forms that engine/etcd takes.
func Backend(addr string) kv.Option {
	return open(func() (*etcd.Conn, error) { return etcd.Open(etcd.Config{Address: addr}) })
}

// On stores in the etcd cluster that the engine is connected to, and leaves it
// open.
func On(e *engine.Engine) kv.Option { return open(e.Conn) }

func open(connect func() (*etcd.Conn, error)) kv.Option {
	return kv.WithDriver("etcd", func(context.Context) (kv.Driver, error) {
		c, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{Conn: c, leases: newLeases(c.Client)}, nil
	})
}

// driver implements kv.Driver.
type driver struct {
	*etcd.Conn
	leases *leases
}

const maxValue = 1 << 20

func (d *driver) Features() kv.Features {
	return kv.Features{
		List: true, Watch: true, Batch: true, Versions: true, Linearizable: true, Durable: true, Shared: true,
		ExpiryStep: coarseStep, MaxValue: maxValue,
	}
}

// itemOf reports false for an item whose life is over.
func itemOf(p *mvccpb.KeyValue) (kv.Item, bool) {
	item := kv.Item{Key: string(p.Key), Value: p.Value, Revision: kv.Revision(p.ModRevision)}
	if item.Value == nil {
		item.Value = []byte{}
	}
	alive := true
	if p.Lease != 0 {
		item.Expires, alive = endOf(p.Lease)
	}
	return item, alive
}

// readError and writeError give an error of the client its kind.
func readError(err error) error { return etcd.Fault(err, false) }

func writeError(err error) error { return etcd.Fault(err, true) }

func (d *driver) Get(ctx context.Context, key string) (kv.Item, error) {
	r, err := d.Client.Get(ctx, key)
	if err != nil {
		return kv.Item{}, readError(err)
	}
	if len(r.Kvs) > 0 {
		if item, ok := itemOf(r.Kvs[0]); ok {
			return item, nil
		}
	}
	return kv.Item{}, kv.ErrNotFound
}

func (d *driver) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	for try := 0; ; try++ {
		lease, err := d.leases.get(ctx, w.TTL)
		if err != nil {
			return 0, err
		}
		rev, err := d.apply(ctx, w.Key, w.IfAbsent, w.IfRevision, clientv3.OpPut(w.Key, string(w.Value), clientv3.WithLease(lease)))
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) || try == 3 {
			return rev, writeError(err)
		}
		d.leases.forget(lease)
	}
}

// apply does op if its condition holds. Errors of the client come as they are.
func (d *driver) apply(ctx context.Context, key string, absent bool, rev kv.Revision, op clientv3.Op) (kv.Revision, error) {
	var cmps []clientv3.Cmp
	switch {
	case absent:
		cmps = []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)}
	case rev != 0:
		// An item with a lease has to be looked at first: its life may be over.
		cmps = []clientv3.Cmp{
			clientv3.Compare(clientv3.ModRevision(key), "=", int64(rev)),
			clientv3.Compare(clientv3.LeaseValue(key), "=", 0),
		}
	default:
		r, err := d.Client.Do(ctx, op)
		if err != nil {
			return 0, err
		}
		if r.Put() != nil {
			return kv.Revision(r.Put().Header.Revision), nil
		}
		return kv.Revision(r.Del().Header.Revision), nil
	}
	for {
		r, err := d.Txn(ctx).If(cmps...).Then(op).Else(clientv3.OpGet(key)).Commit()
		if err != nil {
			return 0, err
		}
		if r.Succeeded {
			return kv.Revision(r.Header.Revision), nil
		}
		now := r.Responses[0].GetResponseRange().Kvs
		alive := false
		if len(now) > 0 {
			_, alive = itemOf(now[0])
		}
		switch {
		case absent && alive:
			return 0, kv.ErrExists
		case absent && len(now) == 0:
			continue // it has just gone
		case !absent && (!alive || now[0].ModRevision != int64(rev) || len(cmps) == 1):
			return 0, kv.ErrConflict
		}
		cmps = []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", now[0].ModRevision)}
	}
}

func (d *driver) Delete(ctx context.Context, key string, rev kv.Revision) error {
	_, err := d.apply(ctx, key, false, rev, clientv3.OpDelete(key))
	return writeError(err)
}

// A request may have 128 operations and a mebibyte and a half.
const (
	perRequest   = 100
	bytesRequest = 1 << 20
)

func (d *driver) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	items := make(map[string]kv.Item, len(keys))
	bad := map[string]error{}
	for chunk := range slices.Chunk(keys, perRequest) {
		ops := make([]clientv3.Op, len(chunk))
		for i, key := range chunk {
			ops[i] = clientv3.OpGet(key)
		}
		r, err := d.Txn(ctx).Then(ops...).Commit()
		if err != nil {
			if ctx.Err() != nil {
				return nil, readError(err)
			}
			for _, key := range chunk {
				bad[key] = readError(err)
			}
			continue
		}
		for _, one := range r.Responses {
			for _, p := range one.GetResponseRange().Kvs {
				if item, ok := itemOf(p); ok {
					items[item.Key] = item
				}
			}
		}
	}
	if len(bad) > 0 {
		return items, &kv.BatchError{Errors: bad}
	}
	return items, nil
}

func (d *driver) PutMany(ctx context.Context, writes []kv.Write) []error {
	errs := make([]error, 0, len(writes))
	for chunk := range batch.Chunks(writes, perRequest, bytesRequest, func(w kv.Write) int { return len(w.Key) + len(w.Value) }) {
		errs = append(errs, slices.Repeat([]error{d.putChunk(ctx, chunk)}, len(chunk))...)
	}
	return errs
}

func (d *driver) putChunk(ctx context.Context, writes []kv.Write) error {
	for try := 0; ; try++ {
		ops := make([]clientv3.Op, len(writes))
		leases := map[time.Duration]clientv3.LeaseID{} // one for each TTL: a moment later a short one needs another
		for i, w := range writes {
			lease, ok := leases[w.TTL]
			if !ok {
				var err error
				lease, err = d.leases.get(ctx, w.TTL)
				if err != nil {
					return err
				}
				leases[w.TTL] = lease
			}
			ops[i] = clientv3.OpPut(w.Key, string(w.Value), clientv3.WithLease(lease))
		}
		_, err := d.Txn(ctx).Then(ops...).Commit()
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) || try == 3 {
			return writeError(err)
		}
		for _, lease := range leases {
			d.leases.forget(lease)
		}
	}
}

// List reads all pages of one revision, or goes on with what is there if that
// was compacted meanwhile.
func (d *driver) List(ctx context.Context, prefix, after string) iter.Seq2[kv.Item, error] {
	return func(yield func(kv.Item, error) bool) {
		_, err := d.each(ctx, prefix, after, func(item kv.Item) bool { return yield(item, nil) })
		if err != nil {
			yield(kv.Item{}, err)
		}
	}
}

const perPage = 256

// valid reports whether package kv can name the key: other programs may have
// others.
func valid(key string) bool { return len(key) <= kv.MaxKey && utf8.ValidString(key) }

// each calls f for the items until it returns false, and returns the revision
// that they are of.
func (d *driver) each(ctx context.Context, prefix, after string, f func(kv.Item) bool) (rev int64, err error) {
	from, end := cmp.Or(prefix, "\x00"), clientv3.GetPrefixRangeEnd(prefix)
	if after >= from {
		from = after + "\x00"
	}
	for {
		if end != "\x00" && from >= end {
			return rev, nil
		}
		opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(perPage), clientv3.WithRev(rev)}
		r, err := d.Client.Get(ctx, from, opts...)
		if errors.Is(err, rpctypes.ErrCompacted) && rev != 0 {
			rev = 0
			continue
		}
		if err != nil {
			return 0, readError(err)
		}
		if rev == 0 {
			rev = r.Header.Revision
		}
		for _, p := range r.Kvs {
			if item, alive := itemOf(p); alive && valid(item.Key) && !f(item) {
				return rev, nil
			}
		}
		if !r.More || len(r.Kvs) == 0 {
			return rev, nil
		}
		from = string(r.Kvs[len(r.Kvs)-1].Key) + "\x00"
	}
}
