package rabbitmq

import (
	"context"
	"strconv"

	"github.com/micro/go-platform/internal/conn/rabbitmq"
	amqp "github.com/rabbitmq/amqp091-go"
)

// The consumer of a member, and how another takes its place.

// ensure sees to it that there is a consumer, with enough credit for limit records
// beside those that are held. A consumer can't be given more, but another may take
// its place; not in an ordered group, where somebody else would be next.
//
// Only a consumer that has all that it may have is replaced: what is on its way to
// one that is being cancelled, the server takes back and counts as handed out.
func (m *member) ensure(ctx context.Context, limit int) error {
	// An acknowledgement now would have the server send more to a consumer that is
	// about to be cancelled.
	err := m.sending.Lock(ctx)
	if err != nil {
		return err
	}
	defer m.sending.Unlock()
	m.mu.Lock()
	ch, used := m.ch, 0
	for _, h := range m.held {
		if h.tag >= m.since && !h.done {
			used++
		}
	}
	waiting := 0
	if ch != nil {
		waiting = m.in.since(m.since)
	}
	m.mu.Unlock()
	switch {
	case ch == nil:
		if err := m.start(ctx); err != nil {
			return err
		}
	case m.exclusive || ch.IsClosed():
		return nil // the end of the deliveries tells
	case used+waiting < m.credit, waiting > 0 && limit <= m.credit && limit*8 >= m.credit:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		// A request that is given up takes the channel along, and with it what is held
		// and its acknowledgements. The engine's timeout bounds both.
		ctx = context.WithoutCancel(ctx)
		if err := m.cancel(ctx); err != nil {
			return err
		}
	}
	return m.consume(ctx, limit)
}

// quit ends the channel if nothing that was sent on it waits for an answer, and
// reports whether it did. An acknowledgement that is being sent gets there before.
func (m *member) quit(ctx context.Context) bool {
	if m.sending.Lock(ctx) != nil {
		return false
	}
	defer m.sending.Unlock()
	if m.pending() > 0 {
		return false
	}
	m.drop()
	return true
}

// start opens a channel.
func (m *member) start(ctx context.Context) error {
	ch, err := m.lines.consuming.Channel(ctx)
	if err != nil {
		return rabbitmq.ReadError(err)
	}
	m.mu.Lock()
	m.ch, m.in, m.held, m.over = ch, newInbox(), nil, make(chan struct{})
	m.acked, m.why = 0, ch.NotifyClose(make(chan *amqp.Error, 1))
	m.mu.Unlock()
	m.next = 1
	return nil
}

// cancel ends a consumer and keeps what was sent to it.
func (m *member) cancel(ctx context.Context) error {
	ch, tag := m.channel(), m.tag
	if err := ch.Do(ctx, func() error { return ch.Cancel(tag, false) }); err != nil {
		m.drop()
		return rabbitmq.ReadError(err)
	}
	<-m.in.moving
	return nil
}

func (m *member) consume(ctx context.Context, limit int) error {
	m.credit = 2 * limit // the server sends while these are worked on
	if m.exclusive {
		m.credit = m.most
	}
	m.consumers++ // a quorum queue takes a second consumer of a tag for the first
	m.tag = "member-" + strconv.Itoa(m.consumers)
	deliveries, err := m.channel().Begin(ctx, m.d.names.queue(m.group), m.tag, m.credit, nil)
	if err != nil {
		m.drop()
		if rabbitmq.Missing(err) {
			if err := m.check(ctx); err != nil {
				return err
			}
		}
		return rabbitmq.ReadError(err)
	}
	m.mu.Lock()
	m.since = m.next + uint64(m.in.len())
	m.mu.Unlock()
	m.in.follow(deliveries)
	return nil
}
