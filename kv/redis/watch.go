package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"
)

// A watch is told by the servers themselves which keys have changed, whoever
// changed them: invalidation messages of client-side caching, in broadcasting
// mode (https://redis.io/docs/latest/develop/reference/client-side-caching/).
// They need RESP3, whatever the client speaks, and one connection to each
// primary.
//
//	server ── "invalidate" keys ──→ tracker ──→ changed ──→ GetMany ──→ sink
const (
	// idle is how long nothing may come before the server is asked for a sign of
	// life, and how long that may take.
	idle = 10 * time.Second

	// lookAround is how often a cluster is asked for its primaries, and sentinels
	// for theirs.
	lookAround = 10 * time.Second
)

// Watch listens first, then reads the state, then reads every key that a
// message names. Messages have no number, so a session never resumes: the next
// one reads the state again.
func (d *driver) Watch(ctx context.Context, prefix string, _ uint64, sink kv.Sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	masters, err := redis.Masters(ctx, d.client)
	if err != nil {
		return err
	}
	changed := make(chan string, 1024)
	for _, m := range masters {
		t := d.newTracker(m, prefix, changed, cancel)
		defer t.close()
		if err := t.open(ctx); err != nil {
			return err
		}
	}
	if d.replicated() {
		around := make(chan struct{})
		go func() { defer close(around); d.lookAround(ctx, masters, cancel) }()
		defer func() { cancel(nil); <-around }()
	}
	for item, err := range d.List(ctx, prefix, "") {
		if err != nil {
			return cause(ctx, err)
		}
		sink.Put(item)
	}
	sink.Synced(0)
	for {
		select {
		case key := <-changed:
			if err := d.tell(ctx, gather(key, changed), sink); err != nil {
				return cause(ctx, err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tracker is the connection on which one server tells what changes.
type tracker struct {
	d       *driver
	prefix  string
	changed chan<- string
	fail    context.CancelCauseFunc // ends the session
	client  *goredis.Client
	sub     *goredis.PubSub
	opened  atomic.Int32
	ended   chan struct{}
}

// newTracker makes one connection as the client given makes them. It opens
// nothing.
func (d *driver) newTracker(like *goredis.Client, prefix string, changed chan<- string, fail context.CancelCauseFunc) *tracker {
	t := &tracker{d: d, prefix: prefix, changed: changed, fail: fail, ended: make(chan struct{})}
	o := *like.Options()
	o.Protocol, o.PoolSize, o.MinIdleConns, o.MaxRetries = 3, 1, 0, -1
	o.ClientSideCacheConfig, o.ClientSideCache = nil, nil
	processor := push.NewProcessor()
	_ = processor.RegisterHandler("invalidate", t, false)
	o.PushNotificationProcessor = processor
	greet := o.OnConnect
	o.OnConnect = func(ctx context.Context, cn *goredis.Conn) error {
		if greet != nil {
			if err := greet(ctx, cn); err != nil {
				return err
			}
		}
		return t.track(ctx, cn)
	}
	t.client = goredis.NewClient(&o)
	return t
}

// track asks the server to tell. If it is not the first time, the client has
// made a new connection, and messages are lost.
func (t *tracker) track(ctx context.Context, cn *goredis.Conn) error {
	if t.opened.Add(1) > 1 {
		t.fail(kv.ErrGap)
		return kv.ErrGap
	}
	opts := &goredis.ClientTrackingOptions{Bcast: true}
	if t.prefix != "" {
		opts.Prefixes = []string{t.prefix}
	}
	return cn.ClientTrackingOn(ctx, opts).Err()
}

// open connects, and begins to listen.
func (t *tracker) open(ctx context.Context) error {
	t.sub = t.client.Subscribe(ctx)
	_, err := redis.Do(ctx, t.d.client, func(ctx context.Context) (struct{}, error) { return struct{}{}, t.sub.Ping(ctx) })
	if err != nil {
		close(t.ended)
		if strings.Contains(redis.Answer(err), "RESP3") {
			return fault.Mark(kv.ErrUnsupported, err) // a proxy that speaks RESP2 only
		}
		return redis.ReadError(err)
	}
	stop := context.AfterFunc(ctx, func() { t.sub.Close() })
	go func() {
		defer close(t.ended)
		defer stop()
		t.fail(t.receive(ctx))
	}()
	return nil
}

func (t *tracker) close() {
	if t.sub == nil {
		t.client.Close()
		return
	}
	t.fail(nil)
	t.sub.Close()
	<-t.ended
	t.client.Close()
}

// receive has messages handled until the connection fails.
func (t *tracker) receive(ctx context.Context) error {
	asked := true // open did
	for {
		_, err := t.sub.ReceiveTimeout(ctx, idle)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			var timeout interface{ Timeout() bool }
			if !asked && errors.As(err, &timeout) && timeout.Timeout() {
				if err = t.sub.Ping(ctx); err == nil {
					asked = true
					continue
				}
			}
			return fault.Mark(kv.ErrUnavailable, err)
		}
		asked = false // what comes here is the answer to a ping
	}
}

// HandlePushNotification implements push.NotificationHandler: a list of keys,
// or none if all were flushed.
func (t *tracker) HandlePushNotification(ctx context.Context, _ push.NotificationHandlerContext, message []any) error {
	keys, ok := []any(nil), false
	if len(message) > 1 {
		keys, ok = message[1].([]any)
	}
	if !ok {
		t.fail(kv.ErrGap)
		return nil
	}
	for _, k := range keys {
		key, ok := k.(string)
		if !ok || !strings.HasPrefix(key, t.prefix) || !valid(key) {
			continue
		}
		select {
		case t.changed <- key:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// lookAround ends the session when there are other primaries than those that
// it listens to: one that was cut off does not tell that it is none any more.
func (d *driver) lookAround(ctx context.Context, known []*goredis.Client, fail context.CancelCauseFunc) {
	first := d.identity(ctx)
	tick := time.NewTicker(lookAround)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if d.cluster == nil {
			if now := d.identity(ctx); first == "" {
				first = now
			} else if now != "" && now != first {
				fail(kv.ErrGap)
			}
			continue
		}
		now, err := redis.Masters(ctx, d.client)
		if err != nil {
			continue
		}
		for _, m := range now {
			if !slices.Contains(known, m) {
				fail(kv.ErrGap)
			}
		}
	}
}

// identity names the server that commands go to; "" if it does not say.
func (d *driver) identity(ctx context.Context) string {
	info, err := redis.Do(ctx, d.client, func(ctx context.Context) (string, error) { return d.client.Info(ctx, "server").Result() })
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(info, "run_id:")
	id, _, _ := strings.Cut(rest, "\r\n")
	return id
}

// cause prefers why the session ended over what that made of a read.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// gather takes the keys that are there, each once.
func gather(first string, more <-chan string) []string {
	keys := []string{first}
	for len(keys) < perTrip {
		select {
		case key := <-more:
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		default:
			return keys
		}
	}
	return keys
}

// tell reads keys and tells what they are now.
func (d *driver) tell(ctx context.Context, keys []string, sink kv.Sink) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	items, err := d.GetMany(ctx, keys)
	if err != nil && !wrongType(err) {
		return fault.Mark(kv.ErrUnavailable, err)
	}
	for _, key := range keys {
		if item, ok := items[key]; ok {
			sink.Put(item)
		} else {
			sink.Delete(key)
		}
	}
	return nil
}
