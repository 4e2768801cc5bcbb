package memcached

import (
	"context"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// driver implements kv.Driver.
type driver struct {
	client *memcached.Client // nil with given
	given  *memcache.Client
	lines  []*line
	pick   func(wireKey string) *line
	alone  bool
	life   context.Context
	end    context.CancelFunc
	left   sync.WaitGroup // round trips of given that their callers have left
}

func (d *driver) Ping(ctx context.Context) error {
	if d.client != nil {
		return d.client.Ping(ctx)
	}
	answer := make(chan error, 1)
	d.left.Go(func() { answer <- d.given.Ping() })
	select {
	case err := <-answer:
		return fault.Mark(kv.ErrUnavailable, err)
	case <-ctx.Done():
		return fault.Mark(kv.ErrUnavailable, ctx.Err())
	}
}

// maxValue leaves room for the envelope, the key in it, the key on the wire and
// what memcached adds, in an item of 1 MiB.
const maxValue = 1<<20 - 2<<10

func (d *driver) Features() kv.Features {
	return kv.Features{
		Batch: true, Shared: true, Versions: true, Evicts: true,
		Linearizable: len(d.lines) == 1, ExpiryStep: time.Millisecond, Deadlines: d.given == nil, MaxValue: maxValue,
	}
}

func (d *driver) Close() error {
	d.end() // of round trips that were left by their callers
	if d.client != nil {
		d.client.Close()
	}
	for _, l := range d.lines {
		l.group.Wait()
	}
	d.left.Wait()
	return nil
}
