// Package event_test compares event streams with Watermill on the same Redis and
// in memory, and with the raw commands. Each figure is the best of several
// rounds that take turns, since noise only adds.
package event_test

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"
)

var payload = make([]byte, 150)

const rounds = 9

// contender does n operations and returns how long they took.
type contender struct {
	name string
	n    int
	run  func(b *testing.B, n int) time.Duration
}

// compare reports the best rate of each, and ours, the first, as a multiple of each other's.
func compare(b *testing.B, cs ...contender) {
	best := make([]float64, len(cs))
	for range rounds {
		for i, c := range cs {
			best[i] = max(best[i], float64(c.n)/c.run(b, c.n).Seconds())
		}
	}
	b.ReportMetric(0, "ns/op")
	line := ""
	for i, c := range cs {
		b.ReportMetric(best[i], c.name+"/s")
		line += fmt.Sprintf("%s %.0f/s  ", c.name, best[i])
		if i > 0 {
			b.ReportMetric(best[0]/best[i], "x-"+c.name)
			line += fmt.Sprintf("(%.2fx)  ", best[0]/best[i])
		}
	}
	b.Log(line)
}

func must[T any](v T, err error) func(b *testing.B) T {
	return func(b *testing.B) T {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
}

// BenchmarkMemory publishes, and delivers to one subscriber: records one by
// one, a hundred at once, one by one by eight publishers, and one by one to a group.
func BenchmarkMemory(b *testing.B) {
	for _, shape := range []struct {
		name              string
		publishers, batch int
		opts              []event.SubscribeOption
	}{
		{"one-by-one", 1, 1, nil},
		{"batches-of-100", 1, 100, nil},
		{"8-publishers", 8, 1, nil},
		{"group", 1, 1, []event.SubscribeOption{event.Group("g")}},
	} {
		b.Run(shape.name, func(b *testing.B) {
			ours, stop := memory(b, shape.publishers, shape.batch, shape.opts)
			defer stop()
			theirs, stop := goChannel(b, shape.publishers, shape.batch)
			defer stop()
			compare(b, contender{"ours", 96_000, ours}, contender{"gochannel", 32_000, theirs})
		})
	}
}

// publishers shares n records among goroutines.
func publishers(goroutines, n int, publish func(n int)) {
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() { publish(n / goroutines) })
	}
	wg.Wait()
}

func memory(b *testing.B, by, batch int, opts []event.SubscribeOption) (func(b *testing.B, n int) time.Duration, func()) {
	ctx := context.Background()
	s := must(event.New())(b)
	done := make(chan struct{})
	seen, want := 0, 0
	must(s.Subscribe(ctx, func(context.Context, *event.Record) error {
		if seen++; seen == want {
			done <- struct{}{}
		}
		return nil
	}, opts...))(b)
	return func(_ *testing.B, n int) time.Duration {
		seen, want = 0, n
		start := time.Now()
		publishers(by, n, func(n int) {
			rs := make([]*event.Record, batch)
			for range n / batch {
				for i := range rs {
					rs[i] = &event.Record{Type: "order.created", Data: payload}
				}
				s.Publish(ctx, rs...)
			}
		})
		<-done
		return time.Since(start)
	}, func() { s.Close(ctx) }
}

func goChannel(b *testing.B, by, batch int) (func(b *testing.B, n int) time.Duration, func()) {
	p := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1000}, watermill.NopLogger{})
	messages := must(p.Subscribe(context.Background(), "order.created"))(b)
	return func(_ *testing.B, n int) time.Duration {
		done := make(chan struct{})
		go func() {
			for range n {
				m := <-messages
				m.Ack()
			}
			close(done)
		}()
		start := time.Now()
		publishers(by, n, func(n int) {
			ms := make([]*message.Message, batch)
			for range n / batch {
				for i := range ms {
					ms[i] = message.NewMessage(watermill.NewUUID(), payload)
				}
				p.Publish("order.created", ms...)
			}
		})
		<-done
		return time.Since(start)
	}, func() { p.Close() }
}

func address(b *testing.B) string { return servertest.SharedRedis(b).Addr() }

// BenchmarkRedisPublish publishes in batches of 100, as Watermill's Publish takes several too.
func BenchmarkRedisPublish(b *testing.B) {
	ctx := context.Background()
	client := goredis.NewClient(&goredis.Options{Addr: address(b)})
	defer client.Close()
	s := must(event.New(redis.Backend(address(b)), event.WithNamespace("publish")))(b)
	defer s.Close(ctx)
	p := must(redisstream.NewPublisher(redisstream.PublisherConfig{Client: client}, watermill.NopLogger{}))(b)
	compare(b, contender{"ours", 20_000, func(b *testing.B, n int) time.Duration {
		rs := make([]*event.Record, 100)
		start := time.Now()
		for range n / 100 {
			for i := range rs {
				rs[i] = &event.Record{Type: "order.created", Data: payload}
			}
			if err := s.Publish(ctx, rs...); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}}, contender{"watermill", 10_000, func(b *testing.B, n int) time.Duration {
		ms := make([]*message.Message, 100)
		start := time.Now()
		for range n / 100 {
			for i := range ms {
				ms[i] = message.NewMessage(watermill.NewUUID(), payload)
			}
			if err := p.Publish("wm-publish", ms...); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}}, contender{"raw-pipeline", 20_000, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		for range n / 100 {
			client.Pipelined(ctx, func(c goredis.Pipeliner) error {
				for range 100 {
					c.XAdd(ctx, &goredis.XAddArgs{Stream: "raw-publish", Values: []any{"d", payload}})
				}
				return nil
			})
		}
		return time.Since(start)
	}})
}

// BenchmarkRedisConsume handles in a group what is there already.
func BenchmarkRedisConsume(b *testing.B) {
	ctx := context.Background()
	client := goredis.NewClient(&goredis.Options{Addr: address(b)})
	defer client.Close()
	round := 0
	compare(b, contender{"ours", 50_000, func(b *testing.B, n int) time.Duration {
		round++
		s := must(event.New(redis.Backend(address(b)), event.WithNamespace(fmt.Sprint("consume", round))))(b)
		defer s.Close(ctx)
		for range n / 100 {
			rs := make([]*event.Record, 100)
			for i := range rs {
				rs[i] = &event.Record{Type: "order.created", Data: payload}
			}
			s.Publish(ctx, rs...)
		}
		done := make(chan struct{})
		seen := 0
		start := time.Now()
		sub := must(s.Subscribe(ctx, func(context.Context, *event.Record) error {
			if seen++; seen == n {
				close(done)
			}
			return nil
		}, event.Group("g"), event.From(event.Beginning())))(b)
		<-done
		for {
			if lag, _ := sub.Lag(ctx); lag.Pending == 0 {
				break
			}
		}
		return time.Since(start)
	}}, contender{"watermill", 5_000, func(b *testing.B, n int) time.Duration {
		topic := fmt.Sprint("wm-consume", round)
		p := must(redisstream.NewPublisher(redisstream.PublisherConfig{Client: client}, watermill.NopLogger{}))(b)
		for range n {
			p.Publish(topic, message.NewMessage(watermill.NewUUID(), payload))
		}
		own := goredis.NewClient(&goredis.Options{Addr: address(b)}) // it closes its client
		sub := must(redisstream.NewSubscriber(redisstream.SubscriberConfig{Client: own, ConsumerGroup: "g", OldestId: "0"}, watermill.NopLogger{}))(b)
		defer sub.Close()
		start := time.Now()
		messages := must(sub.Subscribe(ctx, topic))(b)
		for range n {
			m := <-messages
			m.Ack()
		}
		return time.Since(start)
	}}, contender{"raw-batches", 50_000, func(b *testing.B, n int) time.Duration {
		stream := fmt.Sprint("raw-consume", round)
		for range n / 100 {
			client.Pipelined(ctx, func(c goredis.Pipeliner) error {
				for range 100 {
					c.XAdd(ctx, &goredis.XAddArgs{Stream: stream, Values: []any{"type", "order.created", "record", payload}})
				}
				return nil
			})
		}
		client.XGroupCreate(ctx, stream, "g", "0")
		start := time.Now()
		for seen := 0; seen < n; {
			got := must(client.XReadGroup(ctx, &goredis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{stream, ">"}, Count: 100}).Result())(b)
			ids := make([]string, 0, 100)
			for _, m := range got[0].Messages {
				ids = append(ids, m.ID)
			}
			client.XAck(ctx, stream, "g", ids...)
			seen += len(ids)
		}
		return time.Since(start)
	}})
}

// BenchmarkRedisLatency is the median time from Publish to the handler, of records that come alone.
func BenchmarkRedisLatency(b *testing.B) {
	ctx := context.Background()
	client := goredis.NewClient(&goredis.Options{Addr: address(b)})
	defer client.Close()
	median := func(ds []time.Duration) time.Duration { slices.Sort(ds); return ds[len(ds)/2] }
	const n = 2000
	s := must(event.New(redis.Backend(address(b)), event.WithNamespace("latency")))(b)
	defer s.Close(ctx)
	arrived := make(chan time.Time, 1)
	must(s.Subscribe(ctx, func(context.Context, *event.Record) error { arrived <- time.Now(); return nil }, event.Group("g")))(b)
	client.XGroupCreateMkStream(ctx, "raw-latency", "g", "$")
	var stop atomic.Bool
	rawArrived, ended := make(chan time.Time, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for !stop.Load() {
			got, err := client.XReadGroup(ctx, &goredis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"raw-latency", ">"}, Count: 100, Block: 200 * time.Millisecond}).Result()
			if err == nil {
				rawArrived <- time.Now()
				client.XAck(ctx, "raw-latency", "g", got[0].Messages[0].ID)
			}
		}
	}()
	var ours, raw []time.Duration
	for range n {
		start := time.Now()
		s.Publish(ctx, &event.Record{Type: "t", Data: payload})
		ours = append(ours, (<-arrived).Sub(start))
		start = time.Now()
		client.XAdd(ctx, &goredis.XAddArgs{Stream: "raw-latency", Values: []any{"type", "t", "record", payload}})
		raw = append(raw, (<-rawArrived).Sub(start))
	}
	stop.Store(true)
	<-ended
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(median(ours).Microseconds()), "ours-p50-us")
	b.ReportMetric(float64(median(raw).Microseconds()), "raw-p50-us")
	b.Logf("p50: ours %v, raw %v (%.2fx)", median(ours), median(raw), float64(median(ours))/float64(median(raw)))
}

// BenchmarkSQLiteAppend appends in batches of 100.
func BenchmarkSQLiteAppend(b *testing.B) {
	ctx := context.Background()
	s := must(event.New(sql.SQLite(filepath.Join(b.TempDir(), "ours.db"))))(b)
	defer s.Close(ctx)
	raw := must(dbsql.Open("sqlite", filepath.Join(b.TempDir(), "raw.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate"))(b)
	defer raw.Close()
	raw.SetMaxOpenConns(1)
	const columns = "seq, id, type, source, root, parent, subject, time, stored, size, metadata, content_type, data"
	for _, q := range []string{
		"CREATE TABLE events (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, source TEXT NOT NULL, root TEXT NOT NULL, parent TEXT NOT NULL, subject TEXT NOT NULL, time BIGINT NOT NULL, stored BIGINT NOT NULL, size BIGINT NOT NULL, metadata BLOB, content_type TEXT NOT NULL, data BLOB)",
		"CREATE INDEX events_id ON events (id)", "CREATE INDEX events_root ON events (root)",
	} {
		must(raw.Exec(q))(b)
	}
	insert := must(raw.Prepare("INSERT INTO events (" + columns + ") VALUES (?" + strings.Repeat(", ?", 12) + ")"))(b)
	seq := 0
	compare(b, contender{"ours", 20_000, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		for range n / 100 {
			rs := make([]*event.Record, 100)
			for i := range rs {
				rs[i] = &event.Record{Type: "order.created", Data: payload}
			}
			if err := s.Publish(ctx, rs...); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}}, contender{"raw-prepared", 20_000, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		for range n / 100 {
			tx := must(raw.Begin())(b)
			x := tx.Stmt(insert)
			for range 100 {
				seq++
				id := event.NewID()
				must(x.Exec(seq, id, "order.created", "", id, "", "", seq, seq, 300, nil, "", payload))(b)
			}
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}})
}

const rawColumns = "id, type, source, root, parent, subject, time, stored, size, metadata, content_type, data"

// rawTable is the table of the raw contenders, with the same indexes.
func rawTable(b *testing.B, db *dbsql.DB, seq, blob, id, root string) {
	for _, q := range []string{
		"DROP TABLE IF EXISTS raw_events",
		"CREATE TABLE raw_events (seq " + seq + ", id TEXT NOT NULL, type TEXT NOT NULL, source TEXT NOT NULL, root TEXT NOT NULL, parent TEXT NOT NULL, subject TEXT NOT NULL, time BIGINT NOT NULL, stored BIGINT NOT NULL, size BIGINT NOT NULL, metadata " + blob + ", content_type TEXT NOT NULL, data " + blob + ")",
		"CREATE INDEX raw_id ON raw_events (" + id + ")", "CREATE INDEX raw_root ON raw_events (" + root + ")",
	} {
		must(db.Exec(q))(b)
	}
}

// appendAlone compares one record at a time with one prepared INSERT, each a
// transaction of its own.
func appendAlone(b *testing.B, s event.Stream, insert *dbsql.Stmt, n int) {
	ctx := context.Background()
	compare(b, contender{"ours", n, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		for range n {
			if err := s.Publish(ctx, &event.Record{Type: "order.created", Data: payload}); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}}, contender{"raw-insert", n, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		for range n {
			id, now := event.NewID(), time.Now()
			must(insert.ExecContext(ctx, id, "order.created", "", id, "", "", now.UnixNano(), now.UnixMilli(), 300, []byte(nil), "", payload))(b)
		}
		return time.Since(start)
	}})
}

func BenchmarkSQLiteAppendAlone(b *testing.B) {
	s := must(event.New(sql.SQLite(filepath.Join(b.TempDir(), "ours.db"))))(b)
	defer s.Close(context.Background())
	raw := must(dbsql.Open("sqlite", filepath.Join(b.TempDir(), "raw.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate"))(b)
	defer raw.Close()
	raw.SetMaxOpenConns(1)
	rawTable(b, raw, "INTEGER PRIMARY KEY", "BLOB", "id", "root")
	appendAlone(b, s, must(raw.Prepare("INSERT INTO raw_events ("+rawColumns+") VALUES (?"+strings.Repeat(", ?", 11)+")"))(b), 3_000)
}

func BenchmarkPostgresAppendAlone(b *testing.B) {
	dsn := servertest.SharedPostgres(b).DSN()
	s := must(event.New(sql.Postgres(dsn)))(b)
	defer s.Close(context.Background())
	raw := must(dbsql.Open("pgx", dsn))(b)
	defer raw.Close()
	raw.SetMaxOpenConns(1)
	rawTable(b, raw, "BIGSERIAL PRIMARY KEY", "BYTEA", "left(id, 255)", "left(root, 255)")
	appendAlone(b, s, must(raw.Prepare("INSERT INTO raw_events ("+rawColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"))(b), 2_000)
}
