package driver_test

import (
	"context"
	"testing"

	"github.com/micro/go-platform/sync"
	syncdriver "github.com/micro/go-platform/sync/driver"
)

// listing is a driver with the ability of this package and no other.
type listing struct {
	sync.Driver
	syncdriver.Lister
}

func (listing) Features() sync.Features    { return sync.Features{} }
func (listing) Ping(context.Context) error { return nil }
func (listing) Close() error               { return nil }

type holds []sync.Hold

func (h holds) List(_ context.Context, prefix string, yield func(string, sync.Hold) bool) error {
	for _, x := range h {
		yield(prefix+"lock/a%2Fb", x)
	}
	yield("elsewhere", sync.Hold{})
	yield(prefix+"other/a", sync.Hold{})
	return nil
}

func TestTheFrontFindsALister(t *testing.T) {
	all := holds{{Owner: "first", Token: 1}, {Owner: "second", Waiting: true}}
	for _, c := range []struct {
		d     sync.Driver
		lists bool
	}{{listing{Lister: all}, true}, {struct{ sync.Driver }{listing{}}, false}} {
		s, err := sync.New(sync.WithDriver("x", func(context.Context) (sync.Driver, error) { return c.d, nil }))
		if err != nil {
			t.Fatal(err)
		}
		if s.Features().Lists != c.lists {
			t.Errorf("%T: Lists %v, want %v", c.d, s.Features().Lists, c.lists)
		}
		n := 0
		for h, err := range s.List(t.Context()) {
			if c.lists && (err != nil || h.ID != "a/b" || h.Kind != sync.KindLock || h.Owner != all[n].Owner) {
				t.Errorf("got %+v, %v, want %+v", h, err, all[n])
			}
			if !c.lists && err == nil {
				t.Errorf("got %+v, want an error", h)
			}
			n++
		}
		if c.lists && n != len(all) {
			t.Errorf("got %d, want %d", n, len(all))
		}
		s.Close()
	}
}
