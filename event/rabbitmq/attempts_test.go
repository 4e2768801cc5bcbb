package rabbitmq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// A member takes more records at a time or fewer as its handlers get quicker or slower.
// What was on its way to it meanwhile counted as handed out before.
func TestAChangeOfPaceCountsNoAttempts(t *testing.T) {
	leak.Check(t)
	const groups, records = 5, 300
	s := open(t, servertest.SharedRabbitMQ(t).DSN(), event.WithNamespace(servertest.Namespace(t)))
	var handled, again atomic.Int64
	for g := range groups {
		n := 0
		if _, err := s.Subscribe(t.Context(), func(ctx context.Context, _ *event.Record) error {
			if d, _ := event.DeliveryFromContext(ctx); d.Attempt != 1 {
				again.Add(1)
			}
			n++
			if n%20 == 19 {
				<-time.After(60 * time.Millisecond)
			}
			handled.Add(1)
			return nil
		}, event.Group(fmt.Sprint("g", g))); err != nil {
			t.Fatal(err)
		}
	}
	for range records {
		if err := s.Publish(t.Context(), &event.Record{Type: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(60 * time.Second); handled.Load() < groups*records; {
		if time.Now().After(end) {
			t.Fatalf("%d of %d records are handled", handled.Load(), groups*records)
		}
		<-time.After(5 * time.Millisecond)
	}
	if n := again.Load(); n > 0 {
		t.Errorf("%d of %d records were handed out before, says the server", n, groups*records)
	}
}

// What a member of a group gives back when it closes, it says to the server: RabbitMQ 4.3
// counts what it has when its channel ends as failed, and this not. An ordered group's
// goes back with the channel, for the sake of its order.
func TestWhatIsGivenBackIsSaidSo(t *testing.T) {
	nack := []byte{0, 60, 0, 120, 0, 0, 0, 0, 0, 0, 0, 0, 3} // of all, and again
	for name, c := range map[string]struct {
		opts []event.SubscribeOption
		want bool
	}{
		"shared":  {[]event.SubscribeOption{event.Group("g")}, true},
		"ordered": {[]event.SubscribeOption{event.Group("g"), event.Ordered(event.BySubject)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			var said atomic.Bool
			addr := overheard(t, servertest.SharedRabbitMQ(t).Addr(), func(b []byte) {
				if bytes.Contains(b, nack) {
					said.Store(true)
				}
			})
			s := open(t, addr, event.WithNamespace(servertest.Namespace(t)))
			const records = 100
			handling, gate := make(chan struct{}, records), make(chan struct{})
			var handled atomic.Int64
			sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error {
				handling <- struct{}{}
				<-gate
				handled.Add(1)
				return nil
			}, c.opts...)
			if err != nil {
				t.Fatal(err)
			}
			var rs []*event.Record
			for range records {
				rs = append(rs, &event.Record{Type: "t", Subject: "a"})
			}
			if err := s.Publish(t.Context(), rs...); err != nil {
				t.Fatal(err)
			}
			<-handling
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := sub.Close(ended); !errors.Is(err, event.ErrTimeout) { // from here on no other handler begins
				t.Fatalf("Close that does not wait: %v, want ErrTimeout", err)
			}
			close(gate)
			if err := sub.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if said.Load() != c.want {
				t.Errorf("a nack of all was sent: %v, want %v", said.Load(), c.want)
			}
			var left atomic.Int64
			if _, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { left.Add(1); return nil }, c.opts...); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(60 * time.Second); left.Load() < records-handled.Load(); {
				if time.Now().After(end) {
					t.Fatalf("%d records were handed out again, want %d", left.Load(), records-handled.Load())
				}
				<-time.After(5 * time.Millisecond)
			}
		})
	}
}

// overheard is the address of a server to whose clients somebody listens.
func overheard(t *testing.T, addr string, hear func([]byte)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var links sync.WaitGroup
	links.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", addr)
			if err != nil {
				client.Close()
				continue
			}
			stop := func() { client.Close(); server.Close() }
			links.Go(func() { io.Copy(client, server); stop() })
			links.Go(func() { io.Copy(io.MultiWriter(server, listener(hear)), client); stop() })
		}
	})
	t.Cleanup(func() { l.Close(); links.Wait() })
	return l.Addr().String()
}

type listener func([]byte)

func (l listener) Write(b []byte) (int, error) { l(b); return len(b), nil }
