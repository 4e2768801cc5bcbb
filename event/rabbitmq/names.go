package rabbitmq

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/conn/rabbitmq"
	amqp "github.com/rabbitmq/amqp091-go"
)

// names are those of a namespace's exchange and queues.
type names struct {
	stream string // the exchange, and the stream that is bound to it
	groups string // the stream that says which groups there are
}

func namesOf(namespace string) names {
	base := "events"
	if namespace != "" {
		base += "/" + escape(namespace)
	}
	return names{stream: short(base), groups: short(base + ":groups")}
}

// queue is where a group's records wait, and cursor the stream that says how far
// they were copied. The id tells a group from an earlier one of its name.
func (n names) queue(g group) string  { return short(n.stream+":group/"+escape(g.Name), g.ID) }
func (n names) cursor(g group) string { return short(n.stream+":cursor/"+escape(g.Name), g.ID) }

// lock is a queue that only one connection can have.
func (n names) lock(g group) string { return short(n.stream+":feeder/"+escape(g.Name), g.ID) }

// escape writes what parts the names above as '%' and hex digits.
func escape(s string) string {
	return strings.NewReplacer("%", "%25", ":", "%3A", "/", "%2F").Replace(s)
}

// maxShort is how many bytes a short string of AMQP has.
const maxShort = 255

// maxQueue is how long names of queues are: a stream's is that of a folder too, with
// a time behind it, and folders have 255 bytes.
const maxQueue = 200

// short makes a name of parts that are joined by ':', with a hash in place of what
// doesn't fit.
func short(name string, id ...string) string {
	tail := strings.Join(append([]string{""}, id...), ":")
	if len(name)+len(tail) <= maxQueue {
		return name + tail
	}
	sum := sha256.Sum256([]byte(name))
	tail = ":" + hex.EncodeToString(sum[:12]) + tail
	return cut(name, maxQueue-len(tail)) + tail
}

// cut returns the beginning of s that has up to n bytes and no half runes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// streamArgs are those of the stream when it is made.
func (d *driver) streamArgs() amqp.Table {
	args := d.registryArgs()
	if d.config.maxAge > 0 {
		args["x-max-age"] = fmt.Sprintf("%ds", int64(d.config.maxAge.Seconds()))
	}
	if d.config.maxBytes > 0 {
		args["x-max-length-bytes"] = d.config.maxBytes
	}
	return args
}

// registryArgs are those of a stream that keeps every entry.
func (d *driver) registryArgs() amqp.Table {
	args := amqp.Table{"x-queue-type": "stream"}
	if d.config.replicas > 0 {
		args["x-initial-cluster-size"] = int64(d.config.replicas)
	}
	return args
}

// manyDeliveries is far more often than a member gives up a record: the front counts
// attempts and makes dead letters. Without it RabbitMQ 4 drops a record that was
// handed out twenty times.
const manyDeliveries = 1 << 30

// queueArgs are those of a group's queue.
func (d *driver) queueArgs(g group) amqp.Table {
	args := amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int64(manyDeliveries)}
	if g.Exclusive {
		args["x-single-active-consumer"] = true
	}
	if d.config.replicas > 0 {
		args["x-quorum-initial-group-size"] = int64(d.config.replicas)
	}
	return args
}

// cursorArgs keep little of a cursor: its newest message counts.
func (d *driver) cursorArgs() amqp.Table {
	args := d.registryArgs()
	args["x-max-length-bytes"], args["x-stream-max-segment-size-bytes"] = int64(1<<20), int64(256<<10)
	return args
}

// declare makes the exchange and the stream if the stream isn't there. A user who may
// not make them can use those that are.
func (d *driver) declare(ctx context.Context, again bool) error {
	d.mu.Lock()
	there := d.there
	d.mu.Unlock()
	if there && !again {
		return nil
	}
	name := d.names.stream
	found, err := d.has(ctx, name)
	if err == nil && (!found || again) {
		err = d.ask(ctx, func(ch *amqp.Channel) error {
			if err := ch.ExchangeDeclare(name, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
				return err
			}
			if !found {
				if _, err := ch.QueueDeclare(name, true, false, false, false, d.streamArgs()); err != nil {
					return err
				}
			}
			return ch.QueueBind(name, "#", name, false, nil)
		})
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.there = true
	d.mu.Unlock()
	return nil
}

// found looks whether the stream is there before anything is sent on a new channel:
// what is sent while its leader is not up yet, after a restart, the server sends to it
// later, behind what came meanwhile.
func (d *driver) found(ctx context.Context) error {
	d.mu.Lock()
	d.there = false
	d.mu.Unlock()
	return d.declare(ctx, false)
}

// make declares a queue unless it is there.
func (d *driver) make(ctx context.Context, name string, args amqp.Table) error {
	found, err := d.has(ctx, name)
	if err != nil || found {
		return err
	}
	return d.ask(ctx, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, args)
		return err
	})
}

// has reports whether a queue is there.
func (d *driver) has(ctx context.Context, queue string) (bool, error) {
	_, err := d.ready(ctx, queue)
	if rabbitmq.Missing(err) {
		return false, nil
	}
	return err == nil, err
}

// ready is how many messages wait in a queue.
func (d *driver) ready(ctx context.Context, queue string) (int, error) {
	n := 0
	err := d.ask(ctx, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		n = q.Messages
		return err
	})
	return n, err
}

// ask makes requests on a channel of the connection that reads.
func (d *driver) ask(ctx context.Context, requests func(*amqp.Channel) error) error {
	return rabbitmq.ReadError(d.reading.Ask(ctx, requests))
}
