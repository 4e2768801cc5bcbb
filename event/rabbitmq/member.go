package rabbitmq

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/mutex"
	amqp "github.com/rabbitmq/amqp091-go"
)

// member is a process's part in a group: a consumer of the group's queue.
type member struct {
	d         *driver
	group     group
	exclusive bool
	heartbeat time.Duration
	lines     *lines
	feeder    *feeder

	// Of Fetch and Close.
	tag       string // of this consumer
	credit    int    // of this consumer
	most      int    // credit of an exclusive member
	consumers int    // so far
	next      uint64 // tag of the next delivery

	sending mutex.Mutex // of acknowledgements: held while a consumer is replaced

	mu    sync.Mutex
	ch    *rabbitmq.Channel // nil: none
	in    *inbox            // of that channel
	held  []handed          // in the order of their tags
	since uint64            // the first tag of this consumer
	until time.Time         // an exclusive member counts on its turn until then
	over  chan struct{}     // closed when that has passed
	acked int               // of this channel
	why   chan *amqp.Error  // the channel was closed
}

// handed is a delivery that has no answer.
type handed struct {
	tag  uint64
	done bool
}

// ticket is the Tag of a Delivered.
type ticket struct {
	ch  *rabbitmq.Channel
	tag uint64
}

// exclusiveCredit is how many records a member of an ordered group has: those
// that wait behind others of their key are among them. It is less for one that does
// not work them off within the server's consumer_timeout.
const exclusiveCredit = 1000

func (d *driver) join(g group, c event.GroupConfig) *member {
	heartbeat := heartbeatOf(c.AckWait)
	m := &member{d: d, group: g, exclusive: g.Exclusive, most: exclusiveCredit, heartbeat: heartbeat, lines: d.take(heartbeat), feeder: d.feed(g, c.Types, heartbeat)}
	d.mu.Lock()
	d.members[m] = struct{}{}
	d.mu.Unlock()
	return m
}

func (m *member) Fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	if err := m.ensure(ctx, limit); err != nil {
		return nil, err
	}
	for {
		m.mu.Lock()
		in, over := m.in, m.over
		m.mu.Unlock()
		select {
		case <-over: // what is in the inbox comes after what was dropped
			m.drop()
			return nil, fault.Lost
		default:
		}
		got, ended := in.take(limit)
		switch {
		case len(got) > 0:
			return m.accept(ctx, got)
		case ended:
			return nil, m.ended(ctx)
		}
		if m.recovered() && m.quit(ctx) {
			return m.Fetch(ctx, limit)
		}
		select {
		case <-in.some:
		case <-over:
			m.drop()
			return nil, fault.Lost
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// accept notes deliveries as handed out.
func (m *member) accept(ctx context.Context, got []amqp.Delivery) ([]event.Delivered, error) {
	if m.exclusive {
		if err := m.prove(ctx); err != nil {
			if ctx.Err() != nil { // it closes: what is handed out may still be acknowledged
				return nil, ctx.Err()
			}
			m.drop()
			return nil, fault.Lost
		}
	}
	m.mu.Lock()
	ch := m.ch
	ds := make([]event.Delivered, 0, len(got))
	for i := range got {
		d := &got[i]
		if d.DeliveryTag != m.next || ch == nil {
			break
		}
		m.next++
		m.held = append(m.held, handed{tag: d.DeliveryTag})
		out := event.Delivered{Attempt: 1, Tag: ticket{ch, d.DeliveryTag}}
		if n, ok := d.Headers["x-delivery-count"].(int64); ok {
			out.Attempt += int(n)
		}
		out.Record, out.Err = record(d)
		ds = append(ds, out)
	}
	m.mu.Unlock()
	if len(ds) == len(got) {
		return ds, nil
	}
	if ch != nil { // a delivery is missing: bytes were lost on the way
		ch.Break()
	}
	m.drop()
	if m.exclusive {
		return nil, fault.Lost
	}
	return nil, errCut
}

func (m *member) channel() *rabbitmq.Channel {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ch
}

// ended is called when the server has ended the consumer, or the connection broke.
func (m *member) ended(ctx context.Context) error {
	m.mu.Lock()
	held := len(m.held)
	m.mu.Unlock()
	m.drop()
	if m.exclusive && held > 0 {
		return fault.Lost
	}
	if err := m.check(ctx); err != nil {
		return err
	}
	return fault.Markf(fault.Unavailable, "the server has ended the consumer, or the connection broke")
}

// check finds out whether the group is still there, and makes its queue if it isn't.
func (m *member) check(ctx context.Context) error {
	g, ok, err := m.d.current(ctx, m.group.Name)
	if err != nil {
		return err
	}
	if !ok || g.ID != m.group.ID {
		return deleted(m.group.Name)
	}
	return m.d.declareGroup(ctx, g)
}

// drop ends the consumer: what it had and did not acknowledge is handed out again.
func (m *member) drop() {
	m.mu.Lock()
	ch := m.ch
	m.ch, m.held = nil, nil
	m.until = time.Time{}
	m.learn()
	m.mu.Unlock()
	if ch != nil {
		ch.Drop()
	}
}

// learn has an exclusive member take less at a time if the server has closed the channel
// because a record had no answer for too long: it has counted all that the member had as handed out,
// and would do so until they are dead letters. What it has worked off twice without
// that is doubled. m.mu is held.
func (m *member) learn() {
	slow := false
	select {
	case err := <-m.why:
		slow = err != nil && err.Code == amqp.PreconditionFailed && strings.Contains(err.Reason, "timed out")
	default:
	}
	switch {
	case !m.exclusive: // it has what its handlers take, and as much again
	case slow:
		m.most = max(min(m.acked, m.most)/2, 1)
		m.d.log.Warn("event: the server's consumer_timeout is over before a member has worked off what it has: it takes less", "backend", "rabbitmq", "group", m.group.Name, "records", m.most)
	case m.acked >= 2*m.most:
		m.most = min(2*m.most, exclusiveCredit)
	}
	m.why, m.acked = nil, 0
}

// recovered reports whether a new consumer would be given more than this one, which
// takes less since it was slow.
func (m *member) recovered() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.exclusive && m.most < exclusiveCredit && m.acked >= 2*m.most
}

func (m *member) Ack(ctx context.Context, ds []event.Delivered) error {
	err := m.sending.Lock(ctx)
	if err != nil {
		return err
	}
	defer m.sending.Unlock()
	m.mu.Lock()
	ch := m.ch
	if ch == nil {
		m.mu.Unlock()
		return nil // all are somebody else's
	}
	var tags []uint64
	for i := range ds {
		t, ok := ds[i].Tag.(ticket)
		if !ok || t.ch != ch {
			continue
		}
		at, ok := slices.BinarySearchFunc(m.held, t.tag, func(h handed, tag uint64) int { return cmp.Compare(h.tag, tag) })
		if ok && !m.held[at].done {
			m.held[at].done = true
			tags = append(tags, t.tag)
		}
	}
	done := 0
	for done < len(m.held) && m.held[done].done {
		done++
	}
	// All up to a tag can be acknowledged at once, but not up to one that was
	// acknowledged before: the server closes the channel.
	upto := uint64(0)
	for _, tag := range tags {
		if done > 0 && tag <= m.held[done-1].tag {
			upto = max(upto, tag)
		}
	}
	m.held = m.held[done:]
	m.acked += len(tags)
	m.mu.Unlock()
	err = ch.Do(ctx, func() error {
		if upto > 0 {
			if err := ch.Channel.Ack(upto, true); err != nil {
				return err
			}
		}
		for _, tag := range tags {
			if tag > upto {
				if err := ch.Channel.Ack(tag, false); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if ch.IsClosed() {
		return nil // they are somebody else's
	}
	return rabbitmq.ReadError(err)
}

// Extend does nothing for a member of a group that shares: the heartbeat of its
// connection shows that it lives.
func (m *member) Extend(ctx context.Context, _ []event.Delivered) error {
	if !m.exclusive {
		return nil
	}
	return m.prove(ctx)
}

// Release gives everything back at once.
func (m *member) Release(ctx context.Context, _ []event.Delivered) error { return m.end(ctx) }

// end gives back what the member has and closes its channel. That would do, but
// RabbitMQ 4.3 and later count what ends with its channel as a failed attempt, and what a
// consumer gives back not. Of an ordered group it has to be the channel: what a cancelled
// consumer still has would come after what the next one gets.
func (m *member) end(ctx context.Context) error {
	m.mu.Lock()
	ch := m.ch
	m.ch, m.held = nil, nil
	m.mu.Unlock()
	if ch == nil || ch.IsClosed() {
		return nil
	}
	if !m.exclusive {
		err := ch.Do(ctx, func() error {
			if err := ch.Cancel(m.tag, false); err != nil {
				return err
			}
			return ch.Nack(0, true, true) // all
		})
		if ch.IsClosed() { // by the server: all is given back
			return nil
		}
		if err != nil {
			ch.Drop()
			return rabbitmq.ReadError(err)
		}
	}
	return rabbitmq.ReadError(ch.Close(ctx))
}

func (m *member) Lag(ctx context.Context) (event.Lag, error) { return m.d.lag(ctx, m.group) }

// pending is how many records were sent to this member and have no answer.
func (m *member) pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ch == nil {
		return 0
	}
	n := m.in.len()
	for _, h := range m.held {
		if !h.done {
			n++
		}
	}
	return n
}

func (m *member) Close(ctx context.Context) error {
	err := m.end(ctx)
	m.feeder.leave()
	m.d.mu.Lock()
	delete(m.d.members, m)
	m.d.mu.Unlock()
	m.d.giveBack(m.heartbeat)
	return err
}
