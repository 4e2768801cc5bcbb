package load

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kratos/kratos/v3/registry"
	"github.com/go-kratos/kratos/v3/selector"
	"github.com/go-kratos/kratos/v3/selector/p2c"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/router"
)

// rule chooses the server of a call, and hears how the call went.
type rule func() (addr string, done func(took time.Duration, err error))

// ours is the router of this project, with its defaults.
func ours(b *testing.B, addrs []string) rule {
	d, err := discovery.New(static.Backend(static.Addresses("greeter", addrs...)...))
	if err != nil {
		b.Fatal(err)
	}
	r, err := router.New(router.WithDiscovery(d))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close(context.Background()); d.Close() })
	return func() (string, func(time.Duration, error)) {
		p, err := r.Pick(context.Background(), "greeter")
		if err != nil {
			b.Error(err)
			return addrs[0], func(time.Duration, error) {}
		}
		return p.Instance.Address, func(took time.Duration, err error) {
			o := router.Outcome{Latency: took}
			if err != nil {
				o.Class = router.Timeout
			}
			p.Done(o)
		}
	}
}

func roundRobin(_ *testing.B, addrs []string) rule {
	var n atomic.Uint64
	return func() (string, func(time.Duration, error)) {
		return addrs[n.Add(1)%uint64(len(addrs))], func(time.Duration, error) {}
	}
}

// kratos is its own code.
func kratos(b *testing.B, addrs []string) rule {
	var all []selector.Node
	for _, a := range addrs {
		all = append(all, selector.NewNode("http", a, &registry.ServiceInstance{Name: "greeter"}))
	}
	s := p2c.New()
	s.Apply(all)
	return func() (string, func(time.Duration, error)) {
		n, done, err := s.Select(context.Background())
		if err != nil {
			b.Error(err)
			return addrs[0], func(time.Duration, error) {}
		}
		return n.Address(), func(_ time.Duration, err error) { done(context.Background(), selector.DoneInfo{Err: err}) }
	}
}

// twoChoices are models of rules that compare two servers by calls in flight,
// times a peak average of the latency if tau is not 0, as published: gRPC's
// least request, and Finagle's peak EWMA.
func twoChoices(tau time.Duration) func(*testing.B, []string) rule {
	return func(_ *testing.B, addrs []string) rule {
		type node struct {
			inFlight, peak float64
			at             time.Time
		}
		var mu sync.Mutex
		nodes := make([]node, len(addrs))
		cost := func(n *node) float64 {
			if tau == 0 {
				return n.inFlight
			}
			return (n.inFlight + 1) * n.peak
		}
		return func() (string, func(time.Duration, error)) {
			mu.Lock()
			defer mu.Unlock()
			i, j := rand.IntN(len(nodes)), rand.IntN(len(nodes)-1)
			if j >= i {
				j++
			}
			if cost(&nodes[j]) < cost(&nodes[i]) {
				i = j
			}
			n := &nodes[i]
			n.inFlight++
			return addrs[i], func(took time.Duration, _ error) {
				mu.Lock()
				defer mu.Unlock()
				n.inFlight--
				now, lag := time.Now(), took.Seconds()
				if w := math.Exp(-now.Sub(n.at).Seconds() / max(tau.Seconds(), 1e-9)); lag < n.peak {
					lag = n.peak*w + lag*(1-w)
				}
				n.peak, n.at = lag, now
			}
		}
	}
}

// comparison is how calls went.
type comparison struct {
	p50, p99       time.Duration
	hottest, least float64 // of the servers that are well, in their mean
	calls, failed  int
}

const clients = 3

// compare puts open-loop load on ten processes from three clients: two of the
// servers are five times slower, and a third stalls.
func compare(b *testing.B, make func(*testing.B, []string) rule) (c comparison) {
	var addrs []string
	var children []*servertest.Process
	for i := range servers {
		args := []string{"1"}
		switch i {
		case 0, 1:
			args = []string{"0.2"}
		case 2:
			args = []string{"1", "500ms"}
		}
		children = append(children, servertest.Child(b, "server", args...))
	}
	for _, c := range children {
		addrs = append(addrs, c.Line())
	}
	defer func() {
		for _, c := range children {
			c.Kill()
		}
	}()
	var rules []rule
	for range clients {
		rules = append(rules, make(b, addrs))
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: timeout}
	random := rand.New(rand.NewPCG(1, 2))
	gap := float64(mean) / (share * servers * cores)
	var (
		mu  sync.Mutex
		all []time.Duration
		got = map[string]int{}
		wg  sync.WaitGroup
	)
	start := time.Now()
	for at := 0.0; at < float64(duration); at += random.ExpFloat64() * gap {
		work, rule := mean.Seconds()*math.Exp(random.NormFloat64()-.5), rules[random.IntN(clients)]
		time.Sleep(time.Until(start.Add(time.Duration(at))))
		warm := at > float64(duration)/5
		wg.Go(func() {
			began := time.Now()
			addr, done := rule()
			resp, err := client.Get(fmt.Sprintf("http://%s/?work=%g", addr, work))
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			took := time.Since(began)
			done(took, err)
			if !warm {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if c.calls++; err != nil {
				c.failed++
				took = max(took, timeout)
			}
			all, got[addr] = append(all, took), got[addr]+1
		})
	}
	wg.Wait()
	slices.Sort(all)
	c.p50, c.p99 = all[len(all)/2], all[len(all)*99/100]
	total := 0
	for _, a := range addrs[3:] {
		total += got[a]
	}
	c.least = math.Inf(1)
	for _, a := range addrs[3:] {
		part := float64(got[a]*len(addrs[3:])) / float64(total)
		c.hottest, c.least = max(c.hottest, part), min(c.least, part)
	}
	return c
}

// BenchmarkRules prints a line for each rule.
func BenchmarkRules(b *testing.B) {
	for _, r := range []struct {
		name string
		make func(*testing.B, []string) rule
	}{
		{"ours", ours}, {"round robin", roundRobin}, {"Finagle's rule", twoChoices(10 * time.Second)}, {"kratos p2c", kratos}, {"gRPC's least request", twoChoices(0)},
	} {
		b.Run(r.name, func(b *testing.B) {
			for range b.N {
				c := compare(b, r.make)
				p50, p99 := float64(c.p50)/float64(mean), float64(c.p99)/float64(mean)
				b.Logf("| %s | %.2f | %.2f | %.2f | %.2f | %d of %d |", r.name, p50, p99, c.hottest, c.least, c.failed, c.calls)
				b.ReportMetric(p99, "p99/work")
				b.ReportMetric(c.hottest, "hottest/mean")
				b.ReportMetric(float64(c.failed), "failed")
			}
		})
	}
}
