package memcached

import (
	"context"
	"errors"

	"github.com/micro/go-platform/internal/batch"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// server makes round trips: a *memcached.Server, or a client that was given.
type server interface {
	Do(ctx context.Context, ops []*memcached.Op)
	MaxItem() int // 0: not known
}

// line is a server and the calls on their way to it.
type line struct {
	server
	group batch.Group[memcached.Op]
}

func (d *driver) newLine(s server) *line {
	_, slow := s.(given)
	return &line{server: s, group: batch.Group[memcached.Op]{
		Run: s.Do, Max: 128, MaxBytes: bytesPerTrip, Size: size, Context: d.life, Slow: slow,
	}}
}

// large is how many bytes a request has that travels alone, so that nobody
// else's small call waits for it.
const large = 16 << 10

func size(op *memcached.Op) int { return len(op.Key) + len(op.Value) }

// do makes one request and returns when it is answered or ctx ends.
func (d *driver) do(ctx context.Context, op *memcached.Op) error {
	l := d.pick(op.Key)
	if err := l.tooLarge(op); err != nil {
		return err
	}
	if d.alone || size(op) >= large {
		if d.given == nil {
			l.Do(ctx, []*memcached.Op{op})
			return result(ctx, op)
		}
		done := make(chan struct{})
		d.left.Go(func() { defer close(done); l.Do(ctx, []*memcached.Op{op}) })
		select {
		case <-done:
			return result(ctx, op)
		case <-ctx.Done():
			return ended(op.Verb, ctx.Err())
		}
	}
	certainlyNot, err := l.group.Do(ctx, op)
	switch {
	case certainlyNot:
		return err
	case err != nil:
		return ended(op.Verb, err)
	}
	return result(ctx, op)
}

// itemHead is what memcached needs for an item besides key and value.
const itemHead = 64

// tooLarge is the error of a value that the server does not take.
func (l *line) tooLarge(op *memcached.Op) error {
	if n := l.MaxItem(); n > 0 && size(op)+itemHead > n {
		return fault.Markf(kv.ErrTooLarge, "value of %d bytes with its envelope, the server takes items of %d", len(op.Value), n)
	}
	return nil
}

// result gives op's error its kind.
func result(ctx context.Context, op *memcached.Op) error {
	switch {
	case op.Err == nil:
		return nil
	case !errors.Is(op.Err, memcached.ErrLost):
		return op.Err
	case conn.Ended(ctx) != nil:
		return ended(op.Verb, conn.Ended(ctx))
	case op.Verb == memcached.Get:
		return fault.Mark(kv.ErrUnavailable, op.Err)
	}
	return fault.Mark(kv.ErrUnknownOutcome, op.Err)
}

// ended is the error of a call whose context ended on its way.
func ended(verb memcached.Verb, err error) error {
	if verb == memcached.Get {
		return err
	}
	return fault.Mark(kv.ErrUnknownOutcome, err)
}
