package log

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
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

	stuck atomic.Bool // a call waited in vain, and nothing was written since

	mu       sync.Mutex
	chunks   []*Batch // what waits, each up to batch bytes; the last one collects
	free     []*Batch // were written, to collect next
	bytes    int      // that wait or that the worker holds
	pushed   uint64
	done     uint64 // of pushed: written or lost
	waiters  []waiter
	closing  bool
	noted    uint64 // drops that were noted in the stream
	notedB   uint64
	stats    OutputStats
	told     string // the error that was told since something was written, if nothing was since
	nextTell time.Time
}

type waiter struct {
	until uint64
	done  chan struct{}
}

func newOutput(o *outputOptions, d Driver, complain func(string, error)) *output {
	longest := 30 * time.Second
	if o.local { // to try a full disk costs nobody anything
		longest = time.Second
	}
	out := &output{
		outputOptions: *o, driver: d, encoding: d.Encoding(), complain: complain,
		retry: backoff.Policy{Min: 100 * time.Millisecond, Max: longest},
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
	if o.closing || o.bytes+len(record) > o.queue {
		o.stats.Dropped++
		o.stats.DroppedBytes += uint64(len(record))
		o.mu.Unlock()
		return
	}
	first, full := len(o.chunks) == 0, false
	if first || len(o.chunks[len(o.chunks)-1].Data)+len(record) > o.batch {
		o.chunks = append(o.chunks, o.chunk(len(record)))
		full = !first
	}
	c := o.chunks[len(o.chunks)-1]
	c.Data = append(c.Data, record...)
	c.Ends = append(c.Ends, len(c.Data))
	o.bytes += len(record)
	o.stats.Accepted++
	o.pushed++
	o.mu.Unlock()
	if first {
		poke(o.wake)
	}
	if full || level >= slog.LevelError {
		poke(o.hurry)
	}
}

// chunk returns an empty chunk with room for n bytes. o.mu is held.
func (o *output) chunk(n int) *Batch {
	if last := len(o.free) - 1; last >= 0 && n <= o.batch {
		c := o.free[last]
		o.free = o.free[:last]
		return c
	}
	return &Batch{Data: make([]byte, 0, max(o.batch, n)), Ends: make([]int, 0, 64)}
}

// maxFree is how many empty chunks are kept.
const maxFree = 16

// recycle takes back a chunk that was written.
func (o *output) recycle(c *Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if cap(c.Data) == o.batch && len(o.free) < maxFree {
		c.Data, c.Ends = c.Data[:0], c.Ends[:0]
		o.free = append(o.free, c)
	}
}

// run writes until stop, and then what is left.
func (o *output) run() {
	defer close(o.stopped)
	timer := time.NewTimer(o.delay)
	defer timer.Stop()
	var chunks []*Batch
	for {
		o.mu.Lock()
		n, closing, now := len(o.chunks), o.closing, len(o.chunks) > 1 || len(o.waiters) > 0
		o.mu.Unlock()
		if n == 0 {
			if closing {
				o.note() // what was dropped last has no record behind it
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
		o.mu.Lock()
		chunks, o.chunks = o.chunks, chunks[:0]
		o.mu.Unlock()
		for i, c := range chunks {
			o.note()
			o.write(*c)
			o.recycle(c)
			chunks[i] = nil
		}
	}
}

// note writes into the stream what was dropped since the last note.
func (o *output) note() {
	if n := o.notice(); n != nil {
		o.mu.Lock()
		o.pushed++ // it is a record like another
		o.bytes += len(n)
		o.mu.Unlock()
		o.write(Batch{Data: n, Ends: []int{len(n)}})
	}
}

// write brings a batch out, as often as it takes.
func (o *output) write(left Batch) {
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
		var lost *refused
		if errors.As(err, &lost) {
			k := min(max(lost.n, 0), n)
			share := bytes * k / max(n, 1) // which ones is not known
			o.settle(n-k, bytes-share, false, nil)
			o.settle(k, share, true, lost.error)
			if left = rest(left, n); n > 0 {
				continue
			}
		} else {
			o.settle(n, bytes, false, nil)
			left = rest(left, n)
		}
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
		if n > 0 {
			o.stuck.Store(false)
			o.told = ""
		}
		o.stats.WrittenBytes += uint64(bytes)
	}
	o.done += uint64(n)
	o.bytes -= bytes // before whoever waits for it is woken
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
	losing := o.stats.Dropped > o.noted
	o.mu.Unlock()
	if losing {
		err = fmt.Errorf("%w; the queue is full and records are lost", err)
	}
	o.tell(err)
}

// tell complains, rarely: of what goes on in the same way once.
func (o *output) tell(err error) {
	o.mu.Lock()
	now, what := time.Now(), err.Error()
	quiet := now.Before(o.nextTell) || what == o.told
	if !quiet {
		o.nextTell, o.told = now.Add(10*time.Second), what
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
	o.stats.DroppedBytes += uint64(o.bytes)
	o.stats.LastError = "stalled"
	o.chunks = nil
	o.mu.Unlock()
	return fault.New(fault.Timeout, "log/"+o.name, "close", "", "the output is stalled")
}

func (o *output) snapshot() OutputStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stats
	s.QueueBytes = o.bytes
	return s
}
