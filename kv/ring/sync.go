package ring

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
)

// keepSynced compares this node with its peers: at an interval, and until all
// is well after every change.
func (n *Node) keepSynced(ctx context.Context) {
	wait := backoff.Policy{Min: 10 * time.Millisecond, Max: time.Second}
	every := time.NewTimer(n.o.interval)
	defer every.Stop()
	for tries := 0; ; {
		select {
		case <-n.kick:
			tries = 0
		case <-every.C:
		case <-ctx.Done():
			return
		}
		next := n.o.interval
		if !n.compare(ctx) {
			next = min(next, wait.Wait(tries))
			tries++
		}
		every.Reset(next)
	}
}

// kept returns the partitions of which this node has something and owns nothing. It
// may have to keep that for longer than tombstones live, since it drops it only when all
// nodes have compared with all. So it has to hear of deletes there too, else it would hand out
// what was deleted when nobody remembers that any more. Once in an interval is enough.
func (n *Node) kept(v *view, now time.Time) (parts []uint16) {
	if now.Sub(n.checked) < n.o.interval {
		return nil
	}
	n.checked = now
	for p, at := range v.mine {
		if at < 0 && n.store.counts[p].Load() > 0 {
			parts = append(parts, uint16(p))
		}
	}
	return parts
}

// compare pulls from every peer what this node lacks, and reports whether all
// nodes then have all that they own and nothing else.
func (n *Node) compare(ctx context.Context) bool {
	n.mu.RLock()
	v, round, missing := n.v.Load(), n.round, n.missing
	n.mu.RUnlock()
	if v == nil {
		return true
	}
	heard := time.UnixMilli(n.heard.Load())
	if v.agree(ctx, n.o.detection) && time.Since(heard) < n.o.tombs/8 {
		return false // it is about to hear of them, or this node is: a moment later there is more to compare
	}
	if n.cutOff(time.Now()) {
		n.endGap(ctx, v)
	}
	started := time.Now()
	var mine []uint16
	for p, at := range v.mine {
		if at >= 0 {
			mine = append(mine, uint16(p))
		}
	}
	compared := append(mine, n.kept(v, started)...)
	digests := make([]byte, 0, 10*len(compared))
	for _, p := range compared {
		digests = putU64(putU16(digests, p), n.store.digests[p].Load())
	}
	whole := make([]bool, len(v.peers))
	errs := make([]error, len(v.peers))
	var wg sync.WaitGroup
	for i, id := range v.peers {
		wg.Go(func() { whole[i], errs[i] = n.pull(ctx, v, id, digests, missing > 0) })
	}
	wg.Wait()
	var answered []string
	for i, err := range errs {
		if err == nil {
			answered = append(answered, v.peers[i])
		}
	}
	if 2*len(answered) >= len(v.peers) && !n.cutOff(started) {
		n.met(v, started, answered)
	}
	if err := errors.Join(errs...); err != nil {
		n.o.logger.Debug("kv/ring: not compared with all", "error", err)
		return false
	}
	v.agreed.Store(true) // a peer that goes by others tells nothing
	n.mu.Lock()
	if n.v.Load() != v || n.round != round {
		n.mu.Unlock()
		return false
	}
	if n.missing > 0 {
		for _, p := range mine {
			n.have[p].Store(true)
		}
		n.missing = 0
	}
	n.notify()
	leftovers, member := n.leftovers(v), n.member
	n.mu.Unlock()
	if slices.Contains(whole, false) {
		return !leftovers
	}
	if leftovers && member {
		// Every owner has compared with this node under this very view. While
		// it stays nobody writes here what is dropped.
		n.mu.RLock()
		if n.v.Load() == v {
			n.store.drop(func(p uint16, _ uint64) bool { return v.mine[p] >= 0 })
		}
		n.mu.RUnlock()
		n.mu.Lock()
		n.recount(n.v.Load())
		n.mu.Unlock()
	}
	return true
}
