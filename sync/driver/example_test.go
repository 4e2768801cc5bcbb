package driver_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/sync"
	syncdriver "github.com/micro/go-platform/sync/driver"
)

// board is a driver, or what stands around one, that can list.
type board struct{ sync.Driver }

// List implements driver.Lister.
func (board) List(_ context.Context, prefix string, yield func(string, sync.Hold) bool) error {
	yield(prefix+"lock/nightly", sync.Hold{Owner: "worker-1", Token: 7})
	return nil
}

func (board) Features() sync.Features    { return sync.Features{} }
func (board) Ping(context.Context) error { return nil }
func (board) Close() error               { return nil }

var _ syncdriver.Lister = board{}

func Example() {
	s, err := sync.New(sync.WithDriver("board", func(context.Context) (sync.Driver, error) { return board{}, nil }))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	for h, err := range s.List(context.Background()) {
		fmt.Println(h.Kind, h.ID, h.Owner, h.Token, err)
	}
	// Output: lock nightly worker-1 7 <nil>
}
