package consul

import (
	"context"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/consul"
)

// A blocking query occupies a connection, and an agent takes no more than 200
// from a host (http_max_conns_per_client). So only the first few services have
// one each, and all further ones share one: it follows the checks of all of
// them, and whose checks changed is read by itself. The price is that a shared
// query is answered for every change of a check in the datacenter.

// shared is the one query of many services.
type shared struct {
	d *driver

	mu      sync.Mutex
	members map[*member]bool
	run     *sharedRun
}

// sharedRun is a time of the query, from its start until it fails or the last
// member leaves.
type sharedRun struct {
	joined chan struct{} // holds one token: there are new members
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // valid once ended is closed
}

// member is one session's part.
type member struct {
	service string // Consul's name
	run     *sharedRun
	covered chan struct{} // closed when every later change is noticed
	changed chan struct{} // holds one token
	same    chan struct{} // holds one token: the agent has answered
	print   uint64        // of its checks, as the query saw them last
}

func (s *shared) join(service string) *member {
	m := &member{service: service, covered: make(chan struct{}), changed: make(chan struct{}, 1), same: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		ctx, cancel := context.WithCancel(context.Background())
		s.run = &sharedRun{joined: make(chan struct{}, 1), cancel: cancel, ended: make(chan struct{})}
		go s.follow(ctx, s.run)
	}
	m.run = s.run
	s.members[m] = true
	notify(s.run.joined)
	return m
}

func (s *shared) leave(m *member) {
	s.mu.Lock()
	delete(s.members, m)
	last := len(s.members) == 0
	if last {
		s.run = nil
		m.run.cancel()
	}
	s.mu.Unlock()
	if last {
		<-m.run.ended
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// gather is how long a query waits for more members: they come in crowds.
const gather = 5 * time.Millisecond

// follow asks again from the start whenever somebody has joined.
func (s *shared) follow(ctx context.Context, run *sharedRun) {
	defer close(run.ended)
	for ctx.Err() == nil {
		select {
		case <-run.joined:
		case <-ctx.Done():
			continue
		}
		time.Sleep(gather)
		select {
		case <-run.joined:
		default:
		}
		asking, cancel := context.WithCancel(ctx)
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			select {
			case <-run.joined:
				notify(run.joined)
				cancel()
			case <-asking.Done():
			}
		}()
		err := s.ask(asking, run)
		cancel()
		<-stop
		if asking.Err() == nil || ctx.Err() == nil && len(run.joined) == 0 {
			run.err = err
			break
		}
	}
	if run.err == nil {
		run.err = context.Canceled
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == run { // the sessions end, and the next one begins another run
		s.run = nil
		for m := range s.members {
			if m.run == run {
				delete(s.members, m)
			}
		}
	}
}

// ask runs the query for those that are members now.
func (s *shared) ask(ctx context.Context, run *sharedRun) error {
	s.mu.Lock()
	members := make([]*member, 0, len(s.members))
	names := make([]string, 0, len(s.members))
	for m := range s.members {
		if m.run == run {
			members = append(members, m)
			names = append(names, regexp.QuoteMeta(m.service))
		}
	}
	s.mu.Unlock()
	// Checks of no service are those of nodes.
	filter := "ServiceName == \"\" or ServiceName matches `^(" + strings.Join(names, "|") + ")$`"
	var nodes uint64
	first := true
	return conn.Follow(ctx, s.d.Conn, s.d.wait, func(q *api.QueryOptions) (api.HealthChecks, *api.QueryMeta, error) {
		q.Filter = filter
		return s.d.Health().State(api.HealthAny, q)
	}, func(a conn.Answer[api.HealthChecks]) error {
		prints := prints(a.Value)
		moved := !first && prints[""] != nodes
		nodes, first = prints[""], false
		for _, m := range members {
			select {
			case <-m.covered:
				if m.print != prints[m.service] || moved || a.Reset {
					notify(m.changed)
				} else {
					notify(m.same)
				}
			default:
				close(m.covered) // the session reads now
			}
			m.print = prints[m.service]
		}
		return nil
	})
}

// prints returns a number for the checks of each service, and for those of
// nodes under "". The order makes no difference.
func prints(checks api.HealthChecks) map[string]uint64 {
	all := map[string]uint64{}
	for _, c := range checks {
		h := fnv.New64a()
		for _, part := range []string{c.Node, c.CheckID, c.ServiceID, c.Status, strconv.FormatUint(c.ModifyIndex, 10)} {
			h.Write([]byte(part))
			h.Write([]byte{0})
		}
		all[c.ServiceName] += h.Sum64()
	}
	return all
}

// watch is a session of a service that has no query of its own. It reads the
// service once every wait as well: that changes without a change of a check,
// by others than this package, are seen then.
func (s *shared) watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	name := serviceName(service)
	m := s.join(name)
	defer s.leave(m)
	select {
	case <-m.covered:
	case <-m.run.ended:
		return m.run.err
	case <-ctx.Done():
		return ctx.Err()
	}
	tick := time.NewTicker(s.d.wait)
	defer tick.Stop()
	for first := true; ; first = false {
		a, err := s.read(ctx, name)
		if err != nil {
			return err
		}
		deliver(s.d.judge(service, a, first))
		for changed := false; !changed; {
			select {
			case <-m.changed:
				changed = true
			case <-tick.C:
				changed = true
			case <-m.same:
				deliver(discovery.Update{Same: true})
			case <-m.run.ended:
				return m.run.err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func (s *shared) read(ctx context.Context, name string) (conn.Answer[[]*api.ServiceEntry], error) {
	bounded, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	value, meta, err := s.d.Health().Service(name, "", false, query(bounded))
	switch {
	case ctx.Err() != nil:
		return conn.Answer[[]*api.ServiceEntry]{}, ctx.Err()
	case bounded.Err() != nil:
		return conn.Answer[[]*api.ServiceEntry]{}, errNoAnswer
	case err != nil:
		return conn.Answer[[]*api.ServiceEntry]{}, conn.Read(err)
	}
	return conn.Answer[[]*api.ServiceEntry]{Value: value, Index: meta.LastIndex}, nil
}
