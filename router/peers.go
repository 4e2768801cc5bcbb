package router

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
)

// An aperture is for fleets in which connections of all clients to all
// instances would be too many. Up to here every client uses every instance.
const (
	fewPeers = 100  // that a client with peers keeps to, at the least
	fewAlone = 1000 // that a client without peers keeps to, at the most
)

// WithPeers says that this process is an instance of a service, of which the
// others call the same services: each then keeps to a part of the instances
// that it calls, if there are more than a hundred, so that every instance is
// used by equally many of them (the deterministic aperture of Twitter's
// Finagle). With WithZone its peers are those of its own zone.
//
// Without it a router uses all instances of a service, up to a thousand, and
// that many at random from then on.
func WithPeers(service, id string) Option {
	return func(o *options) error {
		if service == "" || id == "" {
			return errors.New("peers of no service, or without an id")
		}
		o.peers, o.self = service, id
		return nil
	}
}

// place is where a client stands among its peers.
type place struct{ index, of int }

// window is the part of n instances, arranged in a ring, that the client keeps
// to: from start on, size of them. Each instance is in equally many windows.
func (p place) window(n int) (start, size int) {
	if n == 0 {
		return 0, 0
	}
	covers := min((fewPeers*p.of+n-1)/n, p.of) // how many clients use an instance
	covers = max(covers, 1)
	start = p.index * n / p.of
	return start % n, (p.index+covers)*n/p.of - start
}

// aperture is how many of a subset's nodes, from the first, the client keeps to.
func (p *place) aperture(nodes []*Node) int {
	n := near(nodes)
	if p != nil {
		if n <= fewPeers {
			return n
		}
		_, size := p.window(n)
		return size
	}
	return min(n, fewAlone)
}

// followPeers keeps this client's place among its peers up to date.
func (f *front) followPeers(ctx context.Context) {
	err := fault.Guard(func() error {
		for snap, err := range f.o.source.Watch(ctx, f.o.peers) {
			if err != nil {
				return err
			}
			old, next := f.place.Load(), f.o.placed(&snap)
			if old == next || old != nil && next != nil && *old == *next {
				continue
			}
			f.place.Store(next)
			for _, s := range *f.services.Load() {
				s.reroute()
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		f.o.logger.Error("router: peers do not change any more", "error", err)
	}
}

// placed finds this client's place in a snapshot of its peers, or nil.
func (o *options) placed(snap *discovery.Snapshot) *place {
	var ids []string
	for _, in := range snap.Instances {
		if in.Status == discovery.Up && (o.zone == "" || in.Zone == o.zone) {
			ids = append(ids, in.ID)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(hash(a), hash(b)), cmp.Compare(a, b)) })
	if i := slices.Index(ids, o.self); i >= 0 {
		return &place{i, len(ids)}
	}
	return nil
}
