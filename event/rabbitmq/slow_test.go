package rabbitmq_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/rabbitmq"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/rabbitmq"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// uphill is the address of a server to which bytes go slowly, and from which they come
// as fast as ever: as of a queue that takes its time to store what it is sent.
func uphill(t *testing.T, addr string, bytesPerSecond int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	ctx, end := context.WithCancel(context.Background())
	link := func(client net.Conn) {
		server, err := net.Dial("tcp", addr)
		if err != nil {
			client.Close()
			return
		}
		stop := func() { client.Close(); server.Close() }
		defer context.AfterFunc(ctx, stop)()
		open.Go(func() {
			io.Copy(client, server)
			stop()
		})
		buf := make([]byte, 2048)
		for {
			n, err := client.Read(buf)
			if err != nil {
				break
			}
			select {
			case <-time.After(time.Duration(n) * time.Second / time.Duration(bytesPerSecond)):
			case <-ctx.Done():
			}
			if _, err := server.Write(buf[:n]); err != nil {
				break
			}
		}
		stop()
	}
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { link(c) })
		}
	})
	t.Cleanup(func() { end(); l.Close(); open.Wait() })
	return l.Addr().String()
}

// A group whose queue stores slowly gets what is published, though as many records as
// are copied at once take longer than a server has to answer.
func TestASlowQueueIsFed(t *testing.T) {
	leak.Check(t)
	const records = 560
	ns := servertest.Namespace(t)
	server := servertest.SharedRabbitMQ(t)
	s := open(t, server.DSN(), event.WithNamespace(ns))
	sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.Group("g")) // makes the group
	if err == nil {
		err = sub.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	rs := make([]*event.Record, records)
	for i := range rs {
		rs[i] = &event.Record{ID: fmt.Sprint(i), Type: "t", Data: make([]byte, 1000)}
	}
	if err := s.Publish(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(uphill(t, server.Addr(), 500_000), engine.WithTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	slow, err := event.New(rabbitmq.On(e), event.WithNamespace(ns), event.WithDialTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close(context.Background())
	var mu sync.Mutex
	seen := map[string]bool{}
	all := make(chan struct{})
	if _, err := slow.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
		mu.Lock()
		defer mu.Unlock()
		seen[r.ID] = true
		if len(seen) == records {
			select {
			case <-all:
			default:
				close(all)
			}
		}
		return nil
	}, event.Group("g")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-all:
	case <-time.After(60 * time.Second):
		mu.Lock()
		defer mu.Unlock()
		t.Fatalf("%d of %d records are handled", len(seen), records)
	}
}

// Handlers that do not get through what an ordered member has within the server's
// consumer_timeout: the server hands all of it out again and counts that. The member
// takes less then, so that nothing is a dead letter that was not tried. When it gets on
// again it takes as much as before.
func TestSlowOrderedMemberTakesLess(t *testing.T) {
	leak.Check(t)
	const records = 400
	server := servertest.SharedRabbitMQ(t) // no test runs beside this one
	limits := func(timeout, tick int) {
		servertest.RabbitEval(t, server, fmt.Sprintf("application:set_env(rabbit, consumer_timeout, %d), application:set_env(rabbit, channel_tick_interval, %d).", timeout, tick))
	}
	limits(1500, 500)
	defer limits(1800000, 60000)
	var log warnings
	s := open(t, server.DSN(), event.WithNamespace(servertest.Namespace(t)), event.WithLogger(slog.New(&log)))
	again := make(chan struct{})
	comesAgain := sync.OnceFunc(func() { close(again) })
	shared, err := s.Subscribe(t.Context(), func(ctx context.Context, _ *event.Record) error {
		if d, _ := event.DeliveryFromContext(ctx); d.Attempt == 2 {
			comesAgain()
		}
		<-again
		return nil
	}, event.Group("shared"), event.Types("s"), event.Concurrency(2))
	if err == nil {
		err = s.Publish(t.Context(), &event.Record{Type: "s"})
	}
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	var slow atomic.Bool
	slow.Store(true)
	hold := make(chan struct{})
	sub, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
		if slow.Load() {
			<-time.After(20 * time.Millisecond)
		}
		mu.Lock()
		held := hold
		mu.Unlock()
		if r.Subject == "held" {
			<-held
		}
		mu.Lock()
		defer mu.Unlock()
		seen[r.ID] = true
		return nil
	}, event.Group("g"), event.Types("t"), event.Ordered(event.BySubject), event.MaxAttempts(3))
	if err != nil {
		t.Fatal(err)
	}
	rs := make([]*event.Record, records)
	for i := range rs {
		rs[i] = &event.Record{ID: fmt.Sprint(i), Type: "t"}
	}
	if err := s.Publish(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(60 * time.Second); ; {
		mu.Lock()
		n := len(seen)
		mu.Unlock()
		st := sub.Stats()
		if n == records {
			if st.Redelivered == 0 {
				t.Error("nothing was handed out again: the server's limit was not met")
			}
			break
		}
		if st.Dead+st.Dropped > 0 || time.Now().After(end) {
			t.Fatalf("%d of %d records are handled, %+v", n, records, st)
		}
		<-time.After(20 * time.Millisecond)
	}
	select {
	case <-again: // the channel of this one was closed too
	case <-time.After(60 * time.Second):
		t.Errorf("the shared group was handed nothing again, %+v", shared.Stats())
		comesAgain()
	}
	if n := log.count("g"); n == 0 {
		t.Error("there is no warning that the ordered member takes less")
	}
	if n := log.count("shared"); n != 0 {
		t.Errorf("%d warnings about a shared group, which takes as much as before", n)
	}
	limits(1800000, 60000)
	slow.Store(false)
	all := records
	publish := func(subject string) {
		t.Helper()
		for i := range rs {
			rs[i] = &event.Record{Type: "t", Subject: subject}
		}
		if err := s.Publish(t.Context(), rs...); err != nil {
			t.Fatal(err)
		}
		all += records
	}
	handled := func() {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); ; {
			mu.Lock()
			n := len(seen)
			mu.Unlock()
			if n == all {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d of %d records are handled, %+v", n, all, sub.Stats())
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	for range 6 {
		publish("quick")
		handled()
	}
	// How much it takes shows only in what it holds. What it has then worked off counts.
	for end := time.Now().Add(60 * time.Second); ; {
		mu.Lock()
		hold = make(chan struct{})
		mu.Unlock()
		publish("held")
		for look := time.Now().Add(5 * time.Second); sub.Stats().Held < records && time.Now().Before(look); {
			<-time.After(5 * time.Millisecond)
		}
		n := sub.Stats().Held
		close(hold)
		if n >= records {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the member holds %d of %d records, and was quick for a while", n, records)
		}
		handled()
	}
}

// warnings counts those that say that a member takes less, by group.
type warnings struct {
	slog.Handler
	mu sync.Mutex
	of map[string]int
}

func (w *warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	if !strings.Contains(r.Message, "takes less") {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[string]int{}
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "group" {
			w.of[a.Value.String()]++
		}
		return true
	})
	return nil
}

func (w *warnings) count(group string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.of[group]
}
