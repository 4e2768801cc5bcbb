package router

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-kratos/kratos/v3/registry"
	"github.com/go-kratos/kratos/v3/selector"
	"github.com/go-kratos/kratos/v3/selector/filter"
	"github.com/go-kratos/kratos/v3/selector/p2c"
	"github.com/go-kratos/kratos/v3/selector/wrr"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
)

func ours(options []router.Option, opts ...router.SelectOption) func(b *testing.B, n int) {
	return func(b *testing.B, n int) {
		var all []discovery.Instance
		for i := range n {
			all = append(all, discovery.Instance{
				ID: fmt.Sprint(i), Service: "greeter", Address: fmt.Sprintf("10.0.0.1:%d", 1000+i), Version: "v1", Labels: map[string]string{"zone": fmt.Sprint(i % 2)},
			})
		}
		d, err := discovery.New(static.Backend(all...))
		if err != nil {
			b.Fatal(err)
		}
		defer d.Close()
		r, err := router.New(append([]router.Option{router.WithDiscovery(d)}, options...)...)
		if err != nil {
			b.Fatal(err)
		}
		ctx := context.Background()
		defer r.Close(ctx)
		b.ReportAllocs()
		for b.Loop() {
			p, err := r.Pick(ctx, "greeter", opts...)
			if err != nil {
				b.Fatal(err)
			}
			p.Done(router.Outcome{})
		}
	}
}

func kratos(s selector.Selector, opts ...selector.SelectOption) func(b *testing.B, n int) {
	return func(b *testing.B, n int) {
		var all []selector.Node
		for i := range n {
			in := &registry.ServiceInstance{Name: "greeter", Version: fmt.Sprintf("v%d", i%2), Metadata: map[string]string{"weight": "10"}}
			all = append(all, selector.NewNode("grpc", fmt.Sprintf("10.0.0.1:%d", 1000+i), in))
		}
		s.Apply(all)
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			_, done, err := s.Select(ctx, opts...)
			if err != nil {
				b.Fatal(err)
			}
			done(ctx, selector.DoneInfo{})
		}
	}
}

// BenchmarkPick is one choice and its outcome. Latencies are measured, by all
// that measure them.
func BenchmarkPick(b *testing.B) {
	for _, c := range []struct {
		name string
		run  func(b *testing.B, n int)
	}{
		{"ours", ours(nil)},
		{"ours, labels", ours(nil, router.Labels(map[string]string{"zone": "1"}))},
		{"ours, breakers", ours([]router.Option{router.WithBreakers(router.Breakers{})})},
		{"ours, sharing", ours([]router.Option{router.WithSharing(router.Memory(), router.Sharing{Interval: time.Hour})})},
		{"ours, round robin", ours([]router.Option{router.WithStrategy(router.RoundRobin())})},
		{"ours, weighted", ours([]router.Option{router.WithStrategy(router.WeightedRoundRobin())})},
		{"kratos p2c", kratos(p2c.New())},
		{"kratos p2c, version", kratos(p2c.New(), selector.WithNodeFilter(filter.Version("v1")))},
		{"kratos wrr", kratos(wrr.New())},
		{"go-zero p2c", grpc("p2c_ewma", "")},
		{"grpc round robin", grpc("round_robin", "{}")},
		{"grpc weighted", grpc("weighted_round_robin", "{}")},
		{"grpc least request", grpc("least_request_experimental", "{}")},
	} {
		for _, n := range []int{10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) { c.run(b, n) })
		}
	}
}

// BenchmarkBreaker is one call that a closed breaker lets through, and its outcome.
func BenchmarkBreaker(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		br, err := router.NewBreaker(router.BreakerPolicy{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			t, err := br.Allow()
			if err != nil {
				b.Fatal(err)
			}
			t.Done(router.OK)
		}
	})
	b.Run("gobreaker", func(b *testing.B) {
		br := gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{})
		b.ReportAllocs()
		for b.Loop() {
			done, err := br.Allow()
			if err != nil {
				b.Fatal(err)
			}
			done(nil)
		}
	})
}

// BenchmarkLimiter is one call that a limiter lets through.
func BenchmarkLimiter(b *testing.B) {
	ctx := context.Background()
	for _, c := range []struct {
		name string
		make func() (limits.Limiter, error)
	}{
		{"token bucket", func() (limits.Limiter, error) { return limits.TokenBucket(1e9, 1000) }},
		{"concurrency", func() (limits.Limiter, error) { return limits.Concurrency(1000) }},
		{"gradient", func() (limits.Limiter, error) { return limits.Gradient(1, 1000) }},
		{"throttle", func() (limits.Limiter, error) { return limits.Throttle(2, 8) }},
	} {
		b.Run("ours, "+c.name, func(b *testing.B) {
			l, err := c.make()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if p, err := l.Acquire(ctx); err == nil {
					p.Release(router.Outcome{Latency: time.Millisecond})
				}
			}
		})
	}
	b.Run("x/time/rate", func(b *testing.B) {
		l := rate.NewLimiter(1e9, 1000)
		b.ReportAllocs()
		for b.Loop() {
			l.Allow()
		}
	})
}
