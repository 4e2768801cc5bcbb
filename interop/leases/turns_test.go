package leases

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/kubernetes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard()) // what it logs are races that it loses
	m.Run()
}

// office is one Lease, and who believes to hold it.
type office struct {
	*testing.T
	k  *servertest.KubeServer
	ns string

	mu      sync.Mutex
	holders map[string]bool
	terms   map[string]int
}

func newOffice(t *testing.T) *office {
	k := servertest.SharedKubernetes(t)
	return &office{T: t, k: k, ns: k.Namespace(t), holders: map[string]bool{}, terms: map[string]int{}}
}

const lease = "controller"

// enter and leave are the ends of a belief.
func (o *office) enter(who string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.holders) > 0 {
		o.Errorf("%s leads although %v does", who, o.holders)
	}
	o.holders[who] = true
	o.terms[who]++
}

func (o *office) leave(who string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.holders, who)
}

func (o *office) led(who string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.terms[who]
}

func (o *office) eventually(what string, ok func() bool) {
	o.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.Fatalf("not within 30 s: %s; terms %v", what, o.terms)
		}
	}
}

// renewed is when the Lease was renewed for the last time.
func (o *office) renewed() time.Time {
	o.Helper()
	text := o.k.Do(o.T, http.MethodGet, "/apis/coordination.k8s.io/v1/namespaces/"+o.ns+"/leases/"+lease, "")
	var l struct{ Spec struct{ RenewTime time.Time } }
	err := json.Unmarshal([]byte(text), &l)
	if err != nil {
		o.Fatal(err)
	}
	return l.Spec.RenewTime
}

const (
	duration = 3 * time.Second // of the Lease, for both
	term     = 100 * time.Millisecond
)

// theirs stands for election with client-go's elector, with the ratios of its
// defaults, until ctx ends. lead runs while it leads; when it returns client-go
// gives the Lease back, or, if it isn't to release, just stops.
func (o *office) theirs(ctx context.Context, who string, release bool, lead func(ctx context.Context)) {
	config := &rest.Config{Host: o.k.URL(), BearerToken: servertest.KubeAdmin, TLSClientConfig: rest.TLSClientConfig{CAFile: o.k.CAFile()}}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		o.Error(err)
		return
	}
	defer client.CloseIdleConnections()
	c, err := coordination.NewForConfigAndClient(config, client)
	if err != nil {
		o.Error(err)
		return
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	e, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: lease, Namespace: o.ns}, Client: c, LockConfig: resourcelock.ResourceLockConfig{Identity: who}},
		LeaseDuration:   duration,
		RenewDeadline:   duration * 2 / 3,
		RetryPeriod:     duration / 20,
		ReleaseOnCancel: release,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				o.enter(who)
				lead(ctx)
				o.leave(who)
				cancel()
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		o.Error(err)
		return
	}
	e.Run(inner)
}

// ours is a candidate of package sync at an address.
func (o *office) ours(addr, who string) dsync.Leader {
	o.Helper()
	s, err := dsync.New(kubernetes.Backend("kubeconfig:"+o.k.Kubeconfig(o.T, addr, servertest.KubeAdmin, o.ns), kubernetes.WithElection("job", lease)))
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() { s.Close() })
	l, err := s.Leader("job", dsync.Owner(who), dsync.TTL(duration))
	if err != nil {
		o.Fatal(err)
	}
	return l
}

// wait lasts a term, or as long as ctx.
func wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(term):
	}
}

func TestBothTakeTurnsAndNeverLeadAtOnce(t *testing.T) {
	o := newOffice(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for _, who := range []string{"theirs-1", "theirs-2"} {
		wg.Go(func() {
			for ctx.Err() == nil {
				o.theirs(ctx, who, true, wait)
			}
		})
	}
	var last uint64
	for _, who := range []string{"ours-1", "ours-2"} {
		l := o.ours(o.k.Addr(), who)
		wg.Go(func() {
			for ctx.Err() == nil {
				term, err := l.Elect(ctx)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				o.enter(who)
				if term.Token() <= last {
					t.Errorf("token %d after %d", term.Token(), last)
				}
				last = term.Token()
				wait(term.Context())
				o.leave(who)
				if err := term.Resign(context.WithoutCancel(ctx)); err != nil {
					t.Error(err)
				}
				wait(ctx) // or it would be first always: it hears of its release at once, client-go polls
				wait(ctx)
				wait(ctx)
			}
		})
	}
	o.eventually("each leads three times", func() bool {
		for _, who := range []string{"ours-1", "ours-2", "theirs-1", "theirs-2"} {
			if o.led(who) < 3 {
				return false
			}
		}
		return true
	})
	cancel()
	wg.Wait()
	t.Logf("terms: %v", o.terms)
}

// A leader of client-go's that stops without a word is followed when its Lease
// is over, not before.
func TestOursFollowsADeadLeaderOfTheirs(t *testing.T) {
	o := newOffice(t)
	dead := make(chan struct{})
	go o.theirs(t.Context(), "theirs", false, func(ctx context.Context) {
		wait(ctx)
		close(dead)
	})
	o.eventually("theirs leads", func() bool { return o.led("theirs") > 0 })
	l := o.ours(o.k.Addr(), "ours")
	c, err := l.Leader(t.Context())
	if (err != nil || c != (dsync.Candidate{Owner: "theirs"})) && time.Since(o.renewed()) < duration {
		t.Errorf("Leader = %+v, %v, want theirs, which has no token", c, err)
	}
	<-dead
	last := o.renewed()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	e, err := l.Elect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(last); d < duration {
		t.Errorf("followed %v after it had renewed, want the Lease's %v", d, duration)
	}
	if err := e.Resign(t.Context()); err != nil {
		t.Error(err)
	}
}

// A leader of ours that is cut off has stopped before client-go's follows. One that
// can't renew, because the machine stands still, shows nothing.
func TestTheirsFollowsOursOnlyAfterItHasStopped(t *testing.T) {
	for range 5 {
		if theirsFollowsOurs(t) {
			return
		}
	}
	t.Fatal("the machine stood still, five times")
}

// theirsFollowsOurs reports whether ours could renew.
func theirsFollowsOurs(t *testing.T) bool {
	o := newOffice(t)
	p := netfault.New(t, o.k.Addr())
	e, err := o.ours(p.Addr(), "ours").Elect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	followed := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go o.theirs(ctx, "theirs", true, func(context.Context) { followed <- context.Cause(e.Context()) })
	still := time.Duration(0)
	for last, end := time.Now(), time.Now().Add(duration+duration/2); last.Before(end); { // it renews, so nobody follows
		<-time.After(10 * time.Millisecond)
		still = max(still, time.Since(last))
		last = time.Now()
	}
	if n := o.led("theirs"); n > 0 || e.Context().Err() != nil {
		if still > duration/6 {
			t.Logf("the machine stood still for %v", still)
			cancel()
			return false
		}
		t.Fatalf("theirs led %d times while ours renewed; %v", n, context.Cause(e.Context()))
	}
	p.Hold(netfault.Both)
	select {
	case cause := <-followed:
		if !errors.Is(cause, dsync.ErrLost) {
			t.Errorf("theirs leads, and ours: %v, want lost", cause)
		}
	case <-ctx.Done():
		t.Error("nobody follows")
	}
	p.Heal()
	if err := e.Resign(t.Context()); !errors.Is(err, dsync.ErrLost) {
		t.Errorf("Resign = %v, want lost", err)
	}
	return true
}
