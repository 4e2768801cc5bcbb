package rabbitmq

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// feeder copies the stream to a group's queue, in order and with the positions. All
// processes with members try to; the one that has the lock does. Its connection
// holds the lock, so with it goes the right to copy. What it copied and had not noted
// in the cursor, the next one copies again.
//
//	stream ──▶ feeder ──▶ queue ──▶ members
//	             │ every 50 ms
//	             ▼
//	           cursor
type feeder struct {
	d         *driver
	group     group
	types     event.Patterns
	heartbeat time.Duration
	lines     *lines
	users     int // members of this process
	batch     int // copied before the answers are waited for; of run alone
	cancel    context.CancelFunc
	done      chan struct{}
}

const (
	lockEvery = 500 * time.Millisecond // who has not the lock asks for it
	noteEvery = 50 * time.Millisecond  // the cursor
	maxBatch  = 512

	// queueFull is how many messages wait in the queue until no more are copied, and
	// queueLow until copying goes on: a group that is far behind is not stored
	// twice.
	queueFull = 20_000
	queueLow  = 10_000
)

// feed returns the feeder of a group, which runs until as many calls of leave.
func (d *driver) feed(g group, types event.Patterns, heartbeat time.Duration) *feeder {
	d.mu.Lock()
	f := d.feeders[g.ID]
	for f != nil && f.users == 0 { // it ends: two on one connection would both have the lock
		d.mu.Unlock()
		<-f.done
		d.mu.Lock()
		d.forget(f)
		f = d.feeders[g.ID]
	}
	if f != nil {
		f.users++
		d.mu.Unlock()
		return f
	}
	f = &feeder{d: d, group: g, types: types, heartbeat: heartbeat, users: 1, batch: maxBatch, done: make(chan struct{})}
	d.feeders[g.ID] = f
	d.mu.Unlock()
	f.lines = d.take(heartbeat)
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.Background())
	go f.run(ctx)
	return f
}

func (f *feeder) leave() {
	f.d.mu.Lock()
	f.users--
	last := f.users == 0
	f.d.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
		f.d.mu.Lock()
		f.d.forget(f)
		f.d.mu.Unlock()
		f.d.giveBack(f.heartbeat)
	}
}

// forget removes a feeder that has ended. d.mu is held.
func (d *driver) forget(f *feeder) {
	if d.feeders[f.group.ID] == f {
		delete(d.feeders, f.group.ID)
	}
}

func (f *feeder) run(ctx context.Context) {
	defer close(f.done)
	wait := backoff.Policy{Min: 20 * time.Millisecond, Max: 2 * time.Second}
	for failures := 0; ctx.Err() == nil; {
		began := time.Now()
		err := f.feed(ctx)
		switch {
		case errors.Is(err, errLocked):
			failures = 0
			if backoff.Sleep(ctx, lockEvery) != nil {
				return
			}
			continue
		case fault.KindOf(err) == fault.NotFound:
			return // the group was deleted
		case err != nil && ctx.Err() == nil && failures == 0:
			f.d.log.Warn("event: feeding a group failed", "backend", "rabbitmq", "group", f.group.Name, "error", err)
		}
		if time.Since(began) > time.Second {
			failures = 0
		}
		if backoff.Sleep(ctx, wait.Wait(failures)) != nil {
			return
		}
		failures++
	}
}

var errLocked = errors.New("another process feeds the group")

// feed copies until ctx ends or the connection breaks.
func (f *feeder) feed(ctx context.Context) error {
	ch, err := confirm(ctx, f.lines.feeding)
	if err != nil {
		return err
	}
	defer ch.Drop()
	// Anything asked on a channel of its own, since a refusal closes it.
	lock, err := f.lines.feeding.Channel(ctx)
	if err != nil {
		return err
	}
	defer lock.Drop()
	err = lock.Do(ctx, func() error {
		_, err := lock.QueueDeclare(f.d.names.lock(f.group), false, false, true, false, amqp.Table{"x-queue-type": "classic"})
		return err
	})
	if rabbitmq.Is(err, amqp.ResourceLocked) {
		return errLocked
	}
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		lock.Do(ctx, func() error {
			_, err := lock.QueueDelete(f.d.names.lock(f.group), false, false, false)
			return err
		})
	}()
	c, err := f.begin(ctx, ch)
	if err != nil {
		return err
	}
	err = c.copy(ctx)
	if err == gone {
		return f.mend(ctx)
	}
	return err
}

// mend makes the queue again if somebody deleted it and not the group.
func (f *feeder) mend(ctx context.Context) error {
	g, ok, err := f.d.current(ctx, f.group.Name)
	switch {
	case err != nil:
		return err
	case !ok || g.ID != f.group.ID:
		return deleted(f.group.Name)
	}
	f.d.log.Warn("event: the queue of a group was deleted, and what was in it", "backend", "rabbitmq", "group", f.group.Name)
	if err := f.d.declareGroup(ctx, g); err != nil {
		return err
	}
	return gone
}

// copying is a feeder while it has the lock.
type copying struct {
	*feeder
	ch      *confirmed
	in      *inbox
	tag     uint64 // of the newest delivery
	at      cursor // copied, up to here
	noted   cursor
	notedAt time.Time
	copied  int // since the queue was looked at
}

// begin reads the stream from where the last feeder has noted.
func (f *feeder) begin(ctx context.Context, ch *confirmed) (*copying, error) {
	if err := f.d.declare(ctx, false); err != nil {
		return nil, err
	}
	at, err := f.where(ctx)
	if err != nil {
		return nil, err
	}
	deliveries, err := ch.Begin(ctx, f.d.names.stream, "feeder", 4*maxBatch, amqp.Table{"x-stream-offset": at.after + 1})
	if err != nil {
		return nil, err
	}
	c := &copying{feeder: f, ch: ch, in: newInbox(), at: at, noted: at}
	c.in.follow(deliveries)
	return c, nil
}

var errCut = fault.Markf(fault.Unavailable, "the connection has lost a message")

func (c *copying) copy(ctx context.Context) error {
	tick := time.NewTicker(noteEvery)
	tick.Stop() // while there is nothing to note
	defer tick.Stop()
	for {
		if ctx.Err() != nil {
			return c.note()
		}
		got, ended := c.in.take(c.batch)
		if ended {
			return fault.Markf(fault.Unavailable, "the connection is closed")
		}
		if len(got) > 0 {
			began := time.Now()
			err := c.some(ctx, got)
			c.pace(time.Since(began), err != nil)
			if err != nil {
				return err
			}
			if time.Since(c.notedAt) > noteEvery {
				if err := c.note(); err != nil {
					return err
				}
			} else {
				tick.Reset(noteEvery)
			}
			if err := c.hold(ctx); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return c.note()
		case <-tick.C:
			tick.Stop()
			if err := c.note(); err != nil {
				return err
			}
		case <-c.in.some:
		}
	}
}

// some copies deliveries.
func (c *copying) some(ctx context.Context, got []amqp.Delivery) error {
	f := flight{ch: c.ch}
	queue := c.d.names.queue(c.group)
	next := c.at
	err := c.ch.Do(ctx, func() error {
		for i := range got {
			m := &got[i]
			c.tag++
			if m.DeliveryTag != c.tag {
				c.ch.Break()
				return errCut
			}
			at := position(m)
			if at <= next.after {
				continue
			}
			if t := typeOf(m); t == "" || c.types.Match(t) {
				if err := f.send(ctx, "", queue, again(m, t)); err != nil {
					return err
				}
				c.copied++
			}
			next = cursor{at, markOf(m)}
		}
		if err := f.all(ctx); err != nil {
			return err
		}
		return c.ch.Ack(c.tag, true)
	})
	if err == nil {
		c.at = next
	}
	return err
}

// pace adapts the batch to what the last one took, so that it stays far below the
// time within which the server has to answer. One that takes longer than that is
// copied again, in smaller ones: a feeder gets on however slow the server is.
func (c *copying) pace(took time.Duration, failed bool) {
	limit := c.ch.Timeout()
	switch {
	case failed:
		c.feeder.batch = max(c.feeder.batch/4, 1)
	case took > limit/5:
		c.feeder.batch = max(c.feeder.batch/2, 1)
	case took < limit/20:
		c.feeder.batch = min(c.feeder.batch*2, maxBatch)
	}
}

// again is a message of the stream for the queue, with its position in the header
// that readers of streams know it from.
func again(m *amqp.Delivery, typ string) amqp.Publishing {
	if m.Type == "" {
		m.Type = cut(typ, maxShort) // it was the routing key
	}
	id := m.MessageId
	if id == "" {
		id = "message-" + format(position(m))
	}
	return amqp.Publishing{
		Headers: m.Headers, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, DeliveryMode: amqp.Persistent,
		CorrelationId: m.CorrelationId, ReplyTo: m.ReplyTo, MessageId: id, Timestamp: m.Timestamp, Type: m.Type, AppId: m.AppId, Body: m.Body,
	}
}

// note writes the cursor, unless it says so already.
func (c *copying) note() error {
	if c.noted == c.at {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	at := c.at
	err := c.ch.Do(ctx, func() error { return c.ch.put(ctx, c.d.names.cursor(c.group), at.body()) })
	if err != nil {
		return err
	}
	c.noted, c.notedAt = at, time.Now()
	return nil
}

// hold waits while the queue is full.
func (c *copying) hold(ctx context.Context) error {
	if c.copied < queueLow/4 {
		return nil
	}
	c.copied = 0
	for limit := queueFull; ; limit = queueLow {
		n, err := c.d.ready(ctx, c.d.names.queue(c.group))
		if rabbitmq.Missing(err) {
			return gone
		}
		if err != nil {
			return err
		}
		if n < limit {
			return nil
		}
		if err := c.note(); err != nil {
			return err
		}
		if c.ch.IsClosed() { // and the lock with it
			return fault.Markf(fault.Unavailable, "the connection is closed")
		}
		if err := backoff.Sleep(ctx, 100*time.Millisecond); err != nil {
			return nil
		}
	}
}
