package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// publisher returns the client that writes, whose batches are as large as the
// topic takes.
func (d *driver) publisher(t *topic) (*kgo.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.producer != nil {
		return d.producer, nil
	}
	p, err := d.conn.More(
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(int32(min(t.maxMessage, 1<<30))),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // the choice of Kafka's own clients
		kgo.UnknownTopicRetries(0),
	)
	if err != nil {
		return nil, err
	}
	d.producer = p
	return p, nil
}

func (d *driver) Append(ctx context.Context, records []*event.Record) (int, error) {
	n, err := d.append(ctx, records)
	if n == 0 && errors.Is(err, kerr.UnknownTopicOrPartition) { // somebody deleted it
		d.forget(d.topic)
		d.renew()
		n, err = d.append(ctx, records)
	}
	return n, kafka.WriteError(err)
}

// renew has the next publisher be a new client, which knows nothing of a topic
// that was deleted.
func (d *driver) renew() {
	d.mu.Lock()
	p := d.producer
	d.producer = nil
	d.mu.Unlock()
	if p != nil {
		go p.Close() // waits for nothing that anybody still waits for
	}
}

func (d *driver) append(ctx context.Context, records []*event.Record) (int, error) {
	t, err := d.stream(ctx)
	if err != nil {
		return 0, err
	}
	messages := make([]*kgo.Record, len(records))
	for i, r := range records { // all before the first is sent
		m := message(r, d.key(r))
		m.Topic = d.topic
		if n := size(m); n > t.maxMessage {
			return 0, fault.Markf(fault.TooLarge, "the message has %d bytes, the topic's max.message.bytes is %d", n, t.maxMessage)
		}
		messages[i] = m
	}
	p, err := d.publisher(t)
	if err != nil {
		return 0, err
	}
	results := make(chan result, len(messages))
	for i, m := range messages {
		p.Produce(ctx, m, func(_ *kgo.Record, err error) { results <- result{i, err} })
	}
	return await(ctx, results, len(messages))
}

type result struct {
	i   int
	err error
}

// grace is how long after the end of a context the client may take to say which
// records it never sent.
const grace = 100 * time.Millisecond

// await returns how many of the first are stored. A record that the client gave up
// is certainly not: it gives up none whose outcome it does not know. Those that it
// says nothing of in time may be stored, now or when the broker is back.
func await(ctx context.Context, results <-chan result, n int) (int, error) {
	errs, done := make([]error, n), make([]bool, n)
	var late <-chan time.Time
	ended := ctx.Done()
wait:
	for range n {
		for {
			select {
			case r := <-results:
				errs[r.i], done[r.i] = r.err, true
				continue wait
			case <-ended:
				ended = nil
				timer := time.NewTimer(grace)
				defer timer.Stop()
				late = timer.C
				continue
			case <-late:
				break wait
			}
		}
	}
	stored, open := 0, false
	var first error
	for i := range n {
		switch {
		case !done[i]:
			open = true
		case errs[i] != nil && first == nil:
			first = errs[i]
		case errs[i] == nil && first == nil && !open:
			stored++
		}
	}
	switch {
	case open:
		return stored, fault.Mark(fault.UnknownOutcome, ctx.Err())
	case errors.Is(first, context.Canceled), errors.Is(first, context.DeadlineExceeded):
		return stored, fault.Markf(fault.Unavailable, "not sent: %w", first)
	}
	return stored, first
}
