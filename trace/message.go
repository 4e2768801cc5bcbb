package trace

import (
	"context"

	"github.com/micro/go-platform/trace/baggage"
)

// StartPublish starts the span of publishing a message to topic and writes its
// context, and the baggage of ctx, into the message's metadata.
func StartPublish(ctx context.Context, t Tracer, topic string, message Carrier) (context.Context, Span) {
	ctx, s := t.Start(ctx, "publish "+topic, OfKind(Producer))
	t.Inject(ctx, message)
	baggage.Inject(ctx, message)
	if s.Recording() {
		s.Tag("messaging.destination", topic)
	}
	return ctx, s
}

// StartConsume starts the span of handling a message from topic: a child of the
// span that published it, by what StartPublish left in its metadata, with its
// baggage.
func StartConsume(ctx context.Context, t Tracer, topic string, message Carrier) (context.Context, Span) {
	ctx, s := t.Start(t.Extract(baggage.Extract(ctx, message), message), "consume "+topic, OfKind(Consumer))
	if s.Recording() {
		s.Tag("messaging.destination", topic)
	}
	return ctx, s
}

// StartBatch starts the span of handling several messages from topic at once.
// It continues the trace of ctx and links to the span of each message.
func StartBatch(ctx context.Context, t Tracer, topic string, messages ...Carrier) (context.Context, Span) {
	opts := []SpanOption{OfKind(Consumer)}
	for _, m := range messages {
		if sc := FromContext(t.Extract(context.WithoutCancel(ctx), m)).Context(); sc.Remote {
			opts = append(opts, LinkTo(sc))
		}
	}
	ctx, s := t.Start(ctx, "consume "+topic, opts...)
	if s.Recording() {
		s.Tag("messaging.destination", topic)
		s.TagInt("messaging.batch.message_count", int64(len(messages)))
	}
	return ctx, s
}
