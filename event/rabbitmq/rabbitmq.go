package rabbitmq

import (
	"context"
	"log/slog"
	"sync"
	"time"

	engine "github.com/micro/go-platform/engine/rabbitmq"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures the stream.
type Option func(*config) error

type config struct {
	replicas int
	maxAge   time.Duration
	maxBytes int64
}

// Backend keeps the stream in the RabbitMQ at addr, over an engine of its own:
// "amqp://user:password@host:5672/vhost", several of a cluster as "a:5672,b:5672",
// and the other forms that engine/rabbitmq takes.
func Backend(addr string, opts ...Option) event.Option {
	return open(func() (*rabbitmq.Conn, error) { return rabbitmq.Open(rabbitmq.Config{Address: addr}) }, opts)
}

// On keeps the stream in the RabbitMQ that the engine is connected to, and leaves
// it open.
func On(e *engine.Engine, opts ...Option) event.Option { return open(e.Conn, opts) }

// WithReplicas is how many nodes of a cluster keep the stream and the queues of its
// groups, if they are made. Without it the server decides: three, or what there is.
func WithReplicas(n int) Option {
	return func(c *config) error { return fronts.AtLeast("replicas", n, 1, &c.replicas) }
}

// WithMaxAge lets the server remove records that are older, if the stream is made.
// It removes whole segments, and only when a new one begins. It does not know of
// groups: what a group has not been handed goes too, unlike with
// event.WithRetention, which this backend does not have. The default keeps
// records indefinitely.
func WithMaxAge(d time.Duration) Option {
	return func(c *config) error {
		if d < time.Second {
			return fault.Markf(fault.Invalid, "a maximum age of %v, want 1 s or more", d)
		}
		c.maxAge = d
		return nil
	}
}

// WithMaxBytes lets the server remove the oldest records when the stream is larger,
// if it is made; otherwise as WithMaxAge.
func WithMaxBytes(n int64) Option {
	return func(c *config) error {
		if n < 1 {
			return fault.Markf(fault.Invalid, "a maximum of %d bytes, want 1 or more", n)
		}
		c.maxBytes = n
		return nil
	}
}

func open(connect func() (*rabbitmq.Conn, error), opts []Option) event.Option {
	return event.WithDriver("rabbitmq", func(_ context.Context, s event.Settings) (event.Driver, error) {
		c, err := conn.Apply(config{}, opts)
		if err != nil {
			return nil, err
		}
		if s.Retention != (event.Retention{}) {
			return nil, fault.Markf(fault.Unsupported, "retention that waits for groups; see WithMaxAge and WithMaxBytes")
		}
		rc, err := connect()
		if err != nil {
			return nil, err
		}
		d := &driver{
			conn: rc, config: c, names: namesOf(s.Namespace), log: s.Logger,
			sending: rc.Link("publish"), reading: rc.Link("read"),
			size: &bodies{}, registry: newRegistry(), lines: map[time.Duration]*lines{}, feeders: map[string]*feeder{}, members: map[*member]struct{}{},
		}
		d.out = newPublisher(d.sending)
		return d, nil
	})
}

// driver is one stream of RabbitMQ and the queues of its groups.
type driver struct {
	conn   *rabbitmq.Conn
	config config
	names  names
	log    *slog.Logger

	sending, reading *rabbitmq.Link
	out              *publisher
	registry         *registry
	size             *bodies
	shelf            shelf

	mu      sync.Mutex
	there   bool                     // the stream was seen
	lines   map[time.Duration]*lines // of groups, by heartbeat
	feeders map[string]*feeder       // by the group's id
	members map[*member]struct{}
}

func (d *driver) Features() event.Features {
	return event.Features{Durable: true, Shared: true, Exclusive: true, Positions: true}
}

func (d *driver) Ping(ctx context.Context) error { return d.conn.Ping(ctx) }

func (d *driver) Close(context.Context) error {
	d.out.close()
	d.sending.Release()
	d.reading.Release()
	return d.conn.Close()
}

// lines are the two connections of groups whose members are dead after the same
// time: what feeds their queues is stopped by an alarm of the server, what
// acknowledges must not be.
type lines struct {
	feeding, consuming *rabbitmq.Link
	users              int
}

// heartbeatOf lets the server find a dead member within about AckWait: it waits for
// two to three heartbeats, which are whole seconds.
func heartbeatOf(ackWait time.Duration) time.Duration {
	return min(max((ackWait/3).Truncate(time.Second), time.Second), time.Minute)
}

func (d *driver) take(heartbeat time.Duration) *lines {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lines[heartbeat]
	if l == nil {
		l = &lines{feeding: d.conn.Own(heartbeat), consuming: d.conn.Own(heartbeat)}
		d.lines[heartbeat] = l
	}
	l.users++
	return l
}

func (d *driver) giveBack(heartbeat time.Duration) {
	d.mu.Lock()
	l := d.lines[heartbeat]
	l.users--
	last := l.users == 0
	if last {
		delete(d.lines, heartbeat)
	}
	d.mu.Unlock()
	if last {
		l.feeding.Release()
		l.consuming.Release()
	}
}
