package nats

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// heartbeat is how often a quiet server says that it is there. Two that are
// missing end the session.
const heartbeat = 10 * time.Second

// Watch reads the last message of every key and follows the stream from there.
// It cannot resume: marks of deletions are not kept indefinitely.
func (d *driver) Watch(ctx context.Context, prefix string, _ uint64, sink kvdriver.Sink) error {
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := d.open(bounded)
	if err != nil {
		return err
	}
	status := d.nc.StatusChanged(gonats.DISCONNECTED, gonats.RECONNECTING, gonats.CLOSED)
	defer d.nc.RemoveStatusListener(status)
	consumer, err := s.OrderedConsumer(bounded, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{d.subject + filter(prefix)}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		d.lost(err)
		return readError(err)
	}
	info, err := consumer.Info(bounded)
	if err != nil {
		return readError(err)
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return readError(err)
	}
	defer messages.Stop()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-status:
			stop(fault.Markf(kv.ErrUnavailable, "the connection was lost"))
		case <-ctx.Done():
		}
	}()
	return d.follow(ctx, prefix, messages, info.NumPending+uint64(info.NumAckPending), sink)
}

// follow tells sink about messages. The first of them are the state.
func (d *driver) follow(ctx context.Context, prefix string, messages jetstream.MessagesContext, state uint64, sink kvdriver.Sink) error {
	if state == 0 {
		sink.Synced(0)
	}
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return readError(errors.Join(errors.New("the watch ended"), err))
		}
		meta, err := m.Metadata()
		if err != nil {
			return readError(err)
		}
		key, ok := decode(strings.TrimPrefix(m.Subject(), d.subject))
		if ok && strings.HasPrefix(key, prefix) {
			if s := parse(key, m.Headers(), m.Data(), meta.Sequence.Stream); s.alive() {
				sink.Put(s.Item)
			} else {
				sink.Delete(key)
			}
		}
		if state > 0 {
			state--
			if state == 0 {
				sink.Synced(0)
			}
		}
	}
}
