// Package discoverytest checks that a backend of package discovery keeps its
// promises. Every backend of this module runs it; those of others can:
//
//	func TestConformance(t *testing.T) {
//		discoverytest.Run(t, discoverytest.Harness{Open: open})
//	}
package discoverytest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
)

// Harness says how to reach a backend.
type Harness struct {
	// Open is called once for every case. Cases run side by side and stay out
	// of each other's way by namespaces.
	Open func(t *testing.T) Env

	// Own opens an environment with a registry of its own, which the case takes
	// down and wipes. Without it those cases are skipped.
	Own func(t *testing.T) Env

	// TTL is the shortest that the registry keeps to; 0 means 1 s.
	TTL time.Duration

	// Slack is how long after the TTL an instance may still be seen; 0 means
	// 1 s, which is what package discovery promises.
	Slack time.Duration

	// Bubble runs each case under testing/synctest, for a backend that does no
	// I/O.
	Bubble bool

	// Features says what the backend can't do for reasons of its registry.
	Features Features
}

// Features switch cases off.
type Features struct {
	// NoLabels: free labels don't survive. For registries with a format of their own.
	NoLabels bool
}

// Env is a registry for one case.
type Env struct {
	// Backend returns an option that opens one more connection.
	Backend func() discovery.Option

	// Of Harness.Own, each may be nil:
	Down  func() // the registry refuses connections
	Up    func() // after Down, with the data that it had
	Wipe  func() // after this the registry serves and is empty
	Pause func() // the registry is silent but connected
	Go    func() // after Pause
}

// c is what a case works with.
type c struct {
	*testing.T
	h    Harness
	env  Env
	name string // a namespace
	ttl  time.Duration
}

// long is the TTL of what has to stay although the machine stands still for a
// while: longer than patience.
const long = time.Minute

// unless runs a part that has to keep up with a TTL. It says what came too late;
// then it runs again, with a TTL three times as long and a namespace of its own.
// A machine that is slow is fast enough at last, and a backend that is late by a
// share of the TTL is late again.
func unless(late func(t *c) string) func(t *c) {
	return func(t *c) {
		for again := *t; ; again.ttl, again.h.Slack = 3*again.ttl, 3*again.h.Slack {
			why := late(&again)
			if why == "" {
				return
			}
			if again.ttl >= patience || t.h.Bubble {
				t.Fatalf("with a TTL of %v: %s", again.ttl, why)
			}
			t.Logf("with a TTL of %v: %s", again.ttl, why)
			again.name += "x"
		}
	}
}

var shared = []struct {
	name string
	run  func(t *c)
}{
	{"an instance is read as it was registered", asRegistered},
	{"a service that nobody registered is empty and live", unknownService},
	{"update and drain are seen", unless(updateAndDrain)},
	{"the last instance deregisters and the set is empty at once", lastLeaves},
	{"without heartbeats an instance is gone after its TTL", unless(expires)},
	{"heartbeats keep an instance", unless(heartbeats)},
	{"a registration that is lost comes back", comesBack},
	{"a prefix of a name is not that name", prefixes},
	{"namespaces do not see each other", namespaces},
	{"many that expire at once are kept and flagged for a time", unless(preserved)},
	{"many that deregister at once are not kept", massLeave},
	{"three that crash and are replaced are gone within their own TTL", unless(crashAndReplace)},
	{"two of two that crash together are gone within their own TTL", unless(crashTogether)},
	{"all readers see the same", readersAgree},
	{"watch yields the current set first and never loses the last", watchStory},
	{"watch ends with its context", watchContext},
	{"close deregisters and ends what waits", closing},
	{"use after close is refused", afterClose},
	{"a cancelled context returns at once", cancelled},
	{"an id belongs to one process, also when the other says goodbye", sameID},
	{"an id comes back", idComesBack},
	{"an unspecified address becomes this host's", ownAddress},
	{"what happened can be asked for", unless(changes)},
	{"MaxStale asks the registry", maxStale},
	{"what is invalid is refused before it is sent", invalid},
}

var owned = []struct {
	name string
	run  func(t *c)
}{
	{"a registry that is unavailable leaves stale snapshots and comes back by itself", outage},
	{"who lives is not missed when the registry was unavailable for two TTLs", outlasted},
	{"a registry that is silent is noticed", silence},
	{"who lives is not missed when the registry was paused for three TTLs", paused},
	{"a registry that was wiped fills again by itself", wiped},
}

// Run runs all cases. That nothing is left behind is for the package's TestMain
// to check, since cases run side by side.
func Run(t *testing.T, h Harness) {
	if h.TTL == 0 {
		h.TTL = time.Second
	}
	if h.Slack == 0 {
		h.Slack = time.Second
	}
	for _, k := range shared {
		t.Run(strings.ReplaceAll(k.name, " ", "_"), func(t *testing.T) {
			if h.Bubble {
				synctest.Test(t, func(t *testing.T) { k.run(start(t, h, h.Open)) })
				return
			}
			t.Parallel()
			k.run(start(t, h, h.Open))
		})
	}
	for _, k := range owned {
		t.Run(strings.ReplaceAll(k.name, " ", "_"), func(t *testing.T) {
			if h.Own == nil {
				t.Skip("this backend has no registry that can be taken down")
			}
			t.Parallel()
			c := start(t, h, h.Own)
			c.ttl = max(c.ttl, 4*time.Second) // what lives has to outlive the haste of other tests
			k.run(c)
		})
	}
}

func start(t *testing.T, h Harness, open func(t *testing.T) Env) *c {
	return &c{T: t, h: h, env: open(t), name: "t" + strings.ToLower(rand.Text()[:10]), ttl: h.TTL}
}

// open opens a Discovery on the case's registry and namespace.
func (t *c) open(opts ...discovery.Option) discovery.Discovery {
	t.Helper()
	all := []discovery.Option{
		t.env.Backend(), discovery.WithNamespace(t.name), discovery.WithTTL(t.ttl),
		discovery.WithRetry(20*time.Millisecond, 500*time.Millisecond),
	}
	if t.env.Down == nil && t.env.Pause == nil {
		all = append(all, discovery.WithTimeout(patience)) // who does not answer is only slow
	}
	all = append(all, opts...)
	d, err := discovery.New(all...)
	for end := time.Now().Add(patience); errors.Is(err, discovery.ErrUnavailable) && time.Now().Before(end); {
		d, err = discovery.New(all...) // the registry is only slow
	}
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// instance is one with an address that suits its id.
func instance(service, id string) discovery.Instance {
	return discovery.Instance{Service: service, ID: id, Address: "127.0.0.1:8080"}
}

func (t *c) register(d discovery.Discovery, in discovery.Instance, opts ...discovery.RegisterOption) discovery.Registration {
	t.Helper()
	r, err := d.Register(t.Context(), in, opts...)
	if err != nil {
		t.Fatalf("register %s/%s: %v", in.Service, in.ID, err)
	}
	return r
}

func (t *c) get(d discovery.Discovery, service string) discovery.Snapshot {
	t.Helper()
	s, err := d.Get(t.Context(), service)
	if err != nil {
		t.Fatalf("get %s: %v", service, err)
	}
	return s
}

// ids is the instances as "a b c".
func ids(s discovery.Snapshot) string {
	var all []string
	for _, in := range s.Instances {
		all = append(all, in.ID)
	}
	return strings.Join(all, " ")
}

// patience is how long what has to happen may take on a busy machine.
const patience = 30 * time.Second

// saw waits until a snapshot is as wanted, and reports whether it was in time.
func (t *c) saw(d discovery.Discovery, service string, within time.Duration, ok func(s discovery.Snapshot) bool) (last discovery.Snapshot, in bool) {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for s, err := range d.Watch(ctx, service) {
		if err != nil {
			break
		}
		last = s
		if ok(s) {
			return s, true
		}
	}
	return last, false
}

// await waits until a snapshot is as wanted.
func (t *c) await(d discovery.Discovery, service, want string, within time.Duration, wanted func(s discovery.Snapshot) bool) discovery.Snapshot {
	t.Helper()
	last, ok := t.saw(d, service, within, wanted)
	if ok {
		return last
	}
	t.Fatalf("%s: want %s within %v, have %v instances (%d preserved), [%s], err %v", service, want, within, last.State, last.Preserved, ids(last), last.Err)
	return last
}

// see waits until the live set of a service is exactly the ids.
func (t *c) see(d discovery.Discovery, service, want string) discovery.Snapshot {
	t.Helper()
	return t.await(d, service, "["+want+"] live", patience, live(want))
}

// live is whether exactly the ids are live.
func live(want string) func(s discovery.Snapshot) bool {
	return func(s discovery.Snapshot) bool {
		return s.State == discovery.Live && s.Preserved == 0 && ids(s) == want
	}
}

// wantIs fails the case unless err is one of the kinds.
func (t *c) wantIs(what string, err error, kinds ...error) {
	t.Helper()
	if !slices.ContainsFunc(kinds, func(k error) bool { return errors.Is(err, k) }) {
		t.Errorf("%s: got %v, want %v", what, err, kinds)
	}
}

// each runs f for 0 to n-1 side by side.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// numbered returns "i-00" and so on.
func numbered(i int) string { return fmt.Sprintf("i-%02d", i) }
