package receivers

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/logstash"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/statsd"
)

// names is a name server whose one name, receiver.test, moves.
type names struct {
	mu sync.Mutex
	ip net.IP
}

func (n *names) set(ip string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ip = net.ParseIP(ip).To4()
}

// server is the address of the name server that this process asks.
var server atomic.Value

func TestMain(m *testing.M) {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.Load().(string))
	}}
	leak.Main(m)
}

// serve makes every look-up of this process go to a new name server.
func serve(t *testing.T, ip string) *names {
	n := &names{}
	n.set(ip)
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			size, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			c.WriteTo(n.answer(buf[:size]), from)
		}
	}()
	server.Store(c.LocalAddr().String())
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return n
}

// answer has one address for the question of an A record, none for others (RFC 1035).
func (n *names) answer(q []byte) []byte {
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	question := q[12 : end+5]
	a := append([]byte{}, q[:2]...)
	a = append(a, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	a = append(a, question...)
	if binary.BigEndian.Uint16(q[end+1:]) != 1 {
		return a
	}
	a[7] = 1
	n.mu.Lock()
	defer n.mu.Unlock()
	a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	return append(a, n.ip...)
}

// The receiver's name moves to another address: datagrams follow.
func TestStatsdFollowsAChangeOfDNS(t *testing.T) {
	first, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, port, _ := net.SplitHostPort(first.LocalAddr().String())
	second, err := net.ListenPacket("udp", "127.0.0.2:"+port)
	if err != nil {
		t.Skip("no second loopback address here: ", err)
	}
	defer second.Close()
	n := serve(t, "127.0.0.1")
	m := open(t, statsd.Backend("receiver.test:"+port, statsd.WithResolve(10*time.Millisecond)), metrics.WithInterval(20*time.Millisecond))
	m.Gauge("g").Set(1)
	buf := make([]byte, 100)
	for _, c := range []net.PacketConn{first, second} {
		c.SetReadDeadline(time.Now().Add(30 * time.Second))
		if size, _, err := c.ReadFrom(buf); err != nil || string(buf[:size]) != "g:1|g" {
			t.Fatalf("%s: %q, %v", c.LocalAddr(), buf[:size], err)
		}
		n.set("127.0.0.2")
	}
}

// The server's name moves and the old server goes: the next connection is to the new one.
func TestLogstashFollowsAChangeOfDNS(t *testing.T) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, port, _ := net.SplitHostPort(first.Addr().String())
	second, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skip("no second loopback address here: ", err)
	}
	defer second.Close()
	n := serve(t, "127.0.0.1")
	l, err := log.New(logstash.Backend("receiver.test:"+port), log.WithErrors(func(string, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(t.Context())
	for _, s := range []net.Listener{first, second} {
		arrived := make(chan struct{})
		var says sync.WaitGroup
		says.Go(func() {
			for l.Logger("").Error("to " + s.Addr().String()); s == second; l.Logger("").Error("to " + s.Addr().String()) {
				select { // again, until the first's end has come here: see log/logstash on what is lost otherwise
				case <-arrived:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
		_ = s.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
		c, err := s.Accept()
		close(arrived)
		says.Wait()
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.Contains(line, "to "+s.Addr().String()) {
			t.Fatalf("%q, %v", line, err)
		}
		n.set("127.0.0.2")
		c.Close()
	}
}
