package consul

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/consul/api"
	engine "github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/internal/batch"
	"github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
)

// Backend stores in the Consul that the agent at addr belongs to, over an engine of
// its own: "consuls://:token@host" and the other forms that engine/consul takes.
func Backend(addr string) kv.Option {
	return open(func() (*consul.Conn, error) { return consul.Open(consul.Config{Address: addr}) })
}

// On stores in the Consul that the engine is connected to, and leaves it open.
func On(e *engine.Engine) kv.Option { return open(e.Conn) }

func open(connect func() (*consul.Conn, error)) kv.Option {
	return kv.WithDriver("consul", func(context.Context) (kv.Driver, error) {
		c, err := connect()
		if err != nil {
			return nil, err
		}
		d := &driver{Conn: c}
		d.reaper.init(d.reap)
		return d, nil
	})
}

// driver implements kv.Driver.
type driver struct {
	*consul.Conn
	reaper reaper
}

// maxValue fits into a transaction of 512 KiB, which carries it in base64.
const maxValue = 352 << 10

func (d *driver) Features() kv.Features {
	return kv.Features{
		List: true, Watch: true, Batch: true, Versions: true, Linearizable: true, Durable: true, Shared: true,
		ExpiryStep: time.Millisecond, MaxValue: maxValue,
	}
}

func (d *driver) Close() error {
	d.reaper.close()
	return d.Conn.Close()
}

func consistent(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}

// itemOf reports false for an item that is not there any more, or another
// program's with a key that cannot be one of ours.
func (d *driver) itemOf(p *api.KVPair) (kv.Item, bool) {
	key, ok := decode(p.Key)
	if !ok || key == "" || len(key) > kv.MaxKey || !utf8.ValidString(key) {
		return kv.Item{}, false
	}
	item := kv.Item{Key: key, Value: p.Value, Revision: kv.Revision(p.ModifyIndex)}
	if item.Value == nil {
		item.Value = []byte{}
	}
	alive := false
	item.Expires, alive = endOf(p.Flags)
	if !alive {
		d.reaper.add(p.Key, p.ModifyIndex, item.Expires)
	}
	return item, alive
}

// look returns what is stored at key, also if its life is over; nil if nothing
// is.
func (d *driver) look(ctx context.Context, key string) (*api.KVPair, error) {
	p, _, err := d.KV().Get(encode(key), consistent(ctx))
	return p, consul.Read(err)
}

func (d *driver) Get(ctx context.Context, key string) (kv.Item, error) {
	p, err := d.look(ctx, key)
	if err != nil {
		return kv.Item{}, err
	}
	if p != nil {
		if item, ok := d.itemOf(p); ok {
			return item, nil
		}
	}
	return kv.Item{}, kv.ErrNotFound
}

func (d *driver) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	op := set(w)
	switch {
	case w.IfRevision != 0:
		if err := d.match(ctx, w.Key, w.IfRevision); err != nil {
			return 0, err
		}
		op.Verb, op.Index = api.KVCAS, uint64(w.IfRevision)
	case w.IfAbsent:
		op.Verb = api.KVCAS
	}
	for {
		indexes, err := d.write(ctx, op)
		switch {
		case err != nil:
			return 0, err
		case indexes != nil:
			d.expire(op, indexes[0])
			return kv.Revision(indexes[0]), nil
		case w.IfRevision != 0:
			return 0, kv.ErrConflict
		}
		// IfAbsent met something. If its life is over it may be taken over.
		p, err := d.look(ctx, w.Key)
		if err != nil {
			return 0, unwritten(err)
		}
		op.Index = 0
		if p != nil {
			if _, alive := endOf(p.Flags); alive {
				return 0, kv.ErrExists
			}
			op.Index = p.ModifyIndex
		}
	}
}

func set(w kv.Write) *api.KVTxnOp {
	return &api.KVTxnOp{Verb: api.KVSet, Key: encode(w.Key), Value: w.Value, Flags: flagsOf(w.TTL)}
}

// expire has what op wrote removed when its life is over.
func (d *driver) expire(op *api.KVTxnOp, index uint64) {
	if end, _ := endOf(op.Flags); !end.IsZero() {
		d.reaper.add(op.Key, index, end)
	}
}

// match returns ErrConflict unless what is stored at key is alive and has the
// revision.
func (d *driver) match(ctx context.Context, key string, rev kv.Revision) error {
	p, err := d.look(ctx, key)
	if err != nil {
		return unwritten(err)
	}
	if p != nil && kv.Revision(p.ModifyIndex) == rev {
		if _, alive := endOf(p.Flags); alive {
			return nil
		}
	}
	return kv.ErrConflict
}

// unwritten is the error of a read that a write begins with: nothing was
// written.
func unwritten(err error) error {
	if fault.KindOf(err) != nil {
		return err
	}
	return fault.Mark(kv.ErrUnavailable, err)
}

// write makes one transaction. It returns nil if a condition did not hold, else the
// index that each write made.
func (d *driver) write(ctx context.Context, ops ...*api.KVTxnOp) ([]uint64, error) {
	ok, r, _, err := d.KV().Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, writeError(err)
	}
	if !ok {
		return nil, consul.Refused(r.Errors)
	}
	indexes := make([]uint64, len(ops))
	for i, p := range r.Results[:min(len(ops), len(r.Results))] {
		indexes[i] = p.ModifyIndex
	}
	return indexes, nil
}

// writeError knows what the client says only in words.
func writeError(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "exceeds ") && strings.Contains(text, "limit"),
		strings.Contains(text, "too large"):
		return fault.Mark(kv.ErrTooLarge, err)
	case strings.Contains(text, "No cluster leader"):
		return fault.Mark(kv.ErrUnavailable, err)
	}
	return consul.Write(err)
}

func (d *driver) Delete(ctx context.Context, key string, rev kv.Revision) error {
	name := encode(key)
	index := d.reaper.index(name)
	ops := []*api.KVTxnOp{{Verb: api.KVDelete, Key: name}}
	if rev != 0 {
		if err := d.match(ctx, key, rev); err != nil {
			return err
		}
		// delete-cas would succeed for a key that has gone meanwhile.
		ops = slices.Insert(ops, 0, &api.KVTxnOp{Verb: api.KVCheckIndex, Key: name, Index: uint64(rev)})
	}
	indexes, err := d.write(ctx, ops...)
	switch {
	case err != nil:
		return err
	case indexes == nil:
		return kv.ErrConflict
	}
	d.reaper.forget(name, index)
	return nil
}

// A transaction may have 64 operations and 512 KiB, values in base64.
const (
	perRequest   = 64
	bytesRequest = 340 << 10
)

func (d *driver) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	items := make(map[string]kv.Item, len(keys))
	bad := map[string]error{}
	for chunk := range slices.Chunk(keys, perRequest) {
		ops := make(api.KVTxnOps, len(chunk))
		for i, key := range chunk {
			ops[i] = &api.KVTxnOp{Verb: api.KVGetOrEmpty, Key: encode(key)}
		}
		ok, r, _, err := d.KV().Txn(ops, consistent(ctx))
		if err == nil {
			err = consul.Refused(r.Errors)
			if err == nil && !ok {
				err = errors.New("the transaction failed")
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			for _, key := range chunk {
				bad[key] = consul.Read(err)
			}
			continue
		}
		told := make(map[string]bool, len(chunk))
		for _, p := range r.Results {
			told[p.Key] = true
			if p.ModifyIndex == 0 {
				continue // the empty of get-or-empty
			}
			if item, ok := d.itemOf(p); ok {
				items[item.Key] = item
			}
		}
		for _, key := range chunk {
			if !told[encode(key)] {
				bad[key] = fault.Markf(kv.ErrDenied, "the token may not read it: Consul leaves it out")
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
	size := func(w kv.Write) int { return len(w.Value) + 2*len(w.Key) + 200 }
	for chunk := range batch.Chunks(writes, perRequest, bytesRequest, size) {
		ops := make([]*api.KVTxnOp, len(chunk))
		for i, w := range chunk {
			ops[i] = set(w)
		}
		indexes, err := d.write(ctx, ops...)
		if err == nil && indexes == nil {
			err = fault.Markf(kv.ErrUnavailable, "the transaction failed")
		}
		for i, index := range indexes {
			d.expire(ops[i], index)
		}
		errs = append(errs, slices.Repeat([]error{err}, len(chunk))...)
	}
	return errs
}

// List reads everything under the prefix at once: Consul knows no pages.
func (d *driver) List(ctx context.Context, prefix, after string) iter.Seq2[kv.Item, error] {
	return func(yield func(kv.Item, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		pairs, _, err := d.KV().List(encode(prefix), consistent(ctx))
		if err != nil {
			yield(kv.Item{}, consul.Read(err))
			return
		}
		var items []kv.Item
		for _, p := range pairs {
			if item, ok := d.itemOf(p); ok && item.Key > after && strings.HasPrefix(item.Key, prefix) {
				items = append(items, item)
			}
		}
		slices.SortFunc(items, func(a, b kv.Item) int { return strings.Compare(a.Key, b.Key) })
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// blocked is how long a query waits for a change: so long an idle watch is
// silent, and a dead server unnoticed.
const blocked = 20 * time.Second

// Watch follows the index of the prefix. Every answer is the whole state, so
// what was missed shows.
func (d *driver) Watch(ctx context.Context, prefix string, _ uint64, sink kvdriver.Sink) error {
	known := map[string]kv.Revision{}
	get := func(q *api.QueryOptions) (api.KVPairs, *api.QueryMeta, error) {
		return d.KV().List(encode(prefix), q)
	}
	return consul.Follow(ctx, d.Conn, blocked, get, func(a consul.Answer[api.KVPairs]) error {
		if a.Same {
			return nil
		}
		now := make(map[string]kv.Revision, len(a.Value))
		for _, p := range a.Value {
			item, ok := d.itemOf(p)
			if !ok || !strings.HasPrefix(item.Key, prefix) {
				continue
			}
			now[item.Key] = item.Revision
			if known[item.Key] != item.Revision {
				sink.Put(item)
			}
		}
		for key := range known {
			if _, ok := now[key]; !ok {
				sink.Delete(key)
			}
		}
		known = now
		sink.Synced(0)
		return nil
	})
}
