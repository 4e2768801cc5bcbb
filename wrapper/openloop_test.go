package wrapper_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// instance is the role of a process that serves until it is killed. Its
// argument is how many milliseconds an answer takes.
func instance(args []string) error {
	ms, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	w, err := wrapper.New(wrapper.WithName("greeter"), wrapper.WithLoadReport())
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Duration(ms) * time.Millisecond) // what the service does
		fmt.Fprint(rw, os.Getpid())
	})))
}

func TestNoIdempotentCallFailsWhileOneOfTenProcessesIsSlowAndOneIsKilled(t *testing.T) {
	const calls, every = 800, 4 * time.Millisecond
	children := make([]*servertest.Process, 10)
	addrs := make([]string, 10)
	for i := range children {
		took := "2"
		if i == 1 {
			took = "100"
		}
		children[i] = servertest.Child(t, "instance", took)
	}
	for i, c := range children {
		addrs[i] = c.Line()
	}
	d, err := discovery.New(static.Backend(static.Addresses("greeter", addrs...)...))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	slow := addrs[1]
	r := routerThatUses(t, d, slow)
	loads := &loadObserver{}
	w := newWrapper(t, wrapper.WithRouter(r), wrapper.WithObserver(loads))
	killed, before := "", uint64(0) // how often the one that was killed had been picked
	// Open loop: calls begin when it is time, whether others have ended or not.
	var wg sync.WaitGroup
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range calls {
		<-tick.C
		if i == calls/2 {
			busiest, most := 0, router.NodeStats{}
			for j, a := range addrs { // under load the router avoids some, whose death nobody sees
				if n := outcomes(r, a); a != slow && n.Outcomes[router.OK] > most.Outcomes[router.OK] {
					busiest, most = j, n
				}
			}
			children[busiest].Kill()
			killed, before = addrs[busiest], outcomes(r, addrs[busiest]).Picks
		}
		wg.Go(func() {
			resp, err := w.Client().Get("http://greeter/")
			if err != nil {
				t.Errorf("call %d: %v", i, err)
				return
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
				t.Errorf("call %d: %v, %v", i, resp.Status, err)
			}
		})
	}
	wg.Wait()
	for _, n := range r.Stats("greeter") {
		switch {
		case n.InFlight != 0:
			t.Errorf("%s has %d calls in flight at the end", n.ID, n.InFlight)
		case n.ID == slow && (n.Picks == 0 || n.Picks > calls/20):
			t.Errorf("the slow one got %d of %d calls, want some, but less than half of its share", n.Picks, calls)
		case n.ID == killed && n.Picks > before && n.Outcomes[router.Unsent]+n.Outcomes[router.Connect] == 0:
			t.Error("nobody noticed that one was killed")
		}
	}
	if killed == "" {
		t.Error("nobody was killed")
	}
	if n := loads.reported.Load(); n < calls {
		t.Errorf("%d answers told their load, want %d", n, calls)
	}
}

// routerThatUses returns a router whose client has the instance in its subset. A
// client that sends little uses eight of ten.
func routerThatUses(t *testing.T, d discovery.Discovery, id string) router.Router {
	t.Helper()
	for i := range 100 {
		r, err := router.New(router.WithDiscovery(d), router.WithClient(fmt.Sprint("client", i)))
		if err != nil {
			t.Fatal(err)
		}
		p, err := r.Pick(t.Context(), "greeter")
		if err != nil {
			t.Fatal(err)
		}
		p.Done(router.Outcome{Class: router.Cancelled})
		if outcomes(r, id).InSubset {
			return r
		}
		r.Close(t.Context())
	}
	t.Fatal("no client has the instance in its subset")
	return nil
}
