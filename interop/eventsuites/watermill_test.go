package eventsuites

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/micro/go-platform/event"
)

// TestWatermill is Watermill's suite, in the ways in which a stream is used: by
// groups whose members share the messages, by such groups that keep the order,
// and by a group for each subscriber, which has all messages from the first on.
//
// Not asked for: ExactlyOnceDelivery (delivery is at least once; package inbox
// makes it once), ContextPreserved (contexts stay in their process), and
// RestartServiceCommand, which is a shell's: eventtest restarts the servers.
func TestWatermill(t *testing.T) {
	onEveryBackend(t, func(t *testing.T, open opener) {
		for _, way := range []struct {
			name     string
			ordered  bool
			apart    bool // each subscriber is a group
			features tests.Features
		}{
			{"shared", false, false, tests.Features{ConsumerGroups: true, Persistent: true}},
			{"ordered", true, false, tests.Features{ConsumerGroups: true, Persistent: true, GuaranteedOrder: true}},
			{"apart", true, true, tests.Features{ConsumerGroups: true, Persistent: true, GuaranteedOrder: true, NewSubscriberReceivesOldMessages: true}},
		} {
			t.Run(way.name, func(t *testing.T) {
				t.Parallel()
				way.features.ForceShort = true
				pair := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
					s := open(t)
					sub := &subscriber{s: s, group: group, closing: make(chan struct{})}
					if way.ordered {
						sub.opts = append(sub.opts, event.Ordered(func(*event.Record) string { return "" }))
					}
					t.Cleanup(func() { sub.Close() }) // the suite leaves some open
					return publisher{s}, sub
				}
				tests.TestPubSub(t, way.features, func(t *testing.T) (message.Publisher, message.Subscriber) {
					if way.apart {
						return pair(t, watermill.NewUUID())
					}
					return pair(t, "default")
				}, pair)
			})
		}
	})
}

// publisher is a Watermill publisher: a topic is a type. It is the source, too: the
// suite publishes messages with the same UUID to several topics, and to NATS a
// record with the ID and Source of another is a repetition of it.
type publisher struct{ s event.Stream }

func (p publisher) Publish(topic string, messages ...*message.Message) error {
	rs := make([]*event.Record, len(messages))
	for i, m := range messages {
		rs[i] = &event.Record{ID: m.UUID, Type: topic, Source: topic, Metadata: m.Metadata, Data: m.Payload}
	}
	return p.s.Publish(context.Background(), rs...)
}

// Close leaves the stream to the test.
func (p publisher) Close() error { return nil }

// subscriber is a Watermill subscriber: a handler that passes a message on and
// waits for what becomes of it.
type subscriber struct {
	s     event.Stream
	group string
	opts  []event.SubscribeOption

	closing chan struct{}
	mu      sync.Mutex
	closed  bool
	subs    sync.WaitGroup
}

var errNacked, errLeft = errors.New("nacked"), errors.New("the subscriber left")

func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errLeft
	}
	out := make(chan *message.Message)
	opts := append(s.opts, event.Types(topic), event.Group(s.group+" "+topic), event.From(event.Beginning()), event.MaxAttempts(0))
	sub, err := s.s.Subscribe(context.Background(), func(handling context.Context, r *event.Record) error {
		m := message.NewMessage(r.ID, r.Data)
		if r.Metadata != nil {
			m.Metadata = r.Metadata
		}
		handling, done := context.WithCancel(handling)
		defer done()
		m.SetContext(handling)
		select {
		case out <- m:
		case <-s.closing:
			return event.Retry(errLeft, 0)
		case <-ctx.Done():
			return event.Retry(errLeft, 0)
		}
		select {
		case <-m.Acked():
			return nil
		case <-m.Nacked():
			return event.Retry(errNacked, 0)
		case <-s.closing:
			return event.Retry(errLeft, 0)
		case <-ctx.Done():
			return event.Retry(errLeft, 0)
		}
	}, opts...)
	if err != nil {
		return nil, err
	}
	s.subs.Go(func() {
		defer close(out)
		select {
		case <-s.closing:
		case <-ctx.Done():
		}
		closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		sub.Close(closing)
	})
	return out, nil
}

// Close waits for the handlers, which give back what they have.
func (s *subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.subs.Wait()
	return nil
}
