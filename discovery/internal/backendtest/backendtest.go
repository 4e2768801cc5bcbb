// Package backendtest holds what the tests of backends with a server share:
// a process that is killed, a network that is cut, a budget of requests.
package backendtest

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/leak"
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
		b.Open(addr), discovery.WithNamespace(namespace), discovery.WithTTL(b.TTL), discovery.WithTimeout(10 * time.Second),
		discovery.WithRetry(20*time.Millisecond, 500*time.Millisecond),
	}, opts...)
	d, err := discovery.New(opts...)
	for end := time.Now().Add(Patience); errors.Is(err, discovery.ErrUnavailable) && time.Now().Before(end); {
		d, err = discovery.New(opts...) // the registry is only slow
	}
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
		last = s
		if ok(s) {
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

// confirmed waits until a registration knows that it stands: the answer to its
// last heartbeat may have been lost.
func (b Backend) confirmed(t *testing.T, r discovery.Registration) {
	t.Helper()
	for deadline := time.Now().Add(b.TTL + Patience); r.Err() != nil; {
		if time.Now().After(deadline) {
			t.Fatal(r.Err())
		}
		<-time.After(20 * time.Millisecond)
	}
}
