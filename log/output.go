package log

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// output is one driver with its queue and the goroutine that empties it.
type output struct {
	outputOptions
	driver   Driver
	encoding Encoding
	retry    backoff.Policy
	complain func(output string, err error)

	ctx     context.Context // ends when Close gives up waiting
	cancel  context.CancelFunc
	wake    chan struct{} // something waits
	hurry   chan struct{} // and is to be written now
	stopped chan struct{}

	mu       sync.Mutex
	queue    Batch // collects
	spare    Batch // was written, to collect next
	inFlight int   // bytes that the worker holds
	pushed   uint64
	done     uint64 // of pushed: written or lost
	waiters  []waiter
	closing  bool
	noted    uint64 // drops that the stream was told of
	notedB   uint64
	stats    OutputStats
	nextTell time.Time
}

type waiter struct {
	until uint64
	done  chan struct{}
}

func newOutput(o *outputOptions, d Driver, complain func(string, error)) *output {
	out := &output{
		outputOptions: *o, driver: d, encoding: d.Encoding(), complain: complain,
		retry: backoff.Policy{Min: 100 * time.Millisecond, Max: 30 * time.Second},
		wake:  make(chan struct{}, 1), hurry: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	out.stats.Output = o.name
	out.ctx, out.cancel = context.WithCancel(context.Background())
	return out
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// push queues an encoded record, or counts it as dropped.
func (o *output) push(record []byte, level slog.Level) {
	o.mu.Lock()
	if o.closing || len(o.queue.Data)+o.inFlight+len(record) > o.outputOptions.queue {
		o.stats.Dropped++
		o.stats.DroppedBytes += uint64(len(record))
		o.mu.Unlock()
		return
	}
	o.queue.Data = append(o.queue.Data, record...)
	o.queue.Ends = append(o.queue.Ends, len(o.queue.Data))
	o.stats.Accepted++
	o.pushed++
	first := len(o.queue.Ends) == 1
	full := len(o.queue.Data) >= o.batch && len(o.queue.Data)-len(record) < o.batch
	o.mu.Unlock()
	if first {
		poke(o.wake)
	}
	if full || level >= slog.LevelError {
		poke(o.hurry)
	}
}

// run writes until stop, and then what is left.
func (o *output) run() {
	defer close(o.stopped)
	timer := time.NewTimer(o.delay)
	defer timer.Stop()
	for {
		o.mu.Lock()
		n, closing, now := len(o.queue.Ends), o.closing, len(o.queue.Data) >= o.batch || len(o.waiters) > 0
		o.mu.Unlock()
		if n == 0 {
			if closing {
				o.write(Batch{}) // what was dropped last has no record behind it
				return
			}
			<-o.wake
			continue
		}
		if !closing && !now {
			timer.Reset(o.delay)
			select {
			case <-timer.C:
			case <-o.hurry:
			}
		}
		o.write(o.take())
	}
}

// take swaps the queue for the spare one.
func (o *output) take() Batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.queue
	o.queue = Batch{Data: o.spare.Data[:0], Ends: o.spare.Ends[:0]}
	o.spare = Batch{}
	o.inFlight = len(b.Data)
	return b
}

// write brings a batch out, as often as it takes.
func (o *output) write(all Batch) {
	left := all
	if n := o.notice(); n != nil {
		left = Batch{Data: append(n, all.Data...), Ends: make([]int, 0, len(all.Ends)+1)}
		left.Ends = append(left.Ends, len(n))
		for _, e := range all.Ends {
			left.Ends = append(left.Ends, len(n)+e)
		}
		o.mu.Lock()
		o.pushed++ // the notice is a record like another
		o.mu.Unlock()
	}
	for failures := 0; left.Len() > 0; {
		ctx, cancel := context.WithTimeout(o.ctx, o.timeout)
		n, err := o.tryWrite(ctx, left)
		cancel()
		n = min(max(n, 0), left.Len())
		bytes := 0
		if n > 0 {
			bytes = left.Ends[n-1]
			failures = 0
		}
		o.settle(n, bytes, false, nil)
		left = rest(left, n)
		if left.Len() == 0 {
			break
		}
		switch {
		case o.ctx.Err() != nil:
			o.settle(left.Len(), len(left.Data), true, nil) // LastError says why it was not written before
			left = Batch{}
		case errors.Is(err, fault.Invalid), errors.Is(err, fault.TooLarge):
			o.settle(1, left.Ends[0], true, err)
			left = rest(left, 1)
		default:
			o.failed(orSilent(err))
			if backoff.Sleep(o.ctx, o.retry.Wait(failures)) == nil {
				failures++
			}
		}
	}
	o.mu.Lock()
	o.inFlight = 0
	if cap(all.Data) <= 4*o.batch { // a burst's memory is given back
		o.spare = all
	}
	o.mu.Unlock()
}

func orSilent(err error) error {
	if err == nil {
		return errors.New("the driver left records without an error")
	}
	return err
}

// rest returns b without its first n records.
func rest(b Batch, n int) Batch {
	if n == 0 {
		return b
	}
	from := b.Ends[n-1]
	ends := slices.Clone(b.Ends[n:])
	for i := range ends {
		ends[i] -= from
	}
	return Batch{Data: b.Data[from:], Ends: ends}
}

// tryWrite calls the driver; a panic in it is an error like another.
func (o *output) tryWrite(ctx context.Context, b Batch) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, fault.Markf(fault.Invalid, "panic: %v", p)
		}
	}()
	return o.driver.Write(ctx, b)
}

// notice returns a record of what was dropped since the last one, or nil.
func (o *output) notice() []byte {
	o.mu.Lock()
	if o.ctx.Err() != nil { // nobody will read it
		o.mu.Unlock()
		return nil
	}
	n, bytes := o.stats.Dropped-o.noted, o.stats.DroppedBytes-o.notedB
	o.noted, o.notedB = o.stats.Dropped, o.stats.DroppedBytes
	o.mu.Unlock()
	if n == 0 {
		return nil
	}
	return o.encoding.Append(nil, &Record{
		Time: time.Now(), Level: slog.LevelWarn, Logger: "log", Message: "log: records dropped",
		Attrs: []slog.Attr{slog.String("output", o.name), slog.Uint64("dropped", n), slog.Uint64("bytes", bytes)},
	})
}

// settle counts records that are written or lost, and wakes who waited.
func (o *output) settle(n, bytes int, lost bool, err error) {
	o.mu.Lock()
	if lost {
		o.stats.Dropped += uint64(n)
		o.stats.DroppedBytes += uint64(bytes)
	} else {
		o.stats.Written += uint64(n)
		o.stats.WrittenBytes += uint64(bytes)
	}
	o.done += uint64(n)
	left := o.waiters[:0]
	for _, w := range o.waiters {
		if o.done >= w.until {
			close(w.done)
		} else {
			left = append(left, w)
		}
	}
	o.waiters = left
	if err != nil {
		o.stats.Errors++
		o.stats.LastError = err.Error()
	}
	o.mu.Unlock()
	if err != nil {
		o.tell(err)
	}
}

// failed counts a write that will be tried again.
func (o *output) failed(err error) {
	o.mu.Lock()
	o.stats.Errors++
	o.stats.Retries++
	o.stats.LastError = err.Error()
	o.mu.Unlock()
	o.tell(err)
}

// tell complains, rarely.
func (o *output) tell(err error) {
	o.mu.Lock()
	now := time.Now()
	quiet := now.Before(o.nextTell)
	if !quiet {
		o.nextTell = now.Add(10 * time.Second)
	}
	o.mu.Unlock()
	if !quiet {
		o.complain(o.name, err)
	}
}

// drained returns a channel that is closed when all that was pushed so far is
// written or lost.
func (o *output) drained() <-chan struct{} {
	o.mu.Lock()
	w := waiter{until: o.pushed, done: make(chan struct{})}
	if o.done >= w.until {
		close(w.done)
	} else {
		o.waiters = append(o.waiters, w)
	}
	o.mu.Unlock()
	poke(o.hurry)
	return w.done
}

// stop makes run return once the queue is empty.
func (o *output) stop() {
	o.mu.Lock()
	o.closing = true
	o.mu.Unlock()
	poke(o.wake)
	poke(o.hurry)
}

// grace is how long release waits for a driver whose context has ended.
const grace = 200 * time.Millisecond

// release ends what stop has not ended, and closes the driver. A write that
// the system holds, to a pipe that nobody reads, can't be ended: what it holds
// counts as lost.
func (o *output) release() error {
	o.cancel()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-o.stopped:
		return fault.Wrap("log/"+o.name, "close", "", o.driver.Close())
	case <-timer.C:
	}
	o.mu.Lock()
	n := int(o.pushed - o.done)
	o.stats.Dropped += uint64(n)
	o.stats.DroppedBytes += uint64(o.inFlight + len(o.queue.Data))
	o.stats.LastError = "stalled"
	o.queue = Batch{}
	o.mu.Unlock()
	return fault.New(fault.Timeout, "log/"+o.name, "close", "", "the output is stalled")
}

func (o *output) snapshot() OutputStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stats
	s.QueueBytes = len(o.queue.Data) + o.inFlight
	return s
}
