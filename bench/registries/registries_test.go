package registries

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"serve": serve})
	log.SetOutput(io.Discard) // of the peers
	m.Run()
}

func BenchmarkEtcd(b *testing.B)   { beside(b, "etcd", servertest.Etcd) }
func BenchmarkConsul(b *testing.B) { beside(b, "consul", servertest.Consul) }
func BenchmarkRedis(b *testing.B) {
	beside(b, "redis", func(t testing.TB, o ...servertest.Option) *servertest.Server {
		return servertest.Redis(t, append(o, servertest.WithAOF())...)
	})
}

// beside runs the same for each toolkit on a registry of its own.
func beside(b *testing.B, registry string, start func(testing.TB, ...servertest.Option) *servertest.Server) {
	names := []string{"go-platform"}
	for name := range peers[registry] {
		if name != names[0] {
			names = append(names, name)
		}
	}
	slices.Sort(names[1:])
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s := &story{b: b, server: start(b), registry: registry, toolkit: name}
				s.run()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// story is what happens to one toolkit.
type story struct {
	b                 *testing.B
	server            *servertest.Server
	registry, toolkit string
	network           *netfault.Proxy
	seen              *watcher
	fleet             []*member
	started           int
}

// member is a running instance.
type member struct {
	*servertest.Process
	id, address string
}

const fleet = 6

func (s *story) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.network = netfault.New(s.b, s.server.Addr())
	offered, err := peers[s.registry][s.toolkit].follow(ctx, s.network.Addr())
	if err != nil {
		s.b.Fatal(err)
	}
	s.seen = watch(ctx, offered)
	defer func() {
		for _, m := range s.fleet {
			m.Kill()
		}
		s.server.Kill()
	}()

	var changes []float64
	for range fleet {
		m, began := s.start("")
		changes = append(changes, s.offers(m.address, began))
	}
	slices.Sort(changes)
	s.b.ReportMetric(changes[len(changes)/2], "change-ms")

	s.idle()

	dead := 0.0
	for range 3 {
		m := s.kill()
		dead = max(dead, s.gone(m.address, time.Now()))
		s.start("")
	}
	s.b.ReportMetric(dead, "dead-ms")

	s.settle()
	three := []*member{s.kill(), s.kill(), s.kill()}
	dead, began := 0, time.Now()
	for _, m := range three {
		dead = max(dead, s.gone(m.address, began))
	}
	s.b.ReportMetric(dead, "three-dead-ms")
	for range three {
		s.start("")
	}
	s.settle()

	m := s.kill()
	again, began := s.start(m.id) // elsewhere, under its id
	s.b.ReportMetric(s.offers(again.address, began), "restart-ms")
	s.gone(m.address, began)
	s.settle()

	s.lose("wipe", s.wipe)
	s.lose("outage", s.outage)
}

// start starts an instance, with a new id if it is "", and returns when it began
// to register.
func (s *story) start(id string) (*member, time.Time) {
	s.started++
	m := &member{id: cmp.Or(id, "instance-"+strconv.Itoa(s.started)), address: fmt.Sprintf("127.0.0.1:%d", 20000+s.started)}
	again := strconv.FormatBool(id != "")
	m.Process = servertest.Child(s.b, "serve", s.registry, s.toolkit, s.network.Addr(), m.id, m.address, again)
	began, err := strconv.ParseInt(m.Line(), 10, 64)
	if err != nil {
		s.b.Fatal(err)
	}
	s.fleet = append(s.fleet, m)
	return m, time.Unix(0, began)
}

// kill ends the oldest instance.
func (s *story) kill() *member {
	m := s.fleet[0]
	s.fleet = s.fleet[1:]
	m.Kill()
	return m
}

// longest bounds what is waited for; what takes longer is reported as that.
const longest = 4*ttl + 10*time.Second

// offers returns how long after began an address was offered, in milliseconds.
func (s *story) offers(address string, began time.Time) float64 {
	return s.until(began, func(all []string) bool { return slices.Contains(all, address) })
}

// gone returns how long after began an address was no longer offered.
func (s *story) gone(address string, began time.Time) float64 {
	return s.until(began, func(all []string) bool { return !slices.Contains(all, address) })
}

// settle waits until exactly the living are offered.
func (s *story) settle() {
	s.until(time.Now(), func(all []string) bool { return len(all) == len(s.fleet) && s.missing(all) == 0 })
}

func (s *story) missing(all []string) int {
	n := 0
	for _, m := range s.fleet {
		if !slices.Contains(all, m.address) {
			n++
		}
	}
	return n
}

func (s *story) until(began time.Time, ok func(all []string) bool) float64 {
	for !ok(s.seen.now()) {
		if time.Since(began) > longest {
			break
		}
		time.Sleep(look)
	}
	return float64(time.Since(began).Microseconds()) / 1000
}

// idle counts the requests while nothing happens.
func (s *story) idle() {
	const periods = 4
	before := s.network.Counts().Requests
	time.Sleep(periods * ttl)
	s.b.ReportMetric(float64(s.network.Counts().Requests-before)/(periods*ttl).Seconds(), "requests-idle")
}

// lose counts what the follower misses of the living while something happens to
// the registry, and after.
func (s *story) lose(what string, happens func()) {
	done := make(chan bool)
	go func() {
		defer close(done)
		happens()
		time.Sleep(longest)
	}()
	most, missed, last := 0, 0.0, time.Now()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(look):
		}
		n := s.missing(s.seen.now())
		most = max(most, n)
		missed += float64(n) * time.Since(last).Seconds()
		last = time.Now()
	}
	s.b.ReportMetric(float64(most), what+"-missing")
	s.b.ReportMetric(missed, what+"-missing-s")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	offered, err := peers[s.registry][s.toolkit].follow(ctx, s.network.Addr())
	if err != nil {
		s.b.Fatal(err)
	}
	fresh := watch(ctx, offered)
	time.Sleep(ttl)
	s.b.ReportMetric(float64(len(s.fleet)-s.missing(fresh.now())), what+"-registered")
	m, began := s.start("")
	s.b.ReportMetric(s.offers(m.address, began), what+"-change-ms")
}

func (s *story) wipe() {
	s.server.Kill()
	for _, name := range []string{"data", "appendonlydir"} {
		if err := os.RemoveAll(s.server.Dir() + "/" + name); err != nil {
			s.b.Error(err)
		}
	}
	s.server.Restart()
}

func (s *story) outage() {
	s.server.Kill()
	time.Sleep(2 * ttl)
	s.server.Restart()
}

// look is how often the follower is asked what it offers.
const look = 2 * time.Millisecond

// watcher asks the follower, in a goroutine of its own: that of a toolkit which
// asks the registry may be late.
type watcher struct {
	latest chan []string
}

func watch(ctx context.Context, offered func() []string) *watcher {
	w := &watcher{latest: make(chan []string, 1)}
	w.latest <- nil
	go func() {
		for ctx.Err() == nil {
			all := offered()
			<-w.latest
			w.latest <- all
			time.Sleep(look)
		}
	}()
	return w
}

func (w *watcher) now() []string {
	all := <-w.latest
	w.latest <- all
	return all
}
