package router_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

var errRegistry = errors.New("the registry is unavailable")

// moods is a discovery whose answer is in the name of the service, and that counts
// who watches.
type moods struct {
	discovery.Discovery
	mu       sync.Mutex
	watching map[string]int
	watched  map[string]int // ever
}

func (d *moods) Watch(ctx context.Context, service string) iter.Seq2[discovery.Snapshot, error] {
	return func(yield func(discovery.Snapshot, error) bool) {
		d.mu.Lock()
		d.watching[service]++
		d.watched[service]++
		d.mu.Unlock()
		defer func() {
			d.mu.Lock()
			d.watching[service]--
			d.mu.Unlock()
		}()
		s := discovery.Snapshot{Service: service, State: discovery.Live}
		mood, _, _ := strings.Cut(service, "-")
		switch mood {
		case "full":
			s.Instances = fleet(3)
		case "empty":
		case "fails":
			yield(discovery.Snapshot{}, errRegistry)
			return
		case "ends":
			return
		case "panics":
			panic(errRegistry)
		case "cold":
			s.State, s.Err = discovery.Cold, errRegistry
		case "mute":
			s.State = discovery.Cold
		case "late":
			if !yield(discovery.Snapshot{Service: service, State: discovery.Cold}, nil) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(30 * time.Second):
			}
			s.Instances = fleet(3)
		}
		if yield(s, nil) {
			<-ctx.Done()
		}
	}
}

func (d *moods) now(service string) int {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.watching[service]
}

func moody(t *testing.T, opts ...router.Option) (*world, *moods) {
	d := &moods{watching: map[string]int{}, watched: map[string]int{}}
	r, err := router.New(append(opts, router.WithDiscovery(d))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	return &world{d, r, nil}, d
}

// What a call is told whose service discovery does not know, or can't ask for.
func TestWhatAnUnknownServiceSays(t *testing.T) {
	for _, c := range []struct {
		service string
		wants   []error
		not     error
		after   time.Duration
		watches bool // afterwards
	}{
		{"full", nil, nil, 0, true}, {"empty", []error{router.ErrNoInstances, router.ErrUnavailable}, nil, 0, true},
		{"fails", []error{errRegistry}, context.DeadlineExceeded, 0, false}, {"panics", []error{errRegistry}, context.DeadlineExceeded, 0, false}, {"ends", []error{router.ErrUnavailable}, router.ErrNoInstances, 0, false},
		{"cold", []error{context.DeadlineExceeded, errRegistry}, nil, time.Minute, true}, {"mute", []error{context.DeadlineExceeded}, errRegistry, time.Minute, true},
		{"late", nil, nil, 30 * time.Second, true}, {"", []error{router.ErrInvalid}, router.ErrUnavailable, 0, false},
	} {
		for name, call := range map[string]func(w *world, ctx context.Context) error{
			"pick":   func(w *world, ctx context.Context) error { _, err := w.Pick(ctx, c.service); return err },
			"select": func(w *world, ctx context.Context) error { _, err := w.Select(ctx, c.service); return err },
		} {
			synctest.Test(t, func(t *testing.T) {
				w, d := moody(t)
				for range 2 { // the second time as the first
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					began := time.Now()
					err := call(w, ctx)
					cancel()
					if (err == nil) != (c.wants == nil) || c.not != nil && errors.Is(err, c.not) {
						t.Errorf("%s of %q: %v, want %v", name, c.service, err, c.wants)
					}
					for _, want := range c.wants {
						if !errors.Is(err, want) {
							t.Errorf("%s of %q: %v, want %v", name, c.service, err, want)
						}
					}
					if d := time.Since(began); d != c.after {
						t.Errorf("%s of %q took %v, want %v", name, c.service, d, c.after)
					}
					if (d.now(c.service) == 1) != c.watches {
						t.Errorf("%s of %q: watched by %d", name, c.service, d.now(c.service))
					}
					if c.service == "late" {
						break
					}
				}
				want := 1
				if !c.watches {
					want = 2
				}
				if n := d.watched[c.service]; n != want && c.service != "" {
					t.Errorf("%s of %q: it was watched %d times for two calls, want %d", name, c.service, n, want)
				}
				if e := w.Explain(c.service); e.Service != c.service || e.Strategy != "least cost" || e.Known != len(e.Nodes) || e.Panic || (e.Known == 3) != (c.wants == nil) {
					t.Errorf("%q is explained as %+v", c.service, e)
				}
				if got := len(w.Router.Services()); got != len(w.Explain(c.service).Nodes)/3 {
					t.Errorf("%q: %d services are known to have instances", c.service, got)
				}
				w.Router.Close(t.Context())
				if err := call(w, t.Context()); c.wants != nil && c.service != "empty" && c.service != "" && !errors.Is(err, router.ErrClosed) {
					t.Errorf("%s of %q after Close: %v", name, c.service, err)
				}
				if d.now(c.service) != 0 {
					t.Errorf("%q is watched after Close", c.service)
				}
			})
		}
	}
}

// A service that nobody asks for is forgotten after ten minutes, or ten seconds if it has
// no instances; not while a call waits for it.
func TestWhenServicesAreForgotten(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		service string
		asks    []time.Duration
		at      time.Duration
		known   bool
	}{
		{"full", []time.Duration{s / 2}, 601*s - 1, true}, {"full", []time.Duration{s / 2}, 601 * s, false}, {"full", []time.Duration{s / 2, 300*s + s/2}, 901*s - 1, true}, {"full", []time.Duration{s / 2, 300*s + s/2}, 901 * s, false},
		{"empty", []time.Duration{s / 2}, 11*s - 1, true}, {"empty", []time.Duration{s / 2}, 11 * s, false}, {"empty", []time.Duration{s / 2, 5*s + s/2}, 16*s - 1, true}, {"empty", []time.Duration{s / 2, 5*s + s/2}, 16 * s, false},
		{"late", []time.Duration{s / 2}, 29 * s, true}, {"late", []time.Duration{s / 2}, 100 * s, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, d := moody(t)
			began := time.Now()
			for _, at := range c.asks {
				time.Sleep(at - time.Since(began))
				go w.Pick(t.Context(), c.service)
			}
			time.Sleep(c.at - time.Since(began))
			if got := d.now(c.service) == 1; got != c.known {
				t.Errorf("%q, asked for after %v: after %v it is watched: %v, want %v", c.service, c.asks, c.at, got, c.known)
			}
			w.Router.Close(context.Background())
			synctest.Wait()
		})
	}
}

// Of services without instances 256 are kept: of more the longest known that nobody
// waits for is forgotten.
func TestWhichServiceGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := moody(t)
		go w.Pick(t.Context(), "mute-first") // somebody waits
		w.Pick(t.Context(), "full-always")
		for i := range 256 {
			time.Sleep(time.Millisecond)
			w.Pick(t.Context(), fmt.Sprint("empty-", i))
			if i == 254 && d.now("empty-0") != 1 {
				t.Error("a service gave way before there were 256")
			}
		}
		for service, want := range map[string]int{"mute-first": 1, "full-always": 1, "empty-0": 0, "empty-1": 1, "empty-255": 1} {
			if got := d.now(service); got != want {
				t.Errorf("%s is watched by %d, want %d", service, got, want)
			}
		}
		w.Pick(t.Context(), "empty-256")
		if d.now("empty-1") != 0 || d.now("empty-2") != 1 {
			t.Error("the next one was not the next longest known")
		}
		for i := range 100 { // with instances as many as there are
			w.Pick(t.Context(), fmt.Sprint("full-", 100-i))
		}
		names := w.Router.Services()
		if len(names) != 101 || !slices.IsSorted(names) || d.now("empty-3") != 1 {
			t.Errorf("%d services are known to have instances, sorted %v", len(names), slices.IsSorted(names))
		}
		w.Router.Close(context.Background())
	})
}

// Who shares listens to others about what it knows, and to nothing else.
func TestWhoseReportsAreHeard(t *testing.T) {
	for service, want := range map[string]int{"full": 1, "empty": 1, "fails": 0, "mute": 0} {
		synctest.Test(t, func(t *testing.T) {
			x := newSpoken()
			w, _ := moody(t, router.WithSharing(x, router.Sharing{}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			w.Pick(ctx, service)
			synctest.Wait()
			if len(x.reports) != want {
				t.Errorf("%s: %d listen to reports, want %d", service, len(x.reports), want)
			}
			w.Router.Close(context.Background())
		})
	}
}
