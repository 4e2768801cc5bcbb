package ring

import (
	"bufio"
	"context"
	"crypto/hmac"
	"encoding/hex"
	"io"
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
// own port, at the path of WithPath. A request that is no upgrade, or that
// comes from somebody who does not know the key, gets nothing.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from, theirs := r.Header.Get(fromHeader), r.Header.Get(nonceHeader)
	if r.Method != http.MethodGet || !strings.EqualFold(r.Header.Get("Upgrade"), protocol) || from == "" || len(theirs) != 2*nonceSize {
		w.Header().Set("Upgrade", protocol)
		http.Error(w, "this is for the peers of a ring", http.StatusUpgradeRequired)
		return
	}
	if !n.life.Enter() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer n.life.Leave()
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the connection cannot be upgraded", http.StatusInternalServerError)
		return
	}
	defer c.Close()
	stop := context.AfterFunc(n.life.Context(), func() { c.Close() })
	defer stop()
	mine := nonce()
	_ = c.SetDeadline(time.Now().Add(shakeWithin))
	_, err = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+
		"\r\n"+nonceHeader+": "+mine+"\r\n"+proofHeader+": "+
		hex.EncodeToString(proof(n.o.key, "server", n.service, n.self, from, mine, theirs))+"\r\n\r\n")
	if err != nil {
		return
	}
	want := proof(n.o.key, "client", n.service, from, n.self, theirs, mine)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(rw.Reader, got); err != nil || !hmac.Equal(got, want) {
		n.o.logger.Warn("kv/ring: a peer without the key was refused", "from", from, "address", r.RemoteAddr)
		return
	}
	_ = c.SetDeadline(time.Time{})
	n.connected(from, "<")
	out := newWire(c)
	flushed := make(chan struct{})
	go func() { out.flush(); close(flushed) }()
	n.answer(out, rw.Reader)
	out.fail()
	<-flushed
}

// answer serves a peer's requests. Small leaves are answered at once, in order.
// What may have to wait for another peer, which then is asked for leaves only,
// runs on its own, as does what takes long: so no circle of nodes can wait for
// each other.
func (n *Node) answer(out *wire, r *bufio.Reader) {
	slots := make(chan struct{}, maxRunning)
	for {
		id, op, body, err := readFrame(r)
		if err != nil {
			return
		}
		if op == opPing || op == opAsk || op == opApply {
			status, reply := n.leaf(op, body)
			out.send(id, status, reply, 0)
			continue
		}
		if op == opGet {
			if status, reply, ok := n.getNow(body); ok {
				out.send(id, status, reply, 0)
				continue
			}
		}
		select {
		case slots <- struct{}{}:
		default:
			out.send(id, stUnavailable, nil, 0)
			continue
		}
		if !n.life.Go(func(ctx context.Context) {
			defer func() { <-slots }()
			status, reply := n.branch(ctx, op, body)
			out.send(id, status, reply, 0)
		}) {
			return
		}
	}
}

// leaf answers what this node knows by itself.
func (n *Node) leaf(op byte, body []byte) (byte, []byte) {
	r := &reader{b: body}
	if n.cutOff() && op != opPing && op != opApply {
		return stUnavailable, nil
	}
	switch op {
	case opPing:
		return stOK, nil
	case opAsk:
		key := r.text()
		if r.bad {
			return stInvalid, nil
		}
		return stOK, putRecord(nil, n.store.latest(key))
	case opApply:
		claim, base, key, rec := r.u64(), r.u64(), r.text(), r.record()
		if r.bad || key == "" {
			return stInvalid, nil
		}
		return n.apply(claim, base, key, rec)
	case opSync:
		return n.listing(r)
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

// getNow answers a Get that needs nobody else.
func (n *Node) getNow(body []byte) (status byte, reply []byte, ok bool) {
	r := &reader{b: body}
	r.u32()
	key := r.text()
	if r.bad {
		return stInvalid, nil, true
	}
	owner, have, _ := n.stands(partition(hash(key)))
	switch {
	case !owner:
		return stMoved, nil, true
	case !have || n.cutOff():
		return 0, nil, false
	}
	rec, there := n.store.get(key)
	if !there {
		return stNotFound, nil, true
	}
	return stOK, putRecord(make([]byte, 0, len(rec.value)+21), rec), true
}

// branch answers what may need other peers.
func (n *Node) branch(ctx context.Context, op byte, body []byte) (byte, []byte) {
	if op != opGet && op != opWrite {
		return n.leaf(op, body)
	}
	r := &reader{b: body}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.u32())*time.Millisecond)
	defer cancel()
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
	version, sum, err := n.decide(ctx, w)
	if err != nil {
		return statusOf(err)
	}
	return stOK, putU64(putU64(nil, version), uint64(sum))
}
