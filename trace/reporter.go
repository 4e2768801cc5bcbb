package trace

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/outlet"
)

// reporter is one driver with its outlet.
type reporter struct {
	*outlet.Outlet[*span, batch]
	name   string
	driver Driver
}

// grace is how long Close waits for a driver whose context has ended.
const grace = time.Second

func newReporter(name string, d Driver, o *options) *reporter {
	r := &reporter{name: name, driver: d}
	size := min(o.batch, o.spans)
	r.Outlet = outlet.New(outlet.Config[*span, batch]{
		Name: "trace/" + name, Items: o.spans, Bytes: o.bytes, BatchItems: size, Age: o.every,
		Timeout: o.timeout, Retry: backoff.Policy{Min: 100 * time.Millisecond, Max: 10 * time.Second}, RetryFor: o.retryFor, Grace: grace,
		Store: &queue{most: o.spans, batch: size}, Send: r.send, Close: d.Close,
		Tell: func(t outlet.Trouble) {
			what := "trace: spans lost"
			if t.Lost == 0 {
				what = "trace: spans wait"
			}
			o.logger.Warn(what, "reporter", name, "lost", t.Lost, "error", t.Err)
		},
	})
	return r
}

// push queues an ended span, or counts it as dropped.
func (r *reporter) push(s *span) { r.Push(s, s.size(), false) }

// send reports a batch once.
func (r *reporter) send(ctx context.Context, b batch) outlet.Result {
	n, err := outlet.Try(func() (int, error) { return r.driver.Report(ctx, b.spans) })
	n = min(max(n, 0), len(b.spans))
	refused, reason, err := rejectedOf(err)
	refused = min(refused, n)
	result := outlet.Result{Sent: n - refused, Refused: refused}
	left := len(b.spans) - n
	switch {
	case err == nil:
		result.Refused += left
	case errors.Is(err, fault.Unavailable), errors.Is(err, fault.Timeout), errors.Is(err, context.DeadlineExceeded):
		result.Err = err
	default:
		result.Failed, result.Why = left, err
	}
	if result.Refused > 0 && result.Why == nil {
		result.Why = refusal(reason)
	}
	return result
}

// refusal is what a backend said of spans that it refused.
func refusal(reason string) error {
	text := "refused by the backend"
	if reason != "" {
		text += ": " + reason
	}
	return errors.New(text)
}

func (r *reporter) stats() ReporterStats {
	s := r.Stats()
	return ReporterStats{
		Reporter: r.name, Queued: int(s.Queued.Items), QueuedBytes: int(s.Queued.Bytes), Sent: s.Sent.Items, Batches: s.Batches, Retries: s.Retries,
		Dropped: s.Full.Items + s.Closed.Items, Rejected: s.Refused.Items, Failed: s.Failed.Items + s.Unsent.Items, LastError: s.LastError,
	}
}
