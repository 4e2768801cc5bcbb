package nats

import (
	"context"
	"errors"
	"time"
)

const (
	askAgainAfter = time.Second     // the first answer may take
	askFor        = 5 * time.Second // all in all, if ctx has no deadline
)

// Ask repeats a question that nobody answers, each time waiting longer, until ctx ends. In
// a cluster a question is dropped that comes while nobody leads its stream or its consumer,
// as when a consumer is being made again. It must do no harm to ask twice.
func Ask[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	if _, ok := ctx.Deadline(); !ok {
		bounded, cancel := context.WithTimeout(ctx, askFor)
		defer cancel()
		ctx = bounded
	}
	for wait := askAgainAfter; ; wait *= 2 {
		asked, cancel := context.WithTimeout(ctx, wait)
		answer, err := ask(asked)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return answer, err
		}
	}
}
