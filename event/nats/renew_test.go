package nats

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/servertest"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// deaf is JetStream of which the answers to updates are lost.
type deaf struct {
	jetstream.JetStream
	lose *atomic.Bool
}

func (d deaf) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := d.JetStream.KeyValue(ctx, bucket)
	return deafBucket{kv, d}, err
}

type deafBucket struct {
	jetstream.KeyValue
	d deaf
}

func (b deafBucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	next, err := b.KeyValue.Update(ctx, key, value, revision)
	if err == nil && b.d.lose.Load() {
		return 0, gonats.ErrTimeout
	}
	return next, err
}

// A member of an ordered group whose renewal is done, and the answer lost, keeps its turn
// with the next one, unless another has taken it.
func TestATurnOutlivesTheLostAnswerOfARenewal(t *testing.T) {
	own, js, err := nats.JetStream(func() (*nats.Conn, error) { return nats.Open(nats.Config{Address: servertest.SharedNATS(t).Addr()}) })
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	ctx := t.Context()
	if err := own.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	for name, taken := range map[string]bool{"its own": false, "another's": true} {
		t.Run(name, func(t *testing.T) {
			var lose atomic.Bool
			all := config{replicas: 1, remembered: remembered, learnAtOnce: learnAtOnce, claimLasts: 10 * time.Millisecond}
			d := newDriver(own.Shared(), deaf{js, &lose}, all, servertest.Namespace(t))
			defer d.Close(context.Background())
			_, err := d.Append(ctx, []*event.Record{{ID: "a", Type: "t"}})
			if err != nil {
				t.Fatal(err)
			}
			j, err := d.Join(ctx, event.GroupConfig{Name: "g", Consumer: "one", Start: event.Beginning(), AckWait: time.Minute, Exclusive: true})
			if err != nil {
				t.Fatal(err)
			}
			m := j.(*member)
			ds, err := m.Fetch(ctx, 1)
			if err != nil || len(ds) != 1 {
				t.Fatalf("handed %v, %v", ds, err)
			}
			lose.Store(true)
			for range 2 { // the second finds what the first has written
				err := m.Extend(ctx, ds)
				if err == nil || errors.Is(err, fault.Lost) {
					t.Fatalf("an extension without an answer: %v", err)
				}
			}
			lose.Store(false)
			if taken {
				if _, err := m.kv.Put(ctx, "l."+m.key, []byte("two")); err != nil {
					t.Fatal(err)
				}
			}
			err = m.Extend(ctx, ds)
			if taken != errors.Is(err, fault.Lost) || taken == (err == nil) || taken == m.lease.holds() {
				t.Errorf("the next extension: %v, and the turn is held: %v", err, m.lease.holds())
			}
			if err := m.Ack(ctx, ds); err != nil {
				t.Error(err)
			}
			if err := m.Close(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
