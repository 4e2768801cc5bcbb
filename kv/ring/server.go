package ring

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/micro/go-platform/kv"
)

// maxRunning is how many requests of one peer may wait for other peers at a
// time. More are refused, not queued: what stands behind them in the
// connection may be what they wait for.
const maxRunning = 4096

// ServeHTTP takes connections of peers over: it is mounted on the service's
// own port, at "/.ring". A request that is no upgrade, or that
// comes from somebody who does not know the key, gets nothing.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !upgrades(r) {
		w.Header().Set("Upgrade", protocol)
		http.Error(w, "this is for the peers of a ring", http.StatusUpgradeRequired)
		return
	}
	if n.life.Closed() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the connection cannot be upgraded", http.StatusInternalServerError)
		return
	}
	n.serve(c, rw.Reader, r)
}

// upgrades reports whether a request is a peer's.
func upgrades(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), protocol) &&
		r.Header.Get(fromHeader) != "" && len(r.Header.Get(nonceHeader)) == 2*nonceSize
}

// serve takes over the connection of a request that upgrades, until it ends.
func (n *Node) serve(c net.Conn, in *bufio.Reader, r *http.Request) {
	defer c.Close()
	if !n.life.Enter() {
		return
	}
	defer n.life.Leave()
	stop := context.AfterFunc(n.life.Context(), func() { c.Close() })
	defer stop()
	from, theirs, mine := r.Header.Get(fromHeader), r.Header.Get(nonceHeader), nonce()
	_ = c.SetDeadline(time.Now().Add(shakeWithin))
	_, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+
		"\r\n"+nonceHeader+": "+mine+"\r\n"+proofHeader+": "+
		hex.EncodeToString(proof(n.o.key, "server", n.service, n.self, from, mine, theirs))+"\r\n\r\n")
	if err != nil {
		return
	}
	want := proof(n.o.key, "client", n.service, from, n.self, theirs, mine)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(in, got); err != nil || !hmac.Equal(got, want) {
		n.refused(from, c.RemoteAddr().String())
		return
	}
	_ = c.SetDeadline(time.Time{})
	n.connected(from, "<")
	out := newWire(c)
	flushed := make(chan struct{})
	go func() { out.flush(); close(flushed) }()
	early, _ := in.Peek(in.Buffered())
	n.answer(out, bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), c), bufferSize))
	out.fail()
	<-flushed
}

// refused logs who did not know the key. Strangers can't fill the log.
func (n *Node) refused(from, address string) {
	ok, dropped := n.refusals.Pass("key", time.Now())
	if !ok {
		return
	}
	if len(from) > 255 {
		from = from[:255]
	}
	n.o.logger.Warn("kv/ring: a peer without the key was refused", "from", from, "address", address, "dropped", dropped)
}

// answer serves a peer's requests. Small leaves are answered at once, in order,
// and what came together goes back together. What may have to wait for another
// peer, which then is asked for leaves only, runs on its own, as does what takes
// long: so no circle of nodes can wait for each other.
func (n *Node) answer(out *wire, r *bufio.Reader) {
	slots := make(chan struct{}, maxRunning)
	in := frames{r: r}
	var replies []byte
	for {
		if len(replies) > 0 && (len(replies) >= bufferSize || !in.ready()) {
			if out.write(replies) != nil {
				return
			}
			replies = replies[:0]
			if cap(replies) > keepBuffer {
				replies = nil
			}
		}
		id, op, body, err := in.next()
		if err != nil {
			return
		}
		begin := len(replies)
		if reply, ok := n.now(beginFrame(replies, id, stOK), op, body); ok {
			replies = endFrame(reply, begin)
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			out.reply(id, stUnavailable, nil)
			continue
		}
		body = bytes.Clone(body)
		if !n.life.Go(func(ctx context.Context) {
			defer func() { <-slots }()
			status, reply := n.branch(ctx, op, body)
			out.reply(id, status, reply)
		}) {
			return
		}
	}
}

// now appends the answer to what needs nobody else and is done soon, to a frame
// that ends with its status. It keeps nothing of body.
func (n *Node) now(b []byte, op byte, body []byte) (reply []byte, ok bool) {
	status := len(b) - 1
	switch op {
	case opGet:
		b[status], b, ok = n.getNow(b, body)
		return b, ok
	case opMany:
		return n.manyNow(b, body)
	case opPing, opAsk, opApply, opAgree, opReach, opGap:
		st, rest := n.leaf(op, body)
		b[status] = st
		return append(b, rest...), true
	}
	return b, false
}

// leaf answers what this node knows by itself. It keeps nothing of body.
func (n *Node) leaf(op byte, body []byte) (byte, []byte) {
	r := &reader{b: body}
	if (op == opSync || op == opFetch) && n.cutOff(time.Now()) {
		return stUnavailable, nil
	}
	switch op {
	case opPing:
		return stOK, nil
	case opAgree:
		if v, epoch := n.v.Load(), r.u64(); v == nil || v.epoch != epoch {
			return stMoved, nil
		}
		return stOK, nil
	case opReach:
		if !n.reaches(r.text()) {
			return stNotFound, nil
		}
		return stOK, nil
	case opGap:
		ago := time.Duration(r.u64()) * time.Millisecond
		if r.bad {
			return stInvalid, nil
		}
		return stOK, []byte{n.was(time.Now().Add(-ago))}
	case opAsk:
		epoch, key := r.u64(), r.text()
		if r.bad {
			return stInvalid, nil
		}
		if n.withholds(epoch, time.Now()) {
			return stUnavailable, nil
		}
		return stOK, putRecord(nil, n.store.latest(key))
	case opApply:
		claim, base, key, rec := r.u64(), r.u64(), r.text(), r.record()
		if r.bad || key == "" {
			return stInvalid, nil
		}
		rec.value = bytes.Clone(rec.value)
		return n.apply(claim, base, key, rec)
	case opSync:
		return n.listing(r, pageSize)
	case opFetch:
		var reply []byte
		for r.more() && len(reply) < pageSize {
			key := r.text()
			reply = putRecord(reply, n.store.latest(key))
		}
		if r.bad {
			return stInvalid, nil
		}
		return stOK, reply
	}
	return stInvalid, nil
}

// getNow answers a Get that needs nobody else, behind what b has.
func (n *Node) getNow(b, body []byte) (status byte, reply []byte, ok bool) {
	r := &reader{b: body}
	r.u32()
	key := r.text()
	if r.bad {
		return stInvalid, b, true
	}
	now := time.Now()
	owner, have, _ := n.stands(partition(hash(key)), now)
	switch {
	case !owner:
		return stMoved, b, true
	case !have || n.cutOff(now):
		return 0, b, false
	}
	rec, there := n.store.get(key, now)
	if !there {
		return stNotFound, b, true
	}
	return stOK, putRecord(b, rec), true
}

// branch answers what may need other peers. The body is its own.
func (n *Node) branch(ctx context.Context, op byte, body []byte) (byte, []byte) {
	if op != opGet && op != opWrite && op != opMany {
		return n.leaf(op, body)
	}
	r := &reader{b: body}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.u32())*time.Millisecond)
	defer cancel()
	if op == opMany {
		return n.many(ctx, r)
	}
	if op == opGet {
		key := r.text()
		if r.bad {
			return stInvalid, nil
		}
		rec, err := n.get(ctx, key)
		if err != nil {
			return statusOf(err)
		}
		return stOK, putRecord(nil, rec)
	}
	w := r.write()
	if r.bad || w.Key == "" || len(w.Key) > kv.MaxKey || len(w.Value) > maxValue {
		return stInvalid, nil
	}
	w.Value = bytes.Clone(w.Value) // what is around it is not kept
	version, sum, err := n.decide(ctx, w)
	if err != nil {
		return statusOf(err)
	}
	return stOK, putU64(putU64(nil, version), uint64(sum))
}
