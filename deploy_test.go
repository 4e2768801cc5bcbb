package platform_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/internal/servertest"
)

// registries is where the processes of a deployment meet.
var registries = map[string]struct {
	backend func(addr string) discovery.Option
	server  func(testing.TB) *servertest.Server
}{
	"etcd":   {func(addr string) discovery.Option { return etcd.Backend(addr) }, servertest.SharedEtcd},
	"consul": {func(addr string) discovery.Option { return consul.Backend(addr) }, servertest.SharedConsul},
	"redis":  {func(addr string) discovery.Option { return redis.Backend(addr) }, servertest.SharedRedis},
}

// deployTTL is the shortest that all of them keep on a busy machine.
const deployTTL = 3 * time.Second

// deployed is the role of an instance's process: registry, its address, namespace
// and the instance's id. It says when it is registered, and ends as platform.Run does.
func deployed(args []string) error {
	app, err := platform.New("greeter", platform.WithInstance(args[3]), platform.WithHost("127.0.0.1"),
		platform.WithDiscovery(registries[args[0]].backend(args[1]), discovery.WithNamespace(args[2]), discovery.WithTTL(deployTTL)))
	if err != nil {
		return err
	}
	go func() {
		for s, err := range app.Discovery().Watch(context.Background(), "greeter") {
			if err == nil && slices.ContainsFunc(s.Instances, func(in discovery.Instance) bool { return in.ID == args[3] && in.Status == discovery.Up }) {
				fmt.Println("serving")
				return
			}
		}
	}()
	return app.Run(context.Background(), platform.HTTP("127.0.0.1:0", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		<-time.After(5 * time.Millisecond)
		io.WriteString(rw, args[3])
	})))
}

// deployment is a service of several processes.
type deployment struct {
	t                         *testing.T
	registry, addr, namespace string
	client                    *platform.App
	started                   int
	stalls                    *stalls
}

// stalls are the times when the machine kept this process waiting. What a client
// promises then can't hold: for so long it hears nothing of who has left.
type stalls struct {
	mu  gosync.Mutex
	all [][2]time.Time
}

// watch notes stalls until the test ends.
func (s *stalls) watch(t *testing.T) {
	ended := make(chan struct{})
	t.Cleanup(func() { <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for last := time.Now(); t.Context().Err() == nil; {
			<-tick.C
			now := time.Now()
			if now.Sub(last) > time.Second/2 {
				s.mu.Lock()
				s.all = append(s.all, [2]time.Time{last, now})
				s.mu.Unlock()
			}
			last = now
		}
	}()
}

// between reports whether one touched the time from one to the other.
func (s *stalls) between(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all, func(one [2]time.Time) bool { return one[0].Before(to) && one[1].After(from) })
}

func newDeployment(t *testing.T, registry string) *deployment {
	t.Helper()
	d := &deployment{t: t, registry: registry, addr: registries[registry].server(t).Addr(), namespace: servertest.Namespace(t), stalls: new(stalls)}
	d.stalls.watch(t)
	var err error
	d.client, err = platform.New("caller", platform.WithDiscovery(registries[registry].backend(d.addr), discovery.WithNamespace(d.namespace)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.client.Close(context.Background()) })
	return d
}

// start starts an instance and waits until it is registered.
func (d *deployment) start() *servertest.Process {
	d.t.Helper()
	d.started++
	p := servertest.Child(d.t, "deployed", d.registry, d.addr, d.namespace, fmt.Sprint("i-", d.started))
	for line := p.Line(); line != "serving"; line = p.Line() {
	}
	return p
}

// offered waits until exactly n instances are offered.
func (d *deployment) offered(n int, within time.Duration) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), within)
	defer cancel()
	var last discovery.Snapshot
	for s, err := range d.client.Discovery().Watch(ctx, "greeter") {
		if err != nil {
			d.t.Fatalf("%d instances offered after %v, want %d: %v", len(last.Instances), within, n, err)
		}
		if last = s; len(s.Instances) == n && s.State == discovery.Live {
			return
		}
	}
}

// load calls the service from several goroutines until the function that it
// returns is called, which returns the calls, who answered, and what failed.
func (d *deployment) load(method string) (end func() (calls int, answered int, failed []string)) {
	var (
		wg      gosync.WaitGroup
		stop    atomic.Bool
		calls   atomic.Int64
		mu      gosync.Mutex
		by      = map[string]bool{}
		failed  = map[time.Time]string{}
		problem = func(text string) {
			mu.Lock()
			defer mu.Unlock()
			failed[time.Now()] = text
		}
	)
	for range 8 {
		wg.Go(func() {
			for !stop.Load() {
				calls.Add(1)
				began := time.Now()
				req, err := http.NewRequest(method, "http://greeter/", strings.NewReader("body"))
				if err != nil {
					problem(err.Error())
					return
				}
				resp, err := d.client.Client().Do(req)
				if err != nil {
					problem(fmt.Sprintf("after %v: %v", time.Since(began), err))
					continue
				}
				id, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					problem(fmt.Sprintf("%s: %s, %v", resp.Status, id, err))
					continue
				}
				mu.Lock()
				by[string(id)] = true
				mu.Unlock()
			}
		})
	}
	return func() (int, int, []string) {
		stop.Store(true)
		wg.Wait()
		maps.DeleteFunc(failed, func(at time.Time, text string) bool {
			stalled := d.stalls.between(at.Add(-deployTTL), at)
			if stalled {
				d.t.Logf("beside a stall: %s", text)
			}
			return stalled
		})
		return int(calls.Load()), len(by), slices.Collect(maps.Values(failed))
	}
}

// Every instance is replaced by another process while calls that must not be
// repeated come in: none fails.
func TestRollingDeployLosesNoCall(t *testing.T) {
	for registry := range registries {
		t.Run(registry, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, registry)
			const size = 3
			var fleet []*servertest.Process
			for range size {
				fleet = append(fleet, d.start())
			}
			d.offered(size, 30*time.Second)
			end := d.load(http.MethodPost)
			for range size {
				next := d.start()
				fleet[0].Terminate()
				if err := fleet[0].WaitFor(20 * time.Second); err != nil {
					t.Errorf("an instance that was asked to end: %v\n%s", err, fleet[0].Log())
				}
				fleet = append(fleet[1:], next)
			}
			calls, answered, failed := end()
			t.Logf("%d calls, answered by %d instances", calls, answered)
			if len(failed) > 0 {
				t.Errorf("%d of %d calls failed, the first: %s", len(failed), calls, failed[0])
			}
			if answered != 2*size {
				t.Errorf("%d instances answered, want all %d", answered, 2*size)
			}
			d.offered(size, 30*time.Second)
		})
	}
}

// Three of six crash at once and are replaced: they are offered no longer than
// their TTL and a second.
func TestCrashedInstancesAreGoneWithinTheirTTL(t *testing.T) {
	for registry := range registries {
		t.Run(registry, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, registry)
			var fleet []*servertest.Process
			for range 6 {
				fleet = append(fleet, d.start())
			}
			d.offered(6, 30*time.Second)
			began := time.Now()
			for _, p := range fleet[:3] {
				p.Kill()
			}
			for range 3 {
				d.start()
			}
			replaced := time.Since(began)
			dead := func(s discovery.Snapshot) int {
				n := 0
				for _, in := range s.Instances {
					if in.ID == "i-1" || in.ID == "i-2" || in.ID == "i-3" {
						n++
					}
				}
				return n
			}
			ctx, cancel := context.WithTimeout(t.Context(), deployTTL+60*time.Second)
			defer cancel()
			left := 3
			for s, err := range d.client.Discovery().Watch(ctx, "greeter") {
				if err != nil {
					break
				}
				left = dead(s)
				if left == 0 {
					break
				}
			}
			took, most := time.Since(began), max(replaced, deployTTL)+2*deployTTL-time.Second
			if (left > 0 || took > most) && d.stalls.between(began, time.Now()) {
				t.Logf("%d dead ones were offered for %v: the machine kept the client waiting, which can't know then who is gone", left, took)
				return
			}
			// Those that are kept, since they might live, are offered for two TTLs more.
			if left > 0 || took > most {
				t.Errorf("%d dead ones were offered for %v, want %v at most", left, took, most)
			}
			d.offered(6, 30*time.Second)
		})
	}
}
