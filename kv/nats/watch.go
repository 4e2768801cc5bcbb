package nats

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn/nats"
	kvdriver "github.com/micro/go-platform/kv/driver"
	"github.com/nats-io/nats.go/jetstream"
)

// heartbeat is how often a quiet server says that it is there. Two that are
// missing end the session.
const heartbeat = 10 * time.Second

// Watch reads the last message of every key and follows the stream from there.
// It cannot resume: marks of deletions are not kept indefinitely.
func (d *driver) Watch(ctx context.Context, prefix string, _ uint64, sink kvdriver.Sink) error {
	connected, done := d.whileConnected(ctx)
	defer done()
	bounded, cancel := context.WithTimeout(connected, 10*time.Second)
	defer cancel()
	w, err := d.watcher(bounded, prefix, sink)
	if err != nil {
		return readError(ended(ctx, connected, err))
	}
	defer w.messages.Stop()
	return readError(ended(ctx, connected, w.run(connected)))
}

// watcher is one session.
type watcher struct {
	d        *driver
	s        jetstream.Stream
	prefix   string
	messages jetstream.MessagesContext
	sink     kvdriver.Sink
	newest   uint64 // the number of the last message

	state  uint64   // how many messages are left of those that were there at the start
	until  uint64   // what the leader had then
	synced bool     // the sink knows all that
	held   []stored // what it does not know yet
}

func (d *driver) watcher(ctx context.Context, prefix string, sink kvdriver.Sink) (*watcher, error) {
	s, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	w := &watcher{d: d, s: s, prefix: prefix, sink: sink}
	// In a cluster the consumer is on any of the bucket's servers, which may be behind
	// its leader: then it begins with a state that is older than what was told or written.
	if nats.Clustered(s) {
		m, err := d.message(ctx, s, nats.Of{Last: d.subject + filter(prefix)})
		switch {
		case err == nil:
			w.until = m.Sequence
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			d.lost(err)
			return nil, err
		}
	}
	consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{d.subject + filter(prefix)}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		d.lost(err)
		return nil, err
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return nil, err
	}
	w.state = info.NumPending + uint64(info.NumAckPending)
	w.messages, err = consumer.Messages(jetstream.PullHeartbeat(heartbeat))
	return w, err
}

// run tells the sink about messages until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	quiet := false
	for {
		if !w.synced && w.state == 0 {
			if err := w.sync(ctx, quiet); err != nil {
				return err
			}
		}
		m, err := w.next(ctx)
		quiet = errors.Is(err, context.DeadlineExceeded)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case quiet:
			continue
		case err != nil:
			return errors.Join(errors.New("the watch ended"), err)
		}
		if err := w.take(m); err != nil {
			return err
		}
	}
}

// askAgain is how long a server that is behind has for the next message, before the
// leader is asked whether there is one.
const askAgain = 100 * time.Millisecond

func (w *watcher) next(ctx context.Context) (jetstream.Msg, error) {
	if !w.synced && w.state == 0 {
		bounded, cancel := context.WithTimeout(ctx, askAgain)
		defer cancel()
		ctx = bounded
	}
	return w.messages.Next(jetstream.NextContext(ctx))
}

// take reads a message, and tells the sink unless it waits for more.
func (w *watcher) take(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	w.state = max(w.state, 1) - 1
	if meta.Sequence.Stream <= w.newest {
		return nil // another server, which is behind, began where it was
	}
	w.newest = meta.Sequence.Stream
	key, ok := decode(strings.TrimPrefix(m.Subject(), w.d.subject))
	if !ok || !strings.HasPrefix(key, w.prefix) {
		return nil
	}
	s := parse(key, m.Headers(), m.Data(), meta.Sequence.Stream)
	if !w.synced && nats.Clustered(w.s) {
		w.held = append(w.held, s)
		return nil
	}
	w.tell(s)
	return nil
}

func (w *watcher) tell(s stored) {
	if s.alive() {
		w.sink.Put(s.Item)
	} else {
		w.sink.Delete(s.Key)
	}
}

// sync tells the sink all that was there at the start, once there is nothing left that
// the leader had. It asks again if it is quiet: what the leader had may be gone.
func (w *watcher) sync(ctx context.Context, quiet bool) error {
	if w.newest < w.until {
		if !quiet {
			return nil
		}
		asked, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		m, err := w.d.message(asked, w.s, nats.Of{Next: w.d.subject + filter(w.prefix), From: w.newest + 1})
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return unanswered(ctx, err)
		case m.Sequence <= w.until:
			return nil
		}
	}
	for _, s := range w.held {
		w.tell(s)
	}
	w.held, w.synced = nil, true
	w.sink.Synced(0)
	return nil
}
