package rabbitmq

import (
	"context"
	"sync"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// maxInFlight is how many messages of a channel may be without an answer. What is
// returned as unroutable waits in a buffer of that size, so that the client, which
// hands out answers in order, is never held up.
const maxInFlight = 4096

// confirmed is a channel on which the server confirms what it has stored.
type confirmed struct {
	*rabbitmq.Channel
	slots   chan struct{} // of what is without an answer
	returns chan amqp.Return

	mu         sync.Mutex
	unroutable map[string]int // by message id
}

func confirm(ctx context.Context, l *rabbitmq.Link) (*confirmed, error) {
	ch, err := l.Channel(ctx)
	if err != nil {
		return nil, err
	}
	if err := ch.Do(ctx, func() error { return ch.Confirm(false) }); err != nil {
		ch.Drop()
		return nil, err
	}
	c := &confirmed{Channel: ch, slots: make(chan struct{}, maxInFlight), returns: make(chan amqp.Return, maxInFlight), unroutable: map[string]int{}}
	ch.NotifyReturn(c.returns)
	return c, nil
}

// put stores one message in a queue or stream.
func (c *confirmed) put(ctx context.Context, queue string, body []byte) error {
	f := flight{ch: c}
	if err := f.send(ctx, "", queue, amqp.Publishing{Body: body, DeliveryMode: amqp.Persistent, MessageId: event.NewID()}); err != nil {
		return err
	}
	return f.all(ctx)
}

// gone is what a message comes back with when no queue takes it.
var gone = fault.Markf(fault.Unavailable, "no queue takes the message: it was deleted")

// flight is messages that one caller has sent and that have no answer yet.
type flight struct {
	ch      *confirmed
	pending []sent
	done    int // messages that are stored, of the first
}

type sent struct {
	id string
	dc *amqp.DeferredConfirmation
}

// send sends a message, once there is a slot for it. Who waits for a slot takes its
// own answers meanwhile: they are what others may wait for.
func (f *flight) send(ctx context.Context, exchange, key string, m amqp.Publishing) error {
	for taken := false; !taken; {
		select {
		case f.ch.slots <- struct{}{}:
			taken = true
			continue
		default:
		}
		if len(f.pending) > 0 {
			if err := f.one(ctx); err != nil {
				return err
			}
			continue
		}
		select {
		case f.ch.slots <- struct{}{}:
			taken = true
		case <-ctx.Done():
			return fault.Mark(fault.Unavailable, ctx.Err())
		}
	}
	dc, err := f.ch.PublishWithDeferredConfirm(exchange, key, true, false, m)
	if err != nil {
		<-f.ch.slots
		return rabbitmq.WriteError(err)
	}
	f.pending = append(f.pending, sent{m.MessageId, dc})
	return nil
}

// all waits for all answers.
func (f *flight) all(ctx context.Context) error {
	for len(f.pending) > 0 {
		if err := f.one(ctx); err != nil {
			return err
		}
	}
	return nil
}

// one waits for the next answer. The rest of the messages is given up after an
// error.
func (f *flight) one(ctx context.Context) error {
	s := f.pending[0]
	select {
	case <-s.dc.Done():
	case <-ctx.Done():
		f.leave()
		return fault.Mark(fault.UnknownOutcome, ctx.Err())
	}
	f.pending = f.pending[1:]
	<-f.ch.slots
	switch {
	case s.dc.Acked() && !f.ch.returned(s.id):
		f.done++
		return nil
	case s.dc.Acked():
		f.leave()
		return gone
	}
	f.leave()
	if f.ch.IsClosed() {
		return fault.Markf(fault.UnknownOutcome, "the channel was closed before the answer came")
	}
	// Some of the queues that are bound may have it, and the stream among them.
	return fault.Markf(fault.UnknownOutcome, "the server refuses the message")
}

// leave gives the slots back of messages whose answers nobody waits for.
func (f *flight) leave() {
	pending := f.pending
	f.pending = nil
	if len(pending) == 0 {
		return
	}
	go func() { // until the answers come or the channel is closed
		for _, s := range pending {
			<-s.dc.Done()
			f.ch.returned(s.id) // nobody else will ask: one with this id that is sent again would count as returned
			<-f.ch.slots
		}
	}()
}

// returned reports whether a message that was confirmed has come back before.
func (c *confirmed) returned(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.returns) > 0 {
		r, ok := <-c.returns
		if !ok {
			break
		}
		c.unroutable[r.MessageId]++
	}
	if c.unroutable[id] == 0 {
		return false
	}
	c.unroutable[id]--
	if c.unroutable[id] == 0 {
		delete(c.unroutable, id)
	}
	return true
}
