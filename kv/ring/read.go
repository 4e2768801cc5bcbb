package ring

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// near reads from this node's own memory, if that is as good as an owner's. A
// replica has what is acknowledged as its primary has; what it lacks, though,
// it may have evicted.
func (n *Node) near(v *view, p uint16, key string, now time.Time) (rec record, there, sure bool) {
	at := v.mine[p]
	if at < 0 || !n.have[p].Load() || !n.awake(now) || n.cutOff(now) {
		return record{}, false, false
	}
	rec, there = n.store.get(key, now)
	return rec, there, there || at == 0
}

// get reads as an owner. While it does not have the partition it asks the
// others too, and keeps what they know.
func (n *Node) get(ctx context.Context, key string) (record, error) {
	now := time.Now()
	owner, have, v := n.stands(partition(hash(key)), now)
	if !owner {
		return record{}, errMoved
	}
	if n.cutOff(now) {
		return record{}, errCutOff
	}
	failed := 0
	if !have {
		failed = n.learn(ctx, v, key)
	}
	// A minority cannot ask the others, and reads what it has.
	if r, ok := n.store.get(key, time.Now()); ok && (failed == 0 || !v.most) {
		return r, nil
	}
	if failed > 0 {
		return record{}, fault.Markf(kv.ErrUnavailable, "hand-off is not complete")
	}
	return record{}, kv.ErrNotFound
}

// learn asks all peers for a key, and returns how many did not answer.
func (n *Node) learn(ctx context.Context, v *view, key string) (failed int) {
	for _, a := range v.askAll(ctx, n.o.detection, opAsk, putBytes(putU64(nil, v.epoch), key)) {
		r := &reader{b: a.body}
		rec := r.record()
		switch {
		case a.err != nil || a.status != stOK || r.bad:
			failed++
		case rec.version != 0:
			n.clock.seen(rec.version)
			n.store.merge(key, rec)
		}
	}
	return failed
}

// call asks a peer.
func (v *view) call(ctx context.Context, id string, op byte, body []byte) (answer, error) {
	if l := v.links[id]; l != nil {
		if c := l.conn.Load(); c != nil {
			return c.call(ctx, op, time.Time{}, func(b []byte) []byte { return append(b, body...) })
		}
	}
	return answer{}, errUnsent
}
