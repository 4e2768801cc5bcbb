package nats

import (
	"context"

	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/nats-io/nats.go/jetstream"
)

// A group's consumer is made again when another member takes its turn. A question about it
// is dropped meanwhile, in a cluster, so it is asked again.

func consumerOf(ctx context.Context, s jetstream.Stream, name string) (jetstream.Consumer, error) {
	return nats.Ask(ctx, func(ctx context.Context) (jetstream.Consumer, error) { return s.Consumer(ctx, name) })
}

func makeConsumer(ctx context.Context, s jetstream.Stream, c jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return nats.Ask(ctx, func(ctx context.Context) (jetstream.Consumer, error) { return s.CreateOrUpdateConsumer(ctx, c) })
}

func infoOf(ctx context.Context, s jetstream.Stream) (*jetstream.StreamInfo, error) {
	return nats.Ask(ctx, func(ctx context.Context) (*jetstream.StreamInfo, error) { return s.Info(ctx) })
}

func entryOf(ctx context.Context, kv jetstream.KeyValue, key string) (jetstream.KeyValueEntry, error) {
	return nats.Ask(ctx, func(ctx context.Context) (jetstream.KeyValueEntry, error) { return kv.Get(ctx, key) })
}
