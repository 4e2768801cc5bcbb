// Package backendtest holds what the tests of backends with a server share:
// a process that is killed, a network that is cut, a budget of requests.
package backendtest

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

// Backend is what is tested.
type Backend struct {
	Name string                             // tells apart those of one package
	Open func(addr string) discovery.Option // with a poll period of Poll
	Poll time.Duration
	TTL  time.Duration // the shortest

	// Silence is how long a silent network may go unnoticed.
	Silence time.Duration
	// Idle is how many requests, or chunks of bytes, the watches of n services
	// may send in a poll period when nothing happens.
	Idle func(n int) int
}

// Main is the TestMain: it runs the tests, or in a child process registers an
// instance until it is killed.
func (b Backend) Main(m *testing.M) { Main(m, b) }

// Main is the TestMain of a package with several backends.
func Main(m *testing.M, all ...Backend) {
	roles := map[string]servertest.Role{}
	for _, b := range all {
		roles[b.role()] = b.registered
	}
	servertest.RunRole(roles)
	// The tests wait for TTLs rather than work: more of them than processors may
	// run at once, unless the command line says otherwise.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	leak.Main(m)
}

func (b Backend) role() string { return "registered" + b.Name }

// registered registers an instance and says so.
func (b Backend) registered(args []string) error {
	d, err := discovery.New(b.Open(args[0]), discovery.WithNamespace(args[1]), discovery.WithTTL(b.TTL))
	if err != nil {
		return err
	}
	if _, err := d.Register(context.Background(), discovery.Instance{Service: "s", ID: args[2], Address: "127.0.0.1:80"}); err != nil {
		return err
	}
	fmt.Println("registered")
	select {} // until SIGKILL
}

func name() string { return "t" + strings.ToLower(rand.Text()[:10]) }

// open opens a Discovery that ends with the test.
func (b Backend) open(t *testing.T, addr, namespace string, opts ...discovery.Option) discovery.Discovery {
	t.Helper()
	opts = append([]discovery.Option{
		b.Open(addr), discovery.WithNamespace(namespace), discovery.WithTTL(b.TTL), discovery.WithTimeout(3 * time.Second),
		discovery.WithRetry(20*time.Millisecond, 500*time.Millisecond),
	}, opts...)
	d, err := discovery.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// Await waits until a snapshot of service "s" is as wanted.
func Await(t *testing.T, d discovery.Discovery, what string, within time.Duration, ok func(s discovery.Snapshot) bool) discovery.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var last discovery.Snapshot
	for s, err := range d.Watch(ctx, "s") {
		if err != nil {
			break
		}
		if last = s; ok(s) {
			return s
		}
	}
	t.Fatalf("want %s within %v, have %v [%s], %d preserved, err %v", what, within, last.State, IDs(last), last.Preserved, last.Err)
	return last
}

// IDs is the instances as "a b c".
func IDs(s discovery.Snapshot) string {
	var all []string
	for _, in := range s.Instances {
		all = append(all, in.ID)
	}
	return strings.Join(all, " ")
}

func live(ids string) func(s discovery.Snapshot) bool {
	return func(s discovery.Snapshot) bool {
		return s.State == discovery.Live && s.Preserved == 0 && IDs(s) == ids
	}
}

func in(id string) discovery.Instance {
	return discovery.Instance{Service: "s", ID: id, Address: "127.0.0.1:80"}
}

// Run runs all tests against the server that addr starts or finds.
func (b Backend) Run(t *testing.T, addr func(t testing.TB) string) {
	for what, test := range map[string]func(t *testing.T, addr string){
		"a killed process is gone from every reader within its TTL": b.killed,
		"a process that was paused is back as soon as it wakes":     b.paused,
		"a silent network makes readers stale, not empty":           b.silent,
		"a registration whose answer is lost does not stay":         b.lostReply,
		"a reset connection is nothing":                             b.reset,
		"an idle watch keeps to its budget":                         b.idle,
	} {
		t.Run(strings.ReplaceAll(what, " ", "_"), func(t *testing.T) {
			t.Parallel()
			test(t, addr(t))
		})
	}
}

func (b Backend) killed(t *testing.T, addr string) {
	namespace := name()
	readers := []discovery.Discovery{b.open(t, addr, namespace), b.open(t, addr, namespace)}
	if _, err := readers[0].Register(t.Context(), in("stays")); err != nil {
		t.Fatal(err)
	}
	child := servertest.Child(t, b.role(), addr, namespace, "killed")
	if line := child.Line(); line != "registered" {
		t.Fatalf("the child says %q", line)
	}
	for _, d := range readers {
		Await(t, d, "both", 10*time.Second, live("killed stays"))
	}
	// Its heartbeats work: it would be gone by now. On a busy machine one may be
	// late; the next one brings it back.
	<-time.After(b.TTL + b.TTL/2)
	for _, d := range readers {
		Await(t, d, "both after a TTL", 10*time.Second, live("killed stays"))
	}
	child.Kill()
	began := time.Now()
	for _, d := range readers {
		Await(t, d, "only the other", b.TTL+slack, live("stays"))
	}
	t.Logf("gone %v after the kill, TTL %v", time.Since(began).Round(time.Millisecond), b.TTL)
}

// slack is what a machine that is busy with other tests may be late by, beyond
// the TTL. What it is on a quiet one stands in the log: less than a second.
const slack = 5 * time.Second

func (b Backend) paused(t *testing.T, addr string) {
	namespace := name()
	reader := b.open(t, addr, namespace)
	child := servertest.Child(t, b.role(), addr, namespace, "paused")
	if line := child.Line(); line != "registered" {
		t.Fatalf("the child says %q", line)
	}
	Await(t, reader, "the child", 10*time.Second, live("paused"))
	child.Pause()
	Await(t, reader, "nobody", b.TTL+slack, live(""))
	child.Resume()
	began := time.Now()
	Await(t, reader, "the child again", b.TTL+slack, live("paused"))
	t.Logf("back %v after it woke", time.Since(began).Round(time.Millisecond))
}

func (b Backend) silent(t *testing.T, addr string) {
	namespace := name()
	p := netfault.New(t, addr)
	writer, reader := b.open(t, addr, namespace), b.open(t, p.Addr(), namespace)
	if _, err := writer.Register(t.Context(), in("a")); err != nil {
		t.Fatal(err)
	}
	// A second change comes by the watch, which is there then.
	Await(t, reader, "a", 10*time.Second, live("a"))
	r, err := writer.Register(t.Context(), in("x"))
	if err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "x too", 10*time.Second, live("a x"))
	if err := r.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "a again", 10*time.Second, live("a"))
	p.Drop(netfault.Both)
	stale := Await(t, reader, "stale", b.Silence, func(s discovery.Snapshot) bool { return s.State == discovery.Stale })
	if IDs(stale) != "a" {
		t.Errorf("stale [%s], want [a]", IDs(stale))
	}
	if _, err := writer.Register(t.Context(), in("b")); err != nil {
		t.Fatal(err)
	}
	p.Heal()
	Await(t, reader, "both again", 20*time.Second, live("a b"))
}

func (b Backend) lostReply(t *testing.T, addr string) {
	namespace := name()
	p := netfault.New(t, addr)
	writer, reader := b.open(t, p.Addr(), namespace), b.open(t, addr, namespace)
	Await(t, reader, "nothing", 10*time.Second, live(""))
	p.CutReplies(-1)
	_, err := writer.Register(t.Context(), in("ghost"))
	if err == nil {
		t.Fatal("registered without an answer")
	}
	t.Log(err)
	p.Heal()
	// It may appear, and has to go.
	deadline := time.Now().Add(b.TTL + time.Second)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	var last discovery.Snapshot
	for s, err := range reader.Watch(ctx, "s") {
		if err == nil {
			last = s
		}
	}
	if len(last.Instances) > 0 {
		t.Errorf("left behind: [%s]", IDs(last))
	}
	// And the id is free.
	if _, err := writer.Register(t.Context(), in("ghost")); err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "the second one", 10*time.Second, live("ghost"))
}

func (b Backend) reset(t *testing.T, addr string) {
	namespace := name()
	p := netfault.New(t, addr)
	d := b.open(t, p.Addr(), namespace)
	if _, err := d.Register(t.Context(), in("a")); err != nil {
		t.Fatal(err)
	}
	Await(t, d, "a", 10*time.Second, live("a"))
	for i := range 3 {
		before, _ := d.Lookup("s")
		p.Reset()
		id := fmt.Sprint("b", i)
		deadline := time.Now().Add(10 * time.Second)
		for {
			r, err := d.Register(t.Context(), in(id))
			if err == nil {
				Await(t, d, "the new one", 10*time.Second, func(s discovery.Snapshot) bool { return strings.Contains(IDs(s), id) && s.State == discovery.Live })
				if err := r.Deregister(t.Context()); err != nil {
					t.Error(err)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		s := Await(t, d, "a alone", 10*time.Second, live("a"))
		if s.Revision <= before.Revision {
			t.Errorf("revision %d after %d", s.Revision, before.Revision)
		}
	}
}

func (b Backend) idle(t *testing.T, addr string) {
	const services, periods = 4, 3
	p := netfault.New(t, addr)
	d := b.open(t, p.Addr(), name())
	for i := range services {
		if _, err := d.Get(t.Context(), fmt.Sprint("s", i)); err != nil {
			t.Fatal(err)
		}
	}
	before := p.Counts()
	<-time.After(periods * b.Poll)
	sent := p.Counts().Requests - before.Requests
	most := (periods + 1) * b.Idle(services)
	t.Logf("%d requests of %d services in %d periods, budget %d", sent, services, periods, most)
	if sent > most {
		t.Errorf("%d requests, want at most %d", sent, most)
	}
	s, ok := d.Lookup("s0")
	if !ok || s.State != discovery.Live || s.Age() > 3*b.Poll {
		t.Errorf("%v, confirmed %v ago, want live and not longer than three periods", s.State, s.Age())
	}
}

// DeadFirst checks that an address where nobody listens, and one where nobody
// answers, cost nothing if there is another; list writes them as the backend
// wants them.
func (b Backend) DeadFirst(t *testing.T, addr string) {
	silent := netfault.New(t, addr)
	silent.Hold(netfault.Both)
	for what, first := range map[string]string{"dead": "127.0.0.1:1", "silent": silent.Addr()} {
		t.Run(what, func(t *testing.T) {
			began := time.Now()
			d := b.open(t, first+","+addr, name())
			if _, err := d.Register(t.Context(), in("a")); err != nil {
				t.Fatal(err)
			}
			Await(t, d, "a", 10*time.Second, live("a"))
			t.Logf("took %v", time.Since(began).Round(time.Millisecond))
		})
	}
}

// LeaderLoss checks that the death of a cluster's leader costs no reader and
// no registration anything but time.
func (b Backend) LeaderLoss(t *testing.T, addrs string, leader func() *servertest.Server) {
	namespace := name()
	writer, reader := b.open(t, addrs, namespace), b.open(t, addrs, namespace)
	r, err := writer.Register(t.Context(), in("a"))
	if err != nil {
		t.Fatal(err)
	}
	Await(t, reader, "a", 10*time.Second, live("a"))
	leader().Kill()
	began := time.Now()
	for {
		if _, err = writer.Register(t.Context(), in("b")); err == nil {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Logf("writes again after %v", time.Since(began).Round(time.Millisecond))
	Await(t, reader, "both", 20*time.Second, live("a b"))
	b.confirmed(t, r)
}

// confirmed waits until a registration knows that it stands: the answer to its
// last heartbeat may have been lost.
func (b Backend) confirmed(t *testing.T, r discovery.Registration) {
	t.Helper()
	for deadline := time.Now().Add(b.TTL + 5*time.Second); r.Err() != nil; {
		if time.Now().After(deadline) {
			t.Fatal(r.Err())
		}
		<-time.After(20 * time.Millisecond)
	}
}
