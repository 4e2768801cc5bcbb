package redis

import (
	"context"
	gosync "sync"
	"time"

	redisconn "github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

// batcher sends the commands of callers that come at the same time together, and
// lets each of them leave when its context ends.
//
// Whoever finds nobody sending starts a sender, which takes what has been queued
// meanwhile when it comes back from the server. So one caller alone doesn't wait
// for others, and many share round trips.
type batcher struct {
	conn *redisconn.Client

	mu      gosync.Mutex
	queue   []*command
	senders int
	running gosync.WaitGroup
}

type command struct {
	args     []any
	deadline time.Time
	reply    any
	err      error
	done     chan struct{}
}

const (
	maxSenders = 2 // that callers start at once
	maxBatch   = 64
	// impatience is how long a command is queued behind senders that may be
	// stuck, before its caller starts another one.
	impatience = 10 * time.Millisecond
	// requestLimit is for contexts without a deadline.
	requestLimit = 5 * time.Second
)

// do sends one command.
func (b *batcher) do(ctx context.Context, args []any) (any, error) {
	c := &command{args: args, done: make(chan struct{})}
	var ok bool
	if c.deadline, ok = ctx.Deadline(); !ok {
		c.deadline = time.Now().Add(requestLimit)
	}
	b.mu.Lock()
	b.queue = append(b.queue, c)
	late := b.senders >= maxSenders
	if !late {
		b.start()
	}
	b.mu.Unlock()
	if late {
		t := time.NewTimer(impatience)
		defer t.Stop()
		select {
		case <-c.done:
			return c.reply, c.err
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.C:
			b.mu.Lock()
			if len(b.queue) > 0 {
				b.start()
			}
			b.mu.Unlock()
		}
	}
	select {
	case <-c.done:
		return c.reply, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start is called with mu locked.
func (b *batcher) start() {
	b.senders++
	b.running.Add(1)
	go b.send()
}

func (b *batcher) send() {
	defer b.running.Done()
	for {
		b.mu.Lock()
		n := min(len(b.queue), maxBatch)
		if n == 0 {
			b.senders--
			b.mu.Unlock()
			return
		}
		batch := b.queue[:n:n]
		b.queue = b.queue[n:]
		if len(b.queue) == 0 {
			b.queue = nil
		}
		b.mu.Unlock()
		b.exchange(batch)
	}
}

func (b *batcher) exchange(batch []*command) {
	deadline := batch[0].deadline
	for _, c := range batch {
		if c.deadline.After(deadline) {
			deadline = c.deadline
		}
	}
	ctx := &bounded{context.Background(), deadline}
	if len(batch) == 1 {
		c := batch[0]
		c.reply, c.err = b.conn.Do(ctx, c.args...).Result()
		close(c.done)
		return
	}
	p := b.conn.Pipeline()
	replies := make([]*goredis.Cmd, len(batch))
	for i, c := range batch {
		replies[i] = p.Do(ctx, c.args...)
	}
	_, err := p.Exec(ctx)
	for i, c := range batch {
		c.reply, c.err = replies[i].Result()
		if c.err == nil && c.reply == nil { // never sent, for a reason that is not its own
			c.err = err
		}
		close(c.done)
	}
}

// close waits for the senders; all callers have left.
func (b *batcher) close() { b.running.Wait() }

// bounded is a context with a deadline that it doesn't enforce: the client
// sets it on the connection, so it needs no timer.
type bounded struct {
	context.Context
	deadline time.Time
}

func bound(ctx context.Context, d time.Duration) context.Context {
	return &bounded{ctx, time.Now().Add(d)}
}

// Deadline implements context.Context.
func (b *bounded) Deadline() (time.Time, bool) {
	if t, ok := b.Context.Deadline(); ok && t.Before(b.deadline) {
		return t, true
	}
	return b.deadline, true
}
