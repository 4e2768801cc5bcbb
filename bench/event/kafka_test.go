package event_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/kafka"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// headers are those that a record without metadata has, so that franz-go alone
// sends the same bytes, with an id and a time for each.
func headers() []kgo.RecordHeader {
	return []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(event.NewID())}, {Key: "ce_type", Value: []byte("t")}, {Key: "ce_source", Value: []byte("/")},
		{Key: "go-platform-no-source"}, {Key: "ce_time", Value: time.Now().UTC().AppendFormat(nil, time.RFC3339Nano)}, {Key: "ce_subject", Value: []byte("s")},
	}
}

// BenchmarkKafka publishes by 1 and by 100 with acks=all, and consumes what is there:
// without a group, against franz-go's consumer of a partition, and in groups against
// its members of a share group and of a classic group, which accept and commit
// batch by batch.
func BenchmarkKafka(b *testing.B) {
	addr := servertest.SharedKafka(b).Addr()
	client := func(opts ...kgo.Opt) *kgo.Client {
		c := must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.ProducerLinger(0)}, opts...)...))(b)
		b.Cleanup(c.Close)
		return c
	}
	raw := client()
	must(kadm.NewClient(raw).CreateTopic(b.Context(), 1, 1, nil, "raw"))(b)
	s := must(event.New(kafka.Backend(addr, kafka.WithTopic("ours"))))(b)
	b.Cleanup(func() { s.Close(context.Background()) })

	ours := func(batch int) func(b *testing.B, n int) time.Duration {
		rs := make([]*event.Record, batch)
		for i := range rs {
			rs[i] = &event.Record{Type: "t", Subject: "s", Data: payload}
		}
		return func(b *testing.B, n int) time.Duration {
			start := time.Now()
			for range n / batch {
				if err := s.Publish(b.Context(), rs...); err != nil {
					b.Fatal(err)
				}
			}
			return time.Since(start)
		}
	}
	theirs := func(batch int) func(b *testing.B, n int) time.Duration {
		return func(b *testing.B, n int) time.Duration {
			start := time.Now()
			for range n / batch {
				rs := make([]*kgo.Record, batch)
				for i := range rs {
					rs[i] = &kgo.Record{Topic: "raw", Key: []byte("s"), Value: payload, Headers: headers()}
				}
				if err := raw.ProduceSync(b.Context(), rs...).FirstErr(); err != nil {
					b.Fatal(err)
				}
			}
			return time.Since(start)
		}
	}
	b.Run("publish-by-1", func(b *testing.B) { compare(b, contender{"ours", 1000, ours(1)}, contender{"franz", 1000, theirs(1)}) })
	b.Run("publish-by-100", func(b *testing.B) {
		compare(b, contender{"ours", 20_000, ours(100)}, contender{"franz", 20_000, theirs(100)})
	})
	b.Run("publish-by-1000", func(b *testing.B) {
		compare(b, contender{"ours", 50_000, ours(1000)}, contender{"franz", 50_000, theirs(1000)})
	})

	const n = 60_000 // fewer than are there
	consume := func(opts ...event.SubscribeOption) func(b *testing.B, n int) time.Duration {
		return func(b *testing.B, n int) time.Duration {
			opts := append([]event.SubscribeOption{event.From(event.Beginning()), event.Batch(1000)}, opts...)
			if len(opts) > 2 { // a group's
				opts = append(opts, event.Group(event.NewID()))
			}
			done := make(chan struct{})
			var seen atomic.Int64
			var begun time.Time // the first record: joining a group is not consuming
			sub := must(s.Subscribe(b.Context(), func(context.Context, *event.Record) error {
				switch seen.Add(1) {
				case 1:
					begun = time.Now()
				case int64(n):
					close(done)
				}
				return nil
			}, opts...))(b)
			<-done
			took := time.Since(begun)
			sub.Close(b.Context())
			return took
		}
	}
	read := func(opts func() []kgo.Opt, done func(c *kgo.Client)) func(b *testing.B, n int) time.Duration {
		return func(b *testing.B, n int) time.Duration {
			c := must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.ConsumeTopics("raw"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts()...)...))(b)
			defer c.Close()
			var begun time.Time
			for seen := 0; seen < n; {
				rs := c.PollRecords(b.Context(), 1000).Records()
				if seen == 0 && len(rs) > 0 {
					begun = time.Now()
				}
				seen += len(rs)
				done(c)
			}
			took := time.Since(begun)
			c.LeaveGroup()
			return took
		}
	}
	admin := kadm.NewClient(raw)
	b.Run("consume", func(b *testing.B) {
		compare(b, contender{"ours", n, consume()}, contender{"franz", n, read(func() []kgo.Opt { return nil }, func(*kgo.Client) {})})
	})
	b.Run("consume-in-a-classic-group", func(b *testing.B) {
		compare(b, contender{"ours", n, consume(event.Ordered(event.BySubject))}, contender{"franz", n, read(func() []kgo.Opt {
			return []kgo.Opt{kgo.ConsumerGroup(event.NewID()), kgo.DisableAutoCommit()}
		}, func(c *kgo.Client) {
			if err := c.CommitUncommittedOffsets(b.Context()); err != nil {
				b.Fatal(err)
			}
		})})
	})
	b.Run("consume-in-a-share-group", func(b *testing.B) {
		compare(b, contender{"ours", n, consume(event.MaxAttempts(10))}, contender{"franz", n, read(func() []kgo.Opt {
			id := event.NewID()
			var zero kadm.Offsets
			zero.AddOffset("raw", 0, 0, -1)
			if _, err := admin.AlterShareGroupOffsets(b.Context(), id, zero); err != nil {
				b.Fatal(err)
			}
			return []kgo.Opt{kgo.ShareGroup(id), kgo.ShareMaxRecords(1000)}
		}, func(c *kgo.Client) { c.MarkAcks(kgo.AckAccept) })})
	})
}
