package discovery_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/internal/servertest"
)

const (
	services = 200
	changes  = 200
)

func service(i int) string { return fmt.Sprintf("go.micro.srv.service-%03d", i%services) }

func instance(i int) discovery.Instance {
	return discovery.Instance{
		ID: fmt.Sprintf("instance-%05d-6f1c9d2e", i), Service: service(i), Version: "1.2.3", Zone: "eu-west-1a",
		Address: fmt.Sprintf("10.%d.%d.%d:8080", i>>16, i>>8&255, i&255),
		Labels:  map[string]string{"commit": "8aa088f", "tier": "gold"}, Endpoints: []string{"Greeter.Hello", "Greeter.Bye"},
	}
}

func open(b *testing.B, backend discovery.Option) discovery.Discovery {
	d, err := discovery.New(backend, discovery.WithTimeout(time.Minute))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	return d
}

func BenchmarkLookup(b *testing.B) {
	d := open(b, discovery.Memory(discovery.NewRegistry()))
	for i := range services {
		if _, err := d.Get(b.Context(), service(i)); err != nil {
			b.Fatal(err)
		}
	}
	name := service(77)
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.Lookup(name)
		}
	})
	b.Run("all processors", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				d.Lookup(name)
			}
		})
	})
}

func BenchmarkFleet(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		m := discovery.NewRegistry()
		fleet(b, 10_000, func() discovery.Option { return discovery.Memory(m) })
	})
	b.Run("redis", func(b *testing.B) {
		addr := servertest.Redis(b).Addr()
		fleet(b, 10_000, func() discovery.Option { return redis.Backend(addr) })
	})
	b.Run("etcd", func(b *testing.B) {
		addr := servertest.Etcd(b).Addr()
		fleet(b, 10_000, func() discovery.Option { return etcd.Backend(addr) })
	})
	// One agent of Consul is for one host: what it takes to register grows with
	// what is registered there.
	b.Run("consul with 2000", func(b *testing.B) {
		addr := servertest.Consul(b).Addr()
		fleet(b, 2_000, func() discovery.Option { return consul.Backend(addr) })
	})
}

// fleet registers all instances once; each iteration is a new reader.
func fleet(b *testing.B, instances int, backend func() discovery.Option) {
	writer := open(b, backend())
	began := time.Now()
	side(32, instances, func(i int) {
		if _, err := writer.Register(b.Context(), instance(i), discovery.TTL(time.Hour), discovery.NoHeartbeat()); err != nil {
			b.Error(err)
		}
	})
	if b.Failed() {
		b.FailNow()
	}
	registered := time.Since(began)
	var synced, memory, p50, p99 []float64
	for b.Loop() {
		s, m, delays := reader(b, instances, writer, backend())
		slices.Sort(delays)
		synced = append(synced, float64(s)/1e6)
		memory = append(memory, float64(m)/float64(instances))
		p50 = append(p50, float64(delays[len(delays)/2])/1e6)
		p99 = append(p99, float64(delays[len(delays)*99/100])/1e6)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(registered)/1e6/float64(instances), "ms/register")
	b.ReportMetric(median(synced), "ms/first-sync")
	b.ReportMetric(median(memory), "B/instance")
	b.ReportMetric(median(p50), "ms/change-p50")
	b.ReportMetric(median(p99), "ms/change-p99")
}

func reader(b *testing.B, instances int, writer discovery.Discovery, backend discovery.Option) (synced time.Duration, memory uint64, delays []time.Duration) {
	before := heap()
	d, err := discovery.New(backend, discovery.WithTimeout(time.Minute))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	began := time.Now()
	side(services, services, func(i int) {
		s, err := d.Get(b.Context(), service(i))
		if err != nil || len(s.Instances) < instances/services {
			b.Errorf("%d instances, %v", len(s.Instances), err)
		}
	})
	synced = time.Since(began)
	memory = heap() - before
	for i := range changes {
		in := instance(instances + i)
		before, _ := d.Lookup(in.Service)
		began := time.Now()
		r, err := writer.Register(b.Context(), in, discovery.TTL(time.Hour), discovery.NoHeartbeat())
		if err != nil {
			b.Fatal(err)
		}
		wait(b, d, in.Service, before.Revision)
		delays = append(delays, time.Since(began))
		now, _ := d.Lookup(in.Service)
		if err := r.Deregister(b.Context()); err != nil {
			b.Fatal(err)
		}
		wait(b, d, in.Service, now.Revision)
	}
	return synced, memory, delays
}

// wait waits for a newer revision.
func wait(b *testing.B, d discovery.Discovery, service string, revision uint64) {
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	for s, err := range d.Watch(ctx, service) {
		if err != nil {
			b.Fatal(err)
		}
		if s.Revision > revision {
			return
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// side runs f for 0 to n-1 on some goroutines.
func side(goroutines, n int, f func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
