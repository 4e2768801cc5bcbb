package rabbitmq

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// What the options say is in what the server is asked to make, and nothing else.
func TestArgumentsOfQueues(t *testing.T) {
	stream := amqp.Table{"x-queue-type": "stream"}
	queue := amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int64(manyDeliveries)}
	cursor := amqp.Table{"x-queue-type": "stream", "x-max-length-bytes": int64(1 << 20), "x-stream-max-segment-size-bytes": int64(256 << 10)}
	and := func(table, more amqp.Table) amqp.Table {
		all := maps.Clone(table)
		maps.Copy(all, more)
		return all
	}
	registry := func(stream amqp.Table) amqp.Table { // keeps all, in as many places
		stream = maps.Clone(stream)
		delete(stream, "x-max-age")
		delete(stream, "x-max-length-bytes")
		return stream
	}
	for name, c := range map[string]struct {
		opts                  []Option
		exclusive             bool
		stream, queue, cursor amqp.Table
	}{
		"no options": {nil, false, stream, queue, cursor},
		"ordered":    {nil, true, stream, and(queue, amqp.Table{"x-single-active-consumer": true}), cursor},
		"an age":     {[]Option{WithMaxAge(time.Second)}, false, and(stream, amqp.Table{"x-max-age": "1s"}), queue, cursor},
		"bytes":      {[]Option{WithMaxBytes(1)}, false, and(stream, amqp.Table{"x-max-length-bytes": int64(1)}), queue, cursor},
		"replicas": {
			[]Option{WithReplicas(1)}, false, and(stream, amqp.Table{"x-initial-cluster-size": int64(1)}),
			and(queue, amqp.Table{"x-quorum-initial-group-size": int64(1)}), and(cursor, amqp.Table{"x-initial-cluster-size": int64(1)}),
		},
	} {
		got, err := conn.Apply(config{}, c.opts)
		if err != nil {
			t.Fatal(err)
		}
		d := &driver{config: got}
		for what, pair := range map[string][2]amqp.Table{
			"stream": {d.streamArgs(), c.stream}, "queue": {d.queueArgs(group{Exclusive: c.exclusive}), c.queue}, "cursor": {d.cursorArgs(), c.cursor},
			"registry": {d.registryArgs(), registry(c.stream)},
		} {
			if !maps.Equal(pair[0], pair[1]) {
				t.Errorf("%s: the %s gets %v, want %v", name, what, pair[0], pair[1])
			}
		}
	}
	for name, opt := range map[string]Option{"no time": WithMaxAge(time.Second - 1), "no bytes": WithMaxBytes(0), "no replicas": WithReplicas(0)} {
		if _, err := conn.Apply(config{}, []Option{opt}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want fault.Invalid", name, err)
		}
	}
}

// Names are told apart, whatever is in them, and fit.
func TestNamesOfQueues(t *testing.T) {
	seen := map[string]string{}
	one := func(what, name string) {
		t.Helper()
		if other, ok := seen[name]; ok || len(name) > maxQueue {
			t.Errorf("%s has the name %q of %d bytes, as %q", what, name, len(name), other)
		}
		seen[name] = what
	}
	long := strings.Repeat("l", maxQueue)
	for _, namespace := range []string{"", "events", "a", "a:groups", "a/b", "a%2Fb", long + "1", long + "2"} {
		n := namesOf(namespace)
		one("the stream of "+namespace, n.stream)
		one("the groups of "+namespace, n.groups)
		for _, g := range []group{{Name: "g", ID: "1"}, {Name: "g", ID: "2"}, {Name: "g:1", ID: "2"}, {Name: long, ID: "1"}, {Name: long, ID: "2"}, {Name: long + "x", ID: "1"}} {
			place := namespace + " " + g.Name + " " + g.ID
			one("the queue of "+place, n.queue(g))
			one("the cursor of "+place, n.cursor(g))
			one("the lock of "+place, n.lock(g))
		}
	}
	for _, n := range []int{maxQueue - 3, maxQueue - 2, maxQueue - 1} { // with an id of one byte, and what is before it
		name := long[:n]
		got := short(name, "1")
		if as := got == name+":1"; as != (n <= maxQueue-2) || !strings.HasSuffix(got, ":1") {
			t.Errorf("a name of %d bytes becomes %q", n, got)
		}
	}
}
