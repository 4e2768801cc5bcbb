package rabbitmq

import (
	"context"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/mutex"
	amqp "github.com/rabbitmq/amqp091-go"
)

// publisher is the channel that all Appends share, opened again when it broke.
type publisher struct {
	link *rabbitmq.Link
	mu   mutex.Mutex
	ch   *confirmed
}

func newPublisher(l *rabbitmq.Link) *publisher {
	return &publisher{link: l}
}

// channel returns the channel to send on, after prepare if it is a new one.
func (p *publisher) channel(ctx context.Context, prepare func(context.Context) error) (*confirmed, error) {
	err := p.mu.Lock(ctx)
	if err != nil {
		return nil, fault.Mark(fault.Unavailable, err)
	}
	defer p.mu.Unlock()
	if p.ch != nil && !p.ch.IsClosed() {
		return p.ch, nil
	}
	if err := prepare(ctx); err != nil {
		return nil, err
	}
	ch, err := confirm(ctx, p.link)
	if err != nil {
		return nil, rabbitmq.ReadError(err)
	}
	p.ch = ch
	return ch, nil
}

func (p *publisher) close() {
	_ = p.mu.Lock(context.Background())
	defer p.mu.Unlock()
	if p.ch != nil {
		p.ch.Drop()
		p.ch = nil
	}
}

func (d *driver) Append(ctx context.Context, records []*event.Record) (int, error) {
	for d.sending.Blocked() {
		select {
		case <-ctx.Done():
			return 0, fault.Markf(fault.Unavailable, "the server has an alarm and takes no messages: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	ch, err := d.out.channel(ctx, d.found)
	if err != nil {
		return 0, unsent(err)
	}
	now := time.Now()
	messages := make([]amqp.Publishing, len(records))
	for i, r := range records { // all before the first is sent
		messages[i], err = d.message(r, now, ch.FrameSize())
		if err != nil {
			return 0, err
		}
	}
	n, err := d.publish(ctx, ch, messages)
	if err == gone {
		if again := d.declare(ctx, true); again != nil {
			return n, unsent(again)
		}
	}
	return n, err
}

// unsent gives the error of what comes before sending its kind.
func unsent(err error) error {
	if fault.KindOf(err) == fault.Denied {
		return err
	}
	return fault.Mark(fault.Unavailable, err)
}

// publish sends messages to the stream's exchange, by their types, and waits until
// they are stored. It returns how many of the first are.
func (d *driver) publish(ctx context.Context, ch *confirmed, messages []amqp.Publishing) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	began := time.Now()
	// A write waits without an end where the server does not read.
	go func() {
		f := flight{ch: ch}
		var err error
		for _, m := range messages {
			err = f.send(ctx, d.names.stream, m.Type, m)
			if err != nil {
				break
			}
		}
		if err == nil {
			err = f.all(ctx)
		} else if rest := f.all(ctx); fault.KindOf(rest) == fault.UnknownOutcome {
			err = rest
		}
		done <- result{f.done, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		select {
		case r = <-done:
		case <-time.After(100 * time.Millisecond):
			r.err = fault.Mark(fault.UnknownOutcome, ctx.Err())
		}
	}
	if waited := time.Since(began); r.err != nil && waited > time.Second && ch.Silent(waited) && !ch.Blocked() {
		ch.Break() // else all who come wait as long for nothing
	}
	return r.n, r.err
}
