package eventsuites

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"gocloud.dev/gcerrors"
	"gocloud.dev/pubsub/driver"
	"gocloud.dev/pubsub/drivertest"
)

// TestGoCloudPubsub is Go CDK's suite.
func TestGoCloudPubsub(t *testing.T) {
	onEveryBackend(t, func(t *testing.T, open opener) {
		s := open(t)
		drivertest.RunConformanceTests(t, func(context.Context, *testing.T) (drivertest.Harness, error) {
			return &harness{s: s}, nil
		}, nil)
	})
}

// What the adapter adds, each with the reason. TestDifferences fails when one of
// them is no longer needed.
var differences = []struct {
	name, reason string
	differs      func(t *testing.T, s event.Stream) bool
}{
	{
		"topics and subscriptions that do not exist are NotFound",
		"a type needs no declaration, and Subscribe makes its group",
		func(t *testing.T, s event.Stream) bool {
			return s.Publish(t.Context(), &event.Record{Type: "never.declared"}) == nil
		},
	}, {
		"metadata is escaped",
		"names of metadata have no control characters, so that they can be headers on the way to others",
		func(t *testing.T, s event.Stream) bool {
			return errors.Is(s.Publish(t.Context(), &event.Record{Type: "t", Metadata: map[string]string{"a\x00b": ""}}), event.ErrInvalid)
		},
	}, {
		"handlers hold what ReceiveBatch returned",
		"a subscription calls handlers, whose result is the acknowledgement; nothing is pulled",
		func(t *testing.T, s event.Stream) bool {
			_, pulls := s.(interface {
				Receive(context.Context) (*event.Record, error)
			})
			return !pulls
		},
	},
}

func TestDifferences(t *testing.T) {
	onEveryBackend(t, func(t *testing.T, open opener) {
		s := open(t)
		for _, d := range differences {
			if !d.differs(t, s) {
				t.Errorf("no longer so: %s, because %s", d.name, d.reason)
			}
		}
	})
}

type harness struct{ s event.Stream }

func (h *harness) CreateTopic(_ context.Context, name string) (driver.Topic, func(), error) {
	return &topic{errorKinds{}, h.s, name}, func() {}, nil
}

func (h *harness) MakeNonexistentTopic(context.Context) (driver.Topic, error) {
	return &topic{errorKinds{}, h.s, ""}, nil
}

func (h *harness) CreateSubscription(_ context.Context, t driver.Topic, name string) (driver.Subscription, func(), error) {
	s := &subscription{pending: make(chan *pending), closing: make(chan struct{})}
	sub, err := h.s.Subscribe(context.Background(), s.handle, event.Types(t.(*topic).name),
		event.Group(event.NewID()), event.Concurrency(outstanding), event.MaxAttempts(0))
	s.sub = sub
	return s, func() { s.Close() }, err
}

func (h *harness) MakeNonexistentSubscription(context.Context) (driver.Subscription, func(), error) {
	return &subscription{}, func() {}, nil
}

func (h *harness) Close()                              {}
func (h *harness) MaxBatchSizes() (int, int)           { return 0, 0 }
func (h *harness) SupportsMultipleSubscriptions() bool { return true }

var errNoSuch = errors.New("no such topic or subscription")

// errorKinds says in Go CDK's words what an error is.
type errorKinds struct{}

func (errorKinds) As(any) bool             { return false }
func (errorKinds) ErrorAs(error, any) bool { return false }
func (errorKinds) IsRetryable(err error) bool {
	return errors.Is(err, event.ErrUnavailable)
}

func (errorKinds) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, errNoSuch):
		return gcerrors.NotFound
	case errors.Is(err, event.ErrInvalid), errors.Is(err, event.ErrTooLarge):
		return gcerrors.InvalidArgument
	case errors.Is(err, context.Canceled):
		return gcerrors.Canceled
	}
	return gcerrors.Unknown
}

// topic is a type of record.
type topic struct {
	errorKinds
	s    event.Stream
	name string // empty: it does not exist
}

func (t *topic) SendBatch(ctx context.Context, ms []*driver.Message) error {
	if t.name == "" {
		return errNoSuch
	}
	rs := make([]*event.Record, len(ms))
	none := func(any) bool { return false }
	for i, m := range ms {
		if m.BeforeSend != nil {
			if err := m.BeforeSend(none); err != nil {
				return err
			}
		}
		rs[i] = &event.Record{Type: t.name, Data: m.Body, Metadata: map[string]string{}}
		for k, v := range m.Metadata {
			rs[i].Metadata[escape(k)] = v
		}
	}
	if err := t.s.Publish(ctx, rs...); err != nil {
		return err
	}
	for _, m := range ms {
		if m.AfterSend != nil {
			if err := m.AfterSend(none); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *topic) Close() error { return nil }

// escape leaves what is no UTF-8 to the stream, which refuses it.
func escape(s string) string {
	if escaped := url.QueryEscape(s); escaped != s && []byte(s)[0] < 0x80 {
		return escaped
	}
	return s
}

// outstanding is how many messages may be received and not acknowledged.
const outstanding = 200

// subscription is a group of one member. A handler has each message until it is
// acknowledged.
type subscription struct {
	errorKinds
	sub     event.Subscription
	pending chan *pending
	once    sync.Once
	closing chan struct{}
}

// pending is a message that was received; its identity is the AckID.
type pending struct {
	r    *event.Record
	done chan error
	once sync.Once
}

func (p *pending) end(err error) { p.once.Do(func() { p.done <- err }) }

func (s *subscription) handle(_ context.Context, r *event.Record) error {
	p := &pending{r: r, done: make(chan error, 1)}
	select {
	case s.pending <- p:
	case <-s.closing:
		return event.Retry(errLeft, 0)
	}
	select {
	case err := <-p.done:
		return err
	case <-s.closing:
		return event.Retry(errLeft, 0)
	}
}

func (s *subscription) ReceiveBatch(ctx context.Context, limit int) (ms []*driver.Message, err error) {
	if s.sub == nil {
		return nil, errNoSuch
	}
	wait := time.After(200 * time.Millisecond)
	for len(ms) < limit {
		select {
		case p := <-s.pending:
			m := &driver.Message{LoggableID: p.r.ID, Body: p.r.Data, Metadata: map[string]string{}, AckID: p, AsFunc: func(any) bool { return false }}
			for k, v := range p.r.Metadata {
				if k, err = url.QueryUnescape(k); err != nil {
					return nil, err
				}
				m.Metadata[k] = v
			}
			if ms = append(ms, m); len(ms) == 1 {
				wait = time.After(5 * time.Millisecond)
			}
		case <-wait:
			return ms, nil
		case <-ctx.Done():
			return ms, ctx.Err()
		}
	}
	return ms, nil
}

func (s *subscription) SendAcks(_ context.Context, ids []driver.AckID) error { return end(ids, nil) }

func (s *subscription) SendNacks(_ context.Context, ids []driver.AckID) error {
	return end(ids, event.Retry(errNacked, 0))
}

func end(ids []driver.AckID, err error) error {
	for _, id := range ids {
		id.(*pending).end(err)
	}
	return nil
}

func (s *subscription) CanNack() bool { return true }

func (s *subscription) Close() error {
	if s.sub == nil {
		return nil
	}
	s.once.Do(func() { close(s.closing) })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.sub.Close(ctx)
}
