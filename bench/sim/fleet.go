package sim

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

const service = "s"

// fleet is the discovery of the routers: the servers as they are. It stands in
// for a registry, since a simulation has a clock of its own.
type fleet struct {
	discovery.Discovery // Watch is all that a router uses
	run                 *run
	routers             []router.Router

	mu   sync.Mutex
	wake chan struct{} // closed at the next change
}

func zone(i, zones int) string { return fmt.Sprint("zone ", i%zones) }

// snapshot is the fleet as it is.
func (f *fleet) snapshot() (s discovery.Snapshot) {
	s.State = discovery.Live
	for i, v := range f.run.servers {
		in := discovery.Instance{ID: fmt.Sprintf("%d.%d", i, v.version), Service: service, Address: fmt.Sprintf("10.0.0.1:%d", 1000+i)}
		if f.run.Zones > 0 {
			in.Zone = zone(i, f.run.Zones)
		}
		s.Instances = append(s.Instances, in)
	}
	return s
}

func (f *fleet) Watch(ctx context.Context, _ string) iter.Seq2[discovery.Snapshot, error] {
	return func(yield func(discovery.Snapshot, error) bool) {
		for ctx.Err() == nil {
			f.mu.Lock()
			s, wake := f.snapshot(), f.wake
			f.mu.Unlock()
			if !yield(s, nil) {
				return
			}
			select {
			case <-wake:
			case <-ctx.Done():
			}
		}
	}
}

// changed tells the routers, and waits until each has heard: the simulation's
// time stands still meanwhile.
func (f *fleet) changed() {
	f.mu.Lock()
	close(f.wake)
	f.wake = make(chan struct{})
	want := f.snapshot()
	f.mu.Unlock()
	for _, r := range f.routers {
		for !knows(r, want) {
			runtime.Gosched()
		}
	}
}

// knows reports whether a router has the instances of a snapshot, or has not
// been asked yet.
func knows(r router.Router, want discovery.Snapshot) bool {
	stats := r.Stats(service)
	if len(stats) == 0 {
		return true
	}
	have := map[string]bool{}
	for _, s := range stats {
		have[s.ID] = true
	}
	for _, in := range want.Instances {
		if !have[in.ID] {
			return false
		}
	}
	return len(have) == len(want.Instances)
}
