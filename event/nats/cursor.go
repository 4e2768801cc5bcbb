package nats

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// cursor reads forward from a place. The server forgets it when it is not used
// for a while.
type cursor struct {
	d      *driver
	c      jetstream.Consumer
	after  uint64 // the last that was returned
	buffer []message
	order  uint64 // the consumer's number of the last message that came
	left   uint64 // how many the server had to send after that one
	fills  int    // calls of fill
	again  int    // how often it was opened again because messages were lost
	more   bool   // there was more than it returned last
	gap    bool   // not all came that the server has sent
	silent bool   // nothing came, and the server may have sent something
	broken bool
}

// errLost is what a reader is told whose messages are lost again and again.
var errLost = fault.Markf(fault.Unavailable, "messages were lost on the way")

// oftenLost is after how many times errLost is said.
const oftenLost = 3

// skips reports whether there is a gap before a message of the buffer.
func (c *cursor) skips(i int) bool {
	if i >= len(c.buffer) {
		return false
	}
	before := c.after
	if i > 0 {
		before = c.buffer[i-1].seq
	}
	return c.buffer[i].seq > before+1
}

type message struct {
	seq    uint64
	order  uint64 // among what its consumer was sent
	stored time.Time
	r      *event.Record // nil: no record
}

// from opens a cursor after a sequence.
func (d *driver) from(ctx context.Context, after uint64) (*cursor, error) {
	c, err := d.open(ctx, jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1})
	if c != nil {
		c.after = after
	}
	return c, err
}

func (d *driver) open(ctx context.Context, cfg jetstream.ConsumerConfig) (*cursor, error) {
	s, err := d.stream(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.CreateConsumer(ctx, reading(cfg))
	if err != nil {
		return nil, nats.ReadError(d.lost(err))
	}
	return &cursor{d: d, c: c}, nil
}

// cursorName begins the names of consumers that are no group's: escape makes no such name.
const cursorName = "_read-"

func isCursor(name string) bool { return strings.HasPrefix(name, cursorName) }

// reading completes the configuration of a consumer that only reads, and goes by itself
// when nobody does any more.
func reading(cfg jetstream.ConsumerConfig) jetstream.ConsumerConfig {
	cfg.Name = cursorName + event.NewID()
	cfg.AckPolicy, cfg.MemoryStorage, cfg.InactiveThreshold = jetstream.AckNonePolicy, true, 30*time.Second
	return cfg
}

// newest is the number of the last message that the server has sent.
func (c *cursor) newest() uint64 {
	if len(c.buffer) == 0 {
		return c.after
	}
	return c.buffer[len(c.buffer)-1].seq
}

// catchUp fills the buffer with n messages, or all that there are.
func (c *cursor) catchUp(ctx context.Context, n int) error {
	last, err := c.d.end(ctx)
	if err != nil {
		return err
	}
	return c.d.whole(ctx, nil, last, func() (uint64, error) {
		err := c.fill(ctx, n-len(c.buffer), 0)
		if len(c.buffer) >= n {
			return last, err
		}
		return c.newest(), err
	})
}

// fill reads up to n messages into the buffer, waiting for the first.
func (c *cursor) fill(ctx context.Context, n int, wait time.Duration) error {
	c.fills++
	return ready(ctx, c.fills == 1, func() error { return c.fetch(n, wait) })
}

// ready repeats a request to a consumer that was just made until the server on which it is
// takes it.
func ready(ctx context.Context, fresh bool, request func() error) error {
	for until := time.Now().Add(answerWithin); ; {
		err := request()
		if !fresh || !errors.Is(err, gonats.ErrNoResponders) || time.Now().After(until) {
			return err
		}
		if err := backoff.Sleep(ctx, askAgain); err != nil {
			return err
		}
	}
}

func (c *cursor) fetch(n int, wait time.Duration) error {
	began := time.Now()
	batch, err := fetch(c.c, n, wait)
	if err != nil {
		return nats.ReadError(err)
	}
	came := 0
	for m := range batch.Messages() {
		md, err := m.Metadata()
		if err != nil {
			return nats.ReadError(err)
		}
		c.gap = c.gap || md.Sequence.Consumer != c.order+1
		c.order, c.left = md.Sequence.Consumer, md.NumPending
		came++
		if c.after > 0 && md.Sequence.Stream <= c.newest() {
			continue // a server that is behind begins where it is
		}
		r, err := eventdriver.ParseRecord(string(m.Data()))
		if err == nil {
			r.Position = format(md.Sequence.Stream)
		}
		c.buffer = append(c.buffer, message{seq: md.Sequence.Stream, order: md.Sequence.Consumer, stored: md.Timestamp, r: r})
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nats.ReadError(err)
	}
	c.silent = came == 0 && (c.left > 0 || time.Since(began) >= wait+silence)
	return nil
}

// lost reports whether messages may be missing.
func (c *cursor) lost() bool { return c.gap || c.silent }

// silence is how long the client waits for the next message, or the word that there is none,
// before it takes what came for all. The connection may be broken, or the machine have stood
// still.
const silence = time.Second

// fetch asks a consumer for up to n messages, and has the server wait for the first.
func fetch(c jetstream.Consumer, n int, wait time.Duration) (jetstream.MessageBatch, error) {
	if wait > 0 {
		return c.Fetch(n, jetstream.FetchMaxWait(wait))
	}
	return c.FetchNoWait(n)
}

func (c *cursor) close(ctx context.Context) {
	if c.d.nc.IsConnected() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		c.d.js.DeleteConsumer(ctx, c.d.name, c.c.CachedInfo().Name)
	}
}

// keptCursors is how many readers can come back.
const keptCursors = 64

// keep puts a cursor aside for whoever reads on from where it is.
func (d *driver) keep(ctx context.Context, c *cursor) {
	if c.broken {
		c.close(ctx)
		return
	}
	d.mu.Lock()
	d.cursors = append(d.cursors, c)
	var old *cursor
	if len(d.cursors) > keptCursors {
		old, d.cursors = d.cursors[0], d.cursors[1:]
	}
	d.mu.Unlock()
	if old != nil {
		old.close(ctx)
	}
}

// reuse takes a cursor that is at a place, or nil.
func (d *driver) reuse(after uint64) *cursor {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, c := range d.cursors {
		if c.after == after {
			d.cursors = slices.Delete(d.cursors, i, i+1)
			return c
		}
	}
	return nil
}
