package router_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// Names come from callers: those that nobody registered must not be followed
// indefinitely, nor push out those that somebody did.
func TestUnknownServicesAreForgotten(t *testing.T) {
	for _, sharing := range []bool{false, true} {
		t.Run(fmt.Sprintf("sharing %v", sharing), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opts []router.Option
				if sharing {
					opts = append(opts, router.WithSharing(router.Memory(), router.Sharing{}))
				}
				d := &told{}
				d.say(3, 0)
				r, err := router.New(append(opts, router.WithDiscovery(d))...)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close(context.Background())
				w := &world{d, r, nil}
				w.pick(t).Done(ok(""))
				synctest.Wait()
				before, heapBefore := runtime.NumGoroutine(), heap()
				long := strings.Repeat("x", 600) // so that a thousand names that stay are noticed
				for i := range 2000 {
					if _, err := w.Pick(t.Context(), fmt.Sprint("unknown", i, long)); !errors.Is(err, router.ErrNoInstances) {
						t.Fatalf("an unknown service: %v, want ErrNoInstances", err)
					}
				}
				synctest.Wait()
				if n := runtime.NumGoroutine() - before; n > 2*256+8 { // finalizers run in one
					t.Errorf("%d goroutines more after 2000 unknown names", n)
				}
				for range 40 { // somebody goes on to ask for one of them
					time.Sleep(time.Second)
					w.Pick(t.Context(), "unknown1999"+long)
				}
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if n := runtime.NumGoroutine() - before; n > 8 {
					t.Errorf("%d goroutines more after they were not asked for any more", n)
				}
				if grown := heap() - heapBefore; grown > 1<<20 {
					t.Errorf("the heap grew by %d bytes", grown)
				}
				if p := w.pick(t); p.Instance == nil {
					t.Error("a service that is known got lost")
				}
			})
		})
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A service that is in use stays, and one that is asked for again is found again.
func TestServicesInUseStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := on(t, fleet(3))
		p := w.pick(t)
		p.Done(ok(""))
		for range 30 {
			time.Sleep(time.Minute)
			w.pick(t).Done(ok(""))
		}
		picks := func() (n uint64) {
			for _, s := range w.Router.Stats("greeter") {
				n += s.Picks
			}
			return n
		}
		if n := picks(); n != 31 {
			t.Errorf("%d picks are known of a service in use, want 31", n)
		}
		time.Sleep(9 * time.Minute)
		if n := picks(); n != 31 {
			t.Errorf("%d picks are known after nine idle minutes, want 31", n)
		}
		time.Sleep(2 * time.Minute)
		if n := len(w.Router.Stats("greeter")); n != 0 {
			t.Errorf("%d instances are known of a service that nobody asked for in eleven minutes", n)
		}
		w.pick(t).Done(ok(""))
		if n := picks(); n != 1 {
			t.Errorf("%d picks are known of a service that is asked for again, want 1", n)
		}
	})
}

// silent is a discovery that never answers.
type silent struct{ discovery.Discovery }

func (silent) Watch(ctx context.Context, _ string) iter.Seq2[discovery.Snapshot, error] {
	return func(yield func(discovery.Snapshot, error) bool) {
		<-ctx.Done()
		yield(discovery.Snapshot{}, ctx.Err())
	}
}

// Calls that wait for a service give way too, with an error that says so.
func TestCallsThatWaitForUnknownServicesAreBounded(t *testing.T) {
	r, err := router.New(router.WithDiscovery(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 300)
	for i := range 300 {
		go func() {
			_, err := r.Pick(ctx, fmt.Sprint("s", i))
			errs <- err
		}()
	}
	for range 300 - 256 {
		if err := <-errs; !errors.Is(err, router.ErrUnavailable) || errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want ErrUnavailable for those that are too many", err)
		}
	}
	cancel()
	for range 256 {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the others to wait as long as their context lets them", err)
		}
	}
	if err := r.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
