package discovery_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

// A host has 2000 instances of 100 services, which one process registers, with
// heartbeats, and another follows.
const (
	hostInstances = 2000
	hostServices  = 100
	hostChanges   = 50
)

func hostInstance(i int) discovery.Instance {
	in := instance(i)
	in.Service = fmt.Sprintf("service-%02d", i%hostServices)
	return in
}

func BenchmarkHost(b *testing.B) {
	for _, c := range []struct {
		name   string
		server func(testing.TB, ...servertest.Option) *servertest.Server
		open   func(addr string) discovery.Option
	}{
		{"redis", servertest.Redis, func(a string) discovery.Option { return redis.Backend(a) }},
		{"etcd", servertest.Etcd, func(a string) discovery.Option { return etcd.Backend(a) }},
		{"postgres", servertest.Postgres, func(a string) discovery.Option {
			return sql.Postgres("postgres://postgres@" + a + "/postgres?sslmode=disable")
		}},
		{"consul", servertest.Consul, func(a string) discovery.Option { return consul.Backend(a) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				host(b, c.server(b).Addr(), c.open)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	// What an agent of Consul takes without us: its own client, with a check of a
	// TTL for each; and its catalog, by single calls and by transactions, which
	// know no TTL.
	for name, register := range map[string]func(c *api.Client, i int) error{"consul's client": rawAgent, "consul's catalog": rawCatalog} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c := rawClient(b)
				began := time.Now()
				side(32, hostInstances, func(i int) {
					if err := register(c, i); err != nil {
						b.Error(err)
					}
				})
				b.ReportMetric(time.Since(began).Seconds(), "registered-s")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	b.Run("consul's transactions", func(b *testing.B) {
		for b.Loop() {
			c := rawClient(b)
			began := time.Now()
			rawTxn(b, c)
			b.ReportMetric(time.Since(began).Seconds(), "registered-s")
		}
		b.ReportMetric(0, "ns/op")
	})
}

func host(b *testing.B, addr string, backend func(addr string) discovery.Option) {
	to, from := netfault.New(b, addr), netfault.New(b, addr)
	writer, reader := open(b, backend(to.Addr())), open(b, backend(from.Addr()))
	began := time.Now()
	side(64, hostInstances, func(i int) {
		if _, err := writer.Register(b.Context(), hostInstance(i)); err != nil {
			b.Error(err)
		}
	})
	registered := time.Since(began)
	began = time.Now()
	side(hostServices, hostServices, func(i int) {
		s, err := reader.Get(b.Context(), hostInstance(i).Service)
		if err != nil || len(s.Instances) != hostInstances/hostServices {
			b.Errorf("%d instances, %v", len(s.Instances), err)
		}
	})
	synced := time.Since(began)
	delays := make([]float64, hostChanges)
	for n := range delays {
		in := hostInstance(hostInstances + n*7)
		began := time.Now()
		if _, err := writer.Register(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		offered(b, reader, in)
		delays[n] = float64(time.Since(began).Microseconds()) / 1000
	}
	slices.Sort(delays)
	b.ReportMetric(registered.Seconds(), "registered-s")
	b.ReportMetric(synced.Seconds(), "synced-s")
	b.ReportMetric(delays[hostChanges/2], "change-ms")
	b.ReportMetric(delays[hostChanges*9/10], "change-p90-ms")
	b.ReportMetric(float64(to.Counts().Accepted), "writer-connections")
	b.ReportMetric(float64(from.Counts().Accepted), "reader-connections")
}

// offered waits until an instance is offered.
func offered(b *testing.B, d discovery.Discovery, in discovery.Instance) {
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	defer cancel()
	for s, err := range d.Watch(ctx, in.Service) {
		if err != nil {
			b.Fatal(err)
		}
		if slices.ContainsFunc(s.Instances, func(other discovery.Instance) bool { return other.ID == in.ID }) {
			return
		}
	}
}

func rawClient(b *testing.B) *api.Client {
	t := &http.Transport{MaxConnsPerHost: 32, MaxIdleConnsPerHost: 32}
	b.Cleanup(t.CloseIdleConnections)
	c, err := api.NewClient(&api.Config{Address: servertest.Consul(b).Addr(), HttpClient: &http.Client{Transport: t}})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func rawAgent(c *api.Client, i int) error {
	in := hostInstance(i)
	return c.Agent().ServiceRegister(&api.AgentServiceRegistration{
		ID: in.ID, Name: in.Service, Address: "10.0.0.7", Port: 8080, Meta: in.Labels,
		Check: &api.AgentServiceCheck{TTL: "15s", Status: api.HealthPassing},
	})
}

const rawNode = "outside"

func rawCatalog(c *api.Client, i int) error {
	in := hostInstance(i)
	_, err := c.Catalog().Register(&api.CatalogRegistration{
		Node: rawNode, Address: "10.0.0.7",
		Service: &api.AgentService{ID: in.ID, Service: in.Service, Address: "10.0.0.7", Port: 8080, Meta: in.Labels},
		Check:   &api.AgentCheck{Node: rawNode, CheckID: in.ID, Name: "heartbeat", Status: api.HealthPassing, ServiceID: in.ID},
	}, nil)
	return err
}

func rawTxn(b *testing.B, c *api.Client) {
	ops := api.TxnOps{{Node: &api.NodeTxnOp{Verb: api.NodeSet, Node: api.Node{Node: rawNode, Address: "10.0.0.7"}}}}
	for i := range hostInstances {
		in := hostInstance(i)
		ops = append(ops,
			&api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: rawNode, Service: api.AgentService{ID: in.ID, Service: in.Service, Address: "10.0.0.7", Port: 8080, Meta: in.Labels}}},
			&api.TxnOp{Check: &api.CheckTxnOp{Verb: api.CheckSet, Check: api.HealthCheck{Node: rawNode, CheckID: in.ID, Name: "heartbeat", Status: api.HealthPassing, ServiceID: in.ID, ServiceName: in.Service}}})
		if len(ops) > 61 || i == hostInstances-1 { // 64 are the most
			ok, answer, _, err := c.Txn().Txn(ops, nil)
			if err != nil || !ok {
				b.Fatal(answer, err)
			}
			ops = nil
		}
	}
}
