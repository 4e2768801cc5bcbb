package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/dns"
	"github.com/micro/go-platform/internal/leak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { leak.Main(m) }

// server answers SRV questions from a map, over UDP.
type server struct {
	conn    net.PacketConn
	done    chan struct{}
	refuse  atomic.Bool
	asked   atomic.Int32
	mu      sync.Mutex
	records map[string][]dnsmessage.SRVResource
}

func newServer(t testing.TB) *server {
	s := start()
	t.Cleanup(s.stop)
	return s
}

func start() *server {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &server{conn: c, done: make(chan struct{}), records: map[string][]dnsmessage.SRVResource{}}
	go s.serve()
	return s
}

func (s *server) stop() { s.conn.Close(); <-s.done }

func (s *server) addr() string { return s.conn.LocalAddr().String() }

// set replaces the records of a name: "target:port/priority/weight".
func (s *server) set(name string, records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[name] = nil
	for _, r := range records {
		var srv dnsmessage.SRVResource
		target, rest, _ := strings.Cut(r, ":")
		if _, err := fmt.Sscanf(rest, "%d/%d/%d", &srv.Port, &srv.Priority, &srv.Weight); err != nil {
			panic(err)
		}
		srv.Target = dnsmessage.MustNewName(target + ".")
		s.records[name] = append(s.records[name], srv)
	}
}

func (s *server) serve() {
	defer close(s.done)
	buf := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var q dnsmessage.Message
		if q.Unpack(buf[:n]) != nil || len(q.Questions) != 1 {
			continue
		}
		question := q.Questions[0]
		a := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true, RecursionAvailable: true}, Questions: q.Questions}
		s.mu.Lock()
		records, known := s.records[strings.TrimSuffix(question.Name.String(), ".")]
		for _, r := range records {
			a.Answers = append(a.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 1}, Body: &r,
			})
		}
		s.mu.Unlock()
		if question.Type == dnsmessage.TypeSRV {
			s.asked.Add(1)
		}
		switch {
		case s.refuse.Load():
			a.RCode = dnsmessage.RCodeServerFailure
			a.Answers = nil
		case !known:
			a.RCode = dnsmessage.RCodeNameError
		}
		out, err := a.Pack()
		if err == nil {
			_, _ = s.conn.WriteTo(out, from)
		}
	}
}

func open(t *testing.T, s *server, opts ...discovery.Option) discovery.Discovery {
	t.Helper()
	d, err := discovery.New(append(opts, dns.Backend("example.org", dns.WithServer(s.addr()), dns.WithPoll(time.Second)), discovery.WithNamespace("shop"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func await(t *testing.T, d discovery.Discovery, want string, state discovery.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := ""
	for s, err := range d.Watch(ctx, "greeter") {
		if err != nil {
			break
		}
		got = s.State.String()
		for _, in := range s.Instances {
			got += fmt.Sprintf(" %s*%d", in.Address, in.Weight)
		}
		if got == strings.TrimSpace(state.String()+" "+want) {
			return
		}
	}
	t.Fatalf("got %q, want %v %q", got, state, want)
}

func TestRecordsAreInstances(t *testing.T) {
	s := newServer(t)
	s.set("_greeter._tcp.example.org", "b.example.org:81/1/0", "a.example.org:80/1/7", "a.example.org:80/1/7", "backup.example.org:80/2/1")
	d := open(t, s)
	await(t, d, "a.example.org:80*7 b.example.org:81*1", discovery.Live)
	s.set("_greeter._tcp.example.org", "backup.example.org:80/2/1")
	await(t, d, "backup.example.org:80*1", discovery.Live)
	s.set("_greeter._tcp.example.org")
	await(t, d, "", discovery.Live)
	if _, err := d.Register(t.Context(), discovery.Instance{Service: "s", Address: "h:1"}); !errors.Is(err, discovery.ErrUnsupported) {
		t.Errorf("register: %v", err)
	}
	if _, err := d.Services(t.Context()); !errors.Is(err, discovery.ErrUnsupported) {
		t.Errorf("services: %v", err)
	}
	if got, err := d.Get(t.Context(), "unknown"); err != nil || len(got.Instances) != 0 {
		t.Errorf("a name that isn't there: %v, %v", got, err)
	}
}

func TestAServerThatFailsLeavesStaleRecords(t *testing.T) {
	s := newServer(t)
	s.set("_greeter._tcp.example.org", "a.example.org:80/1/1")
	d := open(t, s, discovery.WithRetry(10*time.Millisecond, 100*time.Millisecond))
	await(t, d, "a.example.org:80*1", discovery.Live)
	s.refuse.Store(true)
	await(t, d, "a.example.org:80*1", discovery.Stale)
	s.refuse.Store(false)
	await(t, d, "a.example.org:80*1", discovery.Live)
}

func TestAnIdleWatchAsksOnceAPeriod(t *testing.T) {
	s := newServer(t)
	s.set("_greeter._tcp.example.org", "a.example.org:80/1/1")
	d := open(t, s)
	await(t, d, "a.example.org:80*1", discovery.Live)
	began, before := time.Now(), s.asked.Load()
	for range 3 {
		if _, err := d.Get(t.Context(), "greeter"); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
	}
	// Periods of 0.8 to 1 s.
	if n, most := s.asked.Load()-before, int32(time.Since(began)/(800*time.Millisecond))+1; n > most {
		t.Errorf("asked %d times in %v, want at most %d", n, time.Since(began), most)
	}
}

func TestBadArguments(t *testing.T) {
	for what, c := range map[string]struct {
		o    discovery.Option
		want string // in the error
	}{
		"no domain":   {dns.Backend(""), `domain ""`},
		"a URL":       {dns.Backend("http://example.org"), `domain "http:`},
		"two words":   {dns.Backend("example org"), `domain "example`},
		"a poll":      {dns.Backend("example.org", dns.WithPoll(time.Second-1)), "poll period"},
		"a server":    {dns.Backend("example.org", dns.WithServer("http://x")), "http"},
		"no resolver": {dns.Backend("example.org", dns.WithResolver(nil)), "nil resolver"},
		"no name":     {dns.Backend("example.org", dns.WithName(nil)), "nil name function"},
		"nil":         {dns.Backend("example.org", nil), "option 1 is nil"},
	} {
		if _, err := discovery.New(c.o); !errors.Is(err, discovery.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrInvalid with %q", what, err, c.want)
		}
	}
	if _, err := discovery.New(dns.Backend("example.org", dns.WithServer("127.0.0.1:1")), discovery.WithDialTimeout(time.Second)); !errors.Is(err, discovery.ErrUnavailable) {
		t.Errorf("no server: %v, want ErrUnavailable", err)
	}
}

func ExampleBackend() {
	s := start()
	defer s.stop()
	s.set("greeter.service.consul", "node1.consul:8080/1/1")
	d, err := discovery.New(dns.Backend("consul", dns.WithServer(s.addr()),
		dns.WithName(func(service string) string { return service + ".service.consul" })))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	got, err := d.Get(context.Background(), "greeter")
	fmt.Println(got.Instances[0].Address, err)
	// Output: node1.consul:8080 <nil>
}
