package ring

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
)

// Kinds of writes.
const (
	kindPut byte = iota + 1
	kindDelete
	kindAdd
)

// write is a change as it is asked of a primary.
type write struct {
	kv.Write
	kind  byte
	delta int64
}

func putWrite(b []byte, w write) []byte {
	b = append(b, w.kind)
	b = putBytes(b, w.Key)
	b = putU64(b, uint64(w.TTL))
	b = putBool(b, w.IfAbsent)
	b = putU64(b, uint64(w.IfRevision))
	b = putU64(b, uint64(w.delta))
	return putBytes(b, w.Value)
}

func (r *reader) write() write {
	w := write{kind: r.u8()}
	w.Key = r.text()
	w.TTL = time.Duration(r.u64())
	w.IfAbsent = r.bool()
	w.IfRevision = kv.Revision(r.u64())
	w.delta = int64(r.u64())
	w.Value = r.bytes()
	if w.kind < kindPut || w.kind > kindAdd || w.TTL < 0 {
		r.bad = true
	}
	return w
}

var (
	errMoved = errors.New("the key has another owner") // nothing was applied
	errAhead = errors.New("a replica knew more")       // nothing was applied
)

var errCutOff = fault.Markf(kv.ErrUnavailable, "this node was cut off for too long and has not compared with the others yet")

// longest is the longest life: longer ones are cut.
const longest = 100 * 365 * 24 * time.Hour

// change decides a write on what is there: the record that it makes, or why it
// makes none.
func (w write) change(cur record, now time.Time) (next record, sum int64, err error) {
	there := cur.version != 0 && !cur.dead && !cur.over(now)
	switch {
	case w.IfAbsent && there:
		return next, 0, kv.ErrExists
	case w.IfRevision != 0 && (!there || kv.Revision(cur.version) != w.IfRevision):
		return next, 0, kv.ErrConflict
	}
	if w.TTL > 0 {
		next.expires = now.Add(min(w.TTL, longest) + time.Millisecond - 1).UnixMilli()
	}
	switch w.kind {
	case kindPut:
		next.value = w.Value
	case kindDelete:
		next = record{dead: true}
	case kindAdd:
		sum = w.delta
		if there {
			next.expires = cur.expires
			sum, err = kvdriver.AddTo(cur.value, w.delta)
			if err != nil {
				return next, 0, err
			}
		}
		next.value = strconv.AppendInt(nil, sum, 10)
	}
	return next, sum, nil
}

// decide makes a write as its partition's primary. One write of a partition is
// decided at a time. The replicas have it before the primary does, and a
// replica takes it only if it agrees about the owners and knows nothing newer
// of the key: so what is acknowledged is on all owners, and a primary that has
// missed something finds out instead of deciding on it.
func (n *Node) decide(ctx context.Context, w write) (version uint64, sum int64, err error) {
	p := partition(hash(w.Key))
	select {
	case n.locks[p] <- struct{}{}:
		defer func() { <-n.locks[p] }()
	case <-ctx.Done():
		return 0, 0, fault.Mark(kv.ErrUnavailable, ctx.Err())
	}
	var base uint64 // of what a replica still has and here is over already
	for range 8 {
		now := time.Now()
		_, have, v := n.stands(p, now)
		if v == nil || v.mine[p] != 0 || !v.settled(p) {
			return 0, 0, errMoved
		}
		if n.cutOff(now) {
			return 0, 0, errCutOff
		}
		if !have && n.learn(ctx, v, w.Key) > 0 {
			return 0, 0, fault.Markf(kv.ErrUnavailable, "hand-off is not complete")
		}
		cur := n.store.latest(w.Key)
		next, sum, err := w.change(cur, time.Now())
		if err != nil {
			return 0, 0, err
		}
		next.shadow = cur.shadowOn(n.o.tombs)
		base = max(base, cur.version)
		next.version = n.clock.next(base)
		over, err := n.replicate(ctx, v, p, w.Key, base, next)
		if err == nil {
			return next.version, sum, n.commit(v, p, w.Key, next)
		}
		if err != errAhead {
			return 0, 0, err
		}
		base = max(base, over)
	}
	return 0, 0, fault.Markf(kv.ErrUnavailable, "the replicas know more again and again")
}

// commit applies what the replicas have, unless the owners have changed since:
// then the new ones may have been given the partition without it.
func (n *Node) commit(v *view, p uint16, key string, rec record) error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if now := n.v.Load(); now.claims[p] != v.claims[p] {
		return fault.Markf(kv.ErrUnknownOutcome, "the owners changed during the write")
	}
	n.store.merge(key, rec)
	return nil
}

// apply takes a write as a replica.
func (n *Node) apply(claim, base uint64, key string, rec record) (byte, []byte) {
	n.clock.seen(rec.version)
	p := partition(hash(key))
	n.mu.RLock()
	defer n.mu.RUnlock()
	if v := n.v.Load(); v == nil || v.claims[p] != claim || v.mine[p] < 0 {
		return stMoved, nil
	}
	if cur := n.store.latest(key); cur.version > base {
		return stAhead, putRecord(nil, cur)
	}
	n.store.merge(key, rec)
	return stOK, nil
}

// replicate gives a record to the partition's replicas. It returns errMoved,
// errAhead and ErrUnavailable only if none has taken it. With errAhead the
// replicas' newer record is here; over is its version if its life has ended.
func (n *Node) replicate(ctx context.Context, v *view, p uint16, key string, base uint64, rec record) (over uint64, err error) {
	replicas := v.owners[p][1:]
	if len(replicas) == 0 {
		return 0, nil
	}
	var ended atomic.Uint64
	body := putRecord(putBytes(putU64(putU64(make([]byte, 0, len(key)+len(rec.value)+64), v.claims[p]), base), key), rec)
	errs := make([]error, len(replicas))
	one := func(i int) {
		a, err := v.call(ctx, replicas[i], opApply, body)
		switch {
		case errors.Is(err, errUnsent):
			errs[i] = fault.Mark(kv.ErrUnavailable, err)
		case err != nil:
			errs[i] = fault.Mark(kv.ErrUnknownOutcome, err)
		case a.status == stAhead:
			r := &reader{b: a.body}
			if newer := r.record(); !r.bad {
				n.clock.seen(newer.version)
				n.store.merge(key, newer)
				if newer.over(time.Now()) {
					ended.Store(newer.version)
				}
			}
			errs[i] = errAhead
		case a.status == stMoved:
			errs[i] = errMoved
		case a.status != stOK:
			errs[i] = fault.Markf(kv.ErrUnavailable, "the replica refuses: status %d", a.status)
		}
		if errs[i] != nil && errs[i] != errAhead && errs[i] != errMoved {
			errs[i] = fmt.Errorf("replica %s: %w", replicas[i], errs[i])
		}
	}
	var wg sync.WaitGroup
	for i := range replicas[1:] {
		wg.Go(func() { one(i + 1) })
	}
	one(0)
	wg.Wait()
	taken, first := 0, error(nil)
	for _, err := range errs {
		switch {
		case err == nil:
			taken++
		case errors.Is(err, fault.UnknownOutcome):
			return 0, err
		case first == nil || err == errAhead:
			first = err
		}
	}
	if first != nil && taken > 0 {
		return 0, fault.Markf(kv.ErrUnknownOutcome, "not all owners took it: %w", first)
	}
	return ended.Load(), first
}

// statusOf is how an error goes over the wire.
func statusOf(err error) (byte, []byte) {
	text := []byte(err.Error())
	switch {
	case errors.Is(err, errMoved):
		return stMoved, nil
	case errors.Is(err, fault.UnknownOutcome):
		return stUnknown, text
	case errors.Is(err, fault.NotFound):
		return stNotFound, nil
	case errors.Is(err, fault.Exists):
		return stExists, nil
	case errors.Is(err, fault.Conflict):
		return stConflict, nil
	case errors.Is(err, fault.Invalid):
		return stInvalid, text
	}
	return stUnavailable, text
}

func errorOf(a answer) error {
	switch a.status {
	case stOK:
		return nil
	case stMoved:
		return errMoved
	case stNotFound:
		return kv.ErrNotFound
	case stExists:
		return kv.ErrExists
	case stConflict:
		return kv.ErrConflict
	case stInvalid:
		return fault.Markf(kv.ErrInvalid, "the primary says: %s", a.body)
	case stUnavailable:
		return fault.Markf(kv.ErrUnavailable, "the peer says: %s", a.body)
	}
	return fault.Markf(kv.ErrUnknownOutcome, "the peer says: %s", a.body)
}
