package rabbitmq_test

import (
	"context"
	"fmt"
	"io"
	"net"
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
	slow, err := event.New(rabbitmq.On(e), event.WithNamespace(ns))
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
	case <-time.After(40 * time.Second):
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
		servertest.RabbitCtl(t, server, "eval", fmt.Sprintf("application:set_env(rabbit, consumer_timeout, %d), application:set_env(rabbit, channel_tick_interval, %d).", timeout, tick))
	}
	limits(1500, 500)
	defer limits(1800000, 60000)
	s := open(t, server.DSN(), event.WithNamespace(servertest.Namespace(t)))
	var mu sync.Mutex
	seen := map[string]bool{}
	var slow atomic.Bool
	slow.Store(true)
	hold := make(chan struct{})
	sub, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
		if slow.Load() {
			<-time.After(20 * time.Millisecond)
		}
		if r.Subject == "held" {
			<-hold
		}
		mu.Lock()
		defer mu.Unlock()
		seen[r.ID] = true
		return nil
	}, event.Group("g"), event.Ordered(event.BySubject), event.MaxAttempts(3))
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
	limits(1800000, 60000)
	slow.Store(false)
	defer close(hold)
	publish := func(subject string) {
		t.Helper()
		for i := range rs {
			rs[i] = &event.Record{Type: "t", Subject: subject}
		}
		if err := s.Publish(t.Context(), rs...); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 6 {
		publish("quick")
		for end, all := time.Now().Add(60*time.Second), records*(round+2); ; {
			mu.Lock()
			n := len(seen)
			mu.Unlock()
			if n == all {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d of %d records are handled, %+v", n, all, sub.Stats())
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	publish("held")
	for end := time.Now().Add(20 * time.Second); sub.Stats().Held < records; {
		if time.Now().After(end) {
			t.Fatalf("the member holds %d of %d records, and was quick for a while", sub.Stats().Held, records)
		}
		<-time.After(5 * time.Millisecond)
	}
}
