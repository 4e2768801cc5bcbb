package nats

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	"github.com/nats-io/nats.go/jetstream"
)

// In a cluster a consumer is on any of the servers that keep its stream, and that server
// may not have yet what the stream's leader has acknowledged. It has the records in order,
// so what it lacks are the newest. The leader says whether there are any.

var errBehind = fault.Markf(fault.Unavailable, "the server that reads is behind the stream's leader")

// beyond returns the number of the first message after one that the leader has and that a
// filter selects, or 0. No filters select all.
func beyond(ctx context.Context, s jetstream.Stream, filters []string, after uint64) (uint64, error) {
	if len(filters) == 0 {
		filters = []string{">"}
	}
	first := uint64(0)
	for _, f := range filters {
		m, err := s.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(f))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return 0, nats.ReadError(err)
		}
		if first == 0 || m.Sequence < first {
			first = m.Sequence
		}
	}
	return first, nil
}

// beyond is beyond of the driver's stream, whatever the subject.
func (d *driver) beyond(ctx context.Context, after uint64) (uint64, error) {
	s, err := d.stream(ctx)
	if err != nil {
		return 0, err
	}
	next, err := beyond(ctx, s, nil, after)
	return next, d.lost(err)
}

// whole repeats a read until the leader has nothing between the newest message that it has
// seen and the last one that it should have seen.
func (d *driver) whole(ctx context.Context, filters []string, last uint64, read func() (newest uint64, err error)) error {
	s, err := d.stream(ctx)
	if err != nil {
		return err
	}
	for until := time.Now().Add(answerWithin); ; {
		newest, err := read()
		if err != nil || newest >= last || !nats.Clustered(s) {
			return err
		}
		next, err := beyond(ctx, s, filters, newest)
		if err != nil || next == 0 || next > last {
			return d.lost(err)
		}
		if time.Now().After(until) {
			return errBehind
		}
		if err := backoff.Sleep(ctx, askAgain); err != nil {
			return err
		}
	}
}

// end returns the number of the last message that a new read should see.
func (d *driver) end(ctx context.Context) (uint64, error) {
	s, err := d.stream(ctx)
	if err != nil || !nats.Clustered(s) {
		return 0, err
	}
	st, err := d.state(ctx)
	return st.LastSeq, err
}

// consumers calls visit with every consumer that is no cursor. The list that a cluster
// gives leaves out those whose server does not answer at once, its names don't.
func (d *driver) consumers(ctx context.Context, s jetstream.Stream, visit func(*jetstream.ConsumerInfo) error) error {
	var failed error
	if !nats.Clustered(s) {
		infos := s.ListConsumers(ctx)
		for i := range infos.Info() { // to the end: what sends them waits for whoever takes them
			if i.Config.Durable != "" && failed == nil {
				failed = visit(i)
			}
		}
		if failed == nil {
			failed = infos.Err()
		}
		return failed
	}
	var list []string
	names := s.ConsumerNames(ctx)
	for name := range names.Name() {
		if !isCursor(name) {
			list = append(list, name)
		}
	}
	if err := names.Err(); err != nil {
		return err
	}
	for _, name := range list {
		c, err := consumerOf(ctx, s, name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue // deleted since
		}
		if err != nil {
			return err
		}
		if i := c.CachedInfo(); i.Config.Durable != "" {
			err = visit(i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
