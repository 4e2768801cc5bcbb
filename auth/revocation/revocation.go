// Package revocation carries revoked tokens over an event stream, so that what
// one instance of a service revokes, the others refuse at once.
//
//	au, err := auth.New(backend, auth.WithService("orders"), auth.WithRevocations(revocation.Feed(stream)))
//
// # Backends
//
// Any event.Stream. With one that keeps a history, an instance that starts
// hears of the revocations of the last while too.
//
// # Semantics
//
// An event names a token by its issuer and id and by a hash, never by itself.
// Whoever may publish to the stream can revoke tokens, and can't do more.
//
// # Errors
//
// Those of the stream.
//
// # Closing
//
// A feed belongs to its auth.Auth, which ends it; the stream stays open.
package revocation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fronts"
)

// Type is the type of the events.
const Type = "auth.token.revoked"

// Option sets one thing of a feed. The zero option sets nothing.
type Option struct{ set func(*feed) }

// WithLookback sets how far back in the history a feed begins: as long as the
// longest-lived tokens live. An instance that starts does not hear of older
// revocations, also of tokens without an end. Default 1 h.
func WithLookback(d time.Duration) Option {
	return Option{func(f *feed) { f.lookback = d }}
}

// Feed makes a revocation feed of a stream. Of a nil stream it makes none, which
// auth.WithRevocations refuses.
func Feed(s event.Stream, opts ...Option) auth.RevocationFeed {
	if fronts.Nil(s) {
		return nil
	}
	f := &feed{stream: s, lookback: time.Hour}
	for _, opt := range opts {
		if opt.set != nil {
			opt.set(f)
		}
	}
	return f
}

type feed struct {
	stream   event.Stream
	lookback time.Duration
}

// Publish implements auth.RevocationFeed.
func (f *feed) Publish(ctx context.Context, r auth.Revocation) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return f.stream.Publish(ctx, &event.Record{Type: Type, ContentType: "application/json", Data: data})
}

// Subscribe implements auth.RevocationFeed.
func (f *feed) Subscribe(ctx context.Context, each func(auth.Revocation)) error {
	from := event.Now()
	if f.lookback > 0 {
		from = event.At(time.Now().Add(-f.lookback))
	}
	sub, err := f.stream.Subscribe(ctx, func(_ context.Context, r *event.Record) error {
		var got auth.Revocation
		if err := json.Unmarshal(r.Data, &got); err != nil {
			return event.Terminate(fmt.Errorf("not a revocation: %w", err))
		}
		each(got)
		return nil
	}, event.Types(Type), event.From(from))
	if err != nil {
		return err
	}
	<-ctx.Done()
	return sub.Close(context.WithoutCancel(ctx))
}
