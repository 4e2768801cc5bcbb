package nats

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/calls"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// failing is JetStream, of which one request fails.
type failing struct {
	jetstream.JetStream
	c *calls.Calls
}

// ask makes a request, or lets it fail.
func ask[T any](c *calls.Calls, name string, do func() (T, error)) (none T, err error) {
	next := c.Read
	switch name {
	case "PublishMsgAsync", "Purge", "Put", "Update", "Delete", "DeleteConsumer", "Fetch", "CreateOrUpdateConsumer":
		next = c.Change
	case "FetchNoWait", "CloseCursor", "PurgeLater":
		next = c.Try
	}
	switch next(name) {
	case calls.None:
		return do()
	case calls.Lost:
		_, _ = do()
	case calls.Refused:
		return none, &jetstream.APIError{Code: 400, ErrorCode: 10003, Description: "refused"}
	}
	return none, gonats.ErrTimeout
}

// tell is ask without an answer.
func tell(c *calls.Calls, name string, do func() error) error {
	_, err := ask(c, name, func() (any, error) { return nil, do() })
	return err
}

func (f failing) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	return ask(f.c, "Stream", func() (jetstream.Stream, error) {
		s, err := f.JetStream.Stream(ctx, name)
		return failingStream{s, f.c}, err
	})
}

func (f failing) CreateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	return ask(f.c, "CreateStream", func() (jetstream.Stream, error) {
		s, err := f.JetStream.CreateStream(ctx, cfg)
		return failingStream{s, f.c}, err
	})
}

func (f failing) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	return ask(f.c, "KeyValue", func() (jetstream.KeyValue, error) {
		kv, err := f.JetStream.KeyValue(ctx, bucket)
		return failingBucket{kv, f.c}, err
	})
}

func (f failing) DeleteConsumer(ctx context.Context, stream, name string) error {
	return tell(f.c, "CloseCursor", func() error { return f.JetStream.DeleteConsumer(ctx, stream, name) })
}

func (f failing) PublishMsgAsync(m *gonats.Msg, opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	ack, err := ask(f.c, "PublishMsgAsync", func() (jetstream.PubAckFuture, error) {
		ack, err := f.JetStream.PublishMsgAsync(m, opts...)
		if err == nil {
			select {
			case a := <-ack.Ok():
				return future{a, nil}, nil
			case err := <-ack.Err():
				return future{nil, err}, nil
			}
		}
		return ack, err
	})
	if err != nil {
		return future{nil, err}, nil
	}
	return ack, nil
}

// future is the end of a message that was published.
type future struct {
	ack *jetstream.PubAck
	err error
}

func (f future) Ok() <-chan *jetstream.PubAck { return filled(f.ack, f.err == nil) }
func (f future) Err() <-chan error            { return filled(f.err, f.err != nil) }
func (f future) Msg() *gonats.Msg             { return nil }

func filled[T any](v T, ok bool) <-chan T {
	c := make(chan T, 1)
	if ok {
		c <- v
	}
	return c
}

type failingStream struct {
	jetstream.Stream
	c *calls.Calls
}

func (s failingStream) Info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	return ask(s.c, "Info", func() (*jetstream.StreamInfo, error) { return s.Stream.Info(ctx, opts...) })
}

func (s failingStream) Consumer(ctx context.Context, name string) (jetstream.Consumer, error) {
	return ask(s.c, "Consumer", func() (jetstream.Consumer, error) { return s.consumer(s.Stream.Consumer(ctx, name)) })
}

func (s failingStream) CreateConsumer(ctx context.Context, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return ask(s.c, "CreateConsumer", func() (jetstream.Consumer, error) { return s.consumer(s.Stream.CreateConsumer(ctx, cfg)) })
}

func (s failingStream) CreateOrUpdateConsumer(ctx context.Context, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return ask(s.c, "CreateOrUpdateConsumer", func() (jetstream.Consumer, error) { return s.consumer(s.Stream.CreateOrUpdateConsumer(ctx, cfg)) })
}

func (s failingStream) consumer(c jetstream.Consumer, err error) (jetstream.Consumer, error) {
	return failingConsumer{c, s.c}, err
}

func (s failingStream) DeleteConsumer(ctx context.Context, name string) error {
	return tell(s.c, "DeleteConsumer", func() error { return s.Stream.DeleteConsumer(ctx, name) })
}

func (s failingStream) Purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error {
	name := "Purge"
	if strings.HasPrefix(s.CachedInfo().Config.Name, "later-") { // what is left there does not count
		name = "PurgeLater"
	}
	return tell(s.c, name, func() error { return s.Stream.Purge(ctx, opts...) })
}

func (s failingStream) GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	return ask(s.c, "GetMsg", func() (*jetstream.RawStreamMsg, error) { return s.Stream.GetMsg(ctx, seq, opts...) })
}

func (s failingStream) GetLastMsgForSubject(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	return ask(s.c, "GetLastMsgForSubject", func() (*jetstream.RawStreamMsg, error) { return s.Stream.GetLastMsgForSubject(ctx, subject) })
}

func (s failingStream) ListConsumers(ctx context.Context) jetstream.ConsumerInfoLister {
	_, err := ask(s.c, "ListConsumers", func() (any, error) { return nil, nil })
	if err != nil {
		return noList{err}
	}
	return s.Stream.ListConsumers(ctx)
}

// noList is a list whose request has failed.
type noList struct{ err error }

func (l noList) Err() error { return l.err }
func (l noList) Info() <-chan *jetstream.ConsumerInfo {
	c := make(chan *jetstream.ConsumerInfo)
	close(c)
	return c
}

type failingConsumer struct {
	jetstream.Consumer
	c *calls.Calls
}

func (c failingConsumer) Fetch(n int, opts ...jetstream.FetchOpt) (jetstream.MessageBatch, error) {
	return ask(c.c, "Fetch", func() (jetstream.MessageBatch, error) { return whole(c.Consumer.Fetch(n, opts...)) })
}

func (c failingConsumer) FetchNoWait(n int) (jetstream.MessageBatch, error) {
	return ask(c.c, "FetchNoWait", func() (jetstream.MessageBatch, error) { return whole(c.Consumer.FetchNoWait(n)) })
}

// batch has all messages of a request.
type batch struct {
	messages chan jetstream.Msg
	err      error
}

func (b batch) Messages() <-chan jetstream.Msg { return b.messages }
func (b batch) Error() error                   { return b.err }

// whole waits for all messages.
func whole(from jetstream.MessageBatch, err error) (jetstream.MessageBatch, error) {
	if err != nil {
		return nil, err
	}
	b := batch{messages: make(chan jetstream.Msg, 1000)}
	for m := range from.Messages() {
		b.messages <- m
	}
	close(b.messages)
	b.err = from.Error()
	return b, nil
}

type failingBucket struct {
	jetstream.KeyValue
	c *calls.Calls
}

func (b failingBucket) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	return ask(b.c, "Get", func() (jetstream.KeyValueEntry, error) { return b.KeyValue.Get(ctx, key) })
}

func (b failingBucket) Create(ctx context.Context, key string, value []byte, opts ...jetstream.KVCreateOpt) (uint64, error) {
	return ask(b.c, "Create", func() (uint64, error) { return b.KeyValue.Create(ctx, key, value, opts...) })
}

func (b failingBucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return ask(b.c, "Update", func() (uint64, error) { return b.KeyValue.Update(ctx, key, value, revision) })
}

func (b failingBucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	return ask(b.c, "Put", func() (uint64, error) { return b.KeyValue.Put(ctx, key, value) })
}

func (b failingBucket) Delete(ctx context.Context, key string, opts ...jetstream.KVDeleteOpt) error {
	return tell(b.c, "Delete", func() error { return b.KeyValue.Delete(ctx, key, opts...) })
}

func (b failingBucket) Watch(ctx context.Context, keys string, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	var lost jetstream.KeyWatcher
	w, err := ask(b.c, "Watch", func() (w jetstream.KeyWatcher, err error) {
		lost, err = b.KeyValue.Watch(ctx, keys, opts...)
		return lost, err
	})
	if err != nil && lost != nil {
		lost.Stop()
	}
	return w, err
}

func TestEveryRequestMayFail(t *testing.T) {
	leak.Check(t)
	open := func() (*nats.Conn, error) { return nats.Open(nats.Config{Address: servertest.SharedNATS(t).Addr()}) }
	own, js, err := nats.JetStream(open)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := own.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls.Run(t, "group g, note g.g, scheduled b", func(t *testing.T, c *calls.Calls) calls.World {
		all := config{replicas: 1, remembered: remembered, learnAtOnce: learnAtOnce, claimLasts: 10 * time.Millisecond}
		d := newDriver(own.Shared(), failing{js, c}, all, servertest.Namespace(t))
		return calls.World{
			Driver: d,
			Lose:   func() error { return js.DeleteConsumer(t.Context(), d.name, "g") },
			Stored: func() string { return stored(t, js, d) },
		}
	})
}

// silent is JetStream that stores nothing.
type silent struct{ jetstream.JetStream }

func (silent) PublishMsgAsync(*gonats.Msg, ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return future{nil, gonats.ErrTimeout}, nil
}

// Who can't settle a claim says so, and does next time.
func TestAClaimThatIsNotSettled(t *testing.T) {
	leak.Check(t)
	own, js, err := nats.JetStream(func() (*nats.Conn, error) { return nats.Open(nats.Config{Address: servertest.SharedNATS(t).Addr()}) })
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	ctx := t.Context()
	if err := own.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	d := newDriver(own, js, config{replicas: 1, remembered: remembered, learnAtOnce: learnAtOnce}, servertest.Namespace(t))
	err = d.Schedule(ctx, []event.Scheduled{{ID: "a", Due: time.Now(), Record: &event.Record{ID: "a", Type: "t"}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.schedules(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.last(ctx, s, keyOf("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.raise(ctx, 0); err != nil {
		t.Fatal(err)
	}
	e.claim = &claim{word: "w", after: 1 << 62} // nothing was published for it
	for name, c := range map[string]struct {
		js   jetstream.JetStream
		fine bool
	}{"silent": {silent{js}, false}, "well": {js, true}} {
		d.js = c.js
		if _, err := d.settle(ctx, s, e, time.Now(), time.Second); (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
	left, err := d.last(ctx, s, keyOf("a"))
	if err != nil || left.claim != nil || left.seq == e.seq {
		t.Errorf("left is %+v, %v", left, err)
	}
}

// stored is what the server has besides records.
func stored(t *testing.T, js jetstream.JetStream, d *driver) string {
	t.Helper()
	var all []string
	s, err := js.Stream(t.Context(), d.name)
	if err != nil {
		t.Fatal(err)
	}
	names := s.ConsumerNames(t.Context())
	for name := range names.Name() {
		if !isCursor(name) {
			all = append(all, "group "+name)
		}
	}
	groups, err := js.KeyValue(t.Context(), d.name+"-groups")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := groups.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		all = append(all, "note "+key)
	}
	later, err := js.Stream(t.Context(), d.plan.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c"} {
		e, err := d.last(t.Context(), later, keyOf(id))
		if err != nil {
			t.Fatal(err)
		}
		if e != nil && !e.gone && e.claim == nil {
			all = append(all, "scheduled "+e.ID)
		} else if e != nil && e.claim != nil {
			all = append(all, fmt.Sprint("claimed ", id))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
