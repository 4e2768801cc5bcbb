package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

// waiter sends commands that block, on one connection, so that another can
// unblock it when the caller no longer waits. A command that is only abandoned
// would go on waiting, and take records that nobody handles.
type waiter struct {
	client *redis.Client
	key    string

	mu   sync.Mutex
	conn *goredis.Conn
	id   int64 // of the connection, at the server
}

// connect gets a connection to the node that has the key.
func (w *waiter) connect(ctx context.Context) (goredis.Cmdable, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		return w.conn, nil
	}
	node, err := w.node(ctx)
	if err != nil {
		return nil, err
	}
	if node == nil { // its commands end by themselves
		return w.client.UniversalClient, nil
	}
	conn := node.Conn()
	id, err := conn.ClientID(ctx).Result()
	if err != nil {
		conn.Close()
		return nil, err
	}
	w.conn, w.id = conn, id
	return conn, nil
}

// node is the client of the node that has the key, or nil if the client is of another
// kind.
func (w *waiter) node(ctx context.Context) (*goredis.Client, error) {
	switch c := w.client.UniversalClient.(type) {
	case *goredis.Client:
		return c, nil
	case *goredis.ClusterClient:
		return c.MasterForKey(ctx, w.key)
	}
	return nil, nil
}

// unblock makes the server answer the command that waits.
func (w *waiter) unblock() {
	w.mu.Lock()
	conn, id := w.conn, w.id
	w.mu.Unlock()
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if node, err := w.node(ctx); err == nil { // a connection has a node
		node.ClientUnblock(ctx, id)
	}
}

// do runs a command that blocks for up to limit. No answer within it is no
// error.
func (w *waiter) do(ctx context.Context, limit time.Duration, f func(ctx context.Context, c goredis.Cmdable) (int, error)) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	// The command's own context outlives the caller's by what unblocking takes.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit+3*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		w.unblock()
		select {
		case <-time.After(time.Second): // the server does not answer either
			cancel()
		case <-bounded.Done():
		}
	})
	defer stop()
	n, err := redis.DoBlocking(bounded, w.client, func(ctx context.Context) (int, error) {
		c, err := w.connect(ctx)
		if err != nil {
			return 0, err
		}
		return f(ctx, c)
	})
	switch {
	case errors.Is(err, goredis.Nil):
		err = nil
	case err != nil:
		w.close()
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, redis.ReadError(err)
	}
	if n == 0 && ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return n, err
}

// close gives the connection up.
func (w *waiter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}
