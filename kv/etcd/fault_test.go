package etcd_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/etcd"
	"github.com/micro/go-platform/kv/kvtest"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func client(t *testing.T, addr string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestWatchSurvivesCompaction cuts a watch off, changes things behind its back
// and compacts the history that it would have to go on from.
func TestWatchSurvivesCompaction(t *testing.T) {
	t.Parallel()
	server := servertest.Etcd(t)
	p := netfault.New(t, server.Addr())
	ns := kv.WithNamespace("compacted")
	store, straight := opener(etcd.Backend(p.Addr()))(t, ns), opener(etcd.Backend(server.Addr()))(t, ns)
	defer store.Close()
	defer straight.Close()
	put := func(key, value string) {
		t.Helper()
		if _, err := straight.Put(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	put("changed", "1")
	put("deleted", "1")
	put("same", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	state, told := map[string]string{}, 0
	cut := false
	for e, err := range store.Watch(ctx, "") {
		switch {
		case ctx.Err() != nil:
			t.Fatalf("the watch has %v", state)
		case err != nil: // the outage
			p.Heal()
			continue
		case e.Kind == kv.EventPut:
			state[e.Item.Key] = string(e.Item.Value)
			told++
		case e.Kind == kv.EventDelete:
			delete(state, e.Item.Key)
			told++
		case !cut:
			cut = true
			p.Refuse()
			p.Reset()
			put("changed", "2")
			put("new", "1")
			if err := straight.Delete(t.Context(), "deleted"); err != nil {
				t.Fatal(err)
			}
			c := client(t, server.Addr())
			r, err := c.Get(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Compact(t.Context(), r.Header.Revision); err != nil {
				t.Fatal(err)
			}
		}
		if cut && e.Kind == kv.EventSynced && len(state) == 3 && state["changed"] == "2" && state["new"] == "1" && state["same"] == "1" {
			if told != 6 {
				t.Errorf("%d events, want 6: 3 for the state and one for each change", told)
			}
			return
		}
	}
}

// TestLivesAreExact: etcd counts leases in seconds, from two up.
func TestLivesAreExact(t *testing.T) {
	t.Parallel()
	store := opener(etcd.Backend(servertest.SharedEtcd(t).Addr()))(t, kv.WithNamespace(servertest.Namespace(t)))
	defer store.Close()
	start := time.Now()
	if _, err := store.Put(t.Context(), "k", []byte("v"), kv.TTL(300*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for put := time.Now(); ; {
		asked := time.Since(put)
		_, err := store.Get(t.Context(), "k")
		if errors.Is(err, kv.ErrNotFound) {
			break
		}
		if err != nil || asked > 1500*time.Millisecond {
			t.Fatalf("asked after %v: %v", asked, err)
		}
	}
	if took := time.Since(start); took < 280*time.Millisecond {
		t.Fatalf("gone after %v", took)
	}
	// etcd still has it, but nobody sees it, and it may be made again.
	rev, err := store.Put(t.Context(), "k", []byte("new"), kv.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), "k", kv.IfRevision(rev)); err != nil {
		t.Fatal(err)
	}
}

// TestLeasesAreShared: items that end in the same second have one lease.
func TestLeasesAreShared(t *testing.T) {
	t.Parallel()
	server := servertest.Etcd(t)
	store, c := opener(etcd.Backend(server.Addr()))(t), client(t, server.Addr())
	defer store.Close()
	leases := func() int {
		t.Helper()
		r, err := c.Leases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(r.Leases)
	}
	before, start := leases(), time.Now()
	for _, key := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		if _, err := store.Put(t.Context(), key, nil, kv.TTL(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	seconds := int(time.Since(start)/time.Second) + 2 // that were begun
	if n := leases() - before; n > seconds {
		t.Errorf("%d leases for 26 items within %d seconds", n, seconds)
	}
}

func TestIdleWatch(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedEtcd(t).Addr())
	store := opener(etcd.Backend(p.Addr()))(t, kv.WithNamespace(servertest.Namespace(t)))
	defer store.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for e, err := range store.Watch(ctx, "") {
		if err != nil {
			break
		}
		if e.Kind == kv.EventSynced {
			before := p.Rest()
			<-time.After(time.Second)
			if n := p.Counts().Requests - before.Requests; n > 4 { // frames of HTTP/2
				t.Errorf("%d chunks in an idle second", n)
			}
			cancel()
		}
	}
}

func TestLinearizable(t *testing.T) {
	t.Parallel()
	server := servertest.Etcd(t)
	p := netfault.New(t, server.Addr())
	kvtest.Linearizable(t, func() kv.KV { return opener(etcd.Backend(p.Addr()))(t) },
		kvtest.Chaos(2*time.Second), kvtest.Trouble(p.CutReplies, p.Reset, func() { server.Kill(); server.Restart() }))
}

func TestBadInput(t *testing.T) {
	for _, addr := range []string{"", "redis://h", "h:0", "a b"} {
		if _, err := kv.New(etcd.Backend(addr)); !errors.Is(err, kv.ErrInvalid) || !strings.Contains(err.Error(), "kv/etcd: new") {
			t.Errorf("address %q: %v", addr, err)
		}
	}
	for name, backend := range map[string]kv.Option{"nil engine": etcd.On(nil), "nil client": etcd.On(engine.FromClient(nil))} {
		if _, err := kv.New(backend); !errors.Is(err, kv.ErrInvalid) || !strings.HasSuffix(err.Error(), name) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := kv.New(etcd.Backend("127.0.0.1:1"), kv.WithDialTimeout(500*time.Millisecond)); !errors.Is(err, kv.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("no server: %v", err)
	}
}

// TestWatchOfACutOffMemberSaysSo: a member that has lost the others goes on
// serving a watch, and has nothing to tell.
func TestWatchOfACutOffMemberSaysSo(t *testing.T) {
	t.Parallel()
	cluster := servertest.EtcdCluster(t)
	store := opener(etcd.Backend(cluster.Members[0].Addr()))(t)
	defer store.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	for e, err := range store.Watch(ctx, "") {
		switch {
		case ctx.Err() != nil:
			t.Fatal("the watch said nothing")
		case errors.Is(err, kv.ErrUnavailable):
			return
		case err != nil:
			t.Fatal(err)
		case e.Kind == kv.EventSynced:
			cluster.Members[1].Kill()
			cluster.Members[2].Kill()
		}
	}
}

// sent makes a call until one was sent before it ended: a machine that does
// something else may come to send it too late.
func sent(p *netfault.Proxy, call func() error) (err error) {
	for before := p.Counts().Requests; p.Counts().Requests == before; {
		err = call()
	}
	return err
}

// TestAWriteThatItsCallerGaveUpIsUnknown: once it is sent nobody knows. What is
// only read, or was never sent, has no such doubt.
func TestAWriteThatItsCallerGaveUpIsUnknown(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedEtcd(t).Addr())
	store := opener(etcd.Backend(p.Addr()))(t, kv.WithNamespace(servertest.Namespace(t)))
	defer store.Close()
	rev, err := store.Put(t.Context(), "there", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func(ctx context.Context) error{
		"put":    func(ctx context.Context) error { _, err := store.Put(ctx, "put", nil); return err },
		"create": func(ctx context.Context) error { _, err := store.Put(ctx, "new", nil, kv.IfAbsent()); return err },
		"change": func(ctx context.Context) error {
			_, err := store.Put(ctx, "there", nil, kv.IfRevision(rev))
			return err
		},
		"delete":    func(ctx context.Context) error { return store.Delete(ctx, "put") },
		"delete if": func(ctx context.Context) error { return store.Delete(ctx, "there", kv.IfRevision(rev)) },
		"put many":  func(ctx context.Context) error { return store.PutMany(ctx, map[string][]byte{"many": nil}) },
		"get":       func(ctx context.Context) error { _, err := store.Get(ctx, "there"); return err },
		"get many":  func(ctx context.Context) error { _, err := store.GetMany(ctx, "there", "put"); return err },
		"list": func(ctx context.Context) error {
			for _, err := range store.List(ctx, "") {
				return err
			}
			return nil
		},
	}
	reads := []string{"get", "get many", "list"}
	p.Hold(netfault.Replies)
	for what, call := range calls {
		err := sent(p, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			return call(ctx)
		})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kv.ErrUnknownOutcome) == slices.Contains(reads, what) {
			t.Errorf("%s without an answer: %v, want the deadline, and of a write ErrUnknownOutcome", what, err)
		}
		err = sent(p, func() error {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			return call(ctx)
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, kv.ErrUnknownOutcome) == slices.Contains(reads, what) {
			t.Errorf("%s that was cancelled: %v, want Canceled, and of a write ErrUnknownOutcome", what, err)
		}
	}
	var each *kv.BatchError
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := calls["get many"](ctx); errors.As(err, &each) {
		t.Errorf("get many without an answer: %v, want one error for all", err)
	}
	p.Refuse()
	p.Reset()
	for what, call := range calls {
		var err error
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
			err = call(t.Context())
			if errors.Is(err, kv.ErrUnavailable) { // the first may have been on its way over the old connection
				break
			}
		}
		if !errors.Is(err, kv.ErrUnavailable) || errors.Is(err, kv.ErrUnknownOutcome) {
			t.Errorf("%s that was never sent: %v, want ErrUnavailable", what, err)
		}
	}
	_, err = store.GetMany(t.Context(), "there", "put")
	if !errors.As(err, &each) || len(each.Errors) != 2 || !errors.Is(each.Errors["put"], kv.ErrUnavailable) {
		t.Errorf("get many that was never sent: %v, want an error for each key", err)
	}
}
