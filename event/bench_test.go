package event_test

import (
	"context"
	"testing"

	"github.com/micro/go-platform/event"
)

// BenchmarkPublishDeliver publishes and delivers records of 150 bytes, one by
// one and in batches.
func BenchmarkPublishDeliver(b *testing.B) {
	for name, opts := range map[string][]event.SubscribeOption{
		"live": {}, "group": {event.Group("g")}, "ordered": {event.Group("g"), event.Ordered(event.BySubject)},
	} {
		for _, batch := range []int{1, 100} {
			b.Run(name+"/"+map[int]string{1: "alone", 100: "batches"}[batch], func(b *testing.B) { publishDeliver(b, batch, opts) })
		}
	}
}

func publishDeliver(b *testing.B, batch int, opts []event.SubscribeOption) {
	ctx := context.Background()
	s, _ := event.New()
	defer s.Close(ctx)
	const round = 50_000 // fewer than the memory keeps
	arrived := make(chan struct{}, 1)
	n := 0
	s.Subscribe(ctx, func(context.Context, *event.Record) error {
		n++
		if n%round == 0 {
			arrived <- struct{}{}
		}
		return nil
	}, opts...)
	rs := make([]*event.Record, batch)
	for i := range rs {
		rs[i] = &event.Record{Type: "order.created", Subject: "order/42", Data: make([]byte, 150)}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		s.Publish(ctx, rs...)
		if sent := i + batch; sent%round == 0 {
			<-arrived
		}
	}
}
