package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const longTTL = time.Minute

// waiter is the role of a process that takes a lock and prints its token.
// Arguments: the server, the namespace.
func waiter(args []string) error {
	s, err := dsync.New(etcd.Backend(args[0]), dsync.WithNamespace(args[1]))
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := s.Lock(context.Background(), "x", dsync.TTL(longTTL))
	if err != nil {
		return err
	}
	fmt.Println(l.Token(), l.Context().Err())
	return l.Unlock(context.Background())
}

// queue is who holds and waits for a lock.
type queue struct {
	testing.TB
	*clientv3.Client
	prefix string
}

func newQueue(t testing.TB, addr, namespace, id string) *queue {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &queue{t, c, "sync/" + namespace + "/lock/" + id + "/"}
}

// claims are the TTLs of the leases of those in the queue, in their order.
func (q *queue) claims() (ttls []time.Duration) {
	q.Helper()
	r, err := q.Get(q.Context(), q.prefix, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	if err != nil {
		q.Fatal(err)
	}
	for _, kv := range r.Kvs {
		l, err := q.TimeToLive(q.Context(), clientv3.LeaseID(kv.Lease))
		if err != nil {
			q.Fatal(err)
		}
		ttls = append(ttls, time.Duration(l.GrantedTTL)*time.Second)
	}
	return ttls
}

// until waits until the queue is as wanted, and reports whether it was in time.
func (q *queue) until(limit time.Duration, ok func(ttls []time.Duration) bool) (ttls []time.Duration, inTime bool) {
	q.Helper()
	for deadline := time.Now().Add(limit); ; {
		if ttls = q.claims(); ok(ttls) {
			return ttls, true
		}
		if time.Now().After(deadline) {
			return ttls, false
		}
		<-time.After(5 * time.Millisecond)
	}
}

func ofLength(n int) func([]time.Duration) bool {
	return func(ttls []time.Duration) bool { return len(ttls) == n }
}

// What holds a lock, or waits for it, is stopped or gone: a waiter holds up
// those behind it for a few seconds, whatever its TTL, and a holder for its TTL.
func TestAWaiterThatIsStoppedIsSkipped(t *testing.T) {
	t.Parallel()
	server := servertest.SharedEtcd(t)
	for name, c := range map[string]struct {
		stop    func(*servertest.Process)
		skipped bool
	}{
		"stopped": {(*servertest.Process).Pause, true},
		"gone":    {(*servertest.Process).Kill, true},
		"well":    {func(*servertest.Process) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := "skip-" + name
			q := newQueue(t, server.Addr(), namespace, "x")
			s, err := dsync.New(etcd.Backend(server.Addr()), dsync.WithNamespace(namespace))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			held, err := s.Lock(t.Context(), "x", dsync.TTL(longTTL))
			if err != nil {
				t.Fatal(err)
			}
			head := servertest.Child(t, "waiter", server.Addr(), namespace)
			if _, ok := q.until(30*time.Second, ofLength(2)); !ok {
				t.Fatal("the other process does not wait")
			}
			if ttls, ok := q.until(30*time.Second, func(ttls []time.Duration) bool { return ttls[1] < longTTL }); !ok {
				t.Fatalf("leases of %v, want the waiter on a shorter one", ttls)
			}
			c.stop(head)
			next := make(chan dsync.Lock, 1)
			go func() {
				l, err := s.Lock(t.Context(), "x", dsync.TTL(longTTL))
				if err != nil {
					t.Errorf("Lock: %v", err)
				}
				next <- l
			}()
			if _, ok := q.until(30*time.Second, ofLength(3)); !ok {
				t.Fatal("the second does not wait")
			}
			if err := held.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
			released := time.Now()
			var l dsync.Lock
			select {
			case l = <-next:
			case <-time.After(20 * time.Second):
				t.Fatal("a waiter that does not take its turn holds up the others for 20 s, want about 4 s")
			}
			if l == nil {
				return
			}
			t.Logf("after %v", time.Since(released))
			if ttls := q.claims(); len(ttls) == 0 || ttls[0] != longTTL {
				t.Errorf("leases of %v, want first the holder's of %v", ttls, longTTL)
			}
			if !c.skipped {
				if got := head.Line(); !strings.HasSuffix(got, "<nil>") || token(t, got) <= held.Token() || token(t, got) >= l.Token() {
					t.Errorf("the first in the queue got %q, want a token between %d and %d", got, held.Token(), l.Token())
				}
				return
			}
			if name == "stopped" { // it queues again, and gets the lock after this one
				head.Resume()
				if _, ok := q.until(30*time.Second, ofLength(2)); !ok {
					t.Error("who was skipped does not wait again")
				}
			}
			if err := l.Unlock(t.Context()); err != nil {
				t.Errorf("Unlock: %v", err)
			}
			if name == "stopped" {
				if got := head.Line(); !strings.HasSuffix(got, "<nil>") || token(t, got) <= l.Token() {
					t.Errorf("who was skipped got %q, want a token over %d", got, l.Token())
				}
			}
		})
	}
}

func token(t *testing.T, line string) (n uint64) {
	t.Helper()
	if _, err := fmt.Sscan(line, &n); err != nil {
		t.Errorf("token in %q: %v", line, err)
	}
	return n
}

// Requests that move a claim to another lease are done, and their answers lost:
// whoever is first still gets the lock, keeps it, and nobody else has it.
func TestLostAnswersOfAWaiter(t *testing.T) {
	t.Parallel()
	server := servertest.SharedEtcd(t)
	const ttl = 10 * time.Second
	link := netfault.New(t, server.Addr())
	var syncs []dsync.Sync
	for _, addr := range []string{server.Addr(), link.Addr()} {
		s, err := dsync.New(etcd.Backend(addr), dsync.WithNamespace("lost-answers"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		syncs = append(syncs, s)
	}
	contend := func(id string) (held dsync.Lock, q *queue, got chan dsync.Lock) {
		held, err := syncs[0].Lock(t.Context(), id, dsync.TTL(ttl))
		if err != nil {
			t.Fatal(err)
		}
		got = make(chan dsync.Lock, 1)
		go func() {
			l, err := syncs[1].Lock(t.Context(), id, dsync.TTL(ttl))
			if err != nil {
				t.Errorf("Lock: %v", err)
			}
			got <- l
		}()
		q = newQueue(t, server.Addr(), "lost-answers", id)
		if _, ok := q.until(30*time.Second, ofLength(2)); !ok {
			t.Fatal("nobody waits")
		}
		return held, q, got
	}
	shorter := func(ttls []time.Duration) bool { return len(ttls) == 2 && ttls[1] < ttl }
	first, q, firstGot := contend("first") // the short lease is there from now on
	if ttls, ok := q.until(30*time.Second, shorter); !ok {
		t.Fatalf("leases of %v, want the waiter on a shorter one", ttls)
	}
	held, q, got := contend("x")
	r, err := q.Get(t.Context(), q.prefix, clientv3.WithLastCreate()...)
	if err != nil || len(r.Kvs) != 1 {
		t.Fatalf("the waiter's key: %v, %v", r, err)
	}
	for got, last := link.Counts().Received, time.Now(); time.Since(last) < 100*time.Millisecond; <-time.After(time.Millisecond) {
		if now := link.Counts().Received; now != got {
			got, last = now, time.Now() // it still asks where it stands
		}
	}
	link.Hold(netfault.Replies) // before it is moved to a short lease
	if ttls, ok := q.until(30*time.Second, shorter); !ok {
		t.Fatalf("leases of %v, want the waiter on a shorter one", ttls)
	}
	link.Reset()
	link.Heal()
	if err := held.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { <-firstGot }()
	var l dsync.Lock
	select {
	case l = <-got:
	case <-time.After(30 * time.Second):
		t.Fatal("the waiter does not get the lock")
	}
	if l == nil {
		return
	}
	if ttls, ok := q.until(30*time.Second, func(ttls []time.Duration) bool { return len(ttls) == 1 && ttls[0] == ttl }); !ok {
		t.Fatalf("leases of %v, want the holder's of %v", ttls, ttl)
	}
	if l.Token() != uint64(r.Kvs[0].CreateRevision) {
		t.Errorf("token %d, want %d: it has queued again", l.Token(), r.Kvs[0].CreateRevision)
	}
	if _, err := syncs[0].TryLock(t.Context(), "x"); !errors.Is(err, dsync.ErrHeld) {
		t.Errorf("TryLock by another = %v, want held", err)
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Errorf("Unlock: %v", err)
	}
}
