package nats_test

import (
	"context"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

func handler(f func(r *event.Record) error) event.Handler {
	return func(_ context.Context, r *event.Record) error { return f(r) }
}

func subscribe(t *testing.T, s event.Stream, f func(r *event.Record) error, opts ...event.SubscribeOption) error {
	_, err := s.Subscribe(t.Context(), handler(f), opts...)
	return err
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
