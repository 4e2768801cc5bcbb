package event_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/event"
)

// BenchmarkPublishDeliver publishes and delivers records of 150 bytes one by one.
func BenchmarkPublishDeliver(b *testing.B) {
	for name, opts := range map[string][]event.SubscribeOption{"live": {}, "group": {event.Group("g")}} {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			s, _ := event.New()
			defer s.Close(ctx)
			var n atomic.Int64
			done := make(chan struct{})
			s.Subscribe(ctx, func(context.Context, *event.Record) error {
				if n.Add(1) == int64(b.N) {
					close(done)
				}
				return nil
			}, opts...)
			r := &event.Record{Type: "order.created", Subject: "order/42", Data: make([]byte, 150)}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				s.Publish(ctx, r)
			}
			<-done
		})
	}
}
