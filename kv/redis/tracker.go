package redis

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"
)

// A watch is told by the servers themselves which keys have changed, whoever
// changed them: invalidation messages of client-side caching, in broadcasting
// mode (https://redis.io/docs/latest/develop/reference/client-side-caching/).
// They need RESP3, whatever the client speaks, and one connection to each
// primary.
//
//	server ── "invalidate" keys ──→ tracker ──┬→ GetMany ──→ sink   a watch
//	                                          └───────────→ sink   a near cache

// idle is how long nothing may come before the server is asked for a sign of
// life, and how long that may take: a near cache is at most twice as old when
// the server is cut off without a word.
const idle = 5 * time.Second

// tracker is the connection on which one server tells what changes.
type tracker struct {
	d       *driver
	prefix  string
	changed func(context.Context, string)
	fail    context.CancelCauseFunc // ends the session
	client  *goredis.Client
	sub     *goredis.PubSub
	opened  atomic.Int32
	ended   chan struct{}
}

// newTracker makes one connection as the client given makes them. It opens
// nothing.
func (d *driver) newTracker(like *goredis.Client, prefix string, changed func(context.Context, string), fail context.CancelCauseFunc) *tracker {
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
		t.fail(kvdriver.ErrGap)
		return kvdriver.ErrGap
	}
	if err := speaksRESP3(ctx, cn); err != nil {
		return err
	}
	opts := &goredis.ClientTrackingOptions{Bcast: true}
	if t.prefix != "" {
		opts.Prefixes = []string{t.prefix}
	}
	return cn.ClientTrackingOn(ctx, opts).Err()
}

// speaksRESP3 asks for it. The client itself goes on without RESP3 where a server, or a
// proxy, has none, and CLIENT TRACKING succeeds all the same: but nothing is ever told.
func speaksRESP3(ctx context.Context, cn *goredis.Conn) error {
	err := cn.Hello(ctx, 3, "", "", "").Err()
	switch answer := redis.Answer(err); {
	case strings.HasPrefix(answer, "NOPROTO"), strings.Contains(answer, "nknown command"), strings.Contains(answer, "nsupported command"):
		return fault.Markf(kv.ErrUnsupported, "a watch needs RESP3: %w", err)
	case strings.HasPrefix(answer, "NOPERM"): // the client has asked before its user was known
		return nil
	}
	return err
}

// open connects, and begins to listen.
func (t *tracker) open(ctx context.Context) error {
	t.sub = t.client.Subscribe(ctx)
	_, err := redis.Do(ctx, t.d.client, func(ctx context.Context) (struct{}, error) { return struct{}{}, t.sub.Ping(ctx) })
	if err != nil {
		close(t.ended)
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
			if !asked && conn.TimedOut(err) {
				err = t.sub.Ping(ctx)
				if err == nil {
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
		t.fail(kvdriver.ErrGap)
		return nil
	}
	for _, k := range keys {
		if key, ok := k.(string); ok && strings.HasPrefix(key, t.prefix) && valid(key) {
			t.changed(ctx, key)
		}
	}
	return nil
}
