package nats

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// reachWithin is how long the servers of a cluster have to learn of a stream.
const reachWithin = 5 * time.Second

// Clustered reports whether servers of a cluster keep a stream.
func Clustered(s jetstream.Stream) bool {
	c := s.CachedInfo().Cluster
	return c != nil && c.Name != ""
}

// Reach waits until the server that we are connected to knows where to send what is
// published to a subject of a stream. In a cluster it may learn of a new stream after the
// answer that says that the stream was made. The question is a message that the stream
// refuses.
func Reach(ctx context.Context, js jetstream.JetStream, s jetstream.Stream, subject string) error {
	if !Clustered(s) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	for {
		_, err := js.Publish(ctx, subject, nil, jetstream.WithExpectStream("-"), jetstream.WithRetryAttempts(0))
		if !errors.Is(err, jetstream.ErrNoStreamResponse) && !errors.Is(err, nats.ErrNoResponders) {
			_, refused := errors.AsType[*jetstream.APIError](err)
			if refused {
				return nil
			}
			return err
		}
		if backoff.Sleep(ctx, 10*time.Millisecond) != nil {
			return err
		}
	}
}
