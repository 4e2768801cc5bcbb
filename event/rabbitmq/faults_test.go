package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	engines "github.com/micro/go-platform/engine"
	engine "github.com/micro/go-platform/engine/rabbitmq"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/links"
	"github.com/micro/go-platform/event/rabbitmq"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	amqp "github.com/rabbitmq/amqp091-go"
)

func TestBadConfigurationIsAnErrorOfNew(t *testing.T) {
	for name, opts := range map[string][]event.Option{
		"empty": {rabbitmq.Backend("")}, "scheme": {rabbitmq.Backend("http://u:s3cret@h")}, "parameters": {rabbitmq.Backend("amqp://u:s3cret@h/?heartbeat=0")},
		"user alone": {rabbitmq.Backend("amqp://u@h")}, "nil engine": {rabbitmq.On(nil)}, "nil option": {rabbitmq.Backend("h", nil)},
		"replicas": {rabbitmq.Backend("h", rabbitmq.WithReplicas(0))}, "age": {rabbitmq.Backend("h", rabbitmq.WithMaxAge(time.Millisecond))},
		"bytes": {rabbitmq.Backend("h", rabbitmq.WithMaxBytes(0))},
	} {
		_, err := event.New(opts...)
		if !errors.Is(err, event.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want ErrInvalid without the password", name, err)
		}
	}
	_, err := event.New(rabbitmq.Backend("amqp://u:s3cret@127.0.0.1:1"))
	if !errors.Is(err, event.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("no server: got %v, want ErrUnavailable that names the address", err)
	}
	// What can't be honest is refused before anything is sent.
	_, err = event.New(rabbitmq.Backend("127.0.0.1:1"), event.WithRetention(event.Retention{Count: 1}), event.WithLazy())
	if !errors.Is(err, event.ErrUnsupported) {
		t.Errorf("retention: got %v, want ErrUnsupported", err)
	}
}

func TestUsersAndHosts(t *testing.T) {
	ofEngine := map[error]error{event.ErrDenied: engines.ErrDenied, event.ErrUnavailable: engines.ErrUnavailable} // what Ping says
	addr := servertest.SharedRabbitMQ(t).Addr()
	for name, c := range map[string]struct {
		addr string
		opts []engine.Option
		want error
	}{
		"guest":            {addr, nil, nil},
		"user":             {"amqp://guest:guest@" + addr, nil, nil},
		"user and host":    {"amqp://guest:guest@" + addr + "/team", nil, nil},
		"of the options":   {"amqp://eve:wrong@" + addr + "/team", []engine.Option{engine.WithAuth("guest", "guest")}, nil},
		"several":          {"127.0.0.1:1," + addr, nil, nil},
		"wrong password":   {"amqp://guest:wr0ng@" + addr, nil, event.ErrDenied},
		"nobody":           {"amqp://eve:wr0ng@" + addr, nil, event.ErrDenied},
		"no such host":     {"amqp://guest:guest@" + addr + "/none", nil, event.ErrDenied},
		"host of others":   {"amqp://stranger:stranger@" + addr + "/team", nil, event.ErrDenied},
		"TLS on clear":     {"amqps://guest:guest@" + addr, nil, event.ErrUnavailable},
		"options too late": {"amqp://guest:guest@" + addr, []engine.Option{engine.WithAuth("guest", "wr0ng")}, event.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) { // together: the server takes its time to refuse somebody
			t.Parallel()
			e, err := engine.Open(c.addr, c.opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			opts := []event.Option{rabbitmq.On(e), event.WithNamespace(servertest.Namespace(t))}
			if c.want == nil {
				opts = patient(opts...)
			}
			s, err := event.New(opts...)
			if !errors.Is(err, c.want) || c.want == event.ErrDenied && errors.Is(err, event.ErrUnavailable) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("the error shows the password: %v", err)
			}
			if err == nil {
				if err := s.Publish(t.Context(), &event.Record{Type: "t"}); err != nil {
					t.Errorf("publish: %v", err)
				}
				s.Close(t.Context())
			}
			if err := e.Ping(t.Context()); !errors.Is(err, ofEngine[c.want]) { // it is still open
				t.Errorf("ping after the stream was closed: %v, want %v", err, ofEngine[c.want])
			}
		})
	}
}

func TestAUserWithoutRightsIsDenied(t *testing.T) {
	s, err := event.New(patient(rabbitmq.Backend("amqp://stranger:stranger@"+servertest.SharedRabbitMQ(t).Addr()), event.WithNamespace(servertest.Namespace(t)))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	if err := s.Publish(t.Context(), &event.Record{Type: "t"}); !errors.Is(err, event.ErrDenied) || errors.Is(err, event.ErrUnavailable) {
		t.Errorf("publish: got %v, want ErrDenied", err)
	}
	_, err = s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.Group("g"))
	if !errors.Is(err, event.ErrDenied) {
		t.Errorf("subscribe: got %v, want ErrDenied", err)
	}
}

func TestTLS(t *testing.T) {
	certs := servertest.NewCerts(t)
	addr := servertest.RabbitMQ(t, servertest.WithTLS(certs)).Addr()
	stranger := certs.Client.Clone()
	stranger.Certificates = nil
	for name, c := range map[string]struct {
		addr string
		opts []engine.Option
		well bool
	}{
		"with it":                  {"amqps://" + addr, []engine.Option{engine.WithTLS(certs.Client)}, true},
		"the option decides":       {addr, []engine.Option{engine.WithTLS(certs.Client)}, true},
		"in clear":                 {addr, nil, false},
		"an authority of nobody's": {"amqps://" + addr, nil, false},
		"without a certificate":    {addr, []engine.Option{engine.WithTLS(stranger)}, false},
	} {
		e, err := engine.Open(c.addr, c.opts...)
		if err != nil {
			t.Fatal(err)
		}
		err = e.Ping(t.Context())
		for until := time.Now().Add(time.Minute); c.well && err != nil && time.Now().Before(until); { // a handshake on a busy machine
			err = e.Ping(t.Context())
		}
		if c.well && err != nil || !c.well && !errors.Is(err, engines.ErrUnavailable) {
			t.Errorf("%s: got %v, want it to be well: %v", name, err, c.well)
		}
		if name == "in clear" && !strings.Contains(fmt.Sprint(err), "TLS") {
			t.Errorf("in clear: error %v does not speak of TLS", err)
		}
		e.Close()
	}
}

// patient are options for a machine that is busy with other things.
func patient(opts ...event.Option) []event.Option {
	return append([]event.Option{event.WithDialTimeout(time.Minute), event.WithTimeout(time.Minute)}, opts...)
}

func open(t *testing.T, addr string, opts ...event.Option) event.Stream {
	t.Helper()
	s, err := event.New(patient(append(opts, rabbitmq.Backend(addr))...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func proxied(t *testing.T) (*netfault.Proxy, event.Stream) {
	t.Helper()
	p := netfault.New(t, servertest.SharedRabbitMQ(t).Addr())
	s, err := event.New(rabbitmq.Backend(p.Addr()), event.WithNamespace(servertest.Namespace(t)), event.WithDialTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return p, s
}

func TestDataIsTheCallersAgain(t *testing.T) {
	leak.Check(t)
	p := netfault.New(t, servertest.SharedRabbitMQ(t).Addr())
	s, err := event.New(rabbitmq.Backend(p.Addr()), event.WithNamespace(servertest.Namespace(t)), event.WithMaxBytes(14<<20), event.WithDialTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	links.Own(t, p, s, 14<<20, func() { p.Hold(netfault.Requests) }) // more than the connection takes at once
}

func TestIdleSubscriptionsCostLittle(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Idle(t, p, s, 60)
}

func TestNothingIsMissedOverABadLink(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Cut(t, p, s)
}

// An alarm of the server holds publishers up, until their deadline, and no consumers.
func TestAlarm(t *testing.T) {
	leak.Check(t)
	server := servertest.SharedRabbitMQ(t) // no test runs beside this one
	s := open(t, server.DSN(), event.WithNamespace(servertest.Namespace(t)))
	got := make(chan string, 100)
	if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { got <- r.ID; return nil }, event.Group("g")); err != nil {
		t.Fatal(err)
	}
	servertest.RabbitEval(t, server, "vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1}).")
	n, refused := 0, false
	for end := time.Now().Add(60 * time.Second); !refused && time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		began := time.Now()
		err := s.Publish(ctx, &event.Record{ID: fmt.Sprint("r", n), Type: "t"})
		cancel()
		if d := time.Since(began); d > 30*time.Second {
			t.Fatalf("a publish took %v", d)
		}
		refused = errors.Is(err, event.ErrUnavailable)
		n++
	}
	if !refused {
		t.Fatal("no publish was ErrUnavailable while the server had an alarm")
	}
	servertest.RabbitEval(t, server, "vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1 bsl 30}).")
	links.Publish(t, s, "after")
	for id := range got {
		if id == "after" {
			break
		}
	}
}

// What somebody deletes is made again, also while nobody looks. A group is handed
// what the new stream has, whose positions begin again, and nothing of it twice.
func TestDeletedQueuesAreMadeAgain(t *testing.T) {
	leak.Check(t)
	server := servertest.SharedRabbitMQ(t)
	ns := servertest.Namespace(t)
	got := make(chan string, 1000)
	begin := func() event.Stream {
		s := open(t, server.DSN(), event.WithNamespace(ns))
		if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { got <- r.ID; return nil }, event.Group("g")); err != nil {
			t.Fatal(err)
		}
		return s
	}
	next := func() string {
		t.Helper()
		select {
		case id := <-got:
			return id
		case <-time.After(60 * time.Second):
			t.Fatal("the group was handed nothing for a minute")
			return ""
		}
	}
	expect := func(s event.Stream, ids ...string) {
		t.Helper()
		for _, id := range ids {
			links.Publish(t, s, id)
		}
		for _, want := range ids {
			if id := next(); id != want {
				t.Fatalf("the group was handed %q, want %q", id, want)
			}
		}
	}
	end := func(s event.Stream) {
		t.Helper()
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	count := func(s event.Stream) (n int) {
		t.Helper()
		for _, err := range s.Query(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	c, ch := raw(t, server)
	defer c.Close()
	remove := func() {
		t.Helper()
		if _, err := ch.QueueDelete("events/"+ns, false, false, false); err != nil {
			t.Fatal(err)
		}
	}
	s := begin()
	alone := links.Follow(t, s)
	expect(s, "first", "second", "third")
	remove()
	for until := time.Now().Add(60 * time.Second); ; {
		err := s.Publish(t.Context(), &event.Record{Type: "t", ID: "again"})
		if err == nil {
			break
		}
		if !errors.Is(err, event.ErrUnavailable) || time.Now().After(until) {
			t.Fatalf("publish into a stream that was deleted: %v, want ErrUnavailable and then success", err)
		}
	}
	n := count(s)
	if n != 1 {
		t.Errorf("the new stream has %d records, want the one that was published", n)
	}
	if id := next(); id != "again" {
		t.Fatalf("the group was handed %q, want what the new stream has", id)
	}
	expect(s, "fifth", "sixth")
	last := alone()
	for next() != last {
	}
	n = count(s)
	end(s)

	s = begin() // the stream is the same: nothing comes twice
	expect(s, "seventh")
	end(s)

	remove()
	s = open(t, server.DSN(), event.WithNamespace(ns))
	var ids []string
	for i := range n + 1 { // as many as there were: the position says nothing
		ids = append(ids, fmt.Sprint("new", i))
		links.Publish(t, s, ids[i])
	}
	s = begin()
	for _, want := range ids {
		if id := next(); id != want {
			t.Fatalf("the group was handed %q, want %q", id, want)
		}
	}
	expect(s, "newest")
}

func raw(t *testing.T, server *servertest.Server) (*amqp.Connection, *amqp.Channel) {
	t.Helper()
	c, err := amqp.Dial(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return c, ch
}
