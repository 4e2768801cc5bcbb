package kubernetes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/kubernetes"
)

func readAll(t *testing.T, r io.Reader) []byte {
	b, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return b
}

func reader(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

// cluster is an API server seen by an operator, in one namespace.
type cluster struct {
	t  *testing.T
	k  *servertest.KubeServer
	ns string
}

func newCluster(t *testing.T) *cluster {
	k := servertest.SharedKubernetes(t)
	return &cluster{t, k, k.Namespace(t)}
}

func (c *cluster) path(name string) string {
	return "/apis/coordination.k8s.io/v1/namespaces/" + c.ns + "/leases/" + name
}

// backend is one over an engine of its own, as admin.
func (c *cluster) backend(opts ...kubernetes.Option) dsync.Option {
	return kubernetes.Backend("kubeconfig:"+c.k.Kubeconfig(c.t, c.k.Addr(), servertest.KubeAdmin, c.ns), opts...)
}

func (c *cluster) open(backend dsync.Option, opts ...dsync.Option) dsync.Sync {
	c.t.Helper()
	s, err := dsync.New(append([]dsync.Option{backend}, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			c.t.Errorf("Close: %v", err)
		}
	})
	return s
}

// object is a Lease as an operator sees it.
type object struct {
	Metadata struct {
		Name, ResourceVersion string
		Annotations           map[string]string
	}
	Spec struct {
		HolderIdentity       string
		LeaseDurationSeconds int
		LeaseTransitions     int
		AcquireTime          time.Time
		RenewTime            time.Time
	}
}

func (c *cluster) lease(name string) (o object) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(c.k.Do(c.t, http.MethodGet, c.path(name), "")), &o); err != nil {
		c.t.Fatal(err)
	}
	return o
}

// names lists the Leases.
func (c *cluster) names() (names []string) {
	c.t.Helper()
	var list struct{ Items []object }
	if err := json.Unmarshal([]byte(c.k.Do(c.t, http.MethodGet, c.path(""), "")), &list); err != nil {
		c.t.Fatal(err)
	}
	for _, o := range list.Items {
		names = append(names, o.Metadata.Name)
	}
	return names
}

func (c *cluster) eventually(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func (c *cluster) lock(s dsync.Sync, id string, opts ...dsync.LockOption) dsync.Lock {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	l, err := s.Lock(ctx, id, opts...)
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}

func (c *cluster) unlock(l dsync.Lock) {
	c.t.Helper()
	if err := l.Unlock(c.t.Context()); err != nil {
		c.t.Error(err)
	}
}

func TestTokensRiseOverADeletionOfTheLease(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s, name := c.open(c.backend(), dsync.WithDefaults(dsync.TTL(3*time.Second))), "sync-lock.default.x"
	var last uint64
	for round := range 4 {
		l := c.lock(s, "x")
		if l.Token() <= last {
			t.Errorf("round %d: token %d after %d", round, l.Token(), last)
		}
		last = l.Token()
		if round%2 == 0 { // while it is held: the holder learns of it, and loses nothing of others
			c.k.Do(t, http.MethodDelete, c.path(name), "")
			next := c.lock(s2(c), "x")
			if next.Token() <= last {
				t.Errorf("round %d: token %d after %d, whose Lease was deleted", round, next.Token(), last)
			}
			last = next.Token()
			select {
			case <-l.Context().Done():
				if !errors.Is(context.Cause(l.Context()), dsync.ErrLost) {
					t.Errorf("cause %v, want lost", context.Cause(l.Context()))
				}
			case <-time.After(30 * time.Second):
				t.Error("the holder of a Lease that was deleted goes on")
			}
			if err := l.Unlock(t.Context()); !errors.Is(err, dsync.ErrLost) {
				t.Errorf("Unlock = %v, want lost", err)
			}
			if got := c.lease(name).Metadata.Annotations["go-platform/key"]; got != "sync/default/lock/x" {
				t.Errorf("the successor's Lease says %q", got)
			}
			c.unlock(next)
			continue
		}
		c.unlock(l)
		c.eventually("the Lease of a released lock is gone", func() bool { return len(c.names()) == 0 })
	}
}

// s2 is another process.
func s2(c *cluster) dsync.Sync { return c.open(c.backend()) }

func TestLeasesOfReleasedLocksAreDeletedAndThoseInUseAreNot(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.open(c.backend()), s2(c)
	held := c.lock(a, "held")
	leader, err := a.Leader("office")
	if err != nil {
		t.Fatal(err)
	}
	defer leader.Close()
	term, err := leader.Elect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := term.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		c.unlock(c.lock(a, "brief"))
	}
	c.unlock(c.lock(a, "passed on"))
	next := c.lock(b, "passed on")
	c.eventually("only what is held, and elections, stays", func() bool { return len(c.names()) == 3 })
	if got := strings.Join(c.names(), " "); !strings.Contains(got, "sync-leader.default.office") || !strings.Contains(got, "sync-lock.default.held") {
		t.Errorf("Leases %s", got)
	}
	c.unlock(held)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if got := len(c.names()); got != 2 {
		t.Errorf("%d Leases after Close, want that of the election and the other's", got)
	}
	if next.Context().Err() != nil {
		t.Error("a lock was lost whose id somebody else had released before")
	}
	c.unlock(next)
}

// A request that takes the lock and arrives after it was given up must not take
// it: nobody would release it.
func TestATakeThatArrivesAfterItsReleaseDoesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	g := newGate(t, c.k, c.ns)
	slow, direct := c.open(kubernetes.Backend(g.addr)), s2(c)
	name := "sync-lock.default.x"
	g.hold(func(r *http.Request) bool { return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, name) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-g.came; cancel() }()
	if _, err := slow.Lock(ctx, "x", dsync.TTL(time.Hour)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Lock = %v, want cancelled", err)
	}
	c.eventually("the claim is withdrawn", func() bool { return c.lease(name).Metadata.Annotations["go-platform/spoilt"] != "" })
	close(g.pass)
	if code := <-g.went; code != http.StatusConflict {
		t.Errorf("the late request was answered %d, want 409", code)
	}
	c.unlock(c.lock(direct, "x", dsync.Wait(30*time.Second)))
}

// The same when the Lease was deleted meanwhile: an update must not make it again.
func TestATakeThatArrivesAfterADeletionDoesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	g := newGate(t, c.k, c.ns)
	slow := c.open(kubernetes.Backend(g.addr))
	name := "sync-lock.default.x"
	g.hold(func(r *http.Request) bool { return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, name) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-g.came
		c.k.Do(t, http.MethodDelete, c.path(name), "")
		cancel()
	}()
	if _, err := slow.Lock(ctx, "x", dsync.TTL(time.Hour)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Lock = %v, want cancelled", err)
	}
	close(g.pass)
	if code := <-g.went; code != http.StatusConflict && code != http.StatusNotFound {
		t.Errorf("the late request was answered %d, want 409 or 404", code)
	}
	if names := c.names(); len(names) > 0 {
		t.Errorf("it made %v", names)
	}
}

// Who writes a label, or another controller an annotation, does not end a lock.
func TestOthersMayWriteToALeaseThatIsHeld(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := c.open(c.backend())
	l := c.lock(s, "x", dsync.TTL(6*time.Second))
	name, deadline := "sync-lock.default.x", time.Now().Add(time.Minute)
	c.k.Do(t, http.MethodPatch, c.path(name), `{"metadata":{"finalizers":["example.com/kept"],"labels":{"team":"a"}}}`)
	for renewed, last := 0, c.lease(name).Spec.RenewTime; renewed < 2; <-time.After(50 * time.Millisecond) {
		c.k.Do(t, http.MethodPatch, c.path(name), `{"metadata":{"annotations":{"n":"`+time.Now().String()+`"}}}`)
		if now := c.lease(name).Spec.RenewTime; !now.Equal(last) {
			renewed, last = renewed+1, now
		}
		if time.Now().After(deadline) {
			t.Fatalf("renewed %d times in a minute, want 2", renewed)
		}
	}
	if err := l.Context().Err(); err != nil {
		t.Errorf("lost: %v", context.Cause(l.Context()))
	}
	o := c.k.Do(t, http.MethodGet, c.path(name), "")
	for _, want := range []string{`"team":"a"`, `example.com/kept`} {
		if !strings.Contains(o, want) {
			t.Errorf("a renewal removed %s of %s", want, o)
		}
	}
	c.unlock(l)
	c.k.Do(t, http.MethodPatch, c.path(name), `{"metadata":{"finalizers":null}}`)
}

func TestTheLeaseSaysWhatClientGoReads(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := c.open(c.backend(kubernetes.WithElection("office/1", "controller")))
	leader, err := s.Leader("office/1", dsync.Owner("pod-1"), dsync.TTL(7*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer leader.Close()
	for n := range 2 {
		before := time.Now().Truncate(time.Microsecond)
		term, err := leader.Elect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o := c.lease("controller")
		if !strings.HasPrefix(o.Spec.HolderIdentity, "pod-1_") || o.Spec.LeaseDurationSeconds != 7 || o.Spec.LeaseTransitions != 2*n/2+1 {
			t.Errorf("held: %+v", o.Spec)
		}
		if o.Spec.AcquireTime.Before(before) || o.Spec.RenewTime.Before(before) || time.Since(o.Spec.RenewTime) > time.Minute {
			t.Errorf("times: %+v, want after %v", o.Spec, before)
		}
		if err := term.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		if o := c.lease("controller"); o.Spec.HolderIdentity != "" || o.Spec.LeaseDurationSeconds != 1 || o.Spec.LeaseTransitions != n+1 {
			t.Errorf("released: %+v", o.Spec)
		}
	}
}

// Candidates of all namespaces take turns on the Lease of WithElection, so each
// namespace lists who leads.
func TestALeaseOfWithElectionIsListedInEachNamespace(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	election := kubernetes.WithElection("reports", "shared")
	a, b := c.open(c.backend(election), dsync.WithNamespace("a")), c.open(c.backend(election), dsync.WithNamespace("b"))
	leader, err := a.Leader("reports", dsync.Owner("pod-1"))
	if err != nil {
		t.Fatal(err)
	}
	defer leader.Close()
	term, err := leader.Elect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]dsync.Sync{"a": a, "b": b} {
		var all []dsync.Hold
		for h, err := range s.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, h)
		}
		if len(all) != 1 || all[0].Kind != dsync.KindLeader || all[0].ID != "reports" || all[0].Owner != "pod-1" || all[0].Token != term.Token() {
			t.Errorf("%s lists %+v, want pod-1 with token %d", name, all, term.Token())
		}
	}
}

// A leader that dies is seen to be gone, also without a successor; one whose
// watch is cut is not taken for dead.
func TestWatchTellsADeadLeaderFromADeadLink(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.k.Do(t, http.MethodPost, c.path(""), `{"metadata":{"name":"foreign"},"spec":{"holderIdentity":"dead","leaseDurationSeconds":2,"renewTime":"2000-01-01T00:00:00.000000Z"}}`)
	s := c.open(c.backend(kubernetes.WithElection("foreign", "foreign")))
	leader, err := s.Leader("foreign")
	if err != nil {
		t.Fatal(err)
	}
	defer leader.Close()
	start := time.Now()
	var seen []dsync.Candidate
	for got, err := range leader.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if seen = append(seen, got); len(seen) == 2 {
			break
		}
	}
	if d := time.Since(start); seen[0] != (dsync.Candidate{Owner: "dead"}) || seen[1] != (dsync.Candidate{}) || d < 2*time.Second {
		t.Errorf("saw %+v after %v, want dead, for 2 s whatever its clock says, then nobody", seen, d)
	}

	for range 5 {
		if renewsBehindADeadLink(c, s) {
			return
		}
	}
	t.Error("the machine stood still for as long as a term lasts, five times")
}

// renewsBehindADeadLink has a leader watched over a link that is cut for a while, and
// reports whether it could renew: one that can't, because the machine stands still,
// shows nothing.
func renewsBehindADeadLink(c *cluster, s dsync.Sync) bool {
	t := c.t
	live, err := s.Leader("live", dsync.Owner("a"), dsync.TTL(6*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	term, err := live.Elect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := netfault.New(t, c.k.Addr())
	far := c.open(kubernetes.Backend("kubeconfig:" + c.k.Kubeconfig(t, p.Addr(), servertest.KubeAdmin, c.ns)))
	watcher, err := far.Leader("live")
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 13*time.Second)
	began, healed := make(chan struct{}), make(chan struct{})
	defer func() { cancel(); <-healed }()
	go func() {
		defer close(healed)
		select {
		case <-began:
		case <-ctx.Done():
		}
		p.Hold(netfault.Replies)
		select {
		case <-time.After(8 * time.Second):
		case <-ctx.Done():
		}
		p.Heal()
	}()
	n := 0
	for got, err := range watcher.Watch(ctx) {
		if n++; n == 1 {
			close(began)
		}
		if err != nil || got.Owner == "a" {
			continue
		}
		select {
		case <-term.Context().Done():
			return false
		case <-time.After(time.Second):
			t.Errorf("saw %+v although the leader renews", got)
		}
	}
	if n == 0 {
		t.Error("saw nothing")
	}
	return true
}

// TryLock of a lock whose holder died succeeds once this process has seen it
// silent for its TTL, and not before.
func TestTryLockFollowsADeadHolderOnceItWasSeenSilent(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.k.Do(t, http.MethodPost, c.path(""), `{"metadata":{"name":"sync-lock.default.x"},"spec":{"holderIdentity":"dead","leaseDurationSeconds":1,"renewTime":"2000-01-01T00:00:00.000000Z"}}`)
	s := c.open(c.backend())
	start := time.Now()
	var l dsync.Lock
	c.eventually("the dead holder is followed", func() bool {
		var err error
		l, err = s.TryLock(t.Context(), "x")
		if err != nil && !errors.Is(err, dsync.ErrHeld) {
			t.Fatal(err)
		}
		return err == nil
	})
	if d := time.Since(start); d < time.Second {
		t.Errorf("taken after %v, want at least the TTL", d)
	}
	c.unlock(l)
}

func TestMissingRightsAreDeniedAndNamed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	verbs := []string{"get", "list", "watch", "create", "update", "delete"}
	for _, missing := range []string{"get", "create", "update", "watch", "delete"} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			rule := servertest.KubeRule{Group: "coordination.k8s.io", Resources: []string{"leases"}}
			for _, v := range verbs {
				if v != missing {
					rule.Verbs = append(rule.Verbs, v)
				}
			}
			token := c.k.Token(t, c.ns, "without-"+missing, rule)
			s, err := dsync.New(kubernetes.Backend("kubeconfig:"+c.k.Kubeconfig(t, c.k.Addr(), token, c.ns)), dsync.WithNamespace(missing))
			if missing == "get" {
				if !errors.Is(err, dsync.ErrDenied) || !strings.Contains(err.Error(), `cannot get resource "leases"`) {
					t.Errorf("New = %v, want denied and what", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			l, err := s.Lock(t.Context(), "x", dsync.Wait(10*time.Second))
			switch missing {
			case "create", "update":
				if !errors.Is(err, dsync.ErrDenied) || !strings.Contains(err.Error(), "cannot "+missing) {
					t.Errorf("Lock = %v, want denied and what", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			leader, err := s.Leader("x")
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range leader.Watch(t.Context()) {
				if missing == "watch" && !errors.Is(err, dsync.ErrDenied) {
					continue // the list, then the watch
				}
				if missing == "delete" && err != nil {
					t.Errorf("Watch = %v", err)
				}
				break
			}
			if err := l.Unlock(t.Context()); err != nil {
				t.Errorf("Unlock = %v", err)
			}
		})
	}
}

func TestDifferentIdsHaveDifferentLeases(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := c.open(c.backend())
	ids := []string{"plain", "plain-1", "Plain", "with space", "a/b", "a%2Fb", "sha256-" + strings.Repeat("0", 64), strings.Repeat("x", 63), strings.Repeat("x", 64), "-", "日本"}
	for _, id := range ids {
		c.lock(s, id)
	}
	names := c.names()
	if len(names) != len(ids) {
		t.Errorf("%d Leases of %d ids", len(names), len(ids))
	}
	readable := strings.Join(names, "\n")
	for _, want := range []string{"sync-lock.default.plain\n", "sync-lock.default.plain-1\n"} {
		if !strings.Contains(readable+"\n", want) {
			t.Errorf("no Lease is called %q:\n%s", want, readable)
		}
	}
}

func TestBadInput(t *testing.T) {
	for what, o := range map[string]dsync.Option{
		"no engine":       kubernetes.On(nil),
		"no address":      kubernetes.Backend(""),
		"a bad address":   kubernetes.Backend("redis://x"),
		"no such file":    kubernetes.Backend("kubeconfig:/no/such/file"),
		"a nil option":    kubernetes.Backend("https://127.0.0.1:1", nil),
		"no id":           kubernetes.Backend("https://127.0.0.1:1", kubernetes.WithElection("", "x")),
		"a bad name":      kubernetes.Backend("https://127.0.0.1:1", kubernetes.WithElection("x", "A_b")),
		"one id twice":    kubernetes.Backend("https://127.0.0.1:1", kubernetes.WithElection("x", "a"), kubernetes.WithElection("x", "b")),
		"no Lease's name": kubernetes.Backend("https://127.0.0.1:1", kubernetes.WithElection("x", "")),
	} {
		if _, err := dsync.New(o, dsync.WithLazy()); !errors.Is(err, dsync.ErrInvalid) || !strings.Contains(err.Error(), "sync/kubernetes") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
