package kafka

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// producer is a client that writes.
type producer struct {
	*kgo.Client
	users sync.WaitGroup // writes that send through it; more of them come only while it is the driver's
}

// publisher returns the client that writes, whose batches are as large as the topic
// of the records takes. Who has it is one of its users.
func (d *driver) publisher(ctx context.Context) (*producer, error) {
	t, err := d.stream(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.producer == nil {
		client, err := d.conn.More(
			kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(int32(min(t.maxMessage, 1<<30))),
			kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // the choice of Kafka's own clients
			kgo.UnknownTopicRetries(0),
		)
		if err != nil {
			return nil, err
		}
		d.producer = &producer{Client: client}
	}
	d.producer.users.Add(1)
	return d.producer, nil
}

func (d *driver) Append(ctx context.Context, records []*event.Record) (int, error) {
	return d.write(ctx, d.topic, func(t *topic) ([]*kgo.Record, error) {
		messages := make([]*kgo.Record, len(records))
		for i, r := range records {
			m := message(r, d.key(r))
			m.Topic = d.topic
			if n := size(m); n > t.maxMessage {
				return nil, fault.Markf(fault.TooLarge, "the message has %d bytes, the topic's max.message.bytes is %d", n, t.maxMessage)
			}
			messages[i] = m
		}
		return messages, nil
	})
}

// write sends messages to one of the driver's two topics, and sends them again to the
// next one of its name if somebody has deleted it. It returns how many of the first
// are stored.
func (d *driver) write(ctx context.Context, name string, messages func(*topic) ([]*kgo.Record, error)) (int, error) {
	for try := 0; ; try++ {
		p, n, err := d.writeOnce(ctx, name, messages)
		if n > 0 || try == maxRenewals || !gone(err) {
			return n, kafka.WriteError(err)
		}
		d.forget(name)
		d.renew(p)
	}
}

// maxRenewals is how often a write takes another client: the topic may be deleted
// more than once, and brokers learn of that one after the other.
const maxRenewals = 3

// gone reports whether an error says that nothing was stored because somebody has
// deleted the topic.
func gone(err error) bool {
	return kafka.Is(err, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InconsistentTopicID)
}

// renew has the next publisher be a new client, which knows nothing of a topic
// that was deleted; unless another write has seen to that. What others still send
// through the old one is waited for before it is closed: of a record that is on its
// way then, nobody would know whether it is stored.
func (d *driver) renew(old *producer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old == nil || d.producer != old || d.life.Err() != nil {
		return
	}
	d.producer = nil
	d.retiring.Go(func() {
		old.users.Wait()
		_ = old.Flush(d.life) // what nobody waits for any more
		old.Close()
	})
}

// writeOnce also returns the client that it has used.
func (d *driver) writeOnce(ctx context.Context, name string, messages func(*topic) ([]*kgo.Record, error)) (*producer, int, error) {
	t, err := d.known(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	all, err := messages(t) // before the first is sent
	if err != nil {
		return nil, 0, err
	}
	p, err := d.publisher(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer p.users.Done()
	n, err := d.produce(ctx, p.Client, all)
	return p, n, err
}

// flight is what is known of the messages of one write.
type flight struct {
	mu   sync.Mutex
	errs []error
	done []bool
	left int
	over bool          // nobody waits any more
	all  chan struct{} // closed when all are done
}

// grace is how long after the end of a context the client may take to say which
// records it never sent.
const grace = 100 * time.Millisecond

// produce returns how many of the first are stored. A record that the client gave
// up is certainly not: it gives up none whose outcome it does not know. Those that
// it says nothing of in time may be stored, now or when the broker is back. Until
// that is known nothing else is sent: it would come after them, late and unasked.
func (d *driver) produce(ctx context.Context, p *kgo.Client, messages []*kgo.Record) (int, error) {
	if err := d.overdue.wait(ctx); err != nil {
		return 0, fault.Markf(fault.Unavailable, "not sent, as it is not known yet what became of earlier records: %w", err)
	}
	f := &flight{errs: make([]error, len(messages)), done: make([]bool, len(messages)), left: len(messages), all: make(chan struct{})}
	for i, m := range messages {
		p.Produce(ctx, m, func(_ *kgo.Record, err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.errs[i], f.done[i] = err, true
			f.left--
			if f.left == 0 {
				close(f.all)
			}
			if f.over {
				d.overdue.add(-1)
			}
		})
	}
	select {
	case <-f.all:
	case <-ctx.Done():
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-f.all:
		case <-timer.C:
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left > 0 {
		f.over = true
		d.overdue.add(f.left)
	}
	return f.outcome(ctx)
}

// outcome is that of what is known now. f.mu is held.
func (f *flight) outcome(ctx context.Context) (int, error) {
	stored, open, beyond := 0, false, false
	var first error
	for i, err := range f.errs {
		switch {
		case !f.done[i]:
			open = true
		case err != nil:
			first = cmp.Or(first, err)
		case first == nil && !open:
			stored++
		default:
			beyond = true
		}
	}
	switch {
	case open:
		return stored, fault.Mark(fault.UnknownOutcome, ctx.Err())
	case beyond: // of another partition: sending all again would repeat it
		return stored, fault.Markf(fault.UnknownOutcome, "later records are stored: %v", first)
	case kafka.Is(first, context.Canceled, context.DeadlineExceeded):
		return stored, fault.Markf(fault.Unavailable, "not sent: %w", first)
	}
	return stored, first
}

// overdue counts records whose outcome nobody waited for.
type overdue struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when n is 0 again
}

func (o *overdue) add(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == 0 && n > 0 {
		o.none = make(chan struct{})
	}
	o.n += n
	if o.n == 0 && n < 0 {
		close(o.none)
	}
}

// wait returns when there are none, or ctx's error.
func (o *overdue) wait(ctx context.Context) error {
	for {
		o.mu.Lock()
		n, none := o.n, o.none
		o.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-none:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
