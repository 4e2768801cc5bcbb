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
	"github.com/micro/go-platform/internal/fault"
)

// driver implements discovery.Driver.
type driver struct {
	*conn.Conn
	wait    time.Duration
	queries chan struct{} // holds a token for each service with a query of its own
	shared  *shared       // of all others

	mu      sync.Mutex
	past    map[string]past // by service
	written map[string]bool // ids of the checks that were registered here, perhaps
}

// Register asks first who has the id: Consul has no conditional write of a
// service. What is registered at the same moment elsewhere is not seen.
func (d *driver) Register(ctx context.Context, e discovery.Entry, replace func(held discovery.Entry) bool) error {
	host, port, err := net.SplitHostPort(e.Address)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	m, err := meta(e)
	if err != nil {
		return err
	}
	held, found, err := d.holder(ctx, e)
	if err != nil {
		return err
	}
	if found && held.Owner != e.Owner && !replace(held) {
		return discovery.ErrExists
	}
	s := &api.AgentServiceRegistration{
		ID: serviceID(e.Service, e.ID), Name: serviceName(e.Service), Address: host, Port: n, Meta: m,
		Weights: &api.AgentWeights{Passing: max(1, e.Weight), Warning: 1},
		Check: &api.AgentServiceCheck{
			CheckID: checkID(e), Name: "heartbeat", Status: api.HealthPassing, TTL: e.TTL.String(),
			// A change of the service is one of the check too: see shared.
			Notes: digest(m),
			// Longer than readers keep it by self-preservation.
			DeregisterCriticalServiceAfter: max(time.Minute, 4*e.TTL).String(),
		},
	}
	d.mu.Lock()
	d.written[checkID(e)] = true
	d.mu.Unlock()
	if err := d.Agent().ServiceRegisterOpts(s, api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx)); err != nil {
		return conn.Write(err)
	}
	if found && held.Owner == e.Owner {
		// A check that existed before keeps the status that it had.
		return d.Renew(ctx, e)
	}
	return nil
}

// holder returns the live entry of e's id. If e was registered before, that may
// be what this agent has.
func (d *driver) holder(ctx context.Context, e discovery.Entry) (discovery.Entry, bool, error) {
	id := serviceID(e.Service, e.ID)
	d.mu.Lock()
	before := d.written[checkID(e)]
	d.mu.Unlock()
	if before {
		own, found, err := d.local(ctx, id)
		if err != nil || found && own.Owner == e.Owner {
			return own, found, err
		}
	}
	all, _, err := d.Health().Service(serviceName(e.Service), "", false, (&api.QueryOptions{Filter: `Service.ID == "` + id + `"`, AllowStale: true}).WithContext(ctx))
	if err != nil {
		return discovery.Entry{}, false, conn.Read(err)
	}
	for _, s := range all {
		if dead, _ := health(s); !dead {
			return entry(s.Service, s.Node), true, nil
		}
	}
	return discovery.Entry{}, false, nil
}

// local returns what this agent has registered, living or expired.
func (d *driver) local(ctx context.Context, id string) (discovery.Entry, bool, error) {
	s, _, err := d.Agent().Service(id, query(ctx))
	switch {
	case conn.Missing(err):
		return discovery.Entry{}, false, nil
	case err != nil:
		return discovery.Entry{}, false, conn.Read(err)
	}
	return entry(s, nil), true, nil
}

// Renew names the owner: the check of another's entry has another id.
func (d *driver) Renew(ctx context.Context, e discovery.Entry) error {
	err := d.Agent().UpdateTTLOpts(checkID(e), "", api.HealthPassing, query(ctx))
	if !conn.Missing(err) {
		return conn.Write(err)
	}
	held, found, err := d.local(ctx, serviceID(e.Service, e.ID))
	switch {
	case err != nil:
		return err
	case found && held.Owner != e.Owner:
		return discovery.ErrExists
	}
	return discovery.ErrNotFound
}

func (d *driver) Deregister(ctx context.Context, e discovery.Entry) error {
	id := serviceID(e.Service, e.ID)
	d.mu.Lock()
	delete(d.written, checkID(e)) // nobody registers it again
	d.mu.Unlock()
	held, found, err := d.local(ctx, id)
	if err != nil || !found || held.Owner != e.Owner {
		return err
	}
	err = d.Agent().ServiceDeregisterOpts(id, query(ctx))
	if conn.Missing(err) {
		return nil
	}
	return conn.Write(err)
}

// readTime is how long a read may take before the agent counts as unavailable.
const readTime = 5 * time.Second

var errNoAnswer = fault.Markf(fault.Unavailable, "no answer within %v", readTime)

func (d *driver) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	select {
	case d.queries <- struct{}{}:
		defer func() { <-d.queries }()
	default:
		return d.shared.watch(ctx, service, deliver)
	}
	name := serviceName(service)
	first := true
	return conn.Follow(ctx, d.Conn, d.wait, func(q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
		return d.Health().Service(name, "", false, q)
	}, func(a conn.Answer[[]*api.ServiceEntry]) error {
		if a.Same && !first {
			deliver(discovery.Update{Same: true})
			return nil
		}
		deliver(d.judge(service, a, first))
		first = false
		return nil
	})
}

// past is what is known of a service from before, also from an earlier session.
type past struct {
	index uint64             // a lower one means that the agent has lost data
	known map[string]created // the entries of the last answer
}

// created is when and where an entry was made. An agent that has lost its data has
// another node's ID, though the index of an entry may be the same by chance.
type created struct {
	node  string
	index uint64
}

// judge is update, with what the past says about the missing. Consul keeps no
// trace of what deregistered; so it has if the agent has its data still, which
// it shows by a lower index never, and by an entry that stands since before.
func (d *driver) judge(service string, a conn.Answer[[]*api.ServiceEntry], first bool) discovery.Update {
	u, ids, expired := update(a.Value)
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.past[service]
	before, stands := p.known, false
	p.known = make(map[string]created, len(a.Value))
	for i, e := range a.Value {
		id, c := ids[i], created{index: e.Service.CreateIndex}
		if e.Node != nil {
			c.node = e.Node.ID
		}
		p.known[id] = c
		stands = stands || c.index != 0 && before[id] == c
	}
	if a.Index < p.index || a.Reset || first && !stands {
		before = nil
	}
	p.index = a.Index
	if len(p.known) > 0 {
		d.past[service] = p
	} else {
		delete(d.past, service)
	}
	u.Fate = func(id string) discovery.Fate {
		_, had := before[id]
		switch {
		case expired[id]:
			return discovery.Expired
		case had:
			return discovery.Deregistered
		}
		return discovery.Lost
	}
	return u
}

// update sorts entries into the living and the expired, and returns the id of each.
func update(entries []*api.ServiceEntry) (u discovery.Update, ids []string, expired map[string]bool) {
	u.Instances = make([]discovery.Instance, 0, len(entries))
	ttls := make(map[string]time.Duration, len(entries))
	expired = map[string]bool{}
	ids = make([]string, len(entries))
	for i, s := range entries {
		if s.Service.Port == 0 { // a service of others that cannot be called
			continue
		}
		e := entry(s.Service, s.Node)
		ids[i] = e.ID
		dead, maintenance := health(s)
		_, have := ttls[e.ID]
		switch {
		case dead:
			expired[e.ID] = true
			continue
		case have: // at two agents, after a failover from one to the other
			continue
		case maintenance && e.Status == discovery.Up:
			e.Status = discovery.Draining
		}
		ttls[e.ID] = e.TTL
		u.Instances = append(u.Instances, e.Instance)
	}
	u.TTL = func(id string) time.Duration { return ttls[id] }
	return u, ids, expired
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
		if u, _, _ := update(live); len(u.Instances) == 0 {
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
