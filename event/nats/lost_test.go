package nats

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/nats-io/nats.go/jetstream"
)

// leaky is JetStream on whose connection messages are lost: keep says of each batch that is
// not waited for which of its messages come.
type leaky struct {
	jetstream.JetStream
	keep func(batch, n int) bool
	n    int  // batches
	once bool // the next message that is waited for is lost
}

func (l *leaky) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := l.JetStream.Stream(ctx, name)
	return leakyStream{s, l}, err
}

func (l *leaky) CreateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := l.JetStream.CreateStream(ctx, cfg)
	return leakyStream{s, l}, err
}

type leakyStream struct {
	jetstream.Stream
	of *leaky
}

func (s leakyStream) CreateConsumer(ctx context.Context, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	c, err := s.Stream.CreateConsumer(ctx, cfg)
	return leakyConsumer{c, s.of}, err
}

type leakyConsumer struct {
	jetstream.Consumer
	of *leaky
}

func (c leakyConsumer) FetchNoWait(n int) (jetstream.MessageBatch, error) {
	from, err := c.Consumer.FetchNoWait(n)
	if err != nil {
		return nil, err
	}
	c.of.n++
	b := batch{messages: make(chan jetstream.Msg, n)}
	i, came := 0, 0
	for m := range from.Messages() {
		if c.of.keep(c.of.n, i) {
			b.messages <- m
			came++
		}
		i++
	}
	if i > 0 && came == 0 { // as the client waits for the word that there is no more
		<-time.After(silence)
	}
	close(b.messages)
	return b, from.Error()
}

func (c leakyConsumer) Fetch(n int, opts ...jetstream.FetchOpt) (jetstream.MessageBatch, error) {
	from, err := c.Consumer.Fetch(n, opts...)
	if err != nil || !c.of.once {
		return from, err
	}
	for range from.Messages() {
		c.of.once = false
	}
	b := batch{messages: make(chan jetstream.Msg)}
	close(b.messages)
	if !c.of.once {
		<-time.After(waitFor + silence)
	}
	return b, from.Error()
}

// What is lost on the way, because a connection broke or the process stood still for longer
// than the client waits, is read again. A query used to end without it.
func TestReadsMissNothingThatIsLost(t *testing.T) {
	leak.Check(t)
	own, js, err := nats.JetStream(func() (*nats.Conn, error) { return nats.Open(nats.Config{Address: servertest.SharedNATS(t).Addr()}) })
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := own.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	const records, page = 30, 10
	l := &leaky{JetStream: js}
	d := newDriver(own, l, config{replicas: 1, remembered: remembered, learnAtOnce: learnAtOnce}, servertest.Namespace(t))
	var want []string
	for i := range records {
		id := fmt.Sprint(i)
		want = append(want, id)
		if _, err := d.Append(t.Context(), []*event.Record{{ID: id, Type: "t", Time: time.Unix(1, 0)}}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		keep  func(batch, n int) bool
		fails bool
	}{
		"nothing is lost":     {func(int, int) bool { return true }, false},
		"the end":             {func(batch, n int) bool { return batch != 1 || n < 5 }, false},
		"the beginning":       {func(batch, n int) bool { return batch != 1 || n > 3 }, false},
		"one in the middle":   {func(batch, n int) bool { return batch != 1 || n != 5 }, false},
		"all":                 {func(batch, n int) bool { return batch != 1 }, false},
		"of the second":       {func(batch, n int) bool { return batch != 2 || n < 5 }, false},
		"one of every answer": {func(_, n int) bool { return n != 5 }, true},
	} {
		for _, reverse := range []bool{false, true} {
			l.keep, l.n = c.keep, 0
			var got []string
			q := event.ReadRequest{From: event.Beginning(), Reverse: reverse, Max: page}
			if reverse {
				q.From = event.Now()
			}
			var err error
			for more := true; more && err == nil; {
				var p event.Page
				p, err = d.Read(t.Context(), q)
				for _, r := range p.Records {
					got = append(got, r.ID)
				}
				more, q.From = p.More, event.After(p.Next)
			}
			if (err != nil) != c.fails {
				t.Errorf("%s, reverse %v: %v", name, reverse, err)
			}
			if reverse {
				slices.Reverse(got)
			}
			if !c.fails && !slices.Equal(got, want) {
				t.Errorf("%s, reverse %v: read %q", name, reverse, got)
			}
		}
	}
	// Who waits does not wait for what comes after it.
	last := format(records)
	if _, err := d.Append(t.Context(), []*event.Record{{ID: "last", Type: "t", Time: time.Unix(1, 0)}}); err != nil {
		t.Fatal(err)
	}
	l.keep, l.once = func(int, int) bool { return true }, true
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := d.Wait(ctx, last); err != nil || l.once {
		t.Errorf("Wait: %v, and the message was lost: %v", err, !l.once)
	}
	p, err := d.Read(t.Context(), event.ReadRequest{From: event.After(last), Max: page})
	if err != nil || len(p.Records) != 1 || p.Records[0].ID != "last" {
		t.Errorf("after Wait: %+v, %v", p.Records, err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
