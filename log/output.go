package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/outlet"
)

// output is one driver with its outlet.
type output struct {
	*outlet.Outlet[[]byte, *Batch]
	outputOptions
	driver   Driver
	encoding Encoding

	stuck atomic.Uint64 // 1 + what Progress was when a call waited in vain
}

// grace is how long Close waits for a driver whose context has ended. A write
// that the system holds, to a pipe that nobody reads, can't be ended.
const grace = 200 * time.Millisecond

func newOutput(o *outputOptions, d Driver, complain func(string, error)) *output {
	longest := 30 * time.Second
	if o.local { // to try a full disk costs nobody anything
		longest = time.Second
	}
	out := &output{outputOptions: *o, driver: d, encoding: d.Encoding()}
	out.Outlet = outlet.New(outlet.Config[[]byte, *Batch]{
		Name: "log/" + o.name, Bytes: o.queue, BatchBytes: o.batch, Age: o.delay,
		Timeout: o.timeout, Retry: backoff.Policy{Min: 100 * time.Millisecond, Max: longest}, Grace: grace,
		Store: &chunks{batch: o.batch}, Send: out.send, Note: out.note, Close: d.Close,
		Tell: func(t outlet.Trouble) {
			if t.Again && t.Lost > 0 {
				t.Err = fmt.Errorf("%w; the queue is full and records are lost", t.Err)
			}
			complain(o.name, fault.Adopt("log", t.Err))
		},
	})
	return out
}

// push queues an encoded record, or counts it as dropped.
func (o *output) push(record []byte, level slog.Level) {
	o.Push(record, len(record), level >= slog.LevelError)
}

var errSilent = errors.New("the driver left records without an error")

// send writes a batch once.
func (o *output) send(ctx context.Context, b *Batch) outlet.Result {
	n, err := outlet.Try(func() (int, error) { return o.driver.Write(ctx, *b) })
	n = min(max(n, 0), b.Len())
	lost, _ := errors.AsType[*refused](err)
	switch {
	case lost != nil:
		k := min(max(lost.n, 0), n)
		return outlet.Result{Sent: n - k, Refused: k, Why: lost.error}
	case errors.Is(err, fault.Invalid), errors.Is(err, fault.TooLarge): // the record behind them
		return outlet.Result{Sent: n, Failed: 1, Why: err}
	case err == nil && n < b.Len():
		err = errSilent
	}
	return outlet.Result{Sent: n, Err: err}
}

// note returns a record of what was dropped, for the stream; nil if it can't be encoded.
func (o *output) note(lost outlet.Count) (*Batch, int) {
	data, err := encode(o.encoding, nil, &Record{
		Time: time.Now(), Level: slog.LevelWarn, Logger: "log", Message: "log: records dropped",
		Attrs: []slog.Attr{slog.String("output", o.name), slog.Uint64("dropped", lost.Items), slog.Uint64("bytes", lost.Bytes)},
	})
	if err != nil {
		return nil, 0
	}
	return &Batch{Data: data, Ends: []int{len(data)}}, len(data)
}

func (o *output) stats() OutputStats {
	s := o.Stats()
	lost := s.Lost()
	return OutputStats{
		Output: o.name, Accepted: s.Accepted.Items, Written: s.Sent.Items, WrittenBytes: s.Sent.Bytes,
		Dropped: lost.Items, DroppedBytes: lost.Bytes, Retries: s.Retries, Errors: s.Errors,
		QueueBytes: int(s.Queued.Bytes), LastError: s.LastError,
	}
}
