package nats

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	"github.com/nats-io/nats.go/jetstream"
)

// member fetches from a group's consumer.
type member struct {
	d        *driver
	kv       jetstream.KeyValue
	g        event.GroupConfig
	key      string             // the group's name, escaped
	consumer jetstream.Consumer // used by Fetch only
	lease    lease              // of an exclusive group

	// Of an exclusive group, used by Fetch only: see count.
	made time.Time // when the consumer was
	sent uint64    // how many times it has sent something
}

func (m *member) Fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m.g.Exclusive {
			pause, err := m.turn(ctx)
			if err != nil {
				return nil, err
			}
			if pause > 0 {
				if err := backoff.Sleep(ctx, pause); err != nil {
					return nil, err
				}
				continue
			}
		}
		ds, err := m.fetch(limit, 0)
		if err == nil && len(ds) == 0 {
			// One at first, for the server answers only when a batch is full or
			// the time is over; then what has come with it.
			ds, err = m.fetch(1, min(waitFor, max(m.g.AckWait/4, time.Millisecond)))
			if err == nil && len(ds) > 0 && limit > 1 {
				var more []event.Delivered
				more, err = m.fetch(limit-1, 0)
				if err != nil && !errors.Is(err, fault.Lost) {
					return ds, nil
				}
				ds = append(ds, more...)
			}
		}
		if errors.Is(err, fault.Lost) {
			return nil, err
		}
		if len(ds) > 0 {
			return ds, nil // also if ctx has ended: the front gives them back
		}
		if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDeleted) {
			c, e := m.ensure(ctx)
			if e != nil {
				return nil, e
			}
			m.consumer, err = c, nil
		}
		if err != nil {
			if _, e := m.config(ctx); errors.Is(e, fault.NotFound) {
				return nil, e
			} else if e == nil { // the consumer may have gone while nobody asked it for more
				if c, e := m.ensure(ctx); e == nil {
					m.consumer = c
					if m.misses() {
						m.lease.drop()
						return nil, fault.Lost
					}
				}
			}
			return nil, nats.ReadError(err)
		}
	}
}

func (m *member) fetch(limit int, wait time.Duration) ([]event.Delivered, error) {
	batch, err := fetch(m.consumer, limit, wait)
	if err != nil {
		return nil, err
	}
	var ds []event.Delivered
	skipped := false
	begin := m.consumer.CachedInfo().Config.OptStartSeq
	for msg := range batch.Messages() {
		md, err := msg.Metadata()
		skipped = skipped || err == nil && m.skips(md)
		if msg.Subject() == m.d.fenceSubject() || err == nil && md.Sequence.Stream < begin { // no record, or of before the group
			msg.Ack()
			continue
		}
		d := event.Delivered{Attempt: 1, Tag: msg, Encoded: string(msg.Data())}
		if err == nil {
			d.Attempt, d.Position = int(md.NumDelivered), format(md.Sequence.Stream)
		}
		ds = append(ds, d)
	}
	if skipped {
		m.lease.drop()
		return nil, fault.Lost
	}
	if err := batch.Error(); err != nil && len(ds) == 0 && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	return ds, nil
}

// each sends something about every delivery, and sees that it has got out.
func (m *member) each(ctx context.Context, ds []event.Delivered, send func(jetstream.Msg) error) error {
	for _, d := range ds {
		if err := send(d.Tag.(jetstream.Msg)); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
			return nats.WriteError(err)
		}
	}
	return nats.WriteError(m.d.nc.Sent(ctx))
}

func (m *member) Ack(ctx context.Context, ds []event.Delivered) error {
	return m.each(ctx, ds, jetstream.Msg.Ack)
}

func (m *member) Extend(ctx context.Context, ds []event.Delivered) error {
	if m.g.Exclusive {
		if err := m.lease.renew(ctx, m); err != nil {
			return err
		}
	}
	return m.each(ctx, ds, jetstream.Msg.InProgress)
}

func (m *member) Release(ctx context.Context, ds []event.Delivered) error {
	return m.each(ctx, ds, jetstream.Msg.Nak)
}

func (m *member) Lag(ctx context.Context) (event.Lag, error) {
	s, err := m.d.stream(ctx)
	if err != nil {
		return event.Lag{}, err
	}
	c, err := consumerOf(ctx, s, m.key)
	if err != nil {
		return event.Lag{}, nats.ReadError(m.d.lost(err))
	}
	i := c.CachedInfo()
	return event.Lag{Pending: int64(i.NumAckPending), Behind: int64(i.NumPending)}, nil
}

func (m *member) Close(ctx context.Context) error {
	if !m.g.Exclusive {
		return nil
	}
	return m.lease.release(ctx, m)
}

// Holds is for the exclusive one.
func (m *member) Holds() bool { return !m.g.Exclusive || m.lease.holds() }
