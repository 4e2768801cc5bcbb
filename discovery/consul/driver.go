package consul

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/consul"
)

// driver implements discovery.Driver.
type driver struct {
	*conn.Conn
	wait time.Duration

	mu   sync.Mutex
	past map[string]past // by service
}

// past is what is known of a service from before.
type past struct {
	index  uint64          // a lower one means that the agent has lost data
	reset  bool            // it has, at some time
	latest map[string]bool // the ids of the last answer, living and expired
}

func (d *driver) Register(ctx context.Context, in discovery.Instance, ttl time.Duration) error {
	host, port, err := net.SplitHostPort(in.Address)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	m, err := meta(in)
	if err != nil {
		return err
	}
	s := &api.AgentServiceRegistration{
		ID: serviceID(in.Service, in.ID), Name: serviceName(in.Service), Address: host, Port: n, Meta: m,
		Weights: &api.AgentWeights{Passing: max(1, in.Weight), Warning: 1},
		Check: &api.AgentServiceCheck{
			CheckID: checkID(in.Service, in.ID), Name: "heartbeat", Status: api.HealthPassing, TTL: ttl.String(),
			// Longer than readers keep it by self-preservation.
			DeregisterCriticalServiceAfter: max(time.Minute, 4*ttl).String(),
		},
	}
	if err := d.Agent().ServiceRegisterOpts(s, api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx)); err != nil {
		return conn.Write(err)
	}
	// A check that existed before keeps the status that it had.
	return d.Renew(ctx, in, ttl)
}

func (d *driver) Renew(ctx context.Context, in discovery.Instance, _ time.Duration) error {
	err := d.Agent().UpdateTTLOpts(checkID(in.Service, in.ID), "", api.HealthPassing, query(ctx))
	if conn.Missing(err) {
		return discovery.ErrNotFound
	}
	return conn.Write(err)
}

func (d *driver) Deregister(ctx context.Context, service, id string) error {
	err := d.Agent().ServiceDeregisterOpts(serviceID(service, id), query(ctx))
	if conn.Missing(err) {
		return nil
	}
	return conn.Write(err)
}

func (d *driver) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	name := serviceName(service)
	first := true
	return conn.Follow(ctx, conn.Poll{Wait: d.wait}, func(q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
		return d.Health().Service(name, "", false, q)
	}, func(a conn.Answer[[]*api.ServiceEntry]) error {
		if a.Same && !first {
			deliver(discovery.Update{Same: true})
			return nil
		}
		first = false
		deliver(d.judge(service, a))
		return nil
	})
}

// judge is update, with what the past says about the missing: they have
// deregistered, unless the agent has lost its data since it last had them.
func (d *driver) judge(service string, a conn.Answer[[]*api.ServiceEntry]) discovery.Update {
	u := update(a.Value)
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.past[service]
	before := p.latest
	if a.Index < p.index || a.Reset {
		p.reset, before = true, nil
	}
	p.index = a.Index
	p.latest = make(map[string]bool, len(a.Value))
	for _, e := range a.Value {
		p.latest[instance(e).ID] = true
	}
	d.past[service] = p
	if p.reset {
		left := u.Deregistered
		u.Deregistered = func(id string) bool { return before[id] && left(id) }
	}
	return u
}

// update sorts entries into the living and the expired.
func update(entries []*api.ServiceEntry) discovery.Update {
	u := discovery.Update{Instances: make([]discovery.Instance, 0, len(entries))}
	at := make(map[string]bool, len(entries))
	expired := map[string]bool{}
	for _, e := range entries {
		in := instance(e)
		dead, maintenance := health(e)
		switch {
		case dead:
			expired[in.ID] = true
			continue
		case at[in.ID]: // at two agents, after a failover from one to the other
			continue
		case maintenance && in.Status == discovery.Up:
			in.Status = discovery.Draining
		}
		at[in.ID] = true
		u.Instances = append(u.Instances, in)
	}
	u.Deregistered = func(id string) bool { return !expired[id] }
	return u
}

func (d *driver) Services(ctx context.Context) ([]string, error) {
	all, _, err := d.Catalog().Services(query(ctx))
	if err != nil {
		return nil, conn.Read(err)
	}
	critical, _, err := d.Health().State(api.HealthCritical, query(ctx))
	if err != nil {
		return nil, conn.Read(err)
	}
	// Only a service that has a critical check can be without a live instance.
	for _, c := range critical {
		if _, ok := all[c.ServiceName]; !ok || c.ServiceName == "" || strings.HasPrefix(c.CheckID, api.ServiceMaintPrefix) {
			continue
		}
		live, _, err := d.Health().Service(c.ServiceName, "", false, query(ctx))
		if err != nil {
			return nil, conn.Read(err)
		}
		if len(update(live).Instances) == 0 {
			delete(all, c.ServiceName)
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, ourName(name))
	}
	return names, nil
}

func query(ctx context.Context) *api.QueryOptions { return (&api.QueryOptions{}).WithContext(ctx) }
