package ring

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// manyNow answers a request for many keys out of memory, if that has them all.
func (n *Node) manyNow(b, body []byte) (reply []byte, ok bool) {
	r, now, begin := &reader{b: body}, time.Now(), len(b)
	if n.cutOff(now) {
		return b, false
	}
	for r.u32(); r.more() && len(b)-begin < pageSize; {
		key := r.text()
		owner, have, _ := n.stands(partition(hash(key)), now)
		switch {
		case r.bad:
		case !owner:
			b = append(b, stMoved)
		case !have:
			return b[:begin], false
		default:
			if rec, there := n.store.get(key, now); there {
				b = putRecord(append(b, stOK), rec)
			} else {
				b = append(b, stNotFound)
			}
		}
	}
	if r.bad {
		b = b[:begin]
		b[begin-1] = stInvalid
	}
	return b, true
}

// many answers the same where other nodes have to be asked.
func (n *Node) many(ctx context.Context, r *reader) (status byte, reply []byte) {
	var keys []string
	for r.more() {
		keys = append(keys, r.text())
	}
	if r.bad {
		return stInvalid, nil
	}
	for len(keys) > 0 && len(reply) < pageSize {
		some := keys[:min(len(keys), parallel)]
		records, errs := make([]record, len(some)), make([]error, len(some))
		each(len(some), func(i int) { records[i], errs[i] = n.get(ctx, some[i]) })
		for i, rec := range records {
			if errs[i] == nil {
				reply = putRecord(append(reply, stOK), rec)
			} else {
				status, _ := statusOf(errs[i])
				reply = append(reply, status)
			}
			if len(reply) >= pageSize {
				break
			}
		}
		keys = keys[len(some):]
	}
	return stOK, reply
}

// GetMany asks every owner once for all that it is primary of. What it does not
// answer then is asked for key by key, where there are others to try.
func (d *driver) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	items := make(map[string]kv.Item, len(keys))
	var left []string
	of := map[*link][]string{}
	if v := d.n.v.Load(); v != nil && !d.n.life.Closed() {
		now := time.Now()
		for _, key := range keys {
			p := partition(hash(key))
			rec, there, sure := d.n.near(v, p, key, now)
			switch {
			case there:
				items[key] = itemOf(key, rec)
			case sure:
			case v.first[p] == nil:
				left = append(left, key)
			default:
				of[v.first[p]] = append(of[v.first[p]], key)
			}
		}
	} else {
		left = keys
	}
	var mu sync.Mutex // guards items and left
	var wg sync.WaitGroup
	for l, keys := range of {
		wg.Go(func() {
			for len(keys) > 0 {
				answer := l.askMany(ctx, keys)
				mu.Lock()
				missing, rest := answer.items(keys, items)
				left = append(left, missing...)
				if len(rest) == len(keys) {
					left = append(left, rest...)
					rest = nil
				}
				mu.Unlock()
				keys = rest
			}
		})
	}
	wg.Wait()
	return items, d.getEach(ctx, left, items)
}

// maxAsked bounds the keys of one request.
const maxAsked = 4096

// askMany asks a peer for the records of keys, or of as many as a request has
// room for. Without an answer it returns none.
func (l *link) askMany(ctx context.Context, keys []string) *reader {
	c := l.conn.Load()
	if c == nil {
		return &reader{}
	}
	a, err := c.call(ctx, opMany, time.Time{}, func(b []byte) []byte {
		b = putU32(b, left(ctx, time.Now()))
		for _, key := range keys[:min(maxAsked, len(keys))] {
			b = putBytes(b, key)
		}
		return b
	})
	if err != nil || a.status != stOK {
		return &reader{}
	}
	return &reader{b: a.body}
}

// items adds what a peer has answered about keys to all. What it does not know
// for sure is missing, and what had no room in its answer is the rest.
func (r *reader) items(keys []string, all map[string]kv.Item) (missing, rest []string) {
	n, now := 0, time.Now()
	for ; n < len(keys) && r.more(); n++ {
		switch key := keys[n]; r.u8() {
		case stOK:
			rec := r.record()
			if r.bad {
				return append(missing, keys[n:]...), nil
			}
			if !rec.over(now) {
				rec.value = bytes.Clone(rec.value) // one item does not keep all
				all[key] = itemOf(key, rec)
			}
		case stNotFound:
		default:
			missing = append(missing, key)
		}
	}
	return missing, keys[n:]
}

// parallel is how many single calls stand for a batch at a time. What is sent
// at the same time shares frames.
const parallel = 64

func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(parallel, n) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

func (d *driver) getEach(ctx context.Context, keys []string, items map[string]kv.Item) error {
	var mu sync.Mutex
	bad := map[string]error{}
	each(len(keys), func(i int) {
		item, err := d.Get(ctx, keys[i])
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			items[keys[i]] = item
		case !errors.Is(err, fault.NotFound):
			bad[keys[i]] = err
		}
	})
	if len(bad) > 0 {
		return &kv.BatchError{Errors: bad}
	}
	return nil
}

func (d *driver) PutMany(ctx context.Context, writes []kv.Write) []error {
	errs := make([]error, len(writes))
	each(len(writes), func(i int) { _, errs[i] = d.Put(ctx, writes[i]) })
	return errs
}
