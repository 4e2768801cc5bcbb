package kafka

import (
	"context"
	"log/slog"
	"math"
	"strings"
	"sync"

	engine "github.com/micro/go-platform/engine/kafka"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kadm"
)

// Option configures the backend.
type Option func(*config) error

type config struct {
	topic      string
	partitions int32
	replicas   int16
	key        func(*event.Record) string
}

// Backend keeps the stream in the Kafka cluster at addr, over an engine of its
// own: "host:9092", several brokers as "a:9092,b:9092", and the other forms that
// engine/kafka takes.
func Backend(addr string, opts ...Option) event.Option {
	return open(func() (*kafka.Conn, error) { return kafka.Open(kafka.Config{Address: addr}) }, opts)
}

// On keeps the stream in the Kafka cluster that the engine is connected to, and
// leaves the engine open.
func On(e *engine.Engine, opts ...Option) event.Option { return open(e.Conn, opts) }

// WithTopic keeps the stream in this topic instead of "events-<namespace>", for
// topics that others write or read too.
func WithTopic(name string) Option {
	return func(c *config) error {
		if name == "" || name == "." || name == ".." || len(name) > maxTopic || strings.Trim(name, topicChars) != "" {
			return fault.Markf(fault.Invalid, "topic %q, want up to %d of letters, digits, '_', '-' and '.'", name, maxTopic)
		}
		c.topic = name
		return nil
	}
}

// WithPartitions is how many partitions the topic gets if it is made. The default
// is 1: one sequence of records. With more, only records of one key keep their
// order among each other, and the members of an ordered group work at the same
// time, each on some of the partitions. See the package comment.
func WithPartitions(n int) Option {
	return func(c *config) error {
		if n < 1 || n > maxPartitions {
			return fault.Markf(fault.Invalid, "%d partitions, want 1 to %d", n, maxPartitions)
		}
		c.partitions = int32(n)
		return nil
	}
}

// WithReplicas is how many brokers keep the topic if it is made. The default is
// the cluster's, default.replication.factor.
func WithReplicas(n int) Option {
	return func(c *config) error {
		if n < 1 || n > math.MaxInt16 {
			return fault.Markf(fault.Invalid, "replicas %d, want 1 to %d", n, math.MaxInt16)
		}
		c.replicas = int16(n)
		return nil
	}
}

// WithKey sets the key of a record's message, by which a topic of several
// partitions chooses one. The default is the record's subject, as with
// Ordered(event.BySubject); a group that is ordered by something else needs a
// WithKey that says the same.
func WithKey(key func(*event.Record) string) Option {
	return func(c *config) error {
		if key == nil {
			return fault.Markf(fault.Invalid, "nil key")
		}
		c.key = key
		return nil
	}
}

func open(connect func() (*kafka.Conn, error), opts []Option) event.Option {
	return event.WithDriver("kafka", func(_ context.Context, s event.Settings) (event.Driver, error) {
		c, err := conn.Apply(config{partitions: 1, replicas: -1, key: event.BySubject, topic: topicOf(s.Namespace)}, opts)
		if err != nil {
			return nil, err
		}
		client, err := connect()
		if err != nil {
			return nil, err
		}
		d := &driver{config: c, conn: client, admin: kadm.NewClient(client.Client), log: s.Logger, groups: "groups-of-" + c.topic, topics: map[string]*topic{}, registry: registry{by: map[string]*group{}}}
		d.admin.SetTimeoutMillis(5000)
		d.life, d.end = context.WithCancel(context.Background())
		d.tail = newTail(d)
		return d, nil
	})
}

// driver is one topic, and beside it one of the groups. Its parts:
//
//	producer  writes; a client of its own, with the topic's limits
//	read.go   reads any part of the topic by single fetches; nothing is kept but
//	          what a fetch brought too much of (cursors)
//	tail      waits at the end of the topic for all who wait
//	registry  the topic of the groups
//	shared    a member of a share group, ordered one of a classic group
type driver struct {
	config
	conn   *kafka.Conn
	admin  *kadm.Client
	log    *slog.Logger
	groups string // topic

	life context.Context // ends with Close
	end  context.CancelFunc
	tail *tail

	overdue overdue

	mu       sync.Mutex
	topics   map[string]*topic
	producer *producer
	retiring sync.WaitGroup    // clients that were producer
	sharing  *bool             // whether the brokers have share groups; nil: they were not asked
	setUp    map[string]string // the brokers' configuration; nil: they were not asked
	cursors  []*cursor         // of readers that may come back, the newest last
	registry registry
}

func (d *driver) Features() event.Features {
	return event.Features{Durable: true, Shared: true, Exclusive: true, Positions: true}
}

// Ping also makes the topic, and asks for its limits.
func (d *driver) Ping(ctx context.Context) error {
	if err := d.conn.Ping(ctx); err != nil {
		return err
	}
	_, err := d.stream(ctx)
	return err
}

func (d *driver) Close(context.Context) error {
	d.end()
	d.tail.done.Wait()
	d.mu.Lock()
	p := d.producer
	d.producer = nil
	d.mu.Unlock()
	if p != nil {
		p.Close()
	}
	d.retiring.Wait()
	return d.conn.Close()
}
